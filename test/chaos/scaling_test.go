package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
)

// TestMoreWorkersDeliverMore has a backlog worked off by one worker, by two and so on, a task each, against a
// destination that takes 20 ms a call: docs/scaling.md has what the long run measured.
func TestMoreWorkersDeliverMore(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the real broker")
	}
	first := 0.0
	for workers := 1; workers <= scale.N(2, 4); workers++ {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			f := newFlow(t, states.Run{})
			f.endpoint.SetHook(func(states.Call) states.Fault { return states.Fault{Delay: 20 * time.Millisecond} })
			f.write(t, scale.N(1500, 8000))
			asked, _ := workersOfACluster(t, f, workers, map[string]string{
				"tasks.max": fmt.Sprint(workers), "max.in.flight": "8", "batch.max.records": "1",
			})
			f.await(t, "the first tenth has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected)/10 })
			began, before := time.Now(), f.endpoint.Stats().Changes
			f.await(t, "nine tenths have been started", func(s states.Stats) bool { return s.Changes >= len(f.expected)*9/10 })
			rate := float64(f.endpoint.Stats().Changes-before) / time.Since(began).Seconds()
			f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
			if owners, _ := f.owners(t, asked[0]); len(owners) != workers {
				t.Errorf("the tasks ran on %d workers, want %d", len(owners), workers)
			}
			if err := states.Verify(f.endpoint.Log(), f.expected).Err(); err != nil {
				t.Error(err)
			}
			t.Logf("%d workers with a task each: %.0f changes/s", workers, rate)
			if first == 0 {
				first = rate
			}
			if scale.Long() && rate < 0.75*first*float64(workers) {
				t.Errorf("%d workers deliver %.0f changes/s, one delivers %.0f", workers, rate, first)
			}
		})
	}
}
