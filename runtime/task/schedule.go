package task

import (
	"container/heap"
	"hash/maphash"
	"time"
)

// limits are the settings that the scheduler follows.
type limits struct {
	ordering    Ordering
	maxInFlight int           // deliveries handed out at once
	maxRecords  int           // messages of one hand-out
	maxBytes    int64         // of their keys and values
	linger      time.Duration // how long a hand-out may wait to fill
}

// scheduler decides which messages are handed out next: the oldest of a partition whose keys
// are free, many at once under load, one when idle. It is a pure data structure: no goroutine, no
// clock, no lock; the task loop owns it.
//
// A key is free when no delivery holds a message of it; that keeps the order per key (invariant 2).
// While another partition has messages to hand out, none gets more than its share of the slots. A slot
// that was lent to a busy partition is not taken back, but nobody waits for it either: a partition
// below its own share always gets a slot, so up to twice maxInFlight deliveries may be out
// while lent ones hang (invariant 6).
type scheduler struct {
	limits
	seed   maphash.Seed
	queues []*queue
	active int // slots in use: deliveries handed out or waiting for their intent
	turn   int // the queue that ties are decided from
}

// queue is the scheduler's view of one partition.
type queue struct {
	Partition
	keys    map[uint64]*keyQueue
	unused  []*keyQueue // of keys that are gone, for the next ones
	ready   readyKeys
	frozen  frozenHeap // deliveries that may be tried, by due time
	held    bool       // nothing is handed out
	fenced  bool       // frozen deliveries are not handed out: the membership is not confirmed for this partition yet
	queued  int        // messages in key queues
	records int        // messages held in all: queued, handed out or waiting for a retry
	bytes   int64
	active  int // slots in use
}

// keyQueue holds the messages of one key that no delivery holds, in offset order.
type keyQueue struct {
	id         uint64
	head, tail *item
	busy       int       // messages of the key that deliveries hold; the key is free at 0
	claimer    *delivery // the recovered batch that holds them, nil for any other
	index      int       // in the heap of queue.ready, or notReady or inQueue
}

func newScheduler(l limits, seed maphash.Seed) *scheduler { return &scheduler{limits: l, seed: seed} }

// open adds a partition, fenced.
func (s *scheduler) open(p Partition) *queue {
	q := &queue{Partition: p, keys: make(map[uint64]*keyQueue), fenced: true}
	s.queues = append(s.queues, q)
	return q
}

// close forgets a partition and all that it holds; its deliveries must not be reported any more.
func (s *scheduler) close(q *queue) {
	for i, o := range s.queues {
		if o == q {
			s.queues = append(s.queues[:i], s.queues[i+1:]...)
			s.active -= q.active
			return
		}
	}
}

// share is what each open partition may hold of n, at least 1.
func (s *scheduler) share(n int64) int64 { return max(1, n/int64(max(1, len(s.queues)))) }

// keyID gives the identity of a message's key (DESIGN.md §2): its bytes without a schema registry's
// prefix. Two keys that share an identity are merely kept in order with each other.
func (s *scheduler) keyID(m *Message) uint64 {
	if s.ordering == ByPartition || m.Key == nil {
		return 0
	}
	k := m.Key
	switch {
	case len(k) > 5 && k[0] == 0: // Confluent: 0x00, 4-byte id
		k = k[5:]
	case len(k) > 18 && k[0] == 3 && (k[1] == 0 || k[1] == 5): // AWS Glue: 0x03, compression, 16-byte id
		k = k[18:]
	}
	return maphash.Bytes(s.seed, k)
}

// key gives the queue of a key, made when it is new.
func (q *queue) key(id uint64) *keyQueue {
	kq := q.keys[id]
	if kq == nil {
		if n := len(q.unused) - 1; n >= 0 {
			kq, q.unused = q.unused[n], q.unused[:n]
		} else {
			kq = new(keyQueue)
		}
		*kq = keyQueue{id: id, index: notReady}
		q.keys[id] = kq
	}
	return kq
}

// add queues a message behind the others of its key.
func (s *scheduler) add(q *queue, it *item) {
	kq := q.key(s.keyID(&it.Message))
	it.key = kq
	q.queued++
	q.records++
	q.bytes += it.size
	if kq.tail != nil {
		kq.tail.next, kq.tail = it, it
	} else {
		kq.head, kq.tail = it, it
	}
	switch {
	case it.owner != nil && kq.claimer == it.owner:
		s.claim(q, kq, it.owner)
	case kq.head == it:
		s.advance(q, kq)
	}
}

// advance looks at the first message of a key. When the key is free it becomes ready, or the
// recovered batch that the message belongs to claims it.
func (s *scheduler) advance(q *queue, kq *keyQueue) {
	h := kq.head
	switch {
	case h == nil:
		if kq.busy == 0 {
			delete(q.keys, kq.id)
			q.unused = append(q.unused, kq) // nothing unsettled refers to it
		}
	case h.owner == nil:
		if kq.busy == 0 && kq.index == notReady {
			q.ready.push(kq)
		}
	case kq.busy == 0:
		kq.claimer = h.owner
		s.claim(q, kq, h.owner)
	}
}

