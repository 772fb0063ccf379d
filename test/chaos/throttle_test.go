package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
)

// TestAMinuteOfChangesSettlesAtTheQuota offers 1,000 changes a second for a minute, through a real broker, to an endpoint with the quota
// of sa-east-1: 150 starts a second from a bucket of 800. connector/stepfunctions has the same in virtual time, for every run.
func TestAMinuteOfChangesSettlesAtTheQuota(t *testing.T) {
	if !scale.Long() {
		t.Skip("two minutes of real time, and asserts timing")
	}
	const perSecond, seconds, settled = 1000, 60, 20
	f := newFlow(t, states.Run{})
	f.endpoint.SetLimits(states.LimitsOf("sa-east-1"))
	workers, _ := workersOfACluster(t, f, 1, map[string]string{"tasks.max": "3", "batch.max.records": "100", "max.in.flight": "32"})
	f.write(t, 30)
	f.await(t, "changes flow", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	before := len(f.expected)

	began := time.Now()
	written := make(chan error, 1)
	go func() { written <- f.offer(t, began, perSecond, seconds) }()
	var worst [3]int // lag in each third of the minute
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := range seconds {
		<-tick.C
		lag := int(f.offered.Load()) - f.endpoint.Stats().Changes
		worst[3*second/seconds] = max(worst[3*second/seconds], lag)
	}
	ended := time.Now()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if made := len(f.expected) - before; made < perSecond*seconds*95/100 {
		t.Errorf("only %d changes were offered in the minute", made)
	}
	lag := len(f.expected) - f.endpoint.Stats().Changes
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	rest := time.Since(ended)
	f.awaitCommitted(t, f.connector(nil)["name"])
	if state, trace := workers[0].TaskState(t, f.connector(nil)["name"], 0); state != "RUNNING" {
		t.Errorf("task 0 is %s: %s", state, trace)
	}

	log := f.endpoint.Log()
	if err := states.Verify(log, f.expected).Err(); err != nil {
		t.Error(err)
	}
	started, throttled := 0, 0
	for _, c := range log {
		switch {
		case !strings.HasPrefix(c.Target, "Start"):
		case c.Outcome == "ThrottlingException":
			if c.Arrived.After(began.Add(settled*time.Second)) && c.Arrived.Before(ended) {
				throttled++
			}
		case c.Outcome != states.OutcomeStarted:
			t.Fatalf("a call that is neither started nor throttled: %+v", c)
		case c.Arrived.After(began.Add(settled*time.Second)) && c.Arrived.Before(ended):
			started++
		}
	}
	rate := float64(started) / (ended.Sub(began).Seconds() - settled)
	share := float64(throttled) / float64(started+throttled)
	t.Logf("settled at %.1f starts/s, %.2f %% of the calls throttled; at most %v changes waited in each third of the minute, %d at its end, which took %s",
		rate, 100*share, worst, lag, rest.Round(time.Millisecond))
	if rate < 135 || rate > 165 {
		t.Errorf("%.1f starts/s where 150 are allowed", rate)
	}
	if share >= 0.10 {
		t.Errorf("%.1f %% of the calls were throttled", 100*share)
	}
	if worst[2] > max(worst[0], perSecond) || lag > 2*perSecond {
		t.Errorf("the lag does not fall: %v in each third, %d at the end", worst, lag)
	}
}

// offer writes so many changes a second, whatever a moment's delay.
func (f *flow) offer(t *testing.T, began time.Time, perSecond, seconds int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for made := 0; made < perSecond*seconds; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return fmt.Errorf("%d changes were offered: %w", made, t.Context().Err())
		}
		due := min(int(time.Since(began).Seconds()*float64(perSecond)), perSecond*seconds)
		if due <= made {
			continue
		}
		have := len(f.expected)
		if err := f.produce(t.Context(), due-made); err != nil {
			return err
		}
		made += len(f.expected) - have
	}
	return nil
}
