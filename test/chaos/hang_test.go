package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestOneTopicsHangingDestinationLeavesTheOthersTheirThroughput delivers three topics by one task whose slots are all in use, and lets
// one state machine answer nothing for a while: what the other two topics get through meanwhile is what they got through before.
func TestOneTopicsHangingDestinationLeavesTheOthersTheirThroughput(t *testing.T) {
	const slots, latency, perSecond = "24", 50 * time.Millisecond, 24 * 20
	window, warm := scale.D(3*time.Second, time.Minute), scale.D(time.Second, 10*time.Second)
	if !scale.Long() { // else it measures
		t.Parallel()
	}
	f := newFlow(t, states.Run{})
	release := make(chan struct{})
	hanging := make(chan struct{})
	f.endpoint.SetHook(func(c states.Call) states.Fault {
		fault := states.Fault{Delay: latency}
		select {
		case <-hanging:
			if strings.HasPrefix(c.Target, "Start") && strings.HasSuffix(c.Machine, ":Clientes") {
				fault.Until = release
			}
		default:
		}
		return fault
	})
	f.write(t, int((warm+2*window).Seconds()*perSecond*3/2)) // the slots are never short of work
	connector := f.connector(map[string]string{"tasks.max": "1", "batch.max.records": "1", "max.in.flight": slots})
	w := worker.Start(t, worker.Properties(t, f.bootstrap, f.registry.URL()), connector)
	f.await(t, "the task is at its work", func(s states.Stats) bool { return s.Changes >= perSecond })

	wait := func(d time.Duration) time.Time {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		return time.Now()
	}
	began := wait(warm)
	hung := wait(window)
	close(hanging)
	ended := wait(window)
	log := f.endpoint.Log()
	before, during := othersStarted(log, began, hung), othersStarted(log, hung, ended)
	share := float64(during) / ended.Sub(hung).Seconds() / (float64(before) / hung.Sub(began).Seconds())
	t.Logf("the other two topics: %d changes in the %s before, %d in the %s while one hung: %.1f %%", before, hung.Sub(began).Round(time.Millisecond),
		during, ended.Sub(hung).Round(time.Millisecond), 100*share)
	if least := map[bool]float64{true: 0.9, false: 0.5}[scale.Long()]; share < least {
		t.Errorf("they kept %.1f %% of their throughput, want at least %.0f %%", 100*share, 100*least)
	}
	for _, c := range log {
		if strings.HasSuffix(c.Machine, ":Clientes") && c.Outcome == states.OutcomeStarted && c.Arrived.After(hung.Add(time.Second)) {
			t.Fatalf("a start of the destination that hangs was answered: %+v", c)
		}
	}

	close(release)
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	f.awaitCommitted(t, connector["name"])
	if err := w.Stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
	if err := states.Verify(f.endpoint.Log(), f.expected).Err(); err != nil {
		t.Error(err)
	}
}

// othersStarted counts the changes for the destinations that do not hang, whose start was answered in a span of time.
func othersStarted(log []states.Call, from, to time.Time) (n int) {
	for _, c := range log {
		if c.Outcome == states.OutcomeStarted && !strings.HasSuffix(c.Machine, ":Clientes") && c.Answered.After(from) && !c.Answered.After(to) {
			n += len(c.Changes)
		}
	}
	return n
}
