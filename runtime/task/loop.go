package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// loop is the one goroutine that owns a task's state: partitions, scheduler, trackers and
// commits. Reader, workers and the committer talk to it over channels and share nothing else.
type loop struct {
	task   *Task
	cfg    *Config
	runner *runner
	sched  *scheduler
	source atomic.Pointer[Source] // set by the reader once the group is being joined

	parts    map[Partition]*partition
	order    []*partition // in the order assigned
	joined   bool         // the group has given an assignment
	state    State
	failure  error
	stopping bool
	commit   commitState
	revoking *revocation
	outlived map[*delivery]func() // deliveries under way of partitions that are gone, and what tells their end

	jobs      chan job // to workers that have nothing to do
	messages  chan []Message
	spare     chan []Message
	results   chan any // prepared or outcome
	committed chan commitResult
	group     chan groupEvent
	readErr   chan readError
	unblocked chan unblock
	readerEnd chan error
	ended     chan struct{} // closed when the loop has ended
	workers   sync.WaitGroup
}

// readError is an error of the reader; the answer says whether it may go on polling.
type readError struct {
	err    error
	goesOn chan bool
}

// unblock says that a delivery which outlived an earlier owner has ended.
type unblock struct {
	part *partition
	keys []uint64
}

func newLoop(t *Task) *loop {
	cfg := t.cfg
	l := &loop{
		task: t, cfg: &cfg, parts: make(map[Partition]*partition), state: Starting,
		outlived: make(map[*delivery]func()),
		jobs:     make(chan job), messages: make(chan []Message), spare: make(chan []Message, 2), results: make(chan any, 64),
		committed: make(chan commitResult, 1), group: make(chan groupEvent), readErr: make(chan readError),
		unblocked: make(chan unblock, 1), readerEnd: make(chan error, 1), ended: make(chan struct{}),
	}
	l.runner = &runner{Config: l.cfg, metrics: cfg.Metrics, lease: newLease(cfg.Settings.Lease)}
	return l
}

// run is the task from the opened sink to the end.
func (l *loop) run(stop, abort context.Context) error {
	defer l.cfg.Crowd.join()()
	work, cut := context.WithCancel(abort) // of the workers: ends when the task is cut short
	r := &reader{loop: l}
	l.workers.Add(1)
	go func() {
		defer l.workers.Done()
		l.readerEnd <- r.run(stop, abort)
	}()
	l.setState(l.wanted(), nil)
	err := l.loop(stop, abort, work)
	close(l.ended)
	cut()
	l.workers.Wait()
	for d := range l.outlived {
		l.endOutlived(d)
	}
	if cerr := l.runner.sink.Close(context.WithoutCancel(abort)); err == nil && cerr != nil {
		err = fmt.Errorf("cannot close the sink: %w", cerr)
	}
	if l.runner.dlq != nil {
		if cerr := l.runner.dlq.Close(abort); err == nil && cerr != nil {
			err = fmt.Errorf("cannot close the dead letter queue's producer: %w", cerr)
		}
	}
	l.cfg.Report(Stopped, nil)
	return err
}

// loop serves events until the reader has left the group after stop, or has failed and stop comes.
func (l *loop) loop(stop, abort, work context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stopped, readerEnded := stop.Done(), false
	var end error
	for {
		now := time.Now()
		l.handOut(work, now)
		l.stepRevocation(work, now) // before other commits: one is under way at a time
		l.commitIfDue(work, now)
		if readerEnded && l.stopping && l.commit.sent == nil {
			return end
		}
		l.countHeld()
		timer.Reset(l.nextWake(now))
		select {
		case msgs := <-l.messages:
			l.receiveAll(msgs)
		case r := <-l.results:
			l.result(r)
			l.drainResults()
		case c := <-l.committed:
			l.commitDone(c)
		case e := <-l.group:
			l.rebalance(e)
		case e := <-l.readErr:
			e.goesOn <- l.readFailed(e.err)
		case u := <-l.unblocked:
			if !u.part.isGone {
				for _, k := range u.keys {
					l.sched.unblock(u.part.queue, k)
				}
			}
		case q := <-l.task.queries:
			q <- l.snapshot(time.Now())
		case <-l.task.wake:
			l.setState(l.wanted(), nil)
		case <-timer.C:
			for _, p := range l.order { // shares grow when partitions or other tasks go
				l.adjustFetching(p)
			}
		case err := <-l.readerEnd:
			readerEnded = true
			if stop.Err() == nil { // it failed: nothing is assigned any more
				l.dropAll()
				l.fail(err)
			} else if err != nil {
				end = err
			}
		case <-stopped:
			l.stopping, stopped = true, nil
		case <-abort.Done():
			return errors.New("task was cut short before it had ended in order")
		}
	}
}

