package runtime

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/deadletter"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

const (
	// replayTask is the task number that a sink sees which delivers dead letters again.
	replayTask = -1
	// lettersLook is how often a replay's progress is looked at.
	lettersLook = 500 * time.Millisecond
	// lettersGap is how long a replay may stand still before the queue is asked whether there is anything left: offsets
	// of transaction markers and of what compaction has removed never come.
	lettersGap = 5 * time.Second
	// lettersAgainMin and lettersAgainMax bound the wait after a replay that has failed.
	lettersAgainMin, lettersAgainMax = 5 * time.Second, time.Minute
)

// letterRun is one operation on a connector's dead letter queue as this worker runs it: a task of its own, in a
// consumer group of its own, that reads the queue. The group keeps how far it has come; the names of
// executions are made of the letters' places, so that what was started is not started again.
type letterRun struct {
	name        string
	op          store.DeadLetterOperation
	before      []store.DeadLetterOperation
	config      map[string]*string
	counts      store.LetterCounts // of earlier runs
	stop, abort context.CancelFunc

	skipped, passed, unplaced atomic.Int64 // of this try; passed and unplaced are within the bounds

	// Of Worker.Run's goroutine.
	told, over, done bool
}

// reconcileLetters runs the operations on dead letters of the connectors that this worker answers for. A connector that
// is not STARTED keeps its operation waiting.
func (w *Worker) reconcileLetters(ctx context.Context) {
	for name, r := range w.letters {
		want := w.want.Connectors[name]
		same := want.Letters != nil && want.Letters.ID == r.op.ID
		if !r.told && !r.over && (!same || want.Target != store.Started || !maps.EqualFunc(r.config, want.Config, equalText)) {
			r.told = true
			r.stop()
		}
		if r.over && !same {
			delete(w.letters, name)
		}
	}
	for name, want := range w.want.Connectors {
		r := w.letters[name]
		if want.Letters == nil || want.Target != store.Started || r != nil && (!r.over || r.done) {
			continue
		}
		next := &letterRun{name: name, op: *want.Letters, before: want.LettersBefore, config: want.Config, counts: want.LettersProgress.Counts}
		if r != nil { // this worker knows better than the log
			next.counts = r.counts
		}
		stop, endStop := context.WithCancel(ctx)
		abort, endAbort := context.WithCancel(ctx)
		next.stop, next.abort = endStop, endAbort
		w.letters[name] = next
		w.tasks.Go(func() {
			defer endAbort()
			defer endStop()
			w.post(lettersEnded{next, w.replayLetters(stop, abort, next)})
		})
	}
}

// replayLetters runs an operation, again and again while it fails, until it is done or stop ends.
func (w *Worker) replayLetters(stop, abort context.Context, r *letterRun) (done bool) {
	log := w.opts.Logger(LoggerTask).With("connector", r.name, "dead_letters", r.op.ID)
	log.Info("dead letters are replayed", "topic", r.op.Topic)
	defer w.opts.Metrics.Forget(metric.ID{Connector: r.name, Task: replayTask})
	for wait := lettersAgainMin; ; wait = min(2*wait, lettersAgainMax) {
		last, err := w.replayOnce(stop, abort, r, log)
		switch {
		case stop.Err() != nil:
			w.sayLetters(r, "RUNNING", last, nil) // who goes on counts on from here
			return false
		case err == nil:
			w.sayLetters(r, "DONE", last, nil)
			log.Info("dead letters were replayed", "replayed", r.counts.Replayed, "failed", r.counts.Failed, "passed", r.counts.Passed)
			return true
		}
		log.Warn("dead letters cannot be replayed now; trying again", "in", wait, "error", err)
		w.sayLetters(r, "RETRYING", last, err)
		select {
		case <-time.After(wait):
		case <-stop.Done():
			return false
		}
	}
}

