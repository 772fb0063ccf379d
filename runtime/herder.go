package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Herder is the control plane of a worker (Kafka Connect's word). A write is validated, appended to the config
// log, and answered when this worker's own reader has applied it and its own part of it is published.
//
// In a cluster only the leader writes; what another worker has to serve ends with an *Elsewhere. Standalone is
// the same over in-memory logs, with one member that leads.
type Herder struct {
	opts    HerderOptions
	cluster *ClusterOptions // nil in standalone mode
	log     *slog.Logger
	worker  *Worker
	view    *view
	book    *book
	writing chan struct{} // holds one while a write is between its decision and its application
	folder  *folderWatch
	stages  stages
	readers sync.WaitGroup
	started time.Time

	applying sync.Mutex  // guards the fields below, and the order in which the worker is told
	desired  Desired     // what the worker was told last
	kept     *Assignment // what this worker goes on with while others take over from it; nil at all other times
}

// HerderOptions is what a Herder runs on.
type HerderOptions struct {
	// Version and Commit are what GET / tells.
	Version, Commit string
	// WorkerID is the advertised host:port.
	WorkerID  string
	Config    *WorkerConfig
	Providers *Providers
	Plugins   *Plugins
	Clients   Clients
	// ConfigLog and StatusLog hold the State: topics, or MemoryLogs in standalone mode.
	ConfigLog, StatusLog store.Log
	Metrics              *metric.Metrics
	// Tracer makes spans of deliveries; nil makes none.
	Tracer task.Tracer
	Levels *Levels
	// Handler takes all log records; Levels decides what reaches it.
	Handler slog.Handler
	// Cluster makes the worker one of several; nil is standalone.
	Cluster *ClusterOptions
}

// NewHerder makes the control plane and its worker; it starts nothing.
func NewHerder(o HerderOptions) *Herder {
	logger := func(name string) *slog.Logger { return o.Levels.Logger(name, o.Handler) }
	h := &Herder{opts: o, cluster: o.Cluster, log: logger(LoggerHerder), view: newView(), writing: make(chan struct{}, 1), started: time.Now()}
	h.book = &book{log: o.StatusLog, view: h.view, position: &h.view.status}
	if h.cluster == nil {
		h.book.log, h.book.position = o.ConfigLog, &h.view.config
	}
	h.worker = NewWorker(WorkerOptions{
		ID: o.WorkerID, Config: o.Config, Plugins: o.Plugins, Providers: o.Providers, Clients: o.Clients,
		Status: o.StatusLog, Outlived: task.NewOutlived(), Crowd: new(task.Crowd), Book: h.book, Metrics: o.Metrics, Tracer: o.Tracer, Logger: logger,
	})
	h.folder = newFolderWatch(h)
	o.Metrics.Worker.Files(h.folder.counts)
	return h
}

// Worker is the worker that the herder directs.
func (h *Herder) Worker() *Worker { return h.worker }

// Run reads the logs and runs the worker until ctx ends and everything has stopped: the membership first, so that the
// others have taken over when the tasks end (handOver), then the tasks, then the reading. An error of a log or of the
// membership ends it too, tasks first.
func (h *Herder) Run(ctx context.Context) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	member, leave := context.WithCancel(reading)
	defer leave()
	fail := func(err error) {
		if err != nil && reading.Err() == nil {
			stop(err)
		}
	}
	h.readers.Go(func() { fail(h.follow(reading, "config", h.opts.ConfigLog, &h.view.config, h.configChanged)) })
	h.readers.Go(func() { fail(h.follow(reading, "status", h.opts.StatusLog, &h.view.status, h.statusChanged)) })
	h.readers.Go(func() { fail(h.awaitStart(running)) })
	h.readers.Go(func() { h.folder.run(running) })
	h.readers.Go(func() { h.tendLetters(running) })
	var membership sync.WaitGroup
	if h.cluster != nil {
		h.readers.Go(func() { fail(h.followPlans(reading)) })
		membership.Go(func() { fail(h.join(member)) })
		membership.Go(func() { h.lead(member) })
	}
	working, stopWorking := context.WithCancel(reading)
	defer stopWorking()
	h.readers.Go(func() {
		<-running.Done()
		if h.cluster != nil && errors.Is(context.Cause(running), context.Canceled) {
			h.handOver(reading, func() { leave(); membership.Wait() })
		}
		stopWorking()
	})
	err := h.worker.Run(working)
	leave()
	membership.Wait()
	stopReading()
	h.readers.Wait()
	if cause := context.Cause(running); cause != nil && !errors.Is(cause, context.Canceled) && ctx.Err() == nil {
		err = errors.Join(cause, err)
	}
	return err
}

// follow folds a log into the view, from its beginning on.
func (h *Herder) follow(ctx context.Context, name string, log store.Log, next *int64, changed func(before, after store.State, to int64)) error {
	from := int64(0)
	for {
		entries, to, err := log.Read(ctx, from)
		if err != nil {
			return fmt.Errorf("read the %s log at offset %d: %w", name, from, err)
		}
		before, after, warnings := h.view.fold(entries, next, to)
		for _, w := range warnings {
			h.log.Warn(w.Error(), "log", name)
		}
		changed(before, after, to)
		h.view.advance(next, to)
		from = to
	}
}

