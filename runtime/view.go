package runtime

import (
	"context"
	"sync"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// heldBack is how far back in the config log view knows at which offsets there were entries.
const heldBack = 4096

// view is the State as this worker has read it, the plan that it follows, and how far it has read.
type view struct {
	mu       sync.Mutex // guards the fields below
	state    store.State
	plan     ClusterPlan
	folded   int64                  // offset up to which state holds the config log
	config   int64                  // offset to read next in the config log, acted on up to there
	status   int64                  // the same in the status log
	plans    int64                  // the same in the plan log
	applied  int64                  // version of what the worker was told last
	term     int64                  // of leading, once this worker has read all that came before it; 0 without
	admitted bool                   // to the workers' group
	caughtUp bool                   // the logs were read to the end that they had at the start
	ready    bool                   // and this worker takes requests
	touched  map[string]int64       // key of the status log to the offset of its last entry
	damaged  map[string]store.Entry // key of the config log to what it held before something unreadable came
	entries  map[int64]bool         // offsets of the config log's last entries
	moved    chan struct{}          // closed and replaced by each change
}

func newView() *view {
	return &view{moved: make(chan struct{}), touched: map[string]int64{}, damaged: map[string]store.Entry{}, entries: map[int64]bool{}}
}

// locked changes the view and wakes who waits for it.
func (v *view) locked(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	close(v.moved)
	v.moved = make(chan struct{})
}

// fold applies entries of one of the logs and gives the states before and after. Who waits for them is told
// by advance, once this worker has acted on them.
func (v *view) fold(entries []store.Entry, position *int64, to int64) (before, after store.State, warnings []*store.Warning) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before = v.state
	v.state, warnings = store.Fold(v.state, entries)
	if position == &v.config {
		v.folded = to
		v.remember(entries, to)
		v.damage(before, entries, len(warnings) > 0)
	}
	if position == &v.status {
		v.touch(entries)
	}
	return before, v.state, warnings
}

// damage keeps what unreadable entries have hidden, until something readable or a tombstone comes; the caller holds mu.
func (v *view) damage(s store.State, entries []store.Entry, unreadable bool) {
	if !unreadable {
		for _, e := range entries {
			delete(v.damaged, string(e.Key))
		}
		return
	}
	for _, e := range entries {
		next, err := store.Reduce(s, e)
		key := string(e.Key)
		if good, ok := store.Restore(s, key); err != nil && ok {
			v.damaged[key] = good
		} else if err == nil {
			delete(v.damaged, key)
		}
		s = next
	}
}

// repairs gives the entries to write again, in the order of their keys.
func (v *view) repairs() []store.Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []store.Entry
	for _, k := range sortedKeys(v.damaged) {
		out = append(out, v.damaged[k])
	}
	return out
}

// touch keeps when each status was written last; the caller holds mu.
func (v *view) touch(entries []store.Entry) {
	for _, e := range entries {
		if e.Value == nil {
			delete(v.touched, string(e.Key))
		} else {
			v.touched[string(e.Key)] = e.Offset
		}
	}
}

// remember keeps at which offsets there were entries; the caller holds mu.
func (v *view) remember(entries []store.Entry, to int64) {
	for _, e := range entries {
		v.entries[e.Offset] = true
	}
	if len(v.entries) <= 2*heldBack {
		return
	}
	for o := range v.entries {
		if o < to-heldBack {
			delete(v.entries, o)
		}
	}
}

// held tells whether there was an entry of the config log at offset, which was read not long ago.
func (v *view) held(offset int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.entries[offset]
}

// advance says that a log was applied up to to.
func (v *view) advance(position *int64, to int64) { v.locked(func() { *position = to }) }

func (v *view) get() store.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}

// planning gives what a plan is made of: the state, the plan before, and the offset of the config log that the
// state is of.
func (v *view) planning() (store.State, ClusterPlan, int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state, v.plan, v.folded
}

func (v *view) getPlan() ClusterPlan {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.plan
}

// setPlan replaces the plan and gives the one before. Who waits for it is told by advance.
func (v *view) setPlan(p ClusterPlan) (before ClusterPlan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before, v.plan = v.plan, p
	return before
}

func (v *view) getTerm() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.term
}

func (v *view) setTerm(term int64) {
	if v.getTerm() != term {
		v.locked(func() { v.term = term })
	}
}

// read is the offset to read next in the status log.
func (v *view) read() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.status
}

// version is that of what the worker was told last.
func (v *view) version() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.applied
}

func (v *view) isReady() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ready
}

func (v *view) isCaughtUp() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.caughtUp
}

func (v *view) isAdmitted() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.admitted
}

func (v *view) setAdmitted() { v.locked(func() { v.admitted = true }) }
func (v *view) setReady()    { v.locked(func() { v.ready = true }) }
func (v *view) setCaughtUp() { v.locked(func() { v.caughtUp = true }) }

// changed gives a channel that is closed by the next change.
func (v *view) changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.moved
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
