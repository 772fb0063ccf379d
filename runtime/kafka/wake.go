package kafka

import (
	"context"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// wakeWait bounds a question whose only purpose is to wake threads: by then they have woken by themselves.
const wakeWait = time.Second

// waker makes partitions fetch at once when they are resumed. The client's threads, one for each broker, sleep up to a
// second when there is nothing to do; a request for their broker wakes them, and librdkafka's resume sends none.
type waker struct {
	ask func([]task.Partition)

	mu      sync.Mutex // guards the fields below
	resumed []task.Partition
	running bool // a goroutine is asking
}

// asker asks the leaders of partitions for something: the ends of their logs.
func (s *Source) asker(ctx context.Context) func([]task.Partition) {
	life := context.WithoutCancel(ctx)
	return func(parts []task.Partition) {
		ctx, cancel := context.WithTimeout(life, wakeWait)
		defer cancel()
		// A failure costs at most what the sleep costs.
		_, _ = listOffsets(ctx, s.admin, parts, ck.LatestOffsetSpec, ck.IsolationLevelReadUncommitted)
	}
}

// wake has the leaders of parts asked.
func (s *Source) wake(parts []task.Partition) {
	w := &s.waker
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resumed = append(w.resumed, parts...)
	if w.running || s.calls.enter() != nil {
		return
	}
	w.running = true
	go func() {
		defer s.calls.leave()
		for parts := w.next(); parts != nil; parts = w.next() {
			w.ask(parts)
		}
	}()
}

// next gives the partitions that were resumed since it was asked last, or ends the goroutine.
func (w *waker) next() []task.Partition {
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := w.resumed
	w.resumed = nil
	w.running = parts != nil
	return parts
}
