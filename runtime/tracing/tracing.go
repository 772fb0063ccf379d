// Package tracing makes a span of each delivery and sends it to an OpenTelemetry collector by OTLP over HTTP, in JSON. It
// is off unless the standard variables name a collector. It has no dependency: docs/adr/20261128-otlp-json.md says why.
package tracing

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Tracer makes spans and sends those that are sampled. It is safe for concurrent use. Run sends.
type Tracer struct {
	cfg  Config
	log  *slog.Logger
	wake chan struct{} // holds one: a batch is full

	mu      sync.Mutex // guards the fields below
	pending []span
	dropped int
}

var _ task.Tracer = (*Tracer)(nil)

// Bounds of what waits to be sent, as OpenTelemetry's batch processor has them.
const (
	maxPending   = 2048
	maxBatch     = 512
	sendInterval = 5 * time.Second
	maxLinks     = 128
)

// span is one that has ended.
type span struct {
	trace      connector.Trace
	parent     [8]byte // zero for a root
	name       string
	start, end time.Time
	batch      task.Span
	links      []connector.Trace
	err        error
}

// New makes a tracer; it sends nothing before Run.
func New(cfg Config, log *slog.Logger) *Tracer {
	return &Tracer{cfg: cfg, log: log, wake: make(chan struct{}, 1)}
}

// Begin implements task.Tracer. The span is a child of the first trace that the records carry, and linked to the others. A
// sampled parent makes a sampled span, one that is not does not; without one the ratio decides (parent based).
func (t *Tracer) Begin(s task.Span, carried []connector.Trace) (connector.Trace, func(error)) {
	own := connector.Trace{Sampled: t.cfg.Ratio >= 1}
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	copy(own.ID[:], random)
	copy(own.Span[:], random[16:])
	out := span{name: s.Topic + " deliver", start: time.Now(), batch: s}
	if len(carried) > 0 {
		own.ID, own.Sampled, out.parent = carried[0].ID, carried[0].Sampled, carried[0].Span
		out.links = carried[1:min(len(carried), maxLinks+1)]
	} else {
		// X-Ray takes ids whose first four bytes are the time.
		binary.BigEndian.PutUint32(own.ID[:4], uint32(out.start.Unix()))
		if t.cfg.Ratio < 1 {
			own.Sampled = float64(binary.BigEndian.Uint64(own.ID[8:])>>1) < t.cfg.Ratio*(1<<63)
		}
	}
	out.trace = own
	return own, func(err error) {
		if own.Sampled {
			out.end, out.err = time.Now(), err
			t.add(out)
		}
	}
}

func (t *Tracer) add(s span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) >= maxPending {
		t.dropped++
		return
	}
	t.pending = append(t.pending, s)
	if len(t.pending) >= maxBatch {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// Run sends what has ended until ctx ends, and then the rest.
func (t *Tracer) Run(ctx context.Context) {
	tick := time.NewTicker(sendInterval)
	defer tick.Stop()
	failing := false
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-t.wake:
		case <-ctx.Done():
			over = true
		}
		err := t.flush(context.WithoutCancel(ctx))
		if err != nil && !failing {
			t.log.Warn("spans cannot be sent and are lost; check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS", "endpoint", t.cfg.shown(), "error", err)
		}
		failing = err != nil
	}
}

func (t *Tracer) flush(ctx context.Context) error {
	for {
		t.mu.Lock()
		n := min(len(t.pending), maxBatch)
		batch := t.pending[:n:n]
		t.pending = t.pending[n:]
		dropped := t.dropped
		t.dropped = 0
		t.mu.Unlock()
		if dropped > 0 {
			t.log.Warn("spans were dropped: the collector is slower than deliveries are", "spans", dropped)
		}
		if n == 0 {
			return nil
		}
		if err := t.cfg.send(ctx, batch); err != nil {
			return err
		}
	}
}
