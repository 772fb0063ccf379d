package task

import (
	"context"

	"github.com/stepconnect/stepconnect/connector"
)

// Span is a delivery as a Tracer sees it.
type Span struct {
	Connector string
	Task      int
	Topic     string
	Partition int32
	Offset    int64 // of its first record
	Records   int
}

// Tracer makes spans. It is safe for concurrent use and must not block.
type Tracer interface {
	// Begin begins the span of a delivery whose records carry those traces, and gives the delivery's own place in a trace and what
	// ends the span.
	Begin(s Span, carried []connector.Trace) (own connector.Trace, end func(error))
}

// trace gives the context of a delivery its trace: a span's own where spans are made, else that of the first record that carries
// one. Nothing of it goes into what the sink makes of the records (invariant 4).
func (r *runner) trace(ctx context.Context, d *delivery) (context.Context, func(error)) {
	var carried []connector.Trace
	for _, it := range d.items {
		if len(it.Headers) == 0 {
			continue
		}
		if t := connector.TraceOf(it.Headers); !t.IsZero() {
			carried = append(carried, t)
			if r.Tracer == nil {
				break
			}
		}
	}
	switch {
	case r.Tracer != nil:
		own, end := r.Tracer.Begin(Span{
			Connector: r.Connector, Task: r.ID, Topic: d.queue.Topic, Partition: d.queue.Partition.ID, Offset: d.items[0].Offset, Records: len(d.items),
		}, carried)
		return connector.WithTrace(ctx, own), end
	case len(carried) > 0:
		ctx = connector.WithTrace(ctx, carried[0])
	}
	return ctx, func(error) {}
}
