// Package connectortest is what any sink must pass before a host may trust it with offsets:
// everything reported as delivered is at the destination, what is refused is named, order is
// kept, cancelling works, and nothing is left running.
package connectortest

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

// Subject is a kind of sink with a destination of its own that a test can look into.
type Subject struct {
	// New makes the sink of one task, delivering to the subject's destination, which starts empty.
	New func(t *testing.T, tc connector.TaskContext) connector.Sink
	// Record makes a record that can be delivered. All records of a subject share a topic and a
	// partition; Origin must hold the offset and, as key bytes, the key.
	Record func(key string, offset int64) *connector.Record
	// Delivered gives the offsets that the destination holds, in the order of their arrival.
	Delivered func() []int64
	// Refuse makes the destination refuse the record at offset from now on. nil when it cannot
	// refuse single records.
	Refuse func(offset int64)
	// Stall makes the destination accept calls but not answer them until release is called. nil
	// when it cannot.
	Stall func() (release func())
}

// Run tests the sink of the subjects that newSubject gives, one subject for each subtest.
func Run(t *testing.T, newSubject func(t *testing.T) Subject) {
	for _, tc := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"a delivered batch is at the destination in order", inOrder},
		{"a batch delivered again is acknowledged again", twice},
		{"what is refused is named and everything else is delivered", refused},
		{"deliveries of different keys run at once and keep each key's order", concurrently},
		{"cancelling a delivery ends it soon with an error", cancelled},
		{"a delivery that begins cancelled delivers nothing", beginsCancelled},
		{"a cut keeps the records, their order and the order of calls for each key", cuts},
		{"cutting starts nothing and gives the same calls again", cutIsPure},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, newSubject(t)) })
	}
}

// Context gives the context of a task that counts nothing and logs to the test.
func Context(t testing.TB) connector.TaskContext {
	return connector.TaskContext{
		Connector: "under-test", ClusterID: "cluster",
		Log:         slog.New(slog.NewTextHandler(t.Output(), nil)),
		Metrics:     NewMetrics(),
		TopicID:     func(string) string { return "topic-id" },
		ReplayEpoch: func(string, int32, int64) int { return 0 },
		MaxInFlight: 8,
	}
}

// Freeze gives the records the batch that a host would have frozen them in.
func Freeze(records ...*connector.Record) []*connector.Record {
	b := &connector.Batch{Topic: records[0].Origin.Topic, Partition: records[0].Origin.Partition}
	for _, r := range records {
		b.Offsets = append(b.Offsets, r.Origin.Offset)
	}
	for _, r := range records {
		r.Batch = b
	}
	return records
}

// Calls divides records as a host does: by Cut for a Cutter, else not at all. Each call is
// frozen. The error is Cut's.
func Calls(s connector.Sink, records []*connector.Record) ([][]*connector.Record, error) {
	c, ok := s.(connector.Cutter)
	if !ok {
		return [][]*connector.Record{Freeze(records...)}, nil
	}
	calls, err := c.Cut(records)
	batches := make([][]*connector.Record, len(calls))
	for i, call := range calls {
		batches[i] = Freeze(call.Records...)
	}
	return batches, err
}

// Undelivered gives the records of batch that err, returned by Deliver, says are not delivered.
func Undelivered(batch []*connector.Record, err error) map[int64]error {
	failed := map[int64]error{}
	if err == nil {
		return failed
	}
	var partial *connector.PartialError
	ok := errors.As(err, &partial)
	for i, r := range batch {
		switch {
		case !ok:
			failed[r.Origin.Offset] = err
		case partial.Failed[i] != nil:
			failed[r.Origin.Offset] = partial.Failed[i]
		}
	}
	return failed
}

// start makes the sink and closes it when the test ends, before it looks for goroutines.
func start(t *testing.T, s Subject) connector.Sink {
	t.Helper()
	leaks(t)
	sink := s.New(t, Context(t))
	t.Cleanup(func() {
		if err := sink.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return sink
}
