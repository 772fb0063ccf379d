package task

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/test/scale"
)

// process is one worker process of the simulation, with one task.
type process struct {
	task   *Task
	source *memorySource
	stop   context.CancelFunc
	abort  context.CancelFunc
	dead   chan struct{}
	ended  chan error
	err    error // how it ended when it was killed
}

func startProcess(ctx context.Context, g *memoryGroup, d *destination, named bool, size int) *process {
	p := &process{dead: make(chan struct{}), ended: make(chan error, 1)}
	cfg := testConfig(g, &memorySink{destination: d, dead: p.dead, named: named, size: size}, NewOutlived())
	open := cfg.OpenSource
	joined := make(chan struct{})
	cfg.OpenSource = func(ctx context.Context, t Group) (Source, error) {
		s, err := open(ctx, t)
		p.source = s.(*memorySource)
		close(joined)
		return s, err
	}
	var stop, abort context.Context
	abort, p.abort = context.WithCancel(ctx)
	stop, p.stop = context.WithCancel(abort)
	p.task = New(cfg)
	go func() { p.ended <- p.task.Run(stop, abort) }()
	<-joined
	return p
}

// kill is kill -9: its calls have no further effect, and the group notices after a session timeout.
func (p *process) kill(g *memoryGroup) {
	close(p.dead)
	p.abort()
	p.err = <-p.ended
	g.kill(p.source)
}

// TestNothingIsLostDoubledOrOvertakenWhateverHappens runs random histories of deliveries, failures,
// rebalances, kills and orderly restarts, with batch sizes that change from process to process.
func TestNothingIsLostDoubledOrOvertakenWhateverHappens(t *testing.T) {
	runs := uint64(scale.N(5_000, 100_000))
	shards := uint64(runtime.GOMAXPROCS(0))
	for shard := range shards {
		t.Run(fmt.Sprintf("part %d", shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < runs; seed += shards {
				synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	g, d := newMemoryGroup(), newDestination(seed, 2+rng.IntN(20))
	parts := 1 + rng.IntN(4)
	keys := 1 + rng.IntN(12)
	var all []string
	write := func(n int) {
		for range n {
			p := Partition{"t", int32(rng.IntN(parts))}
			gap := int64(0)
			if rng.IntN(10) == 0 {
				gap = int64(rng.IntN(4))
			}
			offset := g.append(p, fmt.Sprint("key", rng.IntN(keys)*7), gap)
			if offset%17 != 13 {
				all = append(all, fmt.Sprintf("t-%d@%d", p.ID, offset))
			}
		}
	}
	for p := range parts {
		g.logs[Partition{"t", int32(p)}] = nil
	}
	write(100)
	held := fmt.Sprint("key", rng.IntN(keys)*7)
	holding := rng.IntN(3) == 0 // one key held back for the whole of the kills
	if holding {
		d.hold = func(r *connector.Record) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return holding && string(r.Origin.Key) == held
		}
	}
	size := func() int { return []int{1, 1, 3, 10, 50}[rng.IntN(5)] }
	var procs []*process
	for range 3 + rng.IntN(6) {
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		switch i := rng.IntN(4); {
		case len(procs) == 0 || i == 0 && len(procs) < 3:
			procs = append(procs, startProcess(t.Context(), g, d, true, size()))
		case i == 1:
			procs[0].kill(g)
			procs = procs[1:]
		case i == 2:
			procs[0].stop()
			if err := <-procs[0].ended; err != nil {
				t.Errorf("orderly stop: %v", err)
			}
			procs = procs[1:]
		default:
			write(rng.IntN(60))
		}
	}
	d.mu.Lock()
	holding = false
	d.mu.Unlock()
	procs = append(procs, startProcess(t.Context(), g, d, true, size()))
	deadline := time.Now().Add(5 * time.Minute)
	for !g.drained() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if !g.drained() {
		t.Error("not everything is committed after five minutes")
		for i, p := range procs {
			s, err := p.task.Snapshot(t.Context())
			t.Logf("task %d: %v %v %q %v", i, s.State, s.Failure, s.Warning, err)
			for _, ps := range s.Partitions {
				t.Logf("  %s position %d committed %d received %d unsettled %d in flight %d paused %v waiting %+v log end %d",
					ps.Partition, ps.Position, ps.Committed, ps.Received, ps.Unsettled, ps.InFlight, ps.Paused, ps.Waiting, g.end(ps.Partition))
			}
		}
	}
	for _, p := range procs {
		p.stop()
		if err := <-p.ended; err != nil {
			t.Errorf("orderly stop: %v", err)
		}
	}
	for _, f := range d.faults {
		t.Error(f)
	}
	for _, id := range all {
		if d.starts[id] != 1 {
			t.Errorf("%s was started %d times", id, d.starts[id])
		}
	}
}
