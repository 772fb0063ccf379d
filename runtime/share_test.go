package runtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func TestATasksShareIsThatOfItsPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 3)
		w.broker.create("u", 4)
		w.create("c", probeConfig("t,u", "tasks.max", "2"))
		w.awaitTasks("c", "RUNNING", 2)
		eventually(t, "each task has the share of its partitions", func() bool {
			for _, tc := range w.sink.started() {
				held := w.opts.Metrics.Task(metric.ID{Connector: "c", Task: tc.Task}).Partitions.Load()
				if tc.Share() != float64(held)/7 {
					return false
				}
			}
			return true
		})
		a, b := w.sink.started()[0], w.sink.started()[1]
		if a.Common("k", func() any { return new(int) }) != b.Common("k", func() any { return new(int) }) {
			t.Error("two tasks of a connector share nothing")
		}
		w.create("d", probeConfig("t"))
		w.awaitTasks("d", "RUNNING", 1)
		if other := last(w.sink.started()); other.Common("k", func() any { return new(int) }) == a.Common("k", nil) {
			t.Error("two connectors share")
		}
		must(t, w.Stop(t.Context(), "c"))
		eventually(t, "a stopped task has no share", func() bool { return a.Share() == 0 && b.Share() == 0 })
		w.worker.commons.mu.Lock()
		defer w.worker.commons.mu.Unlock()
		if len(w.worker.commons.by) != 1 {
			t.Errorf("%d connectors are remembered", len(w.worker.commons.by))
		}
	})
}

type quiet struct{ task.Group }

func (quiet) Assigned(context.Context, []task.Assignment) ([]task.Position, error) { return nil, nil }
func (quiet) Revoked(context.Context, []task.Partition)                            {}
func (quiet) Lost([]task.Partition)                                                {}

func TestAShareStaysAsItWasWhileNobodyCanCountPartitions(t *testing.T) {
	s := &share{otherwise: 0.25, held: map[task.Partition]bool{}}
	total, broken, asked := 8, error(nil), 0
	g := s.around(quiet{}, func(context.Context, []string) (int, error) { asked++; return total, broken })
	added := []task.Assignment{{Partition: task.Partition{Topic: "t"}}, {Partition: task.Partition{Topic: "t", ID: 1}}}
	if _, err := g.Assigned(t.Context(), added[:1]); err != nil || asked != 0 || s.now() != 0.25 {
		t.Errorf("nobody wants to know: %v, asked %d times, share %v", err, asked, s.now())
	}
	if _, err := g.Assigned(t.Context(), added[1:]); err != nil || s.now() != 0.25 {
		t.Errorf("two of eight: %v, %v", err, s.now())
	}
	total, broken = 0, connector.Retryable(errors.New("no broker"))
	if _, err := g.Assigned(t.Context(), nil); err != nil || s.now() != 0.25 {
		t.Errorf("not counted: %v, %v", err, s.now())
	}
	g.Lost([]task.Partition{added[0].Partition})
	if s.now() != 0.125 {
		t.Errorf("one of eight: %v", s.now())
	}
}
