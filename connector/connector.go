// Package connector is the contract between the host and its plugins: sinks, converters,
// transforms and predicates. Everything points inward to here; this package knows neither
// Kafka nor AWS.
package connector

import (
	"context"
	"log/slog"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Info describes a plugin. Class is the name that connector.class and its like take; Aliases
// are the other spellings that users know, such as Kafka Connect's full class names.
type Info struct {
	Class   string
	Aliases []string
	Version string
	Doc     string
}

// Connector describes a kind of sink and makes its tasks. A Connector is a value without
// state; its methods are safe for concurrent use.
type Connector interface {
	Info() Info
	// Config is the only description of the connector's own keys.
	Config() *config.Def
	// NewSink makes the sink of one task, ready to deliver, or says why it cannot. A Retryable
	// error is tried again under the restart policy; ctx ends when the task is stopped.
	NewSink(ctx context.Context, cfg config.Values, tc TaskContext) (Sink, error)
}

// Sink delivers records. Deliver is called concurrently, never concurrently for one key.
type Sink interface {
	// Deliver returns when the fate of every record in batch is known:
	//
	//	nil            every record is durably with the destination
	//	*PartialError  the listed records are not, all others are (later ones of their keys count as not)
	//	other error    none is
	//
	// The host retries a Retryable batch as the same records without limit, hands Rejected
	// records to errors.tolerance, and stops the task on anything else. When ctx ends, Deliver
	// returns soon with an error; its outcome then counts as unknown. The batch holds records
	// of one consumed topic and partition, in offset order. The slice and its records belong to the
	// sink until Deliver returns.
	Deliver(ctx context.Context, batch []*Record) error
	// Close releases what the sink holds. It is called once, when no Deliver runs.
	Close(ctx context.Context) error
}

// WithStartCheck gives Deliver's context a check that the host knows: whether a call may be started now.
func WithStartCheck(ctx context.Context, may func() bool) context.Context {
	return context.WithValue(ctx, startCheck{}, may)
}

// MayStart reports whether the host allows a call to be started now: not after the task has lost touch with
// its consumer group. The host asks before Deliver; a sink that waits inside Deliver, for a budget
// or a lock, asks again before it calls, and gives a Retryable error when it may not.
func MayStart(ctx context.Context) bool {
	may, ok := ctx.Value(startCheck{}).(func() bool)
	return !ok || may()
}

type startCheck struct{}

// Cutter is an optional interface of a Sink that delivers a batch in several calls, leaves
// records out, or delivers under names. Without it the whole batch is one unnamed call.
type Cutter interface {
	// Cut divides the records that the scheduler handed out, of one consumed topic and
	// partition and in offset order, into calls; each becomes a frozen batch of its own. It is a
	// pure function of the records and the configuration and starts nothing. Records in no call
	// are filtered: settled and counted. The error is nil or a *PartialError for records that no
	// call can hold.
	Cut(records []*Record) ([]Call, error)
}

// Call is one delivery that Cut decided on.
type Call struct {
	Records []*Record
	// Named says that the destination recognises a repeat of this call by a name made from the
	// batch's offsets. Before the first try of such a call the host makes its offsets durable (an
	// intent), so that after a crash exactly this batch is formed again.
	Named bool
}

// Named is an optional interface of a Sink that may deliver under names. Without it, or when it says no, records are
// delivered again whenever they are read again.
type Named interface {
	// Named tells whether the destination may remember a name for good: a record that is read again, on purpose, under its
	// old name counts as delivered and is not. The host then looks after offsets that other tools have moved.
	Named() bool
}

// TaskContext is what a sink may know of the task that it serves.
type TaskContext struct {
	Connector string
	Task      int
	Log       *slog.Logger
	Metrics   Metrics
	// ClusterID of the Kafka cluster that the task consumes.
	ClusterID string
	// TopicID gives the id that the cluster gave a topic (it changes when the topic is created
	// anew); "" when the cluster has none. Known for every topic of which records are delivered.
	TopicID func(topic string) string
	// ReplayEpoch of a record: 0, or the number of the deliberate replay that it belongs to.
	ReplayEpoch func(topic string, partition int32, offset int64) int
	// MaxInFlight is the most Deliver calls that the host makes at once (max.in.flight).
	MaxInFlight int
	// Share is the part of a connector-wide budget that is this task's now, from 0 to 1: its partitions
	// by all partitions of the subscription. nil means 1. It is called concurrently and must not block.
	Share func() float64
	// Common gives the value that all tasks of the connector in this process share under a key; the first that asks
	// has it made. It lives for as long as the connector has tasks here. nil: the task shares with nobody.
	Common func(key string, create func() any) any
}

// Metrics is where plugins count. Names follow Prometheus' conventions without a prefix;
// labels alternate name and value. Resolve a Counter once, not once per record. A label's values are few and known
// beforehand: never a key, an offset or the name of an execution.
type Metrics interface {
	Counter(name, help string, labels ...string) Counter
	Gauge(name, help string, labels ...string) Gauge
	// Histogram counts values by size. Its name ends in the unit, which decides the buckets: _seconds, _bytes, or
	// else a count.
	Histogram(name, help string, labels ...string) Histogram
}

// Measured is an optional interface of a Connector: Measure asks m once for every metric that its sinks may
// ask for, with any values of the labels. docs/METRICS.md is made from it.
type Measured interface{ Measure(m Metrics) }

// Counter only goes up. Safe for concurrent use.
type Counter interface{ Add(n float64) }

// Gauge goes up and down. Safe for concurrent use.
type Gauge interface{ Set(v float64) }

// Histogram counts values by size. Observe does not allocate. Safe for concurrent use.
type Histogram interface{ Observe(v float64) }

// Sized is an optional interface of a Sink that knows how many records a batch should hold when the
// user has not set batch.max.records.
type Sized interface {
	// BatchMaxRecords is at least 1.
	BatchMaxRecords() int
}
