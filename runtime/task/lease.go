package task

import (
	"sync/atomic"
	"time"
)

// lease is how long this member may start deliveries without hearing from the group's coordinator
// again (DESIGN.md §4, fencing). A commit that the coordinator accepted renews it from the moment the
// commit was sent; time is the monotonic clock, which goes on while the process is stopped.
type lease struct {
	term  time.Duration
	epoch time.Time
	until atomic.Int64 // nanoseconds after epoch; 0: no lease
}

func newLease(term time.Duration) *lease { return &lease{term: term, epoch: time.Now()} }

// renew extends the lease to a term after sent, when the accepted commit went out.
func (l *lease) renew(sent time.Time) {
	until := int64(sent.Add(l.term).Sub(l.epoch))
	if until > l.until.Load() {
		l.until.Store(until)
	}
}

// drop ends the lease: nothing starts until it is renewed.
func (l *lease) drop() { l.until.Store(0) }

// valid reports whether a delivery may start now.
func (l *lease) valid() bool { return int64(time.Since(l.epoch)) < l.until.Load() }
