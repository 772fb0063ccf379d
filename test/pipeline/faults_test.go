package pipeline

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// fault is something that happens to a part and passes; begin returns when it has passed, or when the part is on its way back.
type fault struct {
	name  string
	begin func(ctx context.Context, t *testing.T, rng *rand.Rand)
}

// faults are all that can happen. The emulator is killed with Express only: of Standard it forgets executions that AWS would
// keep.
func (f *flow) faults() []fault {
	faults := []fault{
		{"a worker is killed", func(_ context.Context, t *testing.T, rng *rand.Rand) {
			i := rng.IntN(len(f.workers))
			f.workers[i].Kill()
			f.workers[i] = worker.Launch(t, f.props[i])
		}},
		{"answers of AWS are lost", f.troubled(lost)},
		{"the destination is killed", f.killed(f.destination)},
		{"the broker is killed", f.killed(f.broker)},
		{"a worker is paused", func(ctx context.Context, t *testing.T, rng *rand.Rand) {
			w := f.workers[rng.IntN(len(f.workers))]
			signal(t, w, syscall.SIGSTOP)
			pass(ctx, rng, 10*time.Second) // longer than its session, or not
			signal(t, w, syscall.SIGCONT)
		}},
		{"AWS resets connections", f.troubled(reset)},
		{"AWS throttles", f.troubled(throttled)},
		{"AWS fails", f.troubled(failing)},
		{"the emulator is paused", f.paused(f.emulator)},
		{"the destination is paused", f.paused(f.destination)}, // its postmaster: what is connected goes on, nobody else comes in
		{"the broker is paused", f.paused(f.broker)},
		{"the registry is killed", f.killed(f.registry)},
		{"the registry is paused", f.paused(f.registry)},
		{"Debezium's worker is killed", f.killed(f.connect)},
	}
	if f.account.kind == "EXPRESS" {
		faults = append(faults, fault{"the emulator is killed", f.killEmulator})
	}
	return faults
}

// pass lets a random time go by, up to most: the time is the fault.
func pass(ctx context.Context, rng *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(rng.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func signal(t *testing.T, w *worker.Process, s syscall.Signal) {
	if err := w.Signal(s); err != nil {
		t.Errorf("%v of a worker: %v", s, err)
	}
}

func (f *flow) troubled(x trouble) func(context.Context, *testing.T, *rand.Rand) {
	return func(ctx context.Context, _ *testing.T, rng *rand.Rand) {
		f.proxy.makes(x)
		pass(ctx, rng, 5*time.Second)
		f.proxy.makes(none)
	}
}

func (f *flow) paused(s *stack.Server) func(context.Context, *testing.T, *rand.Rand) {
	return func(ctx context.Context, t *testing.T, rng *rand.Rand) {
		if err := s.Pause(); err != nil {
			t.Error(err)
		}
		pass(ctx, rng, 10*time.Second)
		if err := s.Resume(); err != nil {
			t.Error(err)
		}
	}
}

func (f *flow) killed(s *stack.Server) func(context.Context, *testing.T, *rand.Rand) {
	return func(ctx context.Context, t *testing.T, rng *rand.Rand) {
		s.Kill()
		pass(ctx, rng, 3*time.Second)
		restart(ctx, t, s)
	}
}

// killEmulator makes it forget everything, and makes what the account has anew.
func (f *flow) killEmulator(ctx context.Context, t *testing.T, rng *rand.Rand) {
	f.proxy.makes(reset) // nobody meets an account without state machines
	f.emulator.Kill()
	pass(ctx, rng, 3*time.Second)
	restart(ctx, t, f.emulator)
	if err := f.account.install(ctx); err != nil {
		t.Fatalf("the account after the emulator's end: %v", err)
	}
	f.proxy.makes(none)
}

// restart starts a server that was killed. PostgreSQL refuses while processes of its own still end.
func restart(ctx context.Context, t *testing.T, s *stack.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Start(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after kill -9: %v", err)
		}
	}
}

// mend does what people do now and then: it restarts tasks of Debezium that have failed (the JVM's Connect never does; an Avro converter
// that does not reach its registry ends the task), has what failed Standard executions have parked executed again, and runs OutboxPublisher
// as a schedule does each minute. Whatever is away now is there the next time.
func (f *flow) mend(ctx context.Context, t *testing.T) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	jvm := connectors{f.connect.Addr()}
	if states, trace := jvm.status(ctx, sourceConnector); slices.Contains(states, "FAILED") {
		res, err := jvm.do(ctx, http.MethodPost, "/connectors/"+sourceConnector+"/restart?includeTasks=true&onlyFailed=true", nil)
		t.Logf("Debezium's task is restarted: %d %v; it failed with %.300s", res.StatusCode, err, trace)
	}
	if n, err := f.account.unpark(ctx); n > 0 {
		f.unparked += n
		t.Logf("%d inputs were parked, and executed again (%v)", n, err)
	}
	_ = f.account.publish(ctx)
}

// suffer lets faults happen, the first ones in their order and then at random, until there were n and the company is done. It returns
// how many there were.
func (f *flow) suffer(ctx context.Context, t *testing.T, rng *rand.Rand, n int, done <-chan error) (int, error) {
	t.Helper()
	all := f.faults()
	ended := false
	for count := 0; ; count++ {
		select {
		case err := <-done:
			if err != nil {
				return count, err
			}
			ended = true
		default:
		}
		if ended && count >= n {
			return count, nil
		}
		x := all[count%len(all)]
		if count >= len(all) {
			x = all[rng.IntN(len(all))]
		}
		began := time.Now()
		x.begin(ctx, t, rng)
		t.Logf("%s: %s, for %v", began.Format(time.TimeOnly), x.name, time.Since(began).Round(100*time.Millisecond))
		f.mend(ctx, t)
		pass(ctx, rng, 3*time.Second)
	}
}
