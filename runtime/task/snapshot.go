package task

import (
	"fmt"
	"time"
)

// Snapshot tells what a task holds and what waits, at one moment.
type Snapshot struct {
	State      State
	Failure    error  // why it failed; nil otherwise
	Joined     bool   // it is a member of its consumer group
	Warning    string // why a task that looks well does not move; "" when it does
	Partitions []PartitionSnapshot
}

// PartitionSnapshot tells about one assigned partition.
type PartitionSnapshot struct {
	Partition
	Position  int64 // the lowest unsettled offset: what is committed next
	Committed int64 // last committed, -1 before the first commit
	Received  int64 // reading goes on here
	Unsettled int   // records received and not settled
	InFlight  int   // deliveries with a worker
	Bytes     int64 // of keys and values held
	// Oldest is when the oldest record that is not settled was received; zero when none is held.
	// OldestTimestamp is the time that the record itself carries, in milliseconds since 1970; -1 for none. Records that were
	// received together count as the first of them.
	Oldest          time.Time
	OldestTimestamp int64
	Paused          bool // fetching is paused: the partition holds its share or the task does not run
	Waiting         *Waiting
}

// Waiting is the oldest record of a partition that is not settled after a try, and why.
type Waiting struct {
	Offset   int64
	Key      []byte // as consumed; mask it before showing
	Since    time.Time
	Attempts int
	Error    string
	NextTry  time.Time
	Reason   string // what keeps it when no try has failed
}

func (l *loop) snapshot(now time.Time) Snapshot {
	s := Snapshot{State: l.state, Failure: l.failure, Joined: l.joined}
	for _, p := range l.order {
		ps := PartitionSnapshot{
			Partition: p.Partition, Position: p.tracker.position(), Committed: -1, Received: p.tracker.next,
			Unsettled: p.tracker.unsettled(), InFlight: len(p.jobs), Bytes: p.queue.bytes, Paused: p.paused,
		}
		if p.confirmed {
			ps.Committed = p.committed.Offset
		}
		ps.OldestTimestamp = -1
		if a, ok := p.oldest(); ok {
			ps.Oldest, ps.OldestTimestamp = a.at, a.timestamp
		}
		ps.Waiting = l.waiting(p, now)
		s.Partitions = append(s.Partitions, ps)
	}
	s.Warning = l.warning(now)
	return s
}

// waiting finds what a partition waits for.
func (l *loop) waiting(p *partition, now time.Time) *Waiting {
	var first *delivery
	for _, d := range p.queue.frozen {
		if d.err != nil && (first == nil || d.items[0].Offset < first.items[0].Offset) {
			first = d
		}
	}
	var hung *delivery // the first try of which does not end
	for d := range p.jobs {
		if len(d.items) > 0 && d.err == nil && now.Sub(d.handed) > hungAfter && (hung == nil || d.items[0].Offset < hung.items[0].Offset) {
			hung = d
		}
		if len(d.items) > 0 && d.err != nil && (first == nil || d.items[0].Offset < first.items[0].Offset) {
			first = d
		}
	}
	if h := l.runner.waits.first(p.Partition); h != nil && (first == nil || h.Offset < first.items[0].Offset) {
		return h
	}
	if hung != nil && (first == nil || hung.items[0].Offset < first.items[0].Offset) {
		it := hung.items[0]
		return &Waiting{Offset: it.Offset, Key: it.Key, Since: hung.handed, Attempts: hung.attempts + 1, Reason: "the call for it does not return"}
	}
	if first != nil {
		it := first.items[0]
		return &Waiting{Offset: it.Offset, Key: it.Key, Since: first.since, Attempts: first.attempts,
			Error: first.err.Error(), NextTry: first.due}
	}
	for _, d := range p.intents {
		if d.intent == intentWanted && len(d.items) > 0 {
			return &Waiting{Offset: d.items[0].Offset, Key: d.items[0].Key, Since: d.items[0].at,
				Reason: "no room for its intent in the commit metadata until earlier records are settled"}
		}
	}
	return nil
}

// warning says why nothing moves although the task looks well (invariant 7).
func (l *loop) warning(now time.Time) string {
	switch {
	case l.state != Running:
		return ""
	case !l.joined:
		return "waiting to join the consumer group"
	case l.commit.failures > 0 && !l.runner.lease.valid():
		return fmt.Sprintf("nothing is started: the group's coordinator has not confirmed this member: %v", l.commit.lastErr)
	}
	for _, p := range l.order {
		w := l.waiting(p, now)
		switch {
		case w != nil && w.Error != "" && now.Sub(w.Since) > stuckAfter:
			return fmt.Sprintf("%s: the record at offset %d has not been delivered since %s, after %d tries: %s",
				p, w.Offset, w.Since.UTC().Format(time.RFC3339), w.Attempts, w.Error)
		case w != nil && w.Error == "" && now.Sub(w.Since) > hungAfter:
			return fmt.Sprintf("%s: the record at offset %d has not been delivered since %s: %s", p, w.Offset, w.Since.UTC().Format(time.RFC3339), w.Reason)
		case p.tracker.span() >= l.cfg.Settings.MaxUnsettledSpan:
			return fmt.Sprintf("%s: reading is paused at max.unsettled.span=%d offsets past the record at offset %d",
				p, l.cfg.Settings.MaxUnsettledSpan, p.tracker.position())
		}
	}
	return ""
}

// hungAfter is how long a call may last before it is told as what keeps the task. A call that lasts long by right, such as
// one that waits for an execution, is told too: nothing else moves its keys meanwhile.
const hungAfter = time.Minute

// stuckAfter is how long a record may be tried before the task's status says so.
const stuckAfter = 4 * time.Second
