package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/histogram"
)

// prepared is the outcome of converting and cutting a hand-out.
type prepared struct {
	delivery *delivery
	settled  []*item // filtered, skipped or dead-lettered
	calls    []frozenCall
	err      error // the task fails; what is neither settled nor in a call is unsettled
}

// prepare converts the messages of a hand-out and lets the sink cut them into calls. Of a recovered
// batch the cut is known: it stays one call.
func (r *runner) prepare(ctx context.Context, d *delivery) prepared {
	out := prepared{delivery: d}
	began := time.Now()
	defer func() { r.metrics.Stages[Convert].Took(time.Since(began)) }()
	kept := make([]*connector.Record, 0, len(d.items))
	its := make([]*item, 0, len(d.items)) // of kept, one for one
	for _, it := range d.items {
		rec, cause := r.convert(ctx, it)
		switch {
		case cause != nil && ctx.Err() != nil:
			out.err = errStopped
		case cause != nil:
			if out.err = r.giveUp(ctx, it, cause); out.err == nil {
				out.settled = append(out.settled, it)
			}
		case rec == nil:
			r.metrics.Filtered.Add(1)
			out.settled = append(out.settled, it)
		default:
			it.record = rec
			kept, its = append(kept, rec), append(its, it)
		}
		if out.err != nil {
			break // later records of the hand-out must not pass it
		}
	}
	if len(kept) == 0 {
		return out
	}
	if d.batch != nil {
		for _, rec := range kept {
			rec.Batch = d.batch
		}
		sortByOffset(its)
		out.calls = []frozenCall{{items: its, batch: d.batch, named: true, intent: intentDurable}}
		return out
	}
	r.cut(ctx, kept, its, &out)
	return out
}

// cut asks the sink for its calls.
func (r *runner) cut(ctx context.Context, kept []*connector.Record, its []*item, out *prepared) {
	cutter, ok := r.sink.(connector.Cutter)
	if !ok {
		sortByOffset(its)
		out.calls = []frozenCall{r.call(its, false)}
		return
	}
	calls, err := cutter.Cut(kept)
	var partial *connector.PartialError
	if err != nil && !errors.As(err, &partial) {
		out.err = fmt.Errorf("sink cannot cut a batch: %w", err)
		return
	}
	if partial == nil && len(calls) == 1 && slices.Equal(calls[0].Records, kept) { // nearly always
		sortByOffset(its)
		out.calls = []frozenCall{r.call(its, calls[0].Named)}
		return
	}
	byRecord := make(map[*connector.Record]*item, len(kept))
	left := make(map[*item]bool, len(kept)) // in no call, not failed: filtered
	for i, rec := range kept {
		byRecord[rec], left[its[i]] = its[i], true
	}
	for _, c := range calls {
		its := items(c.Records, byRecord)
		for _, it := range its {
			delete(left, it)
		}
		out.calls = append(out.calls, r.call(its, c.Named))
	}
	if partial != nil {
		for _, i := range sortedKeys(partial.Failed) {
			it, cause := its[i], &stageError{stagePut, sinkClass, partial.Failed[i]}
			delete(left, it)
			if class, _ := connector.Classify(cause.err); class != connector.ClassRejected {
				out.err = &Failure{Partition: it.Partition, Offset: it.Offset, Stage: stagePut, Class: sinkClass, Err: cause.err}
			} else if err := r.giveUp(ctx, it, cause); err != nil {
				out.err = err
			} else {
				out.settled = append(out.settled, it)
			}
		}
	}
	for it := range left {
		r.metrics.Filtered.Add(1)
		out.settled = append(out.settled, it)
	}
	if !inKeyOrder(out.calls) {
		out.calls = alone(out.calls, r)
	}
}

// sinkClass is what errors of the sink show as their class, as Kafka Connect's do.
const sinkClass = "org.apache.kafka.connect.sink.SinkTask"

// call makes a frozen call; each of its records gets the batch that identifies it.
func (r *runner) call(its []*item, named bool) frozenCall {
	b := &connector.Batch{Topic: its[0].Topic, Partition: its[0].ID, Offsets: make([]int64, len(its))}
	for i, it := range its {
		b.Offsets[i] = it.Offset
		it.record.Batch = b
	}
	c := frozenCall{items: its, batch: b, named: named}
	if named && !its[0].alone {
		c.intent = intentWanted
	}
	return c
}

// items gives the messages of records, by offset.
func items(recs []*connector.Record, byRecord map[*connector.Record]*item) []*item {
	out := make([]*item, len(recs))
	for i, rec := range recs {
		out[i] = byRecord[rec]
	}
	sortByOffset(out)
	return out
}

