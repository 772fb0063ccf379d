package runtime

import (
	"context"
	"sync"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// view is the State as this worker has read it, and how far it has read.
type view struct {
	mu     sync.Mutex // guards the fields below
	state  store.State
	config int64         // offset to read next in the config log
	status int64         // the same in the status log
	ready  bool          // both logs were read to the end that they had at the start
	moved  chan struct{} // closed and replaced by each change
}

func newView() *view { return &view{moved: make(chan struct{})} }

// fold applies entries of one of the logs and gives the states before and after. Who waits for them is told
// by advance, once this worker has acted on them.
func (v *view) fold(entries []store.Entry) (before, after store.State, warnings []*store.Warning) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before = v.state
	v.state, warnings = store.Fold(v.state, entries)
	return before, v.state, warnings
}

// advance says that a log was applied up to to.
func (v *view) advance(position *int64, to int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*position = to
	close(v.moved)
	v.moved = make(chan struct{})
}

func (v *view) get() store.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}

// version is the offset up to which the config log was applied.
func (v *view) version() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.config
}

func (v *view) isReady() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ready
}

func (v *view) setReady() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ready = true
	close(v.moved)
	v.moved = make(chan struct{})
}

// await waits until reached, which is called with the lock held, says yes.
func (v *view) await(ctx context.Context, reached func() bool) error {
	for {
		v.mu.Lock()
		ok, moved := reached(), v.moved
		v.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