// claim gives a recovered batch all messages of a key that belong to it. Those that it passes over were
// handed out with it the first time and settled in another way, or they would be part of it.
func (s *scheduler) claim(q *queue, kq *keyQueue, d *delivery) {
	rest := kq.head
	kq.head, kq.tail = nil, nil
	for it := rest; it != nil; {
		next := it.next
		it.next = nil
		switch {
		case it.owner == d:
			d.items = append(d.items, it)
			kq.busy++
			q.queued--
		case kq.tail == nil:
			kq.head, kq.tail = it, it
		default:
			kq.tail.next, kq.tail = it, it
		}
		it = next
	}
	s.recoveredReady(d)
}

// take moves the first message of a key into a delivery's hands.
func (q *queue) take(kq *keyQueue) *item {
	it := kq.head
	kq.head, it.next = it.next, nil
	if kq.head == nil {
		kq.tail = nil
	}
	kq.busy++
	q.queued--
	return it
}

// next hands out a delivery that may go now, or nil: a frozen one that is due, when starts says that any
// may be started, else a fresh one, which is only converted and cut.
func (s *scheduler) next(now time.Time, starts bool) *delivery {
	var best *queue
	n := len(s.queues)
	for i := range n {
		q := s.queues[(s.turn+i)%n]
		if q.held || !q.startable(s, now, starts) {
			continue
		}
		if best == nil || q.active < best.active {
			best = q
		}
	}
	if best == nil || (s.active >= s.maxInFlight && int64(best.active) >= s.share(int64(s.maxInFlight))) {
		return nil
	}
	s.turn = (s.turn + 1) % n
	d := best.pop(s, now, starts)
	d.slot = true
	best.active++
	s.active++
	return d
}

// startable reports whether the partition has something to hand out.
func (q *queue) startable(s *scheduler, now time.Time, starts bool) bool {
	if starts && q.frozenDue(now) {
		return true
	}
	if q.ready.empty() {
		return false
	}
	return s.linger <= 0 || q.queued >= s.maxRecords || now.Sub(q.ready.first().head.at) >= s.linger
}

// frozenDue reports whether a frozen delivery could be started but for the lease.
func (q *queue) frozenDue(now time.Time) bool {
	return !q.fenced && len(q.frozen) > 0 && !q.frozen[0].due.After(now)
}

func (q *queue) pop(s *scheduler, now time.Time, starts bool) *delivery {
	if starts && q.frozenDue(now) {
		return heap.Pop(&q.frozen).(*delivery)
	}
	d := &delivery{queue: q, items: make([]*item, 0, min(s.maxRecords, q.queued))}
	var bytes int64
	for len(d.items) < s.maxRecords && !q.ready.empty() {
		head := q.ready.first().head
		if bytes += head.size; len(d.items) > 0 && (bytes > s.maxBytes || head.alone || d.items[0].alone) {
			break
		}
		d.items = append(d.items, q.ready.takeFirst(q))
	}
	for _, it := range d.items { // more of a key may be queued, but it is not free any more
		q.ready.withdraw(it.key)
	}
	return d
}

// nextDue gives the earliest time at which next may hand out more than it does now.
func (s *scheduler) nextDue(now time.Time) (due time.Time, ok bool) {
	earlier := func(t time.Time) {
		if t.After(now) && (!ok || t.Before(due)) {
			due, ok = t, true
		}
	}
	for _, q := range s.queues {
		if q.held {
			continue
		}
		if len(q.frozen) > 0 {
			earlier(q.frozen[0].due)
		}
		if s.linger > 0 && !q.ready.empty() {
			earlier(q.ready.first().head.at.Add(s.linger))
		}
	}
	return due, ok
}

// settle takes messages out of a delivery for good and frees their keys. When none is left the
// delivery is over: its slot is free and those that waited for it may go.
func (s *scheduler) settle(d *delivery, done []*item) {
	q := d.queue
	for _, it := range done {
		q.records--
		q.bytes -= it.size
		s.free(q, it.key)
		it.forget()
	}
	if len(done) == len(d.items) {
		d.items = nil
		s.releaseSlot(d)
		s.releaseWaiting(d)
		return
	}
	gone := make(map[*item]struct{}, len(done))
	for _, it := range done {
		gone[it] = struct{}{}
	}
	kept := d.items[:0]
	for _, it := range d.items {
		if _, ok := gone[it]; !ok {
			kept = append(kept, it)
		}
	}
	d.items = kept
}

// free says that one message of a key is not held any more.
func (s *scheduler) free(q *queue, kq *keyQueue) {
	if kq.busy--; kq.busy == 0 {
		kq.claimer = nil
		s.advance(q, kq)
	}
}

func (s *scheduler) releaseSlot(d *delivery) {
	if d.slot {
		d.slot = false
		d.queue.active--
		s.active--
	}
}

// block keeps a key from being handed out until unblock: a delivery of an earlier owner of the partition
// may still be under way with it.
func (s *scheduler) block(q *queue, id uint64) { q.key(id).busy++ }

func (s *scheduler) unblock(q *queue, id uint64) { s.free(q, q.key(id)) }