func sortByOffset(its []*item) {
	slices.SortFunc(its, func(a, b *item) int {
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
}

// inKeyOrder reports whether running the calls one after the other keeps every key's order.
func inKeyOrder(calls []frozenCall) bool {
	last := make(map[*keyQueue]int64)
	if len(calls) < 2 {
		return true
	}
	for _, c := range calls {
		for _, it := range c.items {
			if before, ok := last[it.key]; ok && before > it.Offset {
				return false
			}
			last[it.key] = it.Offset
		}
	}
	return true
}

// alone delivers each record by itself: right for every way a sink may have cut.
func alone(calls []frozenCall, r *runner) []frozenCall {
	var its []*item
	named := make(map[*item]bool)
	for _, c := range calls {
		for _, it := range c.items {
			named[it] = c.named
		}
		its = append(its, c.items...)
	}
	sortByOffset(its)
	out := make([]frozenCall, len(its))
	for i, it := range its {
		out[i] = r.call([]*item{it}, named[it])
	}
	return out
}

// outcome is what became of a try of a frozen delivery.
type outcome struct {
	delivery   *delivery
	notStarted bool          // the lease had run out: nothing was called
	settled    []*item       // delivered or given up
	delivered  int           // of them delivered
	retry      []*item       // to be tried again
	again      error         // why
	after      time.Duration // no sooner, as the destination asked
	bisect     bool          // refused as a whole: try the halves
	err        error         // the task fails
	answered   time.Time     // when the sink had
}

// deliver makes one call of the sink and decides about each of its records.
func (r *runner) deliver(ctx context.Context, d *delivery) outcome {
	if !r.lease.valid() {
		return outcome{delivery: d, notStarted: true}
	}
	recs := make([]*connector.Record, len(d.items))
	var bytes int64
	for i, it := range d.items {
		recs[i] = it.record
		bytes += int64(len(it.Key) + len(it.Value))
	}
	r.metrics.BatchRecords.Observe(histogram.Counts, int64(len(recs)))
	r.metrics.BatchBytes.Observe(histogram.Bytes, bytes)
	r.metrics.InFlight.Add(1)
	ctx, end := r.trace(ctx, d)
	began := time.Now()
	err := r.sink.Deliver(connector.WithStartCheck(ctx, r.lease.valid), recs)
	end(err)
	r.metrics.InFlight.Add(-1)
	r.metrics.Batches.Add(1)
	out := outcome{delivery: d, answered: time.Now()}
	r.metrics.Stages[Deliver].Took(out.answered.Sub(began))
	var partial *connector.PartialError
	switch {
	case err == nil:
		out.settled = d.items
	case errors.As(err, &partial):
		r.partial(ctx, &out, partial)
	default:
		r.whole(ctx, &out, err)
	}
	out.delivered += len(out.settled)
	r.metrics.Delivered.Add(int64(out.delivered))
	return out
}

// whole decides after an error for the whole call.
func (r *runner) whole(ctx context.Context, out *outcome, err error) {
	if !connector.IsThrottled(err) {
		r.metrics.Failures.Add(1)
	}
	d := out.delivery
	class, after := connector.Classify(err)
	switch {
	case class == connector.ClassRetryable || ctx.Err() != nil:
		out.retry, out.again, out.after = d.items, err, after
	case class == connector.ClassRejected && len(d.items) > 1:
		out.bisect, out.again = true, err
	case class == connector.ClassRejected:
		r.reject(ctx, out, d.items[0], err)
	default:
		out.err = &Failure{Partition: d.queue.Partition, Offset: d.items[0].Offset, Stage: stagePut, Class: sinkClass, Err: err}
	}
}

// partial decides about each record that the sink listed. Later records of a key that is tried again
// count as not delivered too: they are tried again behind it, in order.
func (r *runner) partial(ctx context.Context, out *outcome, p *connector.PartialError) {
	again := make(map[*keyQueue]bool)
	for i, it := range out.delivery.items {
		err := p.Failed[i]
		if err != nil && !connector.IsThrottled(err) {
			r.metrics.Failures.Add(1)
		}
		class, after := connector.Classify(err)
		switch {
		case err != nil && class == connector.ClassRejected:
			r.reject(ctx, out, it, err)
		case err != nil && class != connector.ClassRetryable && ctx.Err() == nil:
			out.err = &Failure{Partition: it.Partition, Offset: it.Offset, Stage: stagePut, Class: sinkClass, Err: err}
		case err != nil:
			again[it.key] = true
			out.retry, out.again, out.after = append(out.retry, it), err, max(out.after, after)
		case again[it.key]:
			out.retry = append(out.retry, it)
		default:
			out.settled = append(out.settled, it)
		}
	}
}

// reject settles one record that the sink will never take, or fails the task.
func (r *runner) reject(ctx context.Context, out *outcome, it *item, err error) {
	if err := r.giveUp(ctx, it, &stageError{stagePut, sinkClass, err}); err != nil {
		out.err = err
		return
	}
	out.settled = append(out.settled, it)
	out.delivered--
}

func sortedKeys(m map[int]error) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
