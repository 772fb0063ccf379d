package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// funcSink is a sink made of one function.
type funcSink func(ctx context.Context, batch []*connector.Record) error

func (f funcSink) Deliver(ctx context.Context, b []*connector.Record) error { return f(ctx, b) }
func (funcSink) Close(context.Context) error                                { return nil }

// memoryQueue is the in-memory twin of a dead letter queue's producer.
type memoryQueue struct {
	mu       sync.Mutex // guards both
	messages []Outgoing
	fail     func(Outgoing) error
}

func (q *memoryQueue) Produce(_ context.Context, m Outgoing) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fail != nil {
		if err := q.fail(m); err != nil {
			return err
		}
	}
	q.messages = append(q.messages, m)
	return nil
}

func (q *memoryQueue) Close(context.Context) error { return nil }

func (q *memoryQueue) setFail(f func(Outgoing) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = f
}

// trial is a running task with all that it touches.
type trial struct {
	*testing.T
	group  *memoryGroup
	queue  *memoryQueue
	task   *Task
	cfg    *Config
	mu     sync.Mutex // guards states and sent
	states []string
	last   error
	sent   []string
}

var part0 = Partition{"t", 0}

// try runs body with a task in virtual time; set changes its configuration before the start.
func try(t *testing.T, set func(*trial), body func(*trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &trial{T: t, group: newMemoryGroup(), queue: &memoryQueue{}}
		r.group.logs[part0] = nil
		cfg := testConfig(r.group, funcSink(func(_ context.Context, b []*connector.Record) error {
			r.note(b)
			return nil
		}), NewOutlived())
		cfg.Metrics = &Metrics{}
		cfg.Report = func(s State, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.states, r.last = append(r.states, s.String()), err
		}
		r.cfg = &cfg
		set(r)
		if cfg.Settings.DeadLetterTopic != "" {
			cfg.OpenDeadLetters = func(context.Context) (Producer, error) { return r.queue, nil }
		}
		r.task = New(cfg)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.task.Run(ctx, t.Context()) }()
		body(r)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("orderly stop: %v", err)
		}
	})
}

func (r *trial) note(b []*connector.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range b {
		r.sent = append(r.sent, fmt.Sprintf("%s-%d@%d", rec.Origin.Topic, rec.Origin.Partition, rec.Origin.Offset))
	}
}

func (r *trial) delivered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.sent...)
}

func (r *trial) state() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states[len(r.states)-1], r.last
}

func (r *trial) committed(p Partition) int64 {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	if c, ok := r.group.committed[p]; ok {
		return c.Offset
	}
	return -1
}

// settle lets virtual time pass until everything has come to rest.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var errPoison = errors.New("not a value")

// everySecondIsPoison fails the value converter for odd offsets.
func everySecondIsPoison(r *trial) {
	r.cfg.Pipeline.Value = Stage{"com.example.Converter", textConverter{fail: func(data []byte) error {
		var n int
		if _, err := fmt.Sscanf(string(data), "v%d", &n); err == nil && n%2 == 1 {
			return connector.Rejected(errPoison)
		}
		return nil
	}}}
}

func TestUnderToleranceAllGoodRecordsAreDeliveredAndPoisonGoesToTheQueueWithItsContext(t *testing.T) {
	try(t, func(r *trial) {
		everySecondIsPoison(r)
		r.cfg.Settings.TolerateAll, r.cfg.Settings.DeadLetterTopic, r.cfg.Settings.DeadLetterContext = true, "dlq", true
		for i := range 1000 {
			r.group.append(part0, fmt.Sprint("k", i%7), 0)
		}
	}, func(r *trial) {
		settle(5 * time.Second)
		if n := len(r.delivered()); n != 500 {
			r.Errorf("%d delivered, want 500", n)
		}
		if n := len(r.queue.messages); n != 500 {
			r.Fatalf("%d dead letters, want 500", n)
		}
		if at := r.committed(part0); at != 1000 {
			r.Errorf("committed %d, want 1000", at)
		}
		for _, m := range r.queue.messages {
			if !bytes.HasPrefix(m.Value, []byte("v")) || m.Topic != "dlq" || m.Timestamp != 1 {
				r.Fatalf("dead letter %+v is not the record as consumed", m)
			}
		}
		letters := map[string]bool{}
		for _, m := range r.queue.messages {
			letters[string(m.Value)] = true
			requireContext(r, m)
		}
		if len(letters) != 500 {
			r.Errorf("%d different dead letters, want 500", len(letters))
		}
	})
}

