package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// Percentiles of the time from the broker's append of an event to the arrival of its call. The broker's clock ticks in
// milliseconds, rounded down, so they are up to one too high.
type Percentiles struct{ P50, P99, Max time.Duration }

// Latencies writes events at a steady rate while the worker delivers them, and measures how long each took.
func (s Setup) Latencies(ctx context.Context, rate int, d time.Duration) (Percentiles, error) {
	const topic = "bench-latency"
	if err := s.Writer.Topic(ctx, topic); err != nil {
		return Percentiles{}, err
	}
	e, err := startEndpoint(ctx, s.Endpoint, "-keep", "changes", "-machine", "Clientes=STANDARD")
	if err != nil {
		return Percentiles{}, err
	}
	w, err := s.startWorker(ctx, Case{Batch: 50, Tasks: 1}, topic, topic, e)
	if err != nil {
		return Percentiles{}, err
	}
	taken, err := s.latencies(ctx, topic, e, rate, d)
	_, workerErr := w.Stop()
	_, endpointErr := e.Stop()
	if err := errors.Join(err, workerErr, endpointErr); err != nil {
		return Percentiles{}, err
	}
	slices.Sort(taken)
	at := func(q float64) time.Duration { return taken[int(q*float64(len(taken)-1))] }
	return Percentiles{P50: at(0.5), P99: at(0.99), Max: at(1)}, nil
}

// latencies leaves the start out: a first second of events lets the worker join its group and warm up.
func (s Setup) latencies(ctx context.Context, topic string, e *endpoint, rate int, d time.Duration) ([]time.Duration, error) {
	remote := states.Remote{URL: e.url}
	warm, err := s.Writer.Pace(ctx, s.Load, topic, rate, time.Second)
	if err != nil {
		return nil, err
	}
	arrived := func(n int) func(states.Stats) bool {
		return func(st states.Stats) bool { return st.Changes >= n }
	}
	if _, err := remote.Wait(ctx, poll, arrived(len(warm))); err != nil {
		return nil, err
	}
	appended, err := s.Writer.Pace(ctx, s.Load, topic, rate, d)
	if err != nil {
		return nil, err
	}
	if _, err := remote.Wait(ctx, poll, arrived(len(warm)+len(appended))); err != nil {
		return nil, err
	}
	calls, err := remote.Log(ctx, 0)
	if err != nil {
		return nil, err
	}
	var taken []time.Duration
	for _, c := range calls {
		for _, change := range c.Changes {
			if at, ok := appended[Place{change.Partition, change.Offset}]; ok {
				taken = append(taken, c.Arrived.Sub(at))
			}
		}
	}
	if len(taken) == 0 {
		return nil, fmt.Errorf("none of %d events arrived", len(appended))
	}
	return taken, nil
}
