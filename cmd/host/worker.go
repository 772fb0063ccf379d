package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	goruntime "runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stepconnect/stepconnect/api"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/tracing"
	"golang.org/x/sync/errgroup"
)

// closeWait bounds the closing of a worker's own clients.
const closeWait = 10 * time.Second

// Worker is one worker process put together: the herder that directs it and the REST server that people
// ask. Its listeners are bound; Run does the rest.
type Worker struct {
	Herder *runtime.Herder
	URL    string // of the REST API, as advertised
	server *api.Server
	log    *slog.Logger
	build  Build
	open   func(context.Context) error // what waits for brokers before the herder can begin; nil for nothing
	close  func(context.Context) error // what the logs and the membership hold; nil for nothing

	tracer   *tracing.Tracer // nil unless OpenTelemetry's variables ask for traces
	emf      *metric.EMF     // nil unless metrics.emf.enable
	emfEvery time.Duration
	emfTo    metric.Destination
}

// NewStandalone puts a worker together whose state lives in memory. Log records go to handler, as
// the loggers' levels let them.
func NewStandalone(ctx context.Context, p connector.Plugins, b Build, cfg *runtime.WorkerConfig, providers *runtime.Providers, handler slog.Handler) (*Worker, error) {
	configLog, err := store.OpenMemoryLog(cfg.Values.String("offset.storage.file.filename"))
	if err != nil {
		return nil, err
	}
	statusLog, err := store.OpenMemoryLog("")
	if err != nil {
		return nil, err
	}
	w, o, err := assemble(ctx, p, b, cfg, providers, handler, nil)
	if err != nil {
		return nil, err
	}
	o.ConfigLog, o.StatusLog = configLog, statusLog
	w.Herder = runtime.NewHerder(o)
	return w, nil
}

// assemble makes what all modes have: the plugins, the metrics, the loggers and the bound REST server. The logs of
// the options are the caller's to set; more adds to what the REST API is served with.
func assemble(ctx context.Context, p connector.Plugins, b Build, cfg *runtime.WorkerConfig, providers *runtime.Providers, handler slog.Handler, more func(*api.Options) error) (*Worker, runtime.HerderOptions, error) {
	var o runtime.HerderOptions
	list, err := runtime.NewPlugins(p)
	if err != nil {
		return nil, o, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := metric.New(registry)
	if err != nil {
		return nil, o, err
	}
	levels := runtime.NewLevels(slog.LevelInfo)
	server, err := listen(ctx, cfg, levels.Logger("io.stepconnect.api", handler), promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), more)
	if err != nil {
		return nil, o, err
	}
	bound := func(string) net.Addr { return boundAddr(server) }
	o = runtime.HerderOptions{
		Version: b.Version, Commit: b.revision(), WorkerID: cfg.WorkerID(bound), Config: cfg, Providers: providers,
		Plugins: list, Clients: kafkaClients(), Metrics: metrics, Levels: levels, Handler: handler,
	}
	tracer, on, err := tracingOf(b, levels.Logger(runtime.LoggerWorker, handler))
	if err != nil {
		return nil, o, errors.Join(err, server.Close())
	}
	if on {
		o.Tracer = tracer
	}
	metrics.Worker.Built(metric.Build{Version: b.Version, Commit: b.revision(), Go: goruntime.Version(), WorkerID: o.WorkerID, Started: time.Now()})
	w := &Worker{URL: cfg.AdvertisedURL(bound), server: server, log: levels.Logger(runtime.LoggerWorker, handler), build: b}
	w.tracer = tracer
	if v := cfg.Values; v.Bool("metrics.emf.enable") {
		cluster := "standalone"
		if v.Has("group.id") {
			cluster = v.String("group.id")
		}
		w.emf = metric.NewEMF(registry, v.String("metrics.emf.namespace"), o.WorkerID, cluster)
		w.emfEvery, w.emfTo = v.Duration("metrics.emf.interval.ms"), metric.Destination{Text: v.String("metrics.emf.destination"), Stdout: os.Stdout}
	}
	return w, o, nil
}