// requireContext fails unless a dead letter has the headers that Kafka Connect writes, and no other.
func requireContext(r *trial, m Outgoing) {
	r.Helper()
	got := ""
	for _, h := range m.Headers {
		got += h.Key + "=" + string(h.Value) + "\n"
	}
	want := `__connect.errors.topic=t
__connect.errors.partition=0
__connect.errors.offset=` + strings.TrimPrefix(string(m.Value), "v") + `
__connect.errors.connector.name=c
__connect.errors.task.id=0
__connect.errors.stage=VALUE_CONVERTER
__connect.errors.class.name=com.example.Converter
__connect.errors.exception.class.name=org.apache.kafka.connect.errors.DataException
__connect.errors.exception.message=not a value
__connect.errors.exception.stacktrace=org.apache.kafka.connect.errors.DataException: not a value
`
	if !strings.HasPrefix(got, want) || len(m.Headers) != 10 {
		r.Errorf("context headers:\n%s\nwant\n%s", got, want)
	}
}

func TestADeadLetterThatIsTooLargeWithoutAnyContextFailsTheTaskNamingTheLimit(t *testing.T) {
	try(t, func(r *trial) {
		everySecondIsPoison(r)
		r.cfg.Settings.TolerateAll, r.cfg.Settings.DeadLetterTopic, r.cfg.Settings.DeadLetterContext = true, "dlq", true
		r.queue.setFail(func(Outgoing) error {
			return connector.Rejected(errors.New("larger than max.message.bytes=100 of topic dlq"))
		})
		r.group.append(part0, "k", 0)
		r.group.append(part0, "k", 0)
	}, func(r *trial) {
		settle(5 * time.Second)
		state, err := r.state()
		if state != "FAILED" || !errors.Is(err, ErrNotDeadLettered) || !strings.Contains(err.Error(), "max.message.bytes=100 of topic dlq") {
			r.Fatalf("state %s, %v", state, err)
		}
		if at := r.committed(part0); at > 1 {
			r.Errorf("committed %d, past the record whose copy is nowhere", at)
		}
	})
}

func TestUnderToleranceNoneNothingFromThePoisonOnIsCommittedAndItsCopyIsInTheQueue(t *testing.T) {
	try(t, func(r *trial) {
		everySecondIsPoison(r)
		r.cfg.Settings.DeadLetterTopic = "dlq"
		r.cfg.Settings.BatchMaxRecords = 1
		for range 20 {
			r.group.append(part0, "", 0)
		}
	}, func(r *trial) {
		settle(5 * time.Second)
		state, err := r.state()
		if state != "FAILED" || !errors.Is(err, errPoison) {
			r.Fatalf("state %s, %v", state, err)
		}
		for _, part := range []string{"topic t, partition 0, offset 1", "VALUE_CONVERTER", "com.example.Converter", "errors.tolerance=none"} {
			if !strings.Contains(err.Error(), part) {
				r.Errorf("failure %q does not tell %q", err, part)
			}
		}
		if at := r.committed(part0); at > 1 {
			r.Errorf("committed %d, past the poison at 1", at)
		}
		if len(r.queue.messages) != 1 {
			r.Errorf("%d dead letters, want the copy of the poison", len(r.queue.messages))
		}
		r.group.mu.Lock()
		owned := r.group.owner[part0] != nil
		r.group.mu.Unlock()
		if !owned {
			r.Error("the failed task left its group: the poison record would walk to the next task")
		}
	})
}

