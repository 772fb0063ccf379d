package task

import "container/heap"

// readyKeys are a partition's free keys that have messages, in the order of their first one. Nearly all become ready in
// that order, because their first message has just been received: they wait in a queue. The others, freed with messages
// that had waited, wait in a heap. Both give the oldest, so the older of two is the next.
type readyKeys struct {
	queue []*keyQueue // queue[from:], ascending by the first message
	from  int
	heap  readyHeap
}

// The values of keyQueue.index that are no place in the heap.
const (
	notReady = -1
	inQueue  = -2
)

func (r *readyKeys) empty() bool { return r.from == len(r.queue) && len(r.heap) == 0 }

// push adds a free key. It must not be ready yet, and stays as it is but for messages behind its first.
func (r *readyKeys) push(kq *keyQueue) {
	if n := len(r.queue); n > r.from && r.queue[n-1].head.Offset > kq.head.Offset {
		heap.Push(&r.heap, kq)
		return
	}
	if len(r.queue) == cap(r.queue) && r.from > len(r.queue)/2 {
		n := copy(r.queue, r.queue[r.from:])
		clear(r.queue[n:])
		r.queue, r.from = r.queue[:n], 0
	}
	r.queue = append(r.queue, kq)
	kq.index = inQueue
}

// first is the key whose turn it is; there must be one.
func (r *readyKeys) first() *keyQueue {
	switch {
	case r.from == len(r.queue):
		return r.heap[0]
	case len(r.heap) == 0 || r.queue[r.from].head.Offset < r.heap[0].head.Offset:
		return r.queue[r.from]
	}
	return r.heap[0]
}

// takeFirst takes the first message of the first key. A key with more messages stays ready until withdraw, so that
// one hand-out may hold several of them.
func (r *readyKeys) takeFirst(q *queue) *item {
	kq := r.first()
	queued := kq.index == inQueue
	it := q.take(kq)
	more := kq.head != nil && kq.head.owner == nil
	switch {
	case queued:
		r.queue[r.from] = nil
		if r.from++; r.from == len(r.queue) {
			r.queue, r.from = r.queue[:0], 0
		}
		kq.index = notReady
		if more {
			heap.Push(&r.heap, kq)
		}
	case more:
		heap.Fix(&r.heap, 0)
	default:
		heap.Pop(&r.heap)
	}
	return it
}

// withdraw makes a key of which a message was taken ready no more.
func (r *readyKeys) withdraw(kq *keyQueue) {
	if kq.index >= 0 {
		heap.Remove(&r.heap, kq.index)
	}
}

// readyHeap orders free keys by their first offset.
type readyHeap []*keyQueue

func (h readyHeap) Len() int           { return len(h) }
func (h readyHeap) Less(i, j int) bool { return h[i].head.Offset < h[j].head.Offset }
func (h readyHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *readyHeap) Push(x any) {
	kq := x.(*keyQueue)
	kq.index = len(*h)
	*h = append(*h, kq)
}
func (h *readyHeap) Pop() any {
	old := *h
	kq := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	kq.index = notReady
	return kq
}