func (w *Worker) sayLetters(r *letterRun, state string, next []store.LetterNext, err error) {
	p := store.DeadLetterProgress{ID: r.op.ID, State: state, WorkerID: w.opts.ID, Counts: r.counts, Next: next}
	if err != nil {
		p.Error = err.Error()
	}
	w.statuses.say(store.DeadLetterProgressEntry(r.name, p))
}

// replayOnce runs a task over the queue until everything below the operation's bounds is settled; nil says so, or that stop
// has ended. It gives how far the task came.
func (w *Worker) replayOnce(stop, abort context.Context, r *letterRun, log *slog.Logger) (next []store.LetterNext, err error) {
	b, err := w.draw(stop, r.name, r.config)
	if err != nil {
		return nil, err
	}
	pipeline, converters, err := w.pipeline(b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAll(converters)) }()
	for _, n := range []*atomic.Int64{&r.skipped, &r.passed, &r.unplaced} {
		n.Store(0)
	}
	shared, leave := w.commons.join(r.name)
	defer leave()
	failed, metrics := make(chan error, 1), new(task.Metrics)
	t := task.New(w.letterTask(b, r, pipeline, shared, metrics, failed, log))
	running, end := context.WithCancel(stop)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- t.Run(running, abort) }()
	watch := letterWatch{w: w, b: b, r: r, metrics: metrics, before: r.counts, empty: map[int32]bool{}}
	tick := time.NewTicker(lettersLook)
	defer tick.Stop()
	for {
		select {
		case err = <-failed:
			end()
			return next, errors.Join(err, <-ended)
		case err = <-ended: // stopped
			watch.count()
			return next, err
		case <-tick.C:
		}
		s, snapErr := t.Snapshot(stop)
		if snapErr != nil {
			continue // it ends: the next round says why
		}
		watch.count()
		var waits error
		if s.Warning != "" {
			waits = errors.New(s.Warning)
		}
		done := watch.done(stop, s, &next)
		w.sayLetters(r, "RUNNING", next, waits)
		if done {
			end()
			return next, <-ended
		}
	}
}

// letterTask is a connector's task over the queue: each record by itself, since neighbours in the queue come from several
// topics and a sink's batch is of one; what is refused again goes to the queue again, with one attempt more.
func (w *Worker) letterTask(b *blueprint, r *letterRun, pipeline task.Pipeline, shared *common, metrics *task.Metrics, failed chan<- error, log *slog.Logger) task.Config {
	s := settings(b, w.opts.Config.Values)
	s.BatchMaxRecords, s.OutOfRangeEarliest, s.StartAtLatest = 1, true, false
	s.TolerateAll, s.DeadLetterContext = true, true
	if s.DeadLetterTopic == "" {
		s.DeadLetterTopic = r.op.Topic
	}
	topics := &topicIDs{}
	part := func() float64 { return 1 / float64(max(1, b.values.Int("tasks.max"))) } // as one task more
	id := TaskID{r.name, replayTask}
	return task.Config{
		Connector: r.name, ID: id.Task, Settings: s, Pipeline: pipeline, Reread: r.reread, Metrics: metrics,
		OpenSink: func(ctx context.Context) (connector.Sink, error) {
			return w.openSink(ctx, b, id, topics, part, shared, func(string, int32, int64) int { return 0 }, log)
		},
		OpenSource: func(ctx context.Context, g task.Group) (task.Source, error) {
			props := b.props.consumer(0)
			props["group.id"] = letterGroup(b.props.group(), r.op.ID)
			props["client.id"] = "connector-dlq-consumer-" + r.name
			delete(props, "auto.offset.reset")
			delete(props, "group.instance.id") // it names a member of the connector's own group
			return w.opts.Clients.OpenSource(ctx, SourceRequest{
				Properties: props, Topics: []string{r.op.Topic}, Group: topics.around(g), StartAt: "earliest",
				MaxPendingBytes: b.values.Long("max.pending.bytes"), Log: log,
			})
		},
		OpenDeadLetters: func(ctx context.Context) (task.Producer, error) {
			props := b.props.producer(0)
			props["client.id"] = "connector-dlq-producer-" + r.name + "-replay"
			return w.openDeadLetters(ctx, b, s.DeadLetterTopic, props, log)
		},
		Report: func(s task.State, err error) {
			if s == task.Failed {
				select {
				case failed <- err:
				default:
				}
			}
		},
		Outlived: w.opts.Outlived, Log: log,
	}
}