func TestACallThatDoesNotReturnIsShown(t *testing.T) {
	try(t, func(r *trial) {
		release := make(chan struct{})
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) { return hangingSink{release}, nil }
		r.group.append(part0, "k", 0)
		time.AfterFunc(5*time.Minute, func() { close(release) })
	}, func(r *trial) {
		warning := func() string {
			s, err := r.task.Snapshot(r.Context())
			if err != nil {
				r.Fatal(err)
			}
			return s.Warning
		}
		settle(30 * time.Second)
		if w := warning(); w != "" {
			r.Errorf("warning %q after half a minute", w)
		}
		settle(time.Minute)
		if w := warning(); !strings.Contains(w, "the record at offset 0") || !strings.Contains(w, "does not return") {
			r.Errorf("warning %q does not say what hangs", w)
		}
		settle(5 * time.Minute)
		if w := warning(); w != "" {
			r.Errorf("warning %q once the call has returned", w)
		}
	})
}

// hangingSink delivers when it is told to, and not before.
type hangingSink struct{ release <-chan struct{} }

func (s hangingSink) Deliver(context.Context, []*connector.Record) error { <-s.release; return nil }
func (hangingSink) Close(context.Context) error                          { return nil }

func TestAnUnavailableQueueHoldsTheOffsetShowsAndHealsByItself(t *testing.T) {
	try(t, func(r *trial) {
		everySecondIsPoison(r)
		r.cfg.Settings.TolerateAll, r.cfg.Settings.DeadLetterTopic = true, "dlq"
		r.queue.setFail(func(Outgoing) error { return connector.Retryable(errors.New("broker is down")) })
		for range 4 {
			r.group.append(part0, "k", 0)
		}
	}, func(r *trial) {
		settle(30 * time.Second)
		if at := r.committed(part0); at > 1 {
			r.Errorf("committed %d while the dead letter at 1 is not written", at)
		}
		s, err := r.task.Snapshot(r.Context())
		if err != nil || !strings.Contains(s.Warning, "dead letter queue dlq") || !strings.Contains(s.Warning, "broker is down") {
			r.Errorf("warning %q does not say what waits (%v)", s.Warning, err)
		}
		r.queue.setFail(nil)
		settle(5 * time.Second)
		if at := r.committed(part0); at != 4 {
			r.Errorf("committed %d after the queue came back, want 4", at)
		}
	})
}

func TestADeadLetterThatIsTooLargeGoesWithLessContextUntilItFits(t *testing.T) {
	for _, limit := range []int{9, 0} {
		t.Run(fmt.Sprintf("%d context headers fit", limit), func(t *testing.T) {
			try(t, func(r *trial) {
				everySecondIsPoison(r)
				r.cfg.Settings.TolerateAll, r.cfg.Settings.DeadLetterTopic, r.cfg.Settings.DeadLetterContext = true, "dlq", true
				r.queue.setFail(func(m Outgoing) error {
					if len(m.Headers) > limit {
						return connector.Rejected(errors.New("message too large"))
					}
					return nil
				})
				r.group.append(part0, "k", 0)
				r.group.append(part0, "k", 0)
			}, func(r *trial) {
				settle(5 * time.Second)
				if len(r.queue.messages) != 1 || len(r.queue.messages[0].Headers) != limit {
					r.Errorf("dead letters %+v, want one with %d headers", r.queue.messages, limit)
				}
			})
		})
	}
}

func TestABatchRefusedAsAWholeIsHalvedUntilThePoisonIsAlone(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.Settings.TolerateAll, r.cfg.Settings.DeadLetterTopic = true, "dlq"
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(_ context.Context, b []*connector.Record) error {
				for _, rec := range b {
					if rec.Origin.Offset == 13 {
						return connector.Rejected(errors.New("invalid input"))
					}
				}
				r.note(b)
				return nil
			}), nil
		}
		for i := range 40 {
			r.group.append(part0, fmt.Sprint("k", i%3), 0)
		}
	}, func(r *trial) {
		settle(5 * time.Second)
		if n := len(r.delivered()); n != 39 || len(r.queue.messages) != 1 || string(r.queue.messages[0].Value) != "v13" {
			r.Errorf("%d delivered, dead letters %+v", n, r.queue.messages)
		}
		if at := r.committed(part0); at != 40 {
			r.Errorf("committed %d, want 40", at)
		}
	})
}

