package task

import (
	"context"
	"errors"
	"slices"
	"time"
)

// rebalance serves what the group has decided. Only a revocation takes time: its answer waits until
// the partitions are quiet and committed, while the loop goes on with the others.
func (l *loop) rebalance(e groupEvent) {
	switch {
	case e.joined:
		l.joined = true
		l.cfg.Metrics.Rebalances[PartitionsAssigned].Add(1)
		e.answer <- l.assigned(e.added)
	case e.lost:
		l.runner.lease.drop()
		l.cfg.Metrics.Rebalances[PartitionsLost].Add(1)
		for _, id := range e.gone {
			l.drop(l.parts[id])
		}
		e.answer <- groupAnswer{}
	default:
		l.cfg.Metrics.Rebalances[PartitionsRevoked].Add(1)
		l.startRevocation(e)
	}
}

// assigned takes partitions over where their last owners left them. A partition whose committed
// offset is not in the log any more fails the task; it is read from nowhere and nothing is committed for it.
func (l *loop) assigned(added []Assignment) groupAnswer {
	var out []Position
	for _, a := range added {
		start, m, err := l.startOf(a)
		if err != nil {
			out = append(out, Position{Partition: a.Partition, Offset: a.Low})
			l.fail(&Failure{Partition: a.Partition, Offset: -1, Err: err})
			continue
		}
		p := l.newPartition(a, start, m)
		l.parts[a.Partition] = p
		l.order = append(l.order, p)
		out = append(out, Position{Partition: a.Partition, Offset: start})
		l.cfg.Log.Info("partition assigned", "topic", p.Topic, "partition", p.ID, "offset", start,
			"intents", len(m.intents), "log_start", a.Low, "log_end", a.High)
	}
	// The shares of the partitions held before have shrunk.
	for _, p := range l.order {
		if l.state != Running || l.shareExceeded(p) {
			l.adjustFetching(p)
		}
	}
	l.cfg.Metrics.Partitions.Store(int64(len(l.order)))
	return groupAnswer{positions: out}
}

func (l *loop) shareExceeded(p *partition) bool {
	over, _ := l.over(p)
	return over
}

// startOf decides where to read a partition from, and what of its commit's metadata counts.
func (l *loop) startOf(a Assignment) (int64, metadata, error) {
	if a.Committed < 0 {
		if l.cfg.Settings.StartAtLatest {
			return a.High, metadata{}, nil
		}
		return a.Low, metadata{}, nil
	}
	m, err := parseMetadata(a.Metadata, a.Committed)
	switch {
	case errors.Is(err, errForeignMetadata):
	case err != nil:
		l.cfg.Log.Warn("cannot read what the last owner of the partition left: batches that it started may be started again under other names",
			"topic", a.Topic, "partition", a.ID, "offset", a.Committed, "error", err)
	case m.topicID != "" && a.TopicID != "" && m.topicID != a.TopicID:
		l.cfg.Log.Warn("the topic was created anew since the last commit: reading it from its start",
			"topic", a.Topic, "partition", a.ID, "committed", a.Committed, "log_start", a.Low)
		return a.Low, metadata{}, nil
	}
	if a.Committed < a.Low || a.Committed > a.High {
		if !l.cfg.Settings.OutOfRangeEarliest {
			return 0, metadata{}, &OutOfRangeError{Partition: a.Partition, Offset: a.Committed, Low: a.Low, High: a.High}
		}
		l.cfg.Log.Warn("the committed offset is not in the log any more: going on with the oldest record (offset.out.of.range=earliest)",
			"topic", a.Topic, "partition", a.ID, "committed", a.Committed, "log_start", a.Low, "log_end", a.High)
		if a.Committed > a.High {
			m = metadata{}
		}
		return a.Low, m, nil
	}
	return a.Committed, m, nil
}

// revocation is the orderly handing back of partitions: nothing more is handed out, what is in
// flight has until the deadline, then positions and what is unknown are committed.
type revocation struct {
	parts      []*partition
	deadline   time.Time
	committing bool
	tries      int
	over       bool
	answer     chan groupAnswer
}

