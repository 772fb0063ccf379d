package task

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// commitState is where the task's commits stand. One commit is under way at a time; what comes
// meanwhile goes with the next one, so that one commit carries the intents of all waiting batches.
type commitState struct {
	sent      *sentCommit
	wanted    bool      // an intent waits
	soon      bool      // commit at the next occasion
	nextFlush time.Time // offset.flush.interval.ms
	nextLease time.Time // the lease is renewed
	notBefore time.Time // after a failure
	failures  int
	lastErr   error
	lastOK    time.Time
	seq       int64
}

type sentCommit struct {
	at        time.Time
	positions []Position
	parts     []*partition
	intents   []*delivery // durable once it is accepted
	final     bool        // of a revocation
	counts    bool        // not a mere renewal of the lease
}

type commitResult struct {
	sent *sentCommit
	err  error
}

// commitDue is when the next commit is due.
func (l *loop) commitDue(now time.Time) time.Time {
	c := &l.commit
	far := now.Add(time.Hour)
	if c.sent != nil || len(l.order) == 0 {
		return far
	}
	due := c.nextFlush
	switch waits, busy := l.startsWait(now); {
	case c.wanted || c.soon || waits:
		due = now
	case busy:
		due = earlier(due, c.nextLease)
	}
	if due.Before(c.notBefore) {
		due = c.notBefore
	}
	return due
}

// startsWait reports whether deliveries wait for an accepted commit: the first of their assignment, or one that
// renews the lease. busy says that something is delivered or will be, so that the lease is worth keeping; an
// idle task lets it run out.
func (l *loop) startsWait(now time.Time) (waits, busy bool) {
	valid := l.runner.lease.valid()
	for _, p := range l.order {
		if p.closing {
			continue
		}
		waits = waits || len(p.queue.frozen) > 0 && (!p.confirmed || !valid && p.queue.frozenDue(now))
		busy = busy || p.queue.records > 0
	}
	return waits && l.state == Running, busy
}

// commitIfDue sends what has changed. With a partition that must be committed, and when the lease is to be
// renewed, go all that have moved or were never committed; when none has, one renews the lease unchanged.
func (l *loop) commitIfDue(work context.Context, now time.Time) {
	if l.commit.sent != nil || l.commitDue(now).After(now) {
		return
	}
	c := &l.commit
	flush := !now.Before(c.nextFlush) || c.soon
	s := &sentCommit{at: now}
	must := false
	var idle sentCommit // never committed and not moved: they go along, and ask for nothing themselves
	for _, p := range l.order {
		if p.closing {
			continue
		}
		pos := l.compose(p, false, &s.intents)
		to := s
		switch {
		case pos == p.committed:
			continue
		case hasIntent(s.intents, p), !p.confirmed && len(p.queue.frozen) > 0, flush && (p.confirmed || pos.Offset != p.start):
			must = true
		case p.confirmed && pos.Offset == p.committed.Offset:
			continue
		case !p.confirmed && pos.Offset == p.start:
			to = &idle
		}
		to.positions, to.parts = append(to.positions, pos), append(to.parts, p)
	}
	if must {
		s.positions, s.parts = append(s.positions, idle.positions...), append(s.parts, idle.parts...)
	}
	waits, _ := l.startsWait(now)
	renew := waits || !now.Before(c.nextLease)
	s.counts = must || renew && len(s.positions) > 0
	switch {
	case must || s.counts:
	case renew:
		if i := slices.IndexFunc(l.order, func(p *partition) bool { return p.confirmed && !p.closing }); i >= 0 {
			s.positions, s.parts = []Position{l.order[i].committed}, []*partition{l.order[i]}
		}
	default:
		s.positions, s.parts = nil, nil
	}
	c.wanted, c.soon = false, false
	if flush {
		c.nextFlush = now.Add(l.cfg.Settings.CommitInterval)
	}
	if renew || len(s.positions) > 0 {
		c.nextLease = now.Add(l.cfg.Settings.Lease / 3)
	}
	if len(s.positions) > 0 {
		l.sendCommit(work, s)
	}
}

// compose makes what is committed for a partition: its position, and what its next owner must know.
func (l *loop) compose(p *partition, final bool, intents *[]*delivery) Position {
	m := p.metadata(l.cfg.Settings.BatchMaxRecords == 1, final)
	for _, d := range p.intents {
		if d.intent == intentSent {
			*intents = append(*intents, d)
		}
	}
	offset := p.tracker.position()
	return Position{Partition: p.Partition, Offset: offset, Metadata: m.encode(offset)}
}

func hasIntent(intents []*delivery, p *partition) bool {
	for _, d := range intents {
		if d.queue == p.queue {
			return true
		}
	}
	return false
}

func (l *loop) sendCommit(work context.Context, s *sentCommit) {
	l.commit.sent = s
	source := *l.source.Load()
	l.workers.Add(1)
	go func() {
		defer l.workers.Done()
		ctx, cancel := context.WithTimeout(work, l.cfg.Settings.CommitTimeout)
		defer cancel()
		err := source.Commit(ctx, s.positions)
		select {
		case l.committed <- commitResult{s, err}:
		case <-l.ended:
		}
	}()
}

// commitDone takes in the coordinator's answer. Accepted: the lease is renewed, the intents are
// durable and their batches may start. Refused or unknown: nothing may start beyond the lease, and the
// intents are sent again.
func (l *loop) commitDone(r commitResult) {
	c := &l.commit
	c.sent = nil
	now := time.Now()
	l.cfg.Metrics.Stages[Commit].Took(now.Sub(r.sent.at))
	if r.err != nil {
		c.failures++
		c.lastErr = fmt.Errorf("offset commit failed: %w", r.err)
		c.notBefore = now.Add(backoff(c.failures, 50*time.Millisecond, time.Second))
		l.cfg.Metrics.CommitErrors.Add(1)
		if c.failures == 3 {
			l.cfg.Log.Warn("offset commits fail; nothing is started once the lease runs out", "error", r.err)
		}
		for _, d := range r.sent.intents {
			d.intent = intentWanted
			c.wanted = true
		}
	} else {
		c.failures, c.lastErr, c.lastOK = 0, nil, now
		if r.sent.counts {
			c.seq++
			l.cfg.Metrics.Commits.Add(1)
		}
		l.runner.lease.renew(r.sent.at)
		for i, p := range r.sent.parts {
			p.committed = r.sent.positions[i]
			if !p.confirmed && !p.isGone {
				p.confirmed = true
				p.queue.fenced = false
			}
		}
		for _, d := range r.sent.intents {
			d.intent = intentDurable
			if p := l.parts[d.queue.Partition]; p != nil && p.queue == d.queue {
				l.sched.release(d)
			}
		}
		l.commit.wanted = l.commit.wanted || l.intentWaits()
	}
	if r.sent.final && l.revoking != nil {
		l.revoking.commitEnded(r.err)
	}
}

// intentWaits reports whether a batch waits for room in the metadata that there is now.
func (l *loop) intentWaits() bool {
	return slices.ContainsFunc(l.order, func(p *partition) bool {
		return !p.closing && p.committed.Offset < p.tracker.position() && slices.ContainsFunc(p.intents, func(d *delivery) bool {
			return d.intent == intentWanted
		})
	})
}

// backoff is the wait before try n+1: base doubled each time up to most, of which a random half to
// the whole, so that many do not come back at once.
func backoff(n int, base, most time.Duration) time.Duration {
	d := base << min(n-1, 20)
	if d > most || d <= 0 {
		d = most
	}
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d/2+1)
}
