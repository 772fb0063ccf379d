package task

import (
	"sync"
	"time"
)

// waits are the records that a worker of the task holds until something beside the destination heals: what a
// converter asks, such as a schema registry, or the brokers of the dead letter queue. The task shows them as it
// shows deliveries that are tried again (invariant 7). The zero value is ready.
type waits struct {
	mu   sync.Mutex // guards held
	held map[*Message]Waiting
}

// note tells that m was tried in vain and is tried again at next.
func (w *waits) note(m *Message, err error, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	h, known := w.held[m]
	if !known {
		h = Waiting{Offset: m.Offset, Key: m.Key, Since: now}
	}
	h.Attempts++
	h.Error, h.NextTry = err.Error(), now.Add(next)
	if w.held == nil {
		w.held = make(map[*Message]Waiting)
	}
	w.held[m] = h
}

// end tells that m waits no more.
func (w *waits) end(m *Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, m)
}

// first gives the waiting record of a partition with the lowest offset, nil when none waits.
func (w *waits) first(p Partition) *Waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first *Waiting
	for m, h := range w.held {
		if m.Partition == p && (first == nil || h.Offset < first.Offset) {
			first = &h
		}
	}
	return first
}
