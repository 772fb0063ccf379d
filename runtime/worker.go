package runtime

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// watchInterval is how often running tasks are asked what keeps them (invariant 7).
const watchInterval = 2 * time.Second

// WorkerOptions is what a Worker runs on.
type WorkerOptions struct {
	// ID is the worker's id in statuses: its advertised host and port.
	ID        string
	Config    *WorkerConfig
	Plugins   *Plugins
	Providers *Providers
	Clients   Clients
	// Status is the log that statuses are appended to.
	Status   store.Log
	Outlived *task.Outlived
	Crowd    *task.Crowd
	// Book holds which partitions are adopted.
	Book    *book
	Metrics *metric.Metrics
	// Tracer makes spans of deliveries; nil makes none.
	Tracer task.Tracer
	// Logger gives the logger of that name; see Levels.Logger.
	Logger func(name string) *slog.Logger
}

// Worker runs the tasks that it is told to. Run does the work; the other methods may be called from
// anywhere at any time.
type Worker struct {
	opts       WorkerOptions
	log        *slog.Logger
	statuses   *publisher
	clusterIDs sync.Map // bootstrap.servers to cluster id
	commons    commons
	wake       chan struct{}

	mu      sync.Mutex // guards the fields below
	desired *Desired   // what Apply gave last and reconcile has not taken yet
	inbox   []event
	version int64         // of the Desired that reconcile acted on last
	acted   chan struct{} // closed and replaced when version grows
	running map[TaskID]*incarnation
	topics  map[store.TopicKey]bool // that the status log is known to hold

	// Of Run's goroutine.
	want       Desired
	slots      map[TaskID]*slot
	connectors map[string]*ownConnector
	letters    map[string]*letterRun // the last operation on dead letters of each connector
	tasks      sync.WaitGroup
	moving     time.Time // when a new plan began to be taken over; zero when none is
}

// NewWorker makes a worker; it starts nothing.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{
		opts: o, log: o.Logger(LoggerWorker), wake: make(chan struct{}, 1), acted: make(chan struct{}),
		running: map[TaskID]*incarnation{}, topics: map[store.TopicKey]bool{},
		slots: map[TaskID]*slot{}, connectors: map[string]*ownConnector{}, letters: map[string]*letterRun{},
	}
	w.statuses = newPublisher(o.Status, w.log)
	for _, c := range o.Plugins.list.Converters {
		if c.Measure != nil {
			c.Measure(o.Metrics.Shared())
		}
	}
	return w
}

// Apply tells the worker what should run from now on. It returns at once.
func (w *Worker) Apply(d Desired) {
	w.mu.Lock()
	w.desired = &d
	w.mu.Unlock()
	w.nudge()
}

// Repeat publishes anew the statuses of those keys that this worker speaks for.
func (w *Worker) Repeat(keys []string) {
	if len(keys) == 0 {
		return
	}
	for _, k := range keys {
		w.statuses.forget(k)
	}
	w.nudge()
}