// followPlans takes over the plans of the cluster's leaders, from the newest that compaction has left on.
func (h *Herder) followPlans(ctx context.Context) error {
	from := int64(0)
	for {
		entries, to, err := h.cluster.PlanLog.Read(ctx, from)
		if err != nil {
			return fmt.Errorf("read the plan log at offset %d: %w", from, err)
		}
		if len(entries) > 0 {
			h.planChanged(entries)
		}
		h.view.advance(&h.view.plans, to)
		from = to
	}
}

// awaitStart waits until the logs are read to their present end and, in a cluster, a plan counts this worker in:
// from then on the worker is healthy.
func (h *Herder) awaitStart(ctx context.Context) error {
	if h.Stage() == "" {
		h.Starting("reading the internal topics", nil)
	}
	configEnd, err := h.opts.ConfigLog.End(ctx)
	if err != nil {
		return startError(ctx, "config", err)
	}
	statusEnd, err := h.opts.StatusLog.End(ctx)
	if err != nil {
		return startError(ctx, "status", err)
	}
	planEnd := int64(0)
	if h.cluster != nil {
		if planEnd, err = h.cluster.PlanLog.End(ctx); err != nil {
			return startError(ctx, "plan", err)
		}
	}
	if err := h.view.await(ctx, func() bool {
		return h.view.config >= configEnd && h.view.status >= statusEnd && h.view.plans >= planEnd
	}); err != nil {
		return nil // the worker stops before it has started
	}
	h.view.setCaughtUp()
	h.apply()
	if h.cluster != nil {
		h.Starting("joining the worker group "+h.cluster.Group, nil)
		if err := h.awaitMembership(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
	h.stages.enter("")
	h.view.setReady()
	h.log.Info("worker is ready", "worker_id", h.opts.WorkerID, "after", time.Since(h.started).Round(time.Millisecond))
	return nil
}

func startError(ctx context.Context, log string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("find the end of the %s log: %w", log, err)
}

// awaitMembership waits until a plan counts this worker in, and checks that the others can reach it.
func (h *Herder) awaitMembership(ctx context.Context) error {
	if err := h.view.await(ctx, func() bool { return h.view.plan.counts(h.opts.WorkerID, h.cluster.Nonce) && h.view.admitted }); err != nil {
		return nil
	}
	peers, _, err := h.cluster.Membership.Members(ctx)
	if err != nil {
		h.log.Warn("the hosts of the other workers could not be checked", "error", err)
		return nil
	}
	return reachable(peers, h.cluster)
}

// configChanged tells the worker; alone, a worker plans for itself.
func (h *Herder) configChanged(before, after store.State, to int64) {
	if h.cluster == nil {
		plan := h.view.getPlan()
		h.view.setPlan(ClusterPlan{Generation: to, Config: to, Assignment: Plan(taskCounts(after), []string{h.opts.WorkerID}, plan.Assignment)})
	}
	h.apply()
	if !h.view.isReady() {
		return // levels that were set before this worker started are not its own
	}
	for ns, l := range after.Loggers {
		if was, ok := before.Loggers[ns]; !ok || l.Offset > was.Offset {
			if _, err := h.opts.Levels.Set(ns, l.Level); err != nil {
				h.log.Warn("cluster-wide log level cannot be set", "logger", ns, "level", l.Level)
			}
		}
	}
}

// apply tells the worker what should run here by the newest state and plan.
func (h *Herder) apply() {
	h.applying.Lock()
	defer h.applying.Unlock()
	s, plan, config := h.view.planning()
	if h.cluster != nil && !h.view.isAdmitted() {
		return // the plan may mean another process at the same address
	}
	if plan.Config > config {
		return // the plan is of a state that this worker has yet to read
	}
	follow := plan.Assignment
	if h.kept != nil {
		follow, plan.Generation = *h.kept, h.desired.Generation
	}
	d := desire(s, follow, h.opts.WorkerID)
	if !h.view.isCaughtUp() || h.kept != nil {
		d.withoutLetters() // how far an operation has come stands in the status log, or it is another's by now
	}
	d.Version, d.Generation = h.desired.Version+1, plan.Generation
	h.desired = d
	h.worker.Apply(d)
	h.view.locked(func() { h.view.applied = d.Version })
}

func (h *Herder) statusChanged(before, after store.State, _ int64) {
	if !maps.Equal(before.Topics, after.Topics) {
		h.worker.Topics(after.Topics)
	}
	if h.cluster != nil {
		h.contradict(before, after)
	}
}

// contradict publishes again what others have overwritten of the connectors and tasks that run here: a worker
// which was slow to read a plan may speak for what it does not have any more.
func (h *Herder) contradict(before, after store.State) {
	h.applying.Lock()
	d := h.desired
	h.applying.Unlock()
	wrong := func(was, is store.Status, said bool) bool {
		return is != was && (!said || is.WorkerID != h.opts.WorkerID && is.Generation < d.Generation)
	}
	var again []string
	for id := range d.Tasks {
		k := store.TaskKey(id)
		if is, said := after.TaskStatus[k]; wrong(before.TaskStatus[k], is, said) {
			again = append(again, store.TaskStatusKey(k))
		}
	}
	for name := range d.Connectors {
		if is, said := after.ConnectorStatus[name]; wrong(before.ConnectorStatus[name], is, said) {
			again = append(again, store.ConnectorStatusKey(name))
		}
	}
	h.worker.Repeat(again)
}

// update makes one write. decide sees the state that everything before it has led to and gives the entries; none
// is no write. It answers with the states before and after.
func (h *Herder) update(ctx context.Context, decide func(store.State) ([]store.Entry, error)) (before, after store.State, err error) {
	if _, err := h.authority(); err != nil {
		return before, after, err
	}
	select {
	case h.writing <- struct{}{}:
	case <-ctx.Done():
		return before, after, ctx.Err()
	}
	defer func() { <-h.writing }()
	if !h.view.isReady() {
		if err := h.view.await(ctx, func() bool { return h.view.ready }); err != nil {
			return before, after, err
		}
	}
	term, err := h.authority() // before the state is looked at: a write under it is refused if others have written since
	if err != nil {
		return before, after, err
	}
	before = h.view.get()
	entries, err := decide(before)
	if err != nil || len(entries) == 0 {
		return before, before, err
	}
	offset, err := h.appendConfig(ctx, term, entries)
	if err != nil {
		return before, before, writeError(err)
	}
	if err := h.view.await(ctx, func() bool { return h.view.config > offset }); err != nil {
		return before, before, err
	}
	return before, h.view.get(), nil
}

func writeError(err error) error {
	if errors.Is(err, store.ErrFenced) {
		return &Elsewhere{} // nothing was written: who asks again finds the new leader
	}
	return fmt.Errorf("Failed to write to config topic; this may be due to a transient error and the request can be safely retried: %w", err) //nolint:staticcheck // Kafka's words
}

// settle waits until what was written about a connector is acted on, and its statuses are readable here.
func (h *Herder) settle(ctx context.Context, name string) error {
	if h.cluster != nil {
		return h.awaitPublished(ctx, name)
	}
	if err := h.settleOwn(ctx); err != nil {
		return err
	}
	return h.bury(ctx)
}

// settleOwn waits until this worker has acted on what is applied now, and its statuses are readable here.
func (h *Herder) settleOwn(ctx context.Context) error {
	offset, err := h.worker.Settled(ctx, h.view.version())
	if err != nil {
		return err
	}
	return h.view.await(ctx, func() bool { return h.view.status > offset })
}

// bury removes what the status log says of connectors that are gone.
func (h *Herder) bury(ctx context.Context) error {
	s, plan, _ := h.view.planning()
	gone := leftovers(s)
	if h.cluster != nil {
		gone = append(gone, abandoned(s, plan)...)
	}
	if len(gone) == 0 {
		return nil
	}
	offset, err := h.opts.StatusLog.Append(ctx, gone...)
	if err != nil {
		return fmt.Errorf("remove statuses: %w", err)
	}
	return h.view.await(ctx, func() bool { return h.view.status > offset })
}

// known gives a connector's stored configuration, or the 404 that format words.
func known(s store.State, name, format string) (map[string]*string, error) {
	c, ok := s.Connectors[name]
	if !ok {
		return nil, NotFound(format, name)
	}
	return c.Config, nil
}

// shown is a configuration for an answer: secrets hidden, nulls kept.
func (h *Herder) shown(cfg map[string]*string) map[string]*string {
	raw := withoutNulls(cfg)
	hidden := config.Hide(raw, h.defOf(raw))
	out := make(map[string]*string, len(cfg))
	for k := range cfg {
		out[k] = nil
		if v, ok := hidden[k]; ok {
			out[k] = &v
		}
	}
	return out
}

// defOf is the definition that a configuration falls under; nil when its class is unknown.
func (h *Herder) defOf(raw map[string]string) *config.Def {
	_, r, err := h.opts.Plugins.sink(config.Trim(raw["connector.class"]))
	if err != nil {
		return nil
	}
	return h.opts.Plugins.hostDef(r).With(h.converterSecrets(raw))
}

// converterSecrets declares the keys of the converters that a configuration names, for what they hide.
func (h *Herder) converterSecrets(raw map[string]string) *config.Def {
	d := config.New()
	for _, role := range []string{"key", "value", "header"} {
		kind := config.KindConverter
		if role == "header" {
			kind = config.KindHeaderConverter
		}
		if r, err := h.opts.Plugins.find(kind, config.Trim(raw[role+".converter"])); err == nil {
			d = d.With(r.def.Prefixed(role + ".converter."))
		}
	}
	return d
}
