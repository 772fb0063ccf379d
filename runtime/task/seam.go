package task

import (
	"context"

	"github.com/stepconnect/stepconnect/connector"
)

// Partition names one partition of a topic.
type Partition struct {
	Topic string
	ID    int32
}

// Message is one record as consumed: bytes only, nothing decoded. The byte slices never change.
type Message struct {
	Partition
	Offset    int64
	Timestamp int64 // milliseconds since 1970; -1 when the record carries none
	// TimestampType is "CreateTime", "LogAppendTime" or "" when there is no timestamp.
	TimestampType string
	Key, Value    []byte // nil means null
	Headers       []connector.RawHeader
}

// Assignment is one partition that the group gave to this member, with what is known of it.
type Assignment struct {
	Partition
	// Committed is the group's committed offset, or -1 when nothing was ever committed.
	Committed int64
	// Metadata is the text committed with it.
	Metadata string
	// Low and High bound the log: the first offset that is still there and the one after the
	// last readable one.
	Low, High int64
	// TopicID is the id that the cluster gave the topic, "" when the broker tells none (before Kafka 2.8).
	TopicID string
}

// Position is where to read a partition from, or what to commit for it.
type Position struct {
	Partition
	Offset   int64
	Metadata string // at most 4,096 bytes: Kafka's offset.metadata.max.bytes
}

// Group receives a member's rebalances. Its methods are called from within Source.Poll and
// Source.Close, on the caller's goroutine, and may block for a bounded time: the assignment
// changes when they return.
type Group interface {
	// Assigned gives the partitions that were added (not those kept) and takes the offset to read each
	// from. An error makes Poll return it; none of the partitions is read then.
	Assigned(ctx context.Context, added []Assignment) ([]Position, error)
	// Revoked says which partitions go to another member in order; commits for them still work.
	Revoked(ctx context.Context, gone []Partition)
	// Lost says which partitions are already gone; commits for them fail.
	Lost(gone []Partition)
}

// Source is one member of a consumer group. Poll and Close are called from one goroutine;
// Commit, Pause and Resume may be called from others at the same time.
type Source interface {
	// Poll appends up to max messages to dst, waiting until there is at least one, a rebalance
	// was served, or a short time (100 ms) has passed; then it returns what there is, which may be
	// nothing. Messages of a partition that goes in a rebalance served by the same call are not
	// returned. An error means that the member cannot go on (authentication, a fatal client error),
	// or *OutOfRangeError; passing trouble with brokers is not an error.
	Poll(ctx context.Context, dst []Message, max int) ([]Message, error)
	// Pause stops fetching of partitions; messages already fetched may still come. Resume undoes it.
	// Partitions that are not assigned are ignored. An assignment begins unpaused, but for what Pause names
	// while Group.Assigned runs, or after it.
	Pause(parts []Partition) error
	Resume(parts []Partition) error
	// Commit stores positions with the group's coordinator and returns when it has answered: nil
	// confirms that this member belonged to the group's present generation. It must work while Poll
	// is inside a Group callback.
	Commit(ctx context.Context, positions []Position) error
	// Close leaves the group (calling Group.Revoked for what is held) and releases everything.
	Close(ctx context.Context) error
}

// OutOfRangeError says that a partition's position is no longer in its log (invariant 1).
type OutOfRangeError struct {
	Partition
	Offset    int64 // where reading should have gone on
	Low, High int64 // what the log holds now
}

// Outgoing is a message that a task writes: a dead letter.
type Outgoing struct {
	Topic      string
	Key, Value []byte
	Timestamp  int64 // milliseconds since 1970; -1 for none
	Headers    []connector.RawHeader
}

// Producer writes dead letters.
type Producer interface {
	// Produce returns when the message is durable on all in-sync replicas, or with the error;
	// connector.Classify tells a passing one from a final one.
	Produce(ctx context.Context, m Outgoing) error
	Close(ctx context.Context) error
}