// letterGroup is the consumer group that keeps how far an operation has come.
func letterGroup(group, id string) string { return group + "-dlq-" + id }

// reread gives a letter that the operation is about as it was consumed first.
func (r *letterRun) reread(m *task.Message) (task.Reread, bool) {
	l, err := deadletter.Read(m)
	switch {
	case !deadletter.InBounds(&r.op, &l):
	case err == nil && l.Placed() && l.Mine(r.name) && deadletter.Concerns(&r.op, &l) && deadletter.StateOf(r.earlier(), &l) == deadletter.Open:
		return task.Reread{Message: l.Origin, Attempts: l.Attempts}, true
	case !l.Placed() && deadletter.Match(&r.op.Filter, &l):
		r.unplaced.Add(1)
	default:
		r.passed.Add(1)
	}
	r.skipped.Add(1)
	return task.Reread{}, false
}

// earlier gives the operations before this one.
func (r *letterRun) earlier() []store.DeadLetterOperation {
	for i := range r.before {
		if r.before[i].ID == r.op.ID {
			return r.before[:i]
		}
	}
	return r.before
}

// letterWatch follows one try of an operation.
type letterWatch struct {
	w       *Worker
	b       *blueprint
	r       *letterRun
	metrics *task.Metrics
	before  store.LetterCounts
	empty   map[int32]bool // partitions with nothing left between their position and their bound
	moved   time.Time
	at      map[int32]int64
}

// count adds up what became of the letters.
func (l *letterWatch) count() {
	m, skipped := l.metrics, l.r.skipped.Load()
	l.r.counts = store.LetterCounts{
		Replayed: l.before.Replayed + m.Delivered.Load() + max(0, m.Filtered.Load()-skipped),
		Failed:   l.before.Failed + m.DeadLettered.Load(),
		Passed:   l.before.Passed + l.r.passed.Load(), Unplaced: l.before.Unplaced + l.r.unplaced.Load(),
	}
}

// done tells whether everything below the operation's bounds is settled, and how far each partition has come.
func (l *letterWatch) done(ctx context.Context, s task.Snapshot, next *[]store.LetterNext) bool {
	at := map[int32]int64{}
	still := true
	*next = (*next)[:0:0]
	for _, p := range s.Partitions {
		at[p.ID] = p.Position
		still = still && p.Unsettled == 0
		*next = append(*next, store.LetterNext{Partition: p.ID, Offset: p.Position})
	}
	if !maps.Equal(at, l.at) || !still {
		l.at, l.moved = at, time.Now()
	}
	look := time.Since(l.moved) > lettersGap
	done := true
	for _, bound := range l.r.op.Bounds {
		position, assigned := at[bound.Partition]
		switch {
		case bound.Below == 0 || l.empty[bound.Partition] || assigned && position >= bound.Below:
		case assigned && look && l.nothing(ctx, bound, position):
			l.empty[bound.Partition] = true
		default:
			done = false
		}
	}
	if look {
		l.moved = time.Now()
	}
	return done
}

// nothing asks the queue whether there is anything between a position and a bound.
func (l *letterWatch) nothing(ctx context.Context, bound store.LetterBound, from int64) bool {
	ctx, cancel := context.WithTimeout(ctx, lettersGap)
	defer cancel()
	found := false
	err := l.w.opts.Clients.Browse(ctx, BrowseRequest{
		Properties: l.b.props.browser(), Topic: l.r.op.Topic, Log: l.w.opts.Logger(LoggerClient),
		From: map[int32]int64{bound.Partition: from}, To: map[int32]int64{bound.Partition: bound.Below},
		Visit: func(*task.Message) bool { found = true; return false },
	})
	return err == nil && !found
}
