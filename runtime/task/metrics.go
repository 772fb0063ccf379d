package task

import (
	"sync/atomic"

	"github.com/stepconnect/stepconnect/internal/histogram"
)

// Metrics are a task's counts since it started. The task adds, anybody may read. The zero value is ready.
type Metrics struct {
	Read         atomic.Int64 // records received from Kafka, before transforms
	Delivered    atomic.Int64 // records that the sink has acknowledged
	Filtered     atomic.Int64 // records that a transform or the sink left out on purpose
	Skipped      atomic.Int64 // records dropped under errors.tolerance=all without a dead letter queue: lost
	DeadLettered atomic.Int64 // records written to the dead letter queue
	Failures     atomic.Int64 // failed attempts of converters, transforms and deliveries
	Errors       atomic.Int64 // records given up
	Retries      [numOperations]atomic.Int64
	Logged       atomic.Int64 // errors logged by errors.log.enable
	DLQRequests  atomic.Int64 // writes to the dead letter queue, tries included
	DLQFailures  atomic.Int64
	LastError    atomic.Int64 // milliseconds since 1970; 0: never
	Batches      atomic.Int64 // sink calls that ended
	Commits      atomic.Int64 // offset commits that succeeded, lease renewals not counted
	CommitErrors atomic.Int64
	InFlight     atomic.Int64 // sink calls under way
	Pending      atomic.Int64 // records held
	PendingBytes atomic.Int64
	Partitions   atomic.Int64 // partitions assigned
	Rebalances   [numRebalances]atomic.Int64

	Stages       [numStages]histogram.Histogram // Durations
	BatchRecords histogram.Histogram            // Counts: records of a sink call
	BatchBytes   histogram.Histogram            // Bytes: of their consumed keys and values
}

// Operation is what a task tries again.
type Operation uint8

// The operations: Kafka Connect's stages, and the write of a dead letter.
const (
	OpKey Operation = iota
	OpValue
	OpHeader
	OpTransform
	OpPut
	OpDeadLetter
	numOperations
)

// Operations are all of them.
func Operations() []Operation {
	return []Operation{OpKey, OpValue, OpHeader, OpTransform, OpPut, OpDeadLetter}
}

// String is the operation's name in metrics.
func (o Operation) String() string {
	return [...]string{"key_converter", "value_converter", "header_converter", "transformation", "put", "dead_letter"}[o]
}

// operationOf gives the operation of a stage by Kafka Connect's name.
func operationOf(stage string) Operation {
	switch stage {
	case stageKey:
		return OpKey
	case stageValue:
		return OpValue
	case stageHeader:
		return OpHeader
	case stageTransform:
		return OpTransform
	}
	return OpPut
}

// TotalRetries sums up the tries after the first, those of dead letters apart: Kafka Connect does not count them.
func (m *Metrics) TotalRetries() (n int64) {
	for o := range OpDeadLetter {
		n += m.Retries[o].Load()
	}
	return n
}

// StageName is a step of a record's way that is timed.
type StageName uint8

// The stages, in the order of the way.
const (
	Poll    StageName = iota // a call of the Kafka client that gave messages
	Wait                     // from receiving the oldest record of a hand-out to a worker taking it
	Convert                  // converting, transforming and cutting a hand-out
	Deliver                  // a call of the sink
	Settle                   // from the sink's answer to the loop having taken it in
	Commit                   // an offset commit, from sending it to the coordinator's answer
	numStages
)

// Stages are all of them.
func Stages() []StageName { return []StageName{Poll, Wait, Convert, Deliver, Settle, Commit} }

// String is the stage's name in metrics.
func (s StageName) String() string {
	return [...]string{"poll", "wait", "convert", "deliver", "settle", "commit"}[s]
}

// Rebalance is what a rebalance of the connector's group did to the task.
type Rebalance uint8

// The kinds.
const (
	PartitionsAssigned Rebalance = iota
	PartitionsRevoked
	PartitionsLost
	numRebalances
)

// Rebalances are all of them.
func Rebalances() []Rebalance {
	return []Rebalance{PartitionsAssigned, PartitionsRevoked, PartitionsLost}
}

// String is the kind's name in metrics.
func (r Rebalance) String() string { return [...]string{"assigned", "revoked", "lost"}[r] }
