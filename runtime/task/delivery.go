package task

import (
	"container/heap"
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// item is one received message until it is settled.
type item struct {
	Message
	seq    uint64 // its place in the partition's tracker
	size   int64
	at     time.Time // when it was received
	key    *keyQueue
	next   *item             // the following message of the same key
	owner  *delivery         // the recovered batch that it belongs to, nil for none
	alone  bool              // handed out by itself, and needs no intent: its batch of one is recognised by its name
	record *connector.Record // once converted
	reread *Reread           // the message as it was consumed first, when this is a dead letter
}

// first gives the message as it was consumed first.
func (it *item) first() *Reread {
	if it.reread != nil {
		return it.reread
	}
	return &Reread{Message: it.Message}
}

// forget lets go of the message's bytes: items live in one piece of memory per poll, and one that waits
// long must not keep those of its neighbours.
func (it *item) forget() {
	it.Key, it.Value, it.Headers, it.record, it.reread = nil, nil, nil, nil, nil
}

// delivery is a set of messages that go together: first as the scheduler took them, then,
// once frozen, as one call of the sink, tried again only as the same records until its
// outcome is known.
type delivery struct {
	queue *queue
	items []*item // by offset
	slot  bool    // it counts in the scheduler's active

	batch  *connector.Batch // nil until frozen
	named  bool
	half   bool // of a batch that was refused as a whole
	intent intentState

	// Of a recovered batch: the offsets not seen yet, ascending, and how many of the others exist.
	missing []int64
	present int

	after int // unfinished deliveries of the same hand-out that hold one of its keys and come first
	then  []*delivery

	tried
	handed time.Time // to the worker that has it now
	index  int       // in queue.frozen
}

// tried is how a delivery's tries went.
type tried struct {
	attempts int
	since    time.Time // of the first failure
	due      time.Time // not tried before
	err      error     // of the last try
}

// intentState is how durable the knowledge of a named batch is.
type intentState uint8

const (
	intentNone    intentState = iota // not needed: recognised again without it
	intentWanted                     // waits for room in the commit metadata
	intentSent                       // in the commit under way
	intentDurable                    // committed: the batch may be started
)

// freeze replaces a handed-out delivery by the calls that its records were cut into; messages of
// d in no call must have been settled before. Calls that hold the same key run in their order.
// It returns the frozen deliveries; those without a predecessor and without a need for an intent are
// startable at once, the others when release is called.
func (s *scheduler) freeze(d *delivery, calls []frozenCall) []*delivery {
	out := make([]*delivery, len(calls))
	last := make(map[*keyQueue]*delivery)
	for i, c := range calls {
		f := &delivery{queue: d.queue, items: c.items, batch: c.batch, named: c.named, half: c.half, intent: c.intent, tried: c.tried}
		out[i] = f
		if len(calls) == 1 {
			break
		}
		for _, it := range c.items {
			if before := last[it.key]; before != nil && before != f && !slices.Contains(before.then, f) {
				before.then = append(before.then, f)
				f.after++
			}
			last[it.key] = f
		}
	}
	if len(out) > 0 { // who waited for d waits for its last part
		tail := out[len(out)-1]
		tail.then, d.then = append(tail.then, d.then...), nil
	}
	d.items = nil
	s.releaseSlot(d)
	s.releaseWaiting(d)
	for _, f := range out {
		s.occupy(f)
		if f.intent != intentWanted {
			s.release(f)
		}
	}
	return out
}

// frozenCall is what one delivery of freeze is made from.
type frozenCall struct {
	items  []*item
	batch  *connector.Batch
	named  bool
	half   bool
	intent intentState
	tried  tried
}

// occupy takes a slot for a delivery that waits for its intent, so that waiting ones are bounded too.
func (s *scheduler) occupy(d *delivery) {
	d.slot = true
	d.queue.active++
	s.active++
}

// release makes a frozen delivery startable as soon as those before it are done.
func (s *scheduler) release(d *delivery) {
	s.releaseSlot(d)
	if d.after == 0 {
		heap.Push(&d.queue.frozen, d)
	}
}

// releaseWaiting lets go those that waited for d.
func (s *scheduler) releaseWaiting(d *delivery) {
	for _, f := range d.then {
		if f.after--; f.after == 0 && (f.intent == intentNone || f.intent == intentDurable) {
			heap.Push(&f.queue.frozen, f)
		}
	}
	d.then = nil
}

// retry puts a delivery back, to be tried again no sooner than due. It holds its keys, not a slot.
func (s *scheduler) retry(d *delivery, due time.Time) {
	s.releaseSlot(d)
	d.due = due
	heap.Push(&d.queue.frozen, d)
}

// recover adds a batch that an earlier owner of the partition may have started: exactly these
// offsets form it again as they arrive, whatever the configuration says now.
func (s *scheduler) recover(q *queue, b *connector.Batch) *delivery {
	return &delivery{queue: q, batch: b, named: true, intent: intentDurable, missing: slices.Clone(b.Offsets)}
}

// sawOffset tells a recovered batch that the partition has been read up to and including offset.
// It reports whether the message at offset belongs to the batch; offsets that were passed over
// are gone from the log. A batch of which nothing is left is void.
func (s *scheduler) sawOffset(d *delivery, offset int64) (member bool) {
	i, found := slices.BinarySearch(d.missing, offset)
	if found {
		d.present++
	}
	before := len(d.missing)
	d.missing = d.missing[i:]
	if found {
		d.missing = d.missing[1:]
	}
	if before > 0 && len(d.missing) == 0 && !found {
		s.recoveredReady(d)
	}
	return found
}

// recoveredReady makes a recovered batch startable once every message of it that still exists is
// the next of its key.
func (s *scheduler) recoveredReady(d *delivery) {
	if len(d.missing) > 0 || d.present == 0 || len(d.items) < d.present {
		return
	}
	sortByOffset(d.items)
	heap.Push(&d.queue.frozen, d)
}

// void reports whether nothing of a recovered batch is left in the log.
func (d *delivery) void() bool { return len(d.missing) == 0 && d.present == 0 }

// frozenHeap orders deliveries by when they are due, then by offset.
type frozenHeap []*delivery

func (h frozenHeap) Len() int { return len(h) }
func (h frozenHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].items[0].Offset < h[j].items[0].Offset
}
func (h frozenHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *frozenHeap) Push(x any) {
	d := x.(*delivery)
	d.index = len(*h)
	*h = append(*h, d)
}
func (h *frozenHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return d
}
