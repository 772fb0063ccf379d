package task

import "sync/atomic"

// Metrics are a task's counts since it started. The task adds, anybody may read.
type Metrics struct {
	Read         atomic.Int64 // records received from Kafka, before transforms
	Delivered    atomic.Int64 // records that the sink has acknowledged
	Filtered     atomic.Int64 // records that a transform or the sink left out on purpose
	Skipped      atomic.Int64 // records dropped under errors.tolerance=all without a dead letter queue: lost
	DeadLettered atomic.Int64 // records written to the dead letter queue
	Failures     atomic.Int64 // failed attempts of converters, transforms and deliveries
	Errors       atomic.Int64 // records given up
	Retries      atomic.Int64 // tries after the first
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
}