func TestOnePartitionsHangingDestinationDoesNotStarveTheOthers(t *testing.T) {
	var hang chan struct{}
	try(t, func(r *trial) {
		hang = make(chan struct{}) // within the bubble of virtual time
		r.cfg.Settings.BatchMaxRecords = 1
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(ctx context.Context, b []*connector.Record) error {
				if b[0].Origin.Partition == 0 {
					select {
					case <-hang:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				sleep(ctx, 10*time.Millisecond)
				r.note(b)
				return nil
			}), nil
		}
		r.group.logs[Partition{"t", 1}], r.group.logs[Partition{"t", 2}] = nil, nil
		for i := range 500 {
			r.group.append(part0, fmt.Sprint("k", i), 0)
		}
	}, func(r *trial) {
		settle(time.Second) // all slots are lent to partition 0 and hang
		for i := range 200 {
			r.group.append(Partition{"t", 1}, fmt.Sprint("k", i), 0)
			r.group.append(Partition{"t", 2}, fmt.Sprint("k", i), 0)
		}
		settle(3 * time.Second) // 8 slots over 3 partitions: 2 each, 100 calls a second each
		if n := len(r.delivered()); n != 400 {
			r.Errorf("%d records of the other partitions delivered while one hangs, want 400", n)
		}
		close(hang)
		settle(10 * time.Second)
		if n := len(r.delivered()); n != 900 {
			r.Errorf("%d delivered in the end, want 900", n)
		}
	})
}

func TestNothingStartsOnceTheCoordinatorNoLongerConfirmsTheMembership(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.Settings.BatchMaxRecords = 1
		r.group.append(part0, "a", 0)
	}, func(r *trial) {
		settle(time.Second)
		r.group.mu.Lock()
		r.group.refuse = true
		r.group.mu.Unlock()
		settle(3 * time.Second) // longer than the lease of 2 s
		r.group.append(part0, "b", 0)
		settle(20 * time.Second)
		if n := len(r.delivered()); n != 1 {
			r.Errorf("%d delivered, want only the one of before", n)
		}
		s, err := r.task.Snapshot(r.Context())
		if err != nil || !strings.Contains(s.Warning, "coordinator has not confirmed") {
			r.Errorf("warning %q (%v)", s.Warning, err)
		}
		r.group.mu.Lock()
		r.group.refuse = false
		r.group.mu.Unlock()
		settle(3 * time.Second)
		if n := len(r.delivered()); n != 2 {
			r.Errorf("%d delivered after the coordinator came back, want 2", n)
		}
	})
}

func TestACommittedOffsetThatIsNoLongerInTheLogFailsTheTaskAndIsNotReset(t *testing.T) {
	try(t, func(r *trial) {
		r.group.low[part0] = 100
		r.group.append(part0, "k", 0)
		r.group.committed[part0] = Position{Partition: part0, Offset: 50}
	}, func(r *trial) {
		settle(5 * time.Second)
		state, err := r.state()
		if out := new(OutOfRangeError); state != "FAILED" || !errors.As(err, &out) || out.Offset != 50 || out.Low != 100 {
			r.Fatalf("state %s, %v", state, err)
		}
		if at := r.committed(part0); at != 50 || len(r.delivered()) != 0 {
			r.Errorf("committed %d, delivered %v: the offset was reset", at, r.delivered())
		}
	})
}

