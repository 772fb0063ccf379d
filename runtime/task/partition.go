package task

import (
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// partition is everything a task holds of one assigned partition.
type partition struct {
	Partition
	topicID    string
	queue      *queue
	tracker    *tracker
	start      int64 // where this owner began to read
	confirmed  bool  // a commit of ours has been accepted since the assignment
	committed  Position
	recovering []*delivery            // recovered batches with offsets not seen yet
	skip       []offsetRange          // settled under an earlier owner, above the committed offset
	aloneBelow int64                  // messages below it are handed out alone
	intents    []*delivery            // named batches that need an intent and are not settled
	jobs       map[*delivery]struct{} // with a worker now
	paused     bool                   // fetching is paused
	closing    bool                   // being revoked
	isGone     bool                   // not assigned any more
	arrivals   []arrival              // when what is not settled was received, ascending
}

// arrival is one poll's messages of a partition: when they came, and what the first of them says of its age.
type arrival struct {
	from      int64 // offset of the first
	at        time.Time
	timestamp int64 // of the first, as in Message
}

// arrived notes when a message was received: once for all that came together.
func (p *partition) arrived(it *item) {
	if n := len(p.arrivals); n > 0 && p.arrivals[n-1].at.Equal(it.at) {
		return
	}
	position := p.tracker.position()
	for len(p.arrivals) > 1 && p.arrivals[1].from <= position {
		p.arrivals = p.arrivals[1:]
	}
	p.arrivals = append(p.arrivals, arrival{it.Offset, it.at, it.Timestamp})
}

// oldest gives the arrival of the oldest message that is not settled.
func (p *partition) oldest() (a arrival, ok bool) {
	if p.tracker.unsettled() == 0 {
		return a, false
	}
	position := p.tracker.position()
	for _, next := range p.arrivals {
		if next.from > position {
			break
		}
		a, ok = next, true
	}
	return a, ok
}

// newPartition takes over a partition where its last owner left it.
func (l *loop) newPartition(a Assignment, start int64, m metadata) *partition {
	p := &partition{
		Partition: a.Partition, topicID: a.TopicID, start: start,
		queue: l.sched.open(a.Partition), tracker: newTracker(start),
		skip: m.settled, jobs: make(map[*delivery]struct{}),
	}
	if m.aloneBelow > 0 {
		p.aloneBelow = min(m.aloneBelow, a.High) // the last owner cannot have started what was not in the log
	}
	for _, offsets := range m.intents {
		d := l.sched.recover(p.queue, &connector.Batch{Topic: p.Topic, Partition: p.ID, Offsets: offsets})
		p.recovering = append(p.recovering, d)
		p.intents = append(p.intents, d)
	}
	for _, o := range l.cfg.Outlived.of(l.cfg.Connector, p.Partition) {
		for _, key := range o.keys {
			l.sched.block(p.queue, key)
		}
		l.watch(p, o)
	}
	return p
}

// receive takes one message in; it reports false for one that is not wanted: read before, or by an
// earlier assignment.
func (l *loop) receive(p *partition, it *item) bool {
	if it.Offset < p.tracker.next {
		return false
	}
	it.seq = p.tracker.received(it.Offset)
	it.size = int64(len(it.Key) + len(it.Value) + messageOverhead)
	for i := 0; i < len(p.recovering); {
		d := p.recovering[i]
		if l.sched.sawOffset(d, it.Offset) {
			it.owner = d
		}
		if len(d.missing) > 0 {
			i++
			continue
		}
		p.recovering = slices.Delete(p.recovering, i, i+1)
		if d.void() {
			p.intents = remove(p.intents, d)
		}
	}
	for len(p.skip) > 0 && p.skip[0].to < it.Offset {
		p.skip = p.skip[1:]
	}
	if len(p.skip) > 0 && p.skip[0].from <= it.Offset {
		p.tracker.settle(it.seq, true)
		it.forget()
		return true
	}
	it.alone = l.cfg.Settings.BatchMaxRecords == 1 || it.Offset < p.aloneBelow
	l.sched.add(p.queue, it)
	return true
}

// messageOverhead stands for what a message costs besides its key and value.
const messageOverhead = 200

func remove(ds []*delivery, d *delivery) []*delivery {
	if i := slices.Index(ds, d); i >= 0 {
		return slices.Delete(ds, i, i+1)
	}
	return ds
}

// metadata composes what a commit at the present position tells the next owner. Wanted intents are
// taken while there is room; final says that nothing more will be started.
func (p *partition) metadata(alone, final bool) (m metadata) {
	must, may := p.tracker.settledAbove()
	m = metadata{topicID: p.topicID, settled: must}
	base := p.tracker.position()
	switch {
	case alone && !(final && p.tracker.unsettled() == 0):
		m.aloneBelow = unbounded
	case p.aloneBelow > base:
		m.aloneBelow = p.aloneBelow
	}
	// What a recovering partition has not read again is still to be skipped by its next owner.
	for _, r := range p.skip {
		if r.to >= p.tracker.next {
			m.settled = append(m.settled, offsetRange{max(r.from, p.tracker.next), r.to})
		}
	}
	for _, d := range p.intents {
		if d.intent != intentWanted {
			m.intents = append(m.intents, d.batch.Offsets)
		}
	}
	defer func() { m.remember(may, base) }()
	if final {
		return m
	}
	for _, d := range p.intents {
		if d.intent != intentWanted {
			continue
		}
		m.intents = append(m.intents, d.batch.Offsets)
		if m.size(base) > intentLimit || m.intended() > maxIntended {
			m.intents = m.intents[:len(m.intents)-1]
			break // what does not fit waits
		}
		d.intent = intentSent
	}
	return m
}

// over reports whether the partition holds more than its share, and under whether it has come down far
// enough to fetch again: half, so that fetching does not flap (invariant 6).
func (l *loop) over(p *partition) (over, under bool) {
	s := &l.cfg.Settings
	records, bytes := l.sched.share(l.cfg.Crowd.share(int64(s.MaxPendingRecords))), l.sched.share(l.cfg.Crowd.share(s.MaxPendingBytes))
	q, span := p.queue, p.tracker.span()
	over = int64(q.records) >= records || q.bytes >= bytes || span >= s.MaxUnsettledSpan
	over = over && len(p.recovering) == 0 // a recovered batch goes only when all of it has been read
	under = int64(q.records) <= records/2 && q.bytes <= bytes/2 && span <= s.MaxUnsettledSpan*9/10
	return over, under
}