func (l *loop) startRevocation(e groupEvent) {
	r := &revocation{deadline: time.Now().Add(l.cfg.Settings.ShutdownTimeout), answer: e.answer}
	for _, id := range e.gone {
		if p := l.parts[id]; p != nil {
			p.closing, p.queue.held = true, true
			r.parts = append(r.parts, p)
		}
	}
	l.revoking = r
}

// stepRevocation takes the revocation under way as far as it can go.
func (l *loop) stepRevocation(work context.Context, now time.Time) {
	r := l.revoking
	if r == nil || r.committing && !r.over {
		return
	}
	if !r.over {
		busy := slices.ContainsFunc(r.parts, func(p *partition) bool { return len(p.jobs) > 0 })
		if (busy && now.Before(r.deadline)) || l.commit.sent != nil {
			return
		}
		if len(r.parts) > 0 {
			l.commitFinal(work, r, now)
			return
		}
	}
	for _, p := range r.parts {
		l.cfg.Log.Info("partition given back", "topic", p.Topic, "partition", p.ID, "offset", p.committed.Offset, "in_flight", len(p.jobs))
		l.drop(p)
	}
	l.revoking = nil
	r.answer <- groupAnswer{}
}

// commitFinal commits what the next owner of the partitions starts from.
func (l *loop) commitFinal(work context.Context, r *revocation, now time.Time) {
	r.committing = true
	r.tries++
	s := &sentCommit{at: now, final: true}
	for _, p := range r.parts {
		pos := l.compose(p, true, &s.intents)
		if pos == p.committed || !p.confirmed && pos.Offset == p.committed.Offset {
			continue
		}
		s.counts = true
		s.positions, s.parts = append(s.positions, pos), append(s.parts, p)
	}
	if len(s.positions) == 0 {
		r.over = true
		return
	}
	l.sendCommit(work, s)
}

// commitEnded takes in the answer to the final commit; a failed one is tried again while time is left.
func (r *revocation) commitEnded(err error) {
	if err != nil && r.tries < 3 && time.Now().Before(r.deadline) {
		r.committing = false
		return
	}
	r.over = true
}

// drop forgets a partition. Its deliveries that are still under way are registered, so that
// whoever gets the partition next in this process waits for them.
func (l *loop) drop(p *partition) {
	if p == nil || p.isGone {
		return
	}
	p.isGone = true
	l.sched.close(p.queue)
	delete(l.parts, p.Partition)
	if i := slices.Index(l.order, p); i >= 0 {
		l.order = slices.Delete(l.order, i, i+1)
	}
	for d := range p.jobs {
		keys := make([]uint64, len(d.items))
		for i, it := range d.items {
			keys[i] = it.key.id
		}
		l.outlived[d] = l.cfg.Outlived.add(l.cfg.Connector, p.Partition, keys)
	}
	l.cfg.Metrics.Partitions.Store(int64(len(l.order)))
}

func (l *loop) dropAll() {
	for _, p := range slices.Clone(l.order) {
		l.drop(p)
	}
	if l.revoking != nil {
		l.revoking.over = true
	}
}

// endOutlived tells the registry that a delivery which outlived its partition has ended.
func (l *loop) endOutlived(d *delivery) {
	if end := l.outlived[d]; end != nil {
		delete(l.outlived, d)
		end()
	}
}

// watch tells the loop when a delivery of an earlier owner has ended.
func (l *loop) watch(p *partition, o *outlivedDelivery) {
	l.workers.Add(1)
	go func() {
		defer l.workers.Done()
		select {
		case <-o.ended:
		case <-l.ended:
			return
		}
		select {
		case l.unblocked <- unblock{p, o.keys}:
		case <-l.ended:
		}
	}()
}

// readFailed takes in an error of the reader. A position out of the log fails the task but not the
// membership; any other ends the reader, and with it the membership.
func (l *loop) readFailed(err error) (goesOn bool) {
	var out *OutOfRangeError
	if !errors.As(err, &out) {
		return false
	}
	l.fail(&Failure{Partition: out.Partition, Offset: -1, Err: err})
	return true
}