func TestAPausedTaskEndsWhatIsInFlightAndStartsNothing(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.Settings.BatchMaxRecords = 1
	}, func(r *trial) {
		settle(time.Second)
		r.task.SetPaused(true)
		settle(time.Second)
		r.group.append(part0, "k", 0)
		settle(time.Minute)
		if state, _ := r.state(); state != "PAUSED" || len(r.delivered()) != 0 {
			r.Errorf("state %s, delivered %v", state, r.delivered())
		}
		r.task.SetPaused(false)
		settle(time.Second)
		if state, _ := r.state(); state != "RUNNING" || len(r.delivered()) != 1 {
			r.Errorf("state %s, delivered %v", state, r.delivered())
		}
	})
}

func TestATaskThatIsPausedReadsNothingOfWhatItIsGiven(t *testing.T) {
	try(t, func(r *trial) {
		for i := range 20 * pollMax {
			r.group.append(part0, fmt.Sprint("k", i), 0)
		}
	}, func(r *trial) {
		r.task.SetPaused(true)
		settle(time.Minute)
		s, err := r.task.Snapshot(r.Context())
		if err != nil || s.State != Paused || len(s.Partitions) != 1 {
			r.Fatalf("snapshot %+v, %v: want a paused task with its partition", s, err)
		}
		if n := s.Partitions[0].Unsettled; n > 2*pollMax || !s.Partitions[0].Paused {
			r.Errorf("%d records are held and paused is %v, want no more than one poll taken and one on its way", n, s.Partitions[0].Paused)
		}
		r.task.SetPaused(false)
		settle(time.Minute)
		if n := len(r.delivered()); n != 20*pollMax {
			r.Errorf("%d delivered, want %d", n, 20*pollMax)
		}
	})
}

func TestAPartitionThatHoldsItsShareIsPausedAloneAndResumed(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.Settings.BatchMaxRecords, r.cfg.Settings.MaxPendingRecords = 1, 50
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(ctx context.Context, b []*connector.Record) error {
				sleep(ctx, 100*time.Millisecond)
				r.note(b)
				return nil
			}), nil
		}
		for i := range 2000 {
			r.group.append(part0, fmt.Sprint("k", i), 0)
		}
	}, func(r *trial) {
		settle(time.Second)
		s, err := r.task.Snapshot(r.Context())
		if err != nil || len(s.Partitions) != 1 || !s.Partitions[0].Paused {
			r.Fatalf("snapshot %+v, %v: want the partition paused", s, err)
		}
		if n := s.Partitions[0].Unsettled; n > 50+2*pollMax {
			r.Errorf("%d records are held, the limit is 50, one poll taken and one on its way", n)
		}
		settle(time.Minute)
		if n := len(r.delivered()); n != 2000 {
			r.Errorf("%d delivered, want 2000", n)
		}
	})
}

func TestAPausedPartitionGoesOnWhenTheTasksItSharedWithHaveGone(t *testing.T) {
	crowd := &Crowd{}
	var leave []func()
	for range 9 {
		leave = append(leave, crowd.join())
	}
	try(t, func(r *trial) {
		r.cfg.Crowd, r.cfg.Settings.MaxPendingRecords, r.cfg.Settings.MaxUnsettledSpan = crowd, 8*pollMax, 100*pollMax
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(ctx context.Context, _ []*connector.Record) error { <-ctx.Done(); return ctx.Err() }), nil
		}
		for range 20 * pollMax {
			r.group.append(part0, "k", 0) // one key: nothing happens to the partition while its first message is under way
		}
	}, func(r *trial) {
		held := func() int64 {
			r.Helper()
			s, err := r.task.Snapshot(r.Context())
			if err != nil || len(s.Partitions) != 1 || !s.Partitions[0].Paused {
				r.Fatalf("snapshot %+v, %v: want the partition paused", s, err)
			}
			return int64(s.Partitions[0].Unsettled)
		}
		settle(time.Minute)
		if n := held(); n > 2*pollMax {
			r.Errorf("%d records are held beside nine other tasks", n)
		}
		for _, f := range leave {
			f()
		}
		settle(2 * time.Minute)
		if n := held(); n < 8*pollMax {
			r.Errorf("%d records are held by a task alone, want its limit of %d", n, 8*pollMax)
		}
	})
}

