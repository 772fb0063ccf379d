package runtime

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// publisher appends what a worker says about its connectors and tasks to the status log, in order. Of a key
// that changes faster than the log takes it only the last value is appended.
type publisher struct {
	log     store.Log
	warn    *slog.Logger
	retryIn time.Duration

	mu      sync.Mutex        // guards the fields below
	sent    map[string]string // key to value, as last put
	pending []store.Entry
	put     int64         // entries put so far
	done    int64         // of them, appended
	last    int64         // offset of the last one appended
	moved   chan struct{} // closed and replaced when done grows
	wake    chan struct{} // holds one: pending is not empty
}

func newPublisher(log store.Log, warn *slog.Logger) *publisher {
	return &publisher{
		log: log, warn: warn, retryIn: time.Second, sent: map[string]string{}, last: -1,
		moved: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// say puts an entry unless its key already has that value.
func (p *publisher) say(e store.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := string(e.Key)
	if was, ok := p.sent[key]; e.Value == nil && !ok || ok && e.Value != nil && was == string(e.Value) {
		return
	}
	if e.Value == nil {
		delete(p.sent, key)
	} else {
		p.sent[key] = string(e.Value)
	}
	p.pending = append(p.pending, e)
	p.put++
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// forget drops what was said of a key: another worker or the leader speaks for it now.
func (p *publisher) forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sent, key)
}

// run appends until ctx ends and nothing is pending; once ctx has ended an append is not tried again.
func (p *publisher) run(ctx, abort context.Context) {
	for {
		p.mu.Lock()
		batch := p.pending
		p.pending = nil
		p.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-p.wake:
			case <-ctx.Done():
				if p.idle() {
					return
				}
			}
			continue
		}
		offset, err := p.log.Append(abort, newest(batch)...)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			p.warn.Warn("statuses could not be written; trying again", "in", p.retryIn, "error", err)
			p.mu.Lock()
			p.pending = append(batch, p.pending...)
			p.mu.Unlock()
			select {
			case <-time.After(p.retryIn):
			case <-ctx.Done():
				return
			}
			continue
		}
		p.mu.Lock()
		p.done += int64(len(batch))
		p.last = offset
		close(p.moved)
		p.moved = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *publisher) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending) == 0
}

// newest keeps the last entry of each key, in order.
func newest(batch []store.Entry) []store.Entry {
	at := make(map[string]int, len(batch))
	for i, e := range batch {
		at[string(e.Key)] = i
	}
	kept := make([]store.Entry, 0, len(at))
	for i, e := range batch {
		if at[string(e.Key)] == i {
			kept = append(kept, e)
		}
	}
	return kept
}

// flushed waits until everything that was put before the call has been appended, and gives the offset of the last
// entry ever appended, -1 for none.
func (p *publisher) flushed(ctx context.Context) (int64, error) {
	p.mu.Lock()
	until := p.put
	p.mu.Unlock()
	for {
		p.mu.Lock()
		done, last, moved := p.done, p.last, p.moved
		p.mu.Unlock()
		if done >= until {
			return last, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
