package task

import "sync/atomic"

// Crowd counts the tasks that run in a process. They share its memory: with six of them each holds a sixth of
// what its max.pending.records and max.pending.bytes allow it alone (invariant 6). The nil Crowd is that of a task alone.
type Crowd struct{ tasks atomic.Int64 }

// join adds a task until leave is called.
func (c *Crowd) join() (leave func()) {
	if c == nil {
		return func() {}
	}
	c.tasks.Add(1)
	return func() { c.tasks.Add(-1) }
}

// share is a task's part of what it may hold alone, at least 1.
func (c *Crowd) share(alone int64) int64 {
	if c == nil {
		return alone
	}
	return max(1, alone/max(1, c.tasks.Load()))
}