func TestWhatWasDeliveredBehindAStuckKeyIsNotDeliveredAgainByTheNextOwner(t *testing.T) {
	var stuck atomic.Bool
	stuck.Store(true)
	try(t, func(r *trial) {
		r.cfg.Settings.BatchMaxRecords = 1
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(_ context.Context, b []*connector.Record) error {
				if b[0].Origin.Offset == 0 && stuck.Load() {
					return connector.Retryable(errors.New("not now"))
				}
				r.note(b)
				return nil
			}), nil
		}
		for i := range 30 {
			r.group.append(part0, fmt.Sprint("k", i), 0)
		}
	}, func(r *trial) {
		settle(time.Second)
		if n := len(r.delivered()); n != 29 || r.committed(part0) > 0 {
			r.Fatalf("%d delivered and %d committed, want 29 and 0", n, r.committed(part0))
		}
		// The first owner leaves, or is killed: the second knows from the group alone what it need not deliver.
		next := New(*r.cfg)
		ctx, stop := context.WithCancel(r.Context())
		ended := make(chan error, 1)
		go func() { ended <- next.Run(ctx, r.Context()) }()
		r.group.kill(r.group.members[0])
		stuck.Store(false)
		settle(time.Minute)
		// Of the first record nothing was kept: both owners may have delivered it.
		behind := slices.DeleteFunc(r.delivered(), func(s string) bool { return s == "t-0@0" })
		if all := r.delivered(); len(behind) != 29 || len(all) == 29 {
			r.Errorf("delivered %v, want 29 and the first", all)
		}
		stop()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
}

func TestOnlyTombstonesStillMoveTheOffset(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return &memorySink{destination: newDestination(1, 0), named: true, size: 10}, nil
		}
		r.group.append(part0, "k", 13) // offsets 13, 30, 47: filtered by the sink
		r.group.append(part0, "k", 16)
		r.group.append(part0, "k", 16)
	}, func(r *trial) {
		settle(time.Second)
		if at := r.committed(part0); at != 48 {
			r.Errorf("committed %d, want 48", at)
		}
	})
}

func TestATaskWhoseFirstRecordIsPoisonCommitsNothing(t *testing.T) {
	try(t, func(r *trial) {
		r.cfg.Pipeline.Value = Stage{"com.example.Converter", textConverter{fail: func([]byte) error { return connector.Rejected(errPoison) }}}
		r.group.append(part0, "k", 0)
	}, func(r *trial) {
		settle(time.Minute)
		if state, _ := r.state(); state != "FAILED" || r.committed(part0) != -1 {
			r.Errorf("state %s, committed %d: a group of Kafka Connect has no offset yet", state, r.committed(part0))
		}
	})
}

func TestASinkThatWaitedIsToldThatItMayNoLongerStart(t *testing.T) {
	var may []bool
	try(t, func(r *trial) {
		r.cfg.Settings.BatchMaxRecords = 1
		r.cfg.OpenSink = func(context.Context) (connector.Sink, error) {
			return funcSink(func(ctx context.Context, b []*connector.Record) error {
				before := connector.MayStart(ctx)
				r.group.mu.Lock()
				r.group.refuse = len(may) == 0
				r.group.mu.Unlock()
				sleep(ctx, 3*time.Second) // longer than the lease of 2 s
				may = append(may, before, connector.MayStart(ctx))
				if !connector.MayStart(ctx) {
					return connector.Retryable(errors.New("may not start"))
				}
				r.note(b)
				return nil
			}), nil
		}
		r.group.append(part0, "k", 0)
	}, func(r *trial) {
		settle(4 * time.Second)
		if len(may) != 2 || !may[0] || may[1] {
			r.Errorf("may start before and after the wait: %v, want true and false", may)
		}
		r.group.mu.Lock()
		r.group.refuse = false
		r.group.mu.Unlock()
		settle(20 * time.Second)
		if len(r.delivered()) != 1 {
			r.Errorf("delivered %v; may start: %v", r.delivered(), may)
		}
	})
}
