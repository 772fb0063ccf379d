package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestABrokenEndpointLosesAndDoublesNothing lets changes flow through three tasks of two workers into an endpoint that
// throttles, answers 500 after it has started the execution, cuts connections after the request, delays by seconds, lets
// credentials expire and cannot be found by its name, while a worker is killed twice and the group rebalances.
func TestABrokenEndpointLosesAndDoublesNothing(t *testing.T) {
	for _, kind := range []states.Type{states.Standard, states.Express} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			breakSink(t, kind)
		})
	}
}

// trouble is what the endpoint does to starts.
type trouble struct {
	mu   sync.Mutex // guards draw
	draw *rand.Rand
	hits [6]atomic.Int64
	cut  atomic.Bool // every connection
}

var troubles = [...]string{"throttled", "500 after the start", "cut after the start", "cut before it", "delayed", "failed"}

func (f *trouble) fault(c states.Call) states.Fault {
	if !strings.HasPrefix(c.Target, "Start") {
		return states.Fault{}
	}
	if f.cut.Load() {
		return states.Fault{Reset: true}
	}
	f.mu.Lock()
	at := f.draw.Float64()
	f.mu.Unlock()
	for i, each := range []struct {
		part  float64
		fault states.Fault
	}{
		{0.003, states.Fault{Code: "ThrottlingException"}},
		{0.02, states.Fault{Code: "InternalFailure", AfterEffect: true}},
		{0.02, states.Fault{Reset: true, AfterEffect: true}},
		{0.01, states.Fault{Reset: true}},
		{0.01, states.Fault{Delay: scale.D(time.Second, 3*time.Second)}},
		{0.01, states.Fault{Run: &states.Run{Status: states.Failed, Error: "States.Timeout"}}},
	} {
		if at -= each.part; at < 0 {
			if i == 5 && c.Target != "StartSyncExecution" {
				break // a Standard execution that fails is an outcome, not a delivery
			}
			f.hits[i].Add(1)
			return each.fault
		}
	}
	return states.Fault{}
}

func breakSink(t *testing.T, kind states.Type) {
	const changes, calm = 80_000, 20_000
	f := newFlowTo(t, kind, states.Run{})
	perSecond := float64(scale.N(150, 60)) // the long run makes more, and smaller, calls
	limit := states.Limit{Bucket: perSecond, PerSecond: perSecond}
	f.endpoint.SetLimits(map[string]states.Limit{states.LimitStartStandard: limit, states.LimitStartSync: limit})
	broken := &trouble{draw: rand.New(rand.NewPCG(7, uint64(len(kind))))}
	f.endpoint.SetHook(broken.fault)
	names := startNameServer(t)
	at, err := url.Parse(f.endpoint.URL())
	if err != nil {
		t.Fatal(err)
	}
	dlq := f.prefix + "dlq"
	connector := f.connector(map[string]string{
		"aws.endpoint": "http://states.chaos.test:" + at.Port(), "batch.max.records": fmt.Sprint(scale.N(50, 20)), "max.in.flight": "16",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": dlq, "errors.deadletterqueue.topic.replication.factor": "1",
		"destination.retry.backoff.ms": "200", "aws.request.timeout.ms": "2000",
	})
	start := func(props map[string]string, tasks int) *worker.Process {
		connector["tasks.max"] = fmt.Sprint(tasks)
		return worker.StartOf(t, "./test/chaos/cmd/worker", []string{"CHAOS_DNS=" + names.addr}, props, connector)
	}
	reach := func(part float64) {
		goal := int(part * float64(changes))
		f.await(t, fmt.Sprintf("%d changes have been started", goal), func(s states.Stats) bool { return s.Changes >= goal })
	}

	f.write(t, changes)
	propsA, propsB := worker.Properties(t, f.bootstrap, f.registry.URL()), worker.Properties(t, f.bootstrap, f.registry.URL())
	a := start(propsA, 2)
	reach(0.1)
	a.Kill()
	a = start(propsA, 2)
	reach(0.2)
	b := start(propsB, 1) // the group rebalances
	reach(0.35)
	f.endpoint.SetExpired("test", true)
	f.awaitRefusals(t, "ExpiredTokenException")
	f.endpoint.SetExpired("test", false)
	reach(0.5)
	names.failing.Store(true)
	broken.cut.Store(true)
	worker.Eventually(t, time.Minute, "the endpoint's name is not found", func() bool { return names.failed.Load() >= 8 })
	broken.cut.Store(false)
	names.failing.Store(false)
	reach(0.6)
	a.Kill()
	a = start(propsA, 2)
	reach(0.9)
	before := len(f.endpoint.Log())
	f.write(t, calm)
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	f.awaitCommitted(t, connector["name"])
	for _, w := range []*worker.Process{a, b} {
		if err := w.Stop(); err != nil {
			t.Errorf("orderly stop: %v", err)
		}
	}

	log := f.endpoint.Log()
	report := states.Verify(log, f.expected)
	if kind == states.Express {
		// A call whose answer was lost may have run, and may still run while it is made again; the guard at the
		// destination makes that harmless.
		report.Duplicates, report.Overlaps = nil, nil
	}
	report.Overlaps = slices.DeleteFunc(report.Overlaps, func(o states.Overlap) bool { return givenUp(log, o) })
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	for i, what := range troubles {
		if n := broken.hits[i].Load(); n == 0 && (i != 5 || kind == states.Express) {
			t.Errorf("no call was %s", what)
		}
	}
	if ends, err := f.admin.ListEndOffsets(t.Context(), dlq); err != nil {
		t.Error(err)
	} else if o, ok := ends.Lookup(dlq, 0); !ok || o.Offset != 0 {
		t.Errorf("the dead letter queue holds %d records", o.Offset)
	}
	throttled := shareThrottled(log[before:])
	if throttled >= 0.10 {
		t.Errorf("%.1f %% of the calls were throttled once the budget had settled", 100*throttled)
	}
	t.Logf("%s: %d changes, %d calls, %d executions, %.1f %% throttled in the second half, names not found %d times, outcomes %v",
		kind, len(f.expected), report.Calls, report.Executions, 100*throttled, names.failed.Load(), f.endpoint.Stats().Outcomes)
}

// awaitRefusals waits until a code has been answered a few times more.
func (f *flow) awaitRefusals(t *testing.T, code string) {
	t.Helper()
	before := f.endpoint.Stats().Outcomes[code]
	f.await(t, code+" is answered", func(s states.Stats) bool { return s.Outcomes[code] >= before+5 })
}

// givenUp tells whether an overlap is with a call that its client had given up, by its time limit or its own end, and made again: on a busy
// machine the endpoint hears of the closed connection only after the next call has come. Its name is that of the repeat, so it
// starts nothing beside it.
func givenUp(log []states.Call, o states.Overlap) bool {
	at := func(seq int64) states.Call {
		return log[slices.IndexFunc(log, func(c states.Call) bool { return c.Seq == seq })]
	}
	first, second := at(o.First), at(o.Second)
	return first.Gone && (first.Effect == 0 || first.Machine == second.Machine && first.Name == second.Name)
}

// shareThrottled is the throttled part of the second half of the starts.
func shareThrottled(log []states.Call) float64 {
	var starts []states.Call
	for _, c := range log {
		if strings.HasPrefix(c.Target, "Start") {
			starts = append(starts, c)
		}
	}
	half, n := starts[len(starts)/2:], 0
	for _, c := range half {
		if c.Outcome == "ThrottlingException" {
			n++
		}
	}
	return float64(n) / float64(max(1, len(half)))
}
