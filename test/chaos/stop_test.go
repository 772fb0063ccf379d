package chaos

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestAWorkerThatWasStoppedAndWokenStartsNothingThatItLost stops one of two workers with SIGSTOP for
// longer than its session, while the other takes its partitions, and wakes it in the middle of work.
func TestAWorkerThatWasStoppedAndWokenStartsNothingThatItLost(t *testing.T) {
	for _, batch := range []int{1, 50} {
		t.Run(fmt.Sprintf("batches of %d", batch), func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, states.Run{})
			connector := f.connector(map[string]string{"batch.max.records": fmt.Sprint(batch), "max.in.flight": "16", "tasks.max": "1"})
			a := worker.Start(t, worker.Properties(t, f.bootstrap, f.registry.URL()), connector)
			b := worker.Start(t, worker.Properties(t, f.bootstrap, f.registry.URL()), connector)
			f.write(t, 1500)
			f.await(t, "the first changes have been started", func(s states.Stats) bool { return s.Changes >= 300 })
			if err := a.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			stopped := time.Now()
			f.write(t, 1500)
			f.await(t, "the other worker has taken everything over", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
			// Awake again with work waiting, no sooner than the stop was to last.
			<-time.After(time.Until(stopped.Add(scale.D(8*time.Second, time.Minute))))
			f.write(t, 1500)
			if err := a.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
			f.awaitCommitted(t, connector["name"])
			for _, w := range []*worker.Process{a, b} {
				if err := w.Stop(); err != nil {
					t.Errorf("orderly stop: %v", err)
				}
			}
			report := states.Verify(f.endpoint.Log(), f.expected)
			report.Overlaps = slices.DeleteFunc(report.Overlaps, func(o states.Overlap) bool { return underWayAt(stopped, f.endpoint.Log(), o) })
			if err := report.Err(); err != nil {
				t.Error(err)
			}
			t.Logf("%d changes: %d calls, %d executions, outcomes %v", len(f.expected), report.Calls, report.Executions, f.endpoint.Stats().Outcomes)
		})
	}
}

// underWayAt tells whether an overlap is with a request that was half sent when its process was stopped, so that
// the endpoint had to wait for the rest until the process was woken. Such a request cannot be taken back;
// its name is taken by then, so it starts nothing.
func underWayAt(stopped time.Time, log []states.Call, o states.Overlap) bool {
	i := slices.IndexFunc(log, func(c states.Call) bool { return c.Seq == o.First })
	return log[i].Arrived.Before(stopped) && log[i].Effect == 0
}