// Settled waits until the worker has acted on the Desired of that version or a later one, and has
// published what it then knew. It gives the offset of the status log's last entry by this worker.
func (w *Worker) Settled(ctx context.Context, version int64) (int64, error) {
	for {
		w.mu.Lock()
		reached, acted := w.version, w.acted
		w.mu.Unlock()
		if reached >= version {
			return w.statuses.flushed(ctx)
		}
		select {
		case <-acted:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Ping waits until the worker has gone around once: it answers, and nothing blocks it.
func (w *Worker) Ping(ctx context.Context) error {
	done := make(chan struct{})
	w.post(ping(done))
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RestartTask stops a task that this worker runs and starts it again, and waits until the new one has
// begun. ok is false when the worker has no such task.
func (w *Worker) RestartTask(ctx context.Context, id TaskID) (ok bool, err error) {
	done := make(chan bool, 1)
	w.post(restartTask{id, done})
	select {
	case ok = <-done:
		return ok, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// RestartConnector reads a connector's configuration anew, for one whose state is FAILED.
func (w *Worker) RestartConnector(ctx context.Context, name string) error {
	done := make(chan struct{})
	w.post(restartConnector{name, done})
	select {
	case <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := w.statuses.flushed(ctx)
	return err
}

// Idle tells whether nothing of a connector runs on this worker, abandoned deliveries included.
func (w *Worker) Idle(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.running {
		if id.Connector == name {
			return false
		}
	}
	return w.opts.Outlived.Count(name) == 0
}

// Snapshot tells what a task of this worker holds and waits for; ok is false when it runs none such.
func (w *Worker) Snapshot(ctx context.Context, id TaskID) (s task.Snapshot, ok bool, err error) {
	w.mu.Lock()
	inc := w.running[id]
	w.mu.Unlock()
	if inc == nil || inc.made.Load() == nil {
		return s, false, nil
	}
	s, err = inc.made.Load().Snapshot(ctx)
	return s, true, err
}

// sinkOf gives the sink of a task that runs here, nil when there is none or it is not open.
func (w *Worker) sinkOf(id TaskID) connector.Sink {
	w.mu.Lock()
	inc := w.running[id]
	w.mu.Unlock()
	if inc == nil || inc.sink.Load() == nil {
		return nil
	}
	return *inc.sink.Load()
}

// missing gives the topics that a task of this worker has subscribed and that do not exist.
func (w *Worker) missing(id TaskID) []string {
	w.mu.Lock()
	inc := w.running[id]
	w.mu.Unlock()
	if inc == nil || inc.source.Load() == nil {
		return nil
	}
	topics, _ := inc.source.Load().lacking()
	return topics
}

// post leaves an event for Run; it never blocks.
func (w *Worker) post(e event) {
	w.mu.Lock()
	w.inbox = append(w.inbox, e)
	w.mu.Unlock()
	w.nudge()
}

func (w *Worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run makes the tasks that should run run, until ctx ends; then it stops them all at once, orderly
// within task.shutdown.graceful.timeout.ms, and cuts short what does not end. It returns when all of
// it has ended and the last statuses are published or have failed to be.
func (w *Worker) Run(ctx context.Context) error {
	after := context.WithoutCancel(ctx) // for what must outlive the stop, each with a bound of its own
	publishing, stopPublishing := context.WithCancel(after)
	lastWords, abortPublishing := context.WithCancel(after)
	watching, stopWatching := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { w.statuses.run(publishing, lastWords) })
	helpers.Go(func() { w.watch(watching) })
	helpers.Go(func() { w.opts.Metrics.Run(watching) })
	helpers.Go(func() { w.watchValues(watching) })

	for ctx.Err() == nil {
		next := w.reconcile(after)
		timer := time.NewTimer(next)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	stopWatching()
	w.shutdown(after)
	stopPublishing()
	grace := time.AfterFunc(5*time.Second, abortPublishing)
	helpers.Wait()
	grace.Stop()
	abortPublishing()
	return nil
}

// shutdown stops everything and says so in the statuses.
func (w *Worker) shutdown(ctx context.Context) {
	w.log.Info("stopping", "tasks", len(w.slots))
	for _, s := range w.slots {
		if s.current != nil {
			s.current.halt()
		}
	}
	for _, r := range w.letters {
		r.stop()
	}
	ended := make(chan struct{})
	go func() {
		w.tasks.Wait()
		close(ended)
	}()
	// Each task ends orderly within this timeout by itself; only a broken one needs the abort.
	grace := w.opts.Config.Values.Duration("task.shutdown.graceful.timeout.ms") + 5*time.Second
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		for _, s := range w.slots {
			if s.current != nil {
				w.log.Warn("graceful stop of task failed; cutting it short", "connector", s.id.Connector, "task", s.id.Task)
				s.current.abort()
			}
		}
		for _, r := range w.letters {
			r.abort()
		}
		<-ended
	}
	w.take()
	for _, s := range w.slots {
		if !s.wanted {
			w.leave(s) // another one speaks for it
			continue
		}
		st := w.status("UNASSIGNED", s.generation)
		st.Version = s.version
		w.statuses.say(store.TaskStatusEntry(store.TaskKey(s.id), st))
	}
	for name, c := range w.connectors {
		st := w.status("UNASSIGNED", c.generation)
		st.Version = c.version
		w.statuses.say(store.ConnectorStatusEntry(name, st))
	}
}

// watch asks the running tasks, again and again, whether something keeps them.
func (w *Worker) watch(ctx context.Context) {
	var before, now map[*incarnation]bool // those with something to warn of
	for range every(ctx, watchInterval) {
		before, now = now, map[*incarnation]bool{}
		w.mu.Lock()
		running := slices.Collect(maps.Values(w.running))
		w.mu.Unlock()
		for _, inc := range running {
			t := inc.made.Load()
			if t == nil {
				continue
			}
			asking, cancel := context.WithTimeout(ctx, watchInterval)
			s, err := t.Snapshot(asking)
			cancel()
			if err != nil {
				continue
			}
			if src := inc.source.Load(); src != nil && s.State == task.Running {
				// A member that waits for partitions waits because of that.
				_, lacking := src.lacking()
				switch cause := inc.trouble(); {
				case lacking != "" && (s.Warning == "" || !s.Joined):
					s.Warning = lacking
				case lacking != "":
					s.Warning += "; " + lacking
				case cause != nil && s.Warning == "":
					s.Warning = cause.Error()
				case cause != nil:
					s.Warning += ": " + cause.Error()
				}
			}
			now[inc] = s.Warning != ""
			if now[inc] && !before[inc] {
				continue // a rebalance, for example, is over by the next look
			}
			w.post(warning{inc, s.Warning})
		}
	}
}

// sawTopic records that a task has read a topic, unless the status log holds that already.
func (w *Worker) sawTopic(id TaskID, topic string) {
	k := store.TopicKey{Connector: id.Connector, Topic: topic}
	w.mu.Lock()
	known := w.topics[k]
	w.topics[k] = true
	w.mu.Unlock()
	if !known {
		w.statuses.forget(store.TopicStatusKey(k))
		w.statuses.say(store.TopicEntry(k, id.Task, time.Now().UnixMilli()))
	}
}

// Topics tells the worker which active topics the status log holds, so that one which was reset is
// recorded again when its next record comes.
func (w *Worker) Topics(recorded map[store.TopicKey]store.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.topics)
	for k := range recorded {
		w.topics[k] = true
	}
}

// status is one of this worker in that state, of what it was given by that generation's plan.
func (w *Worker) status(state string, generation int64) store.Status {
	return store.Status{State: state, WorkerID: w.opts.ID, Generation: generation}
}