// boundAddr is the address of the first listener, whose port may have been 0.
func boundAddr(s *api.Server) net.Addr {
	urls := s.URLs()
	if len(urls) == 0 {
		return nil
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return nil
	}
	addr, err := net.ResolveTCPAddr("tcp", u.Host)
	if err != nil {
		return nil
	}
	return addr
}

// listen binds the REST listeners as the worker's configuration says.
func listen(ctx context.Context, cfg *runtime.WorkerConfig, log *slog.Logger, metrics http.Handler, more func(*api.Options) error) (*api.Server, error) {
	v := cfg.Values
	rules, err := api.ParseResponseHeaders(v.String("response.http.headers.config"))
	if err != nil {
		return nil, err
	}
	var auth *api.Auth
	if v.Has("rest.auth.basic.users.file") || v.Has("rest.auth.bearer.tokens.file") {
		if auth, err = api.LoadAuth(v.String("rest.auth.basic.users.file"), v.String("rest.auth.bearer.tokens.file")); err != nil {
			return nil, err
		}
	}
	o := api.ServerOptions{
		API: api.Options{
			Log: log, Metrics: metrics, Auth: auth, OpenPaths: v.List("rest.open.paths"), ResponseHeaders: rules,
			AllowOrigin: v.String("access.control.allow.origin"), AllowMethods: v.String("access.control.allow.methods"),
		},
		Listeners: v.List("listeners"), Keys: cfg.Raw, AllowUnauthenticated: v.Bool("rest.allow.unauthenticated"),
	}
	if v.Has("admin.listeners") {
		o.AdminListeners = v.List("admin.listeners")
	}
	if more != nil {
		if err := more(&o.API); err != nil {
			return nil, err
		}
	}
	return api.Listen(ctx, o)
}

// Run serves until ctx ends. Then the herder stops its tasks in order, while the REST API still
// answers what is going on, and the API goes last.
func (w *Worker) Run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	running, stopRunning := context.WithCancel(ctx)
	defer stopRunning()
	var g errgroup.Group
	g.Go(func() error {
		defer stopRunning() // a worker that nobody can ask is no worker
		return w.server.Run(serving, w.Herder)
	})
	g.Go(func() error {
		defer stopServing()
		return w.Herder.Run(running)
	})
	g.Go(func() error { tendGarbage(serving); return nil })
	if w.tracer != nil {
		g.Go(func() error { w.tracer.Run(serving); return nil })
	}
	if w.emf != nil {
		g.Go(func() error { w.emf.Write(serving, w.emfEvery, w.emfTo, w.log); return nil })
	}
	if w.open != nil {
		g.Go(func() error {
			err := w.open(running)
			if err != nil {
				stopRunning()
			}
			return err
		})
	}
	w.log.Info("worker is starting", "version", w.build.Version, "commit", w.build.revision(), "rest", w.URL)
	err := g.Wait()
	if w.close != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
		defer cancel()
		if closeErr := w.close(closing); closeErr != nil {
			w.log.Warn("clients of the internal topics did not close in order", "error", closeErr)
		}
	}
	w.log.Info("worker has stopped")
	return err
}

// AwaitHealthy waits until the worker takes requests.
func (w *Worker) AwaitHealthy(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if h := w.Herder.Health(ctx); h.Status == "healthy" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("worker did not become healthy: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// tracingOf makes the tracer that OpenTelemetry's variables ask for; nil when they do not.
func tracingOf(b Build, log *slog.Logger) (*tracing.Tracer, bool, error) {
	cfg, on, err := tracing.FromEnvironment(os.Getenv, b.Version)
	if err != nil || !on {
		return nil, false, err
	}
	return tracing.New(cfg, log), true, nil
}

// LogHandler writes log records as JSON lines; the levels of the loggers decide what comes here. A record that belongs to a
// trace has its ids.
func LogHandler(out io.Writer) slog.Handler {
	return traced{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.Level(-128)})}
}

// traced adds the ids of the context's trace.
type traced struct{ slog.Handler }

// Handle implements slog.Handler.
func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if t := connector.TraceFrom(ctx); !t.IsZero() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", t.TraceID()), slog.String("span_id", t.SpanID()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }

// IgnoreStop takes the end of a context for the orderly end that it is.
func IgnoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
