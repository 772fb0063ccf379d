package connector

import (
	"context"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Converter turns wire bytes into values. It is safe for concurrent use.
type Converter interface {
	// Convert reads data, a record's key or value; nil data is a tombstone and gives the zero
	// Value. The Value may keep data, which never changes. headers are those of the record, raw.
	// A Retryable error (a registry that cannot be reached) is retried as errors.retry.* says;
	// any other is final for the record.
	Convert(ctx context.Context, topic string, headers []RawHeader, data []byte) (Value, error)
	Close() error
}

// RawHeader is a header as consumed; Value nil means null.
type RawHeader struct {
	Key   string
	Value []byte
}

// HeaderConverter turns a header's bytes into a value. It is safe for concurrent use.
type HeaderConverter interface {
	ConvertHeader(topic, key string, data []byte) (Value, error)
}

// ConverterPlugin describes a converter and makes it.
type ConverterPlugin struct {
	Info
	Config *config.Def
	// New makes a converter for keys (isKey) or values; nil when it serves for headers only. It
	// does not block on the network.
	New func(cfg config.Values, isKey bool) (Converter, error)
	// NewHeader makes the same converter for headers; nil when it cannot serve as one.
	NewHeader func(cfg config.Values) (HeaderConverter, error)
	// Measure asks m for every metric of the plugin, and counts there from then on; nil when it has none. The host
	// calls it once, before New. Converters are shared by tasks, so that these metrics have no connector or task.
	Measure func(m Metrics)
}

// Transform is a single message transform (SMT). It is safe for concurrent use.
type Transform interface {
	// Apply returns the record to go on with, or nil when it is filtered. It may return r itself
	// after replacing fields; values are never changed in place.
	Apply(r *Record) (*Record, error)
}

// TransformPlugin describes a transform and makes it.
type TransformPlugin struct {
	Info
	Config *config.Def
	New    func(cfg config.Values) (Transform, error)
}

// Predicate decides whether a transform applies to a record. It is safe for concurrent use.
type Predicate interface {
	Test(r *Record) (bool, error)
}

// PredicatePlugin describes a predicate and makes it.
type PredicatePlugin struct {
	Info
	Config *config.Def
	New    func(cfg config.Values) (Predicate, error)
}

// Plugins is everything that a worker offers. cmd lists it as a value; nothing registers itself.
type Plugins struct {
	Sinks      []Connector
	Converters []ConverterPlugin
	Transforms []TransformPlugin
	Predicates []PredicatePlugin
}
