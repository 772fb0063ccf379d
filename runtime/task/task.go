// Package task runs one task of a sink connector: it reads its share of the topics, delivers each
// record through the connector's sink, and commits an offset only when every record below it is
// settled. It knows no Kafka client; Source is what it reads from.
//
// A record's way, file by file: reader.go (poll), loop.go (receive), schedule.go (hand out),
// convert.go (decode, transform), deliver.go (cut, deliver), loop.go (settle), commit.go (commit).
package task

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/connector"
)

// Task is one task. Make it with New, run it once with Run.
type Task struct {
	cfg     Config
	paused  atomic.Bool
	wake    chan struct{} // holds one: paused has changed
	queries chan chan Snapshot
	done    chan struct{} // closed when Run returns
}

// New makes a task; nothing is started.
func New(cfg Config) *Task {
	if cfg.Metrics == nil {
		cfg.Metrics = new(Metrics)
	}
	if cfg.Report == nil {
		cfg.Report = func(State, error) {}
	}
	if cfg.Replay == nil {
		cfg.Replay = func(string, int32, int64) int { return 0 }
	}
	return &Task{
		cfg: cfg, wake: make(chan struct{}, 1),
		queries: make(chan chan Snapshot), done: make(chan struct{}),
	}
}

// SetPaused stops or resumes the handing out of records. A paused task keeps its membership and its
// partitions; what is in flight ends and is committed. Safe to call at any time.
func (t *Task) SetPaused(paused bool) {
	t.paused.Store(paused)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// ErrEnded is what a task that has ended answers.
var ErrEnded = errors.New("task has ended")

// Snapshot tells what the task holds and what waits.
func (t *Task) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	select {
	case t.queries <- answer:
	case <-t.done:
		return Snapshot{}, ErrEnded
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
	return <-answer, nil
}

// Run runs the task until stop ends, and then to an orderly end: nothing more is handed out, what is
// in flight has the graceful timeout to end, offsets are committed and the group is left. When abort
// ends it is cut short. A failure does not end Run: it is reported, and the task keeps its
// membership with its partitions paused until stop, so that no other task meets the same poison
// record. Run returns nil after an orderly end, and an error when the task could not end so.
func (t *Task) Run(stop, abort context.Context) error {
	defer close(t.done)
	t.cfg.Report(Starting, nil)
	l, err := t.open(stop)
	if err != nil {
		t.cfg.Report(Failed, err)
		return t.idle(stop)
	}
	return l.run(stop, abort)
}

// idle waits for stop when the task could not start; there is nothing to keep or to leave.
func (t *Task) idle(stop context.Context) error {
	for {
		select {
		case <-stop.Done():
			return nil
		case answer := <-t.queries:
			answer <- Snapshot{}
		case <-t.wake:
		}
	}
}

// open makes the sink and what goes with it. The group is joined by the reader.
func (t *Task) open(ctx context.Context) (*loop, error) {
	l := newLoop(t)
	var err error
	if t.cfg.OpenDeadLetters != nil {
		if l.runner.dlq, err = t.cfg.OpenDeadLetters(ctx); err != nil {
			return nil, fmt.Errorf("could not initialize dead letter queue with topic=%s: %w", t.cfg.Settings.DeadLetterTopic, err)
		}
	}
	if l.runner.sink, err = t.cfg.OpenSink(ctx); err != nil {
		if l.runner.dlq != nil {
			err = errors.Join(err, l.runner.dlq.Close(ctx))
		}
		return nil, err
	}
	if l.cfg.Settings.BatchMaxRecords == 0 {
		l.cfg.Settings.BatchMaxRecords = preferredBatch(l.runner.sink)
	}
	l.sched = newScheduler(limits{
		ordering: l.cfg.Settings.Ordering, maxInFlight: l.cfg.Settings.MaxInFlight,
		maxRecords: l.cfg.Settings.BatchMaxRecords, maxBytes: l.cfg.Settings.BatchMaxBytes, linger: l.cfg.Settings.BatchLinger,
	}, l.cfg.Outlived.seed)
	return l, nil
}

// preferredBatch is how many records a batch may hold when batch.max.records is not set.
func preferredBatch(s connector.Sink) int {
	if sized, ok := s.(connector.Sized); ok {
		return max(1, sized.BatchMaxRecords())
	}
	return defaultBatchMaxRecords
}

const defaultBatchMaxRecords = 500 // as many as a poll of Kafka Connect gives a sink
