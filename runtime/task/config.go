package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// Config is everything that a task runs on. The worker makes it from the connector's configuration.
type Config struct {
	Connector string
	ID        int
	Settings  Settings
	Pipeline  Pipeline
	// OpenSink makes the sink once the task starts; an error fails the task.
	OpenSink func(ctx context.Context) (connector.Sink, error)
	// OpenSource joins the consumer group with g receiving its rebalances.
	OpenSource func(ctx context.Context, g Group) (Source, error)
	// OpenDeadLetters opens the producer of the dead letter queue and creates its topic where it is
	// missing; nil when the connector has none.
	OpenDeadLetters func(ctx context.Context) (Producer, error)
	// Replay gives the replay epoch of a record, 0 for none; nil means always 0.
	Replay func(topic string, partition int32, offset int64) int
	// Reread gives a message of a dead letter queue as it was consumed first; false passes it over, and it counts as
	// filtered. nil: messages are what they are. It is called once for each hand-out of a message, concurrently.
	Reread func(m *Message) (Reread, bool)
	// Report receives each change of state. It must not block and must not call the task.
	Report func(State, error)
	// Outlived is shared by all tasks of the process: deliveries that outlived their task.
	Outlived *Outlived
	// Crowd is shared by all tasks of the process: they share what each may hold. nil for a task alone.
	Crowd   *Crowd
	Metrics *Metrics
	// Tracer makes spans of deliveries; nil makes none.
	Tracer Tracer
	Log    *slog.Logger
}

// Settings are the delivery keys of a connector (group "Delivery" and "Error Handling" of
// docs/CONFIG.md), parsed. Bytes and counts are limits of one task.
type Settings struct {
	Ordering           Ordering
	MaxInFlight        int           // max.in.flight
	BatchMaxRecords    int           // batch.max.records
	BatchMaxBytes      int64         // batch.max.bytes, of consumed keys and values; the sink cuts by its own measure
	BatchLinger        time.Duration // batch.linger.ms
	MaxPendingRecords  int           // max.pending.records
	MaxPendingBytes    int64         // max.pending.bytes
	MaxUnsettledSpan   int64         // max.unsettled.span, in offsets
	RetryTimeout       time.Duration // delivery.retry.timeout.ms; negative: for ever
	RetryBackoff       time.Duration // delivery.retry.backoff.ms
	RetryBackoffMax    time.Duration // delivery.retry.backoff.max.ms
	CommitInterval     time.Duration // offset.flush.interval.ms
	CommitTimeout      time.Duration // offset.flush.timeout.ms
	ShutdownTimeout    time.Duration // task.shutdown.graceful.timeout.ms
	Lease              time.Duration // fencing.lease.ms
	OutOfRangeEarliest bool          // offset.out.of.range=earliest
	StartAtLatest      bool          // consumer auto.offset.reset=latest, where nothing was ever committed

	ErrorRetryTimeout  time.Duration // errors.retry.timeout; negative: for ever
	ErrorRetryDelayMax time.Duration // errors.retry.delay.max.ms
	TolerateAll        bool          // errors.tolerance=all
	LogErrors          bool          // errors.log.enable
	LogMessages        bool          // errors.log.include.messages
	DeadLetterTopic    string        // errors.deadletterqueue.topic.name; "" for none
	DeadLetterContext  bool          // errors.deadletterqueue.context.headers.enable
}

// Ordering is what must not overtake itself (key ordering).
type Ordering uint8

// The orderings.
const (
	ByKey       Ordering = iota // records with the same consumed key
	ByPartition                 // all records of a partition
)

// Pipeline turns messages into records.
type Pipeline struct {
	Key, Value Stage
	Header     HeaderStage
	Steps      []Step
}

// Stage is a converter with the class name that errors show.
type Stage struct {
	Class     string
	Converter connector.Converter
}

// HeaderStage is a header converter with its class name; a nil Converter leaves headers out.
type HeaderStage struct {
	Class     string
	Converter connector.HeaderConverter
}

// Step is one transform of the chain; Predicate is nil when it always applies.
type Step struct {
	Alias     string
	Class     string
	Transform connector.Transform
	Predicate connector.Predicate
	Negate    bool
}

// State of a task as it reports it.
type State uint8

// The states. A Failed task keeps its group membership with its partitions paused, so that one
// poison record does not walk through all tasks; it ends when it is stopped.
const (
	Starting State = iota
	Running
	Paused
	Failed
	Stopped
)

// String gives Kafka Connect's name of the state.
func (s State) String() string {
	return [...]string{"UNASSIGNED", "RUNNING", "PAUSED", "FAILED", "UNASSIGNED"}[s]
}
