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
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Herder is the control plane of a worker (Kafka Connect's word). A write is validated, appended to the config
// log, and answered when this worker's own reader has applied it and its own part of it is published.
//
// Standalone is the same over in-memory logs, with one member that leads.
type Herder struct {
	opts    HerderOptions
	log     *slog.Logger
	worker  *Worker
	view    *view
	writing chan struct{} // holds one while a write is between its decision and its application
	readers sync.WaitGroup

	started time.Time
	plan    Assignment // of the goroutine that follows the config log
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
	Metrics              *Metrics
	Levels               *Levels
	// Handler takes all log records; Levels decides what reaches it.
	Handler slog.Handler
}

// NewHerder makes the control plane and its worker; it starts nothing.
func NewHerder(o HerderOptions) *Herder {
	logger := func(name string) *slog.Logger { return o.Levels.Logger(name, o.Handler) }
	h := &Herder{opts: o, log: logger(LoggerHerder), view: newView(), writing: make(chan struct{}, 1), started: time.Now()}
	h.worker = NewWorker(WorkerOptions{
		ID: o.WorkerID, Config: o.Config, Plugins: o.Plugins, Providers: o.Providers, Clients: o.Clients,
		Status: o.StatusLog, Outlived: task.NewOutlived(), Metrics: o.Metrics, Logger: logger,
	})
	return h
}

// Worker is the worker that the herder directs.
func (h *Herder) Worker() *Worker { return h.worker }

// Run reads the logs and runs the worker until ctx ends and everything has stopped: tasks first, then the
// reading, so that their last statuses are still seen. An error of a log ends it too.
func (h *Herder) Run(ctx context.Context) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	fail := func(err error) {
		if err != nil && reading.Err() == nil {
			stop(err)
		}
	}
	h.readers.Go(func() { fail(h.follow(reading, "config", h.opts.ConfigLog, &h.view.config, h.configChanged)) })
	h.readers.Go(func() { fail(h.follow(reading, "status", h.opts.StatusLog, &h.view.status, h.statusChanged)) })
	h.readers.Go(func() { fail(h.awaitStart(running)) })
	err := h.worker.Run(running)
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
		before, after, warnings := h.view.fold(entries)
		for _, w := range warnings {
			h.log.Warn(w.Error(), "log", name)
		}
		changed(before, after, to)
		h.view.advance(next, to)
		from = to
	}
}

// awaitStart waits until both logs are read to their present end: from then on the worker is healthy.
func (h *Herder) awaitStart(ctx context.Context) error {
	configEnd, err := h.opts.ConfigLog.End(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the config log: %w", err)
	}
	statusEnd, err := h.opts.StatusLog.End(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the status log: %w", err)
	}
	if err := h.view.await(ctx, func() bool { return h.view.config >= configEnd && h.view.status >= statusEnd }); err != nil {
		return nil // the worker stops before it has started
	}
	h.view.setReady()
	h.log.Info("worker is ready", "worker_id", h.opts.WorkerID, "after", time.Since(h.started).Round(time.Millisecond))
	return nil
}

// configChanged plans and tells the worker; this worker leads, since it is alone.
func (h *Herder) configChanged(before, after store.State, to int64) {
	h.plan = Plan(taskCounts(after), []string{h.opts.WorkerID}, h.plan)
	d := desire(after, h.plan, h.opts.WorkerID)
	d.Version, d.Generation = to, to
	h.worker.Apply(d)
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

func (h *Herder) statusChanged(before, after store.State, _ int64) {
	if !maps.Equal(before.Topics, after.Topics) {
		h.worker.Topics(after.Topics)
	}
}

// update makes one write. decide sees the state that everything before it has led to and gives the entries; none
// is no write. It answers with the states before and after.
func (h *Herder) update(ctx context.Context, decide func(store.State) ([]store.Entry, error)) (before, after store.State, err error) {
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
	before = h.view.get()
	entries, err := decide(before)
	if err != nil || len(entries) == 0 {
		return before, before, err
	}
	offset, err := h.opts.ConfigLog.Append(ctx, entries...)
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
		return &Error{Status: 409, Message: "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)", RetryAfter: time.Second}
	}
	return fmt.Errorf("Failed to write to config topic; this may be due to a transient error and the request can be safely retried: %w", err) //nolint:staticcheck // Kafka's words
}

// settle waits until the worker has acted on what is applied now, and its statuses are readable here.
func (h *Herder) settle(ctx context.Context) error {
	offset, err := h.worker.Settled(ctx, h.view.version())
	if err != nil {
		return err
	}
	if err := h.bury(ctx); err != nil {
		return err
	}
	return h.view.await(ctx, func() bool { return h.view.status > offset })
}

// bury removes what the status log says of connectors that are gone.
func (h *Herder) bury(ctx context.Context) error {
	gone := leftovers(h.view.get())
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