func (l *loop) drainResults() {
	for {
		select {
		case r := <-l.results:
			l.result(r)
		default:
			return
		}
	}
}

// wanted is the state that a task which has not failed should be in.
func (l *loop) wanted() State {
	if l.task.paused.Load() {
		return Paused
	}
	return Running
}

// setState changes the state unless the task has failed, reports the change and pauses or resumes fetching.
func (l *loop) setState(s State, err error) {
	if l.state == Failed || l.state == s {
		return
	}
	l.state, l.failure = s, err
	if s == Paused {
		l.commit.soon = true // as Kafka Connect requests a commit on pause
	}
	l.cfg.Report(s, err)
	for _, p := range l.order {
		l.adjustFetching(p)
	}
}

// fail stops handing out. Membership and partitions stay; see Task.Run.
func (l *loop) fail(err error) { l.setState(Failed, err) }

// handOut gives workers what may go now.
func (l *loop) handOut(work context.Context, now time.Time) {
	if l.state != Running || l.stopping {
		return
	}
	for {
		d := l.sched.next(now, l.runner.lease.valid())
		if d == nil {
			return
		}
		p := l.parts[d.queue.Partition]
		p.jobs[d] = struct{}{}
		d.handed = now
		convert := d.batch == nil || d.items[0].record == nil
		if d.batch == nil {
			l.cfg.Metrics.Stages[Wait].Took(now.Sub(d.items[0].at))
		}
		select {
		case l.jobs <- job{d, convert}: // to a worker that has nothing to do
		default:
			l.workers.Add(1)
			go l.worker(work, job{d, convert})
		}
	}
}

// job is what a worker does: it converts the messages of a delivery, or delivers its records.
type job struct {
	delivery *delivery
	convert  bool
}

// worker does jobs until the loop has ended. It stays between two of them, because growing a new stack each time
// costs as much as the scheduler. There are as many as were ever busy at once.
func (l *loop) worker(work context.Context, j job) {
	defer l.workers.Done()
	for {
		var result any
		if j.convert {
			result = l.runner.prepare(work, j.delivery)
		} else {
			result = l.runner.deliver(work, j.delivery)
		}
		select {
		case l.results <- result:
		case <-l.ended:
			return
		}
		select {
		case j = <-l.jobs:
		case <-l.ended:
			return
		}
	}
}

// receiveAll takes a poll's messages in and pauses the partitions that have enough.
func (l *loop) receiveAll(msgs []Message) {
	slab := make([]item, len(msgs))
	now := time.Now()
	var p *partition
	for i := range msgs {
		if p == nil || p.Partition != msgs[i].Partition {
			if p != nil {
				l.adjustFetching(p)
			}
			if p = l.parts[msgs[i].Partition]; p == nil {
				continue
			}
		}
		it := &slab[i]
		it.Message, it.at = msgs[i], now
		if l.receive(p, it) {
			l.cfg.Metrics.Read.Add(1)
			p.arrived(it)
		}
	}
	if p != nil {
		l.adjustFetching(p)
	}
	clear(msgs)
	select {
	case l.spare <- msgs[:0]:
	default:
	}
}

// adjustFetching pauses a partition alone when it holds its share, or while nothing is to be
// handed out, and resumes it when it has come down (invariant 6).
func (l *loop) adjustFetching(p *partition) {
	over, under := l.over(p)
	idle := l.state == Paused || l.state == Failed
	source := *l.source.Load()
	var err error
	switch {
	case !p.paused && (over || idle):
		p.paused = true
		err = source.Pause([]Partition{p.Partition})
	case p.paused && under && !idle:
		p.paused = false
		err = source.Resume([]Partition{p.Partition})
	}
	if err != nil {
		l.cfg.Log.Warn("cannot pause or resume fetching", "topic", p.Topic, "partition", p.ID, "error", err)
	}
}

// result takes in what a worker found.
func (l *loop) result(r any) {
	switch r := r.(type) {
	case prepared:
		l.prepared(r)
	case outcome:
		l.delivered(r)
	}
}

// prepared freezes the calls that a hand-out was cut into.
func (l *loop) prepared(r prepared) {
	d := r.delivery
	p := l.parts[d.queue.Partition]
	if p == nil || p.queue != d.queue { // revoked meanwhile: the next owner sees these records again
		l.endOutlived(d)
		return
	}
	delete(p.jobs, d)
	for _, it := range r.settled {
		p.tracker.settle(it.seq, false)
	}
	if r.err == nil && len(r.calls) > 0 {
		l.sched.settle(d, r.settled)
		l.refreeze(p, d, r.calls)
	} else {
		if r.err == nil {
			p.intents = remove(p.intents, d)
		}
		l.sched.settle(d, r.settled)
	}
	l.adjustFetching(p)
	if r.err != nil && !errors.Is(r.err, errStopped) {
		l.fail(r.err)
	}
}

// delivered settles what a call delivered, and plans what is to be tried again.
func (l *loop) delivered(r outcome) {
	d := r.delivery
	p := l.parts[d.queue.Partition]
	if p == nil || p.queue != d.queue {
		l.endOutlived(d)
		return
	}
	delete(p.jobs, d)
	now := time.Now()
	if !r.notStarted {
		l.cfg.Metrics.Stages[Settle].Took(now.Sub(r.answered))
	}
	for _, it := range r.settled {
		p.tracker.settle(it.seq, d.intent == intentDurable)
	}
	switch {
	case r.notStarted:
		l.sched.retry(d, now)
	case len(r.settled) == len(d.items):
		p.intents = remove(p.intents, d)
		l.sched.settle(d, r.settled)
	case r.bisect:
		l.bisect(p, d, r.again)
	default:
		l.again(p, d, r, now)
	}
	l.adjustFetching(p)
	if r.err != nil && !errors.Is(r.err, errStopped) {
		l.fail(r.err)
	}
}

// again plans the next try of what was not delivered: as the same batch when nothing of it was, as a
// new one when the fate of the others is known.
func (l *loop) again(p *partition, d *delivery, r outcome, now time.Time) {
	l.sched.settle(d, r.settled)
	if len(r.retry) == 0 { // failed for good: held as it is
		l.sched.releaseSlot(d)
		return
	}
	l.cfg.Metrics.Retries[OpPut].Add(1)
	if d.attempts++; d.attempts == 1 {
		d.since = now
	}
	d.err = r.again
	s := &l.cfg.Settings
	if s.RetryTimeout >= 0 && now.Sub(d.since) > s.RetryTimeout {
		l.sched.releaseSlot(d)
		l.fail(&Failure{Partition: p.Partition, Offset: d.items[0].Offset, Stage: stagePut, Class: sinkClass,
			Err: fmt.Errorf("not delivered within delivery.retry.timeout.ms=%d: %w", s.RetryTimeout.Milliseconds(), r.again)})
		return
	}
	due := now.Add(max(backoff(d.attempts, s.RetryBackoff, s.RetryBackoffMax), r.after))
	if len(r.settled) == 0 {
		l.sched.retry(d, due)
		return
	}
	c := l.runner.call(d.items, d.named)
	c.tried = tried{d.attempts, d.since, due, d.err}
	l.refreeze(p, d, []frozenCall{c})
}

// refreeze replaces a delivery whose fate is known by new ones, each a batch of its own.
func (l *loop) refreeze(p *partition, d *delivery, calls []frozenCall) {
	p.intents = remove(p.intents, d)
	for _, f := range l.sched.freeze(d, calls) {
		if f.intent != intentNone {
			p.intents = append(p.intents, f)
			l.commit.wanted = l.commit.wanted || f.intent == intentWanted
		}
	}
}

// bisect replaces a batch that the destination refused as a whole by its halves: which of its records
// is at fault shows by itself, and the others are delivered.
func (l *loop) bisect(p *partition, d *delivery, cause error) {
	if !d.half { // once for the batch, not once for each record of it
		l.cfg.Log.Warn("destination refused a batch, trying its halves", "topic", p.Topic, "partition", p.ID,
			"offset", d.items[0].Offset, "records", len(d.items), "error", cause)
	}
	middle := len(d.items) / 2
	halves := []frozenCall{l.runner.call(d.items[:middle:middle], d.named), l.runner.call(d.items[middle:], d.named)}
	for i := range halves {
		halves[i].half = true
	}
	l.refreeze(p, d, halves)
}

// countHeld tells the metrics what the task holds.
func (l *loop) countHeld() {
	var records, bytes int64
	for _, p := range l.order {
		records += int64(p.queue.records)
		bytes += p.queue.bytes
	}
	l.cfg.Metrics.Pending.Store(records)
	l.cfg.Metrics.PendingBytes.Store(bytes)
}

// nextWake is how long the loop may wait for an event.
func (l *loop) nextWake(now time.Time) time.Duration {
	wake := l.commitDue(now)
	if due, ok := l.sched.nextDue(now); ok && l.state == Running {
		wake = earlier(wake, due)
	}
	if l.revoking != nil && l.revoking.deadline.After(now) {
		wake = earlier(wake, l.revoking.deadline)
	}
	return max(0, min(wake.Sub(now), time.Second))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
