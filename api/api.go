// Package api serves Kafka Connect's REST API over a Herder: the paths, statuses, headers and
// texts that Connect's clients and operators rely on (recorded from a Kafka Connect 4.3.1 worker),
// the OpenAPI description of it, and the worker's web page.
//
// A request passes, in this order: access log, panic guard, response headers, cross-origin rules,
// path normalisation, authentication, route, method, media types, body. Each step that refuses
// answers with Connect's error body.
package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

const (
	// requestTimeout is Kafka Connect's constant: the time a request has to be completed by the herder.
	requestTimeout = 90 * time.Second
	// healthTimeout bounds GET /health (KIP-1017).
	healthTimeout = 10 * time.Second
	// DefaultMaxBody is the size of a request body, in bytes, above which the answer is 413.
	// A configuration has to fit into one record of the config topic, whose default limit this is.
	DefaultMaxBody = 1 << 20
)

// AdminPlacement says whether a handler serves /admin/loggers (worker key admin.listeners).
type AdminPlacement int

const (
	// AdminShared serves the admin endpoints beside all others: admin.listeners is not set.
	AdminShared AdminPlacement = iota
	// AdminOff leaves them out: they are switched off or have listeners of their own.
	AdminOff
	// AdminOnly serves nothing else: the handler of the admin listeners.
	AdminOnly
)

// Options shape the handler that New makes. The zero value serves everything, without
// authentication, cross-origin access or metrics.
type Options struct {
	// Log takes the access log (component=access), the audit log of writes (component=audit) and
	// panics; nil means slog.Default().
	Log *slog.Logger
	// Metrics answers GET /metrics; nil means 404.
	Metrics http.Handler
	// Admin places the admin endpoints.
	Admin AdminPlacement
	// Auth checks who asks; nil lets everybody in.
	Auth *Auth
	// OpenPaths are readable without authentication (rest.open.paths): exact paths, or with a
	// trailing "/*" everything below one.
	OpenPaths []string
	// AllowOrigin and AllowMethods are access.control.allow.origin and .methods: comma lists.
	// An empty AllowOrigin refuses writes from web pages of other origins.
	AllowOrigin, AllowMethods string
	// ResponseHeaders come from ParseResponseHeaders.
	ResponseHeaders []HeaderRule
	// Forward reaches the other workers of a cluster; nil where there is none. It must follow no redirects.
	Forward *http.Client
	// MaxBody is the largest accepted request body in bytes; 0 means DefaultMaxBody.
	MaxBody int64
	// BodyTimeout bounds the reading of one request body; 0 means 30 s.
	BodyTimeout time.Duration
}

// handler holds what the endpoints share.
type handler struct {
	herder Herder
	opts   Options
	log    *slog.Logger
	writes nameLocks
}

// New makes the handler of the REST API. It starts nothing.
func New(h Herder, opts Options) http.Handler {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.MaxBody <= 0 {
		opts.MaxBody = DefaultMaxBody
	}
	if opts.BodyTimeout <= 0 {
		opts.BodyTimeout = 30 * time.Second
	}
	a := &handler{herder: h, opts: opts, log: opts.Log}

	mux := chi.NewRouter()
	mux.Use(a.accessLog, a.recoverPanic, a.extraHeaders, newCORS(opts).wrap, normalisePath)
	if opts.Auth != nil {
		mux.Use(a.authenticate)
	}
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) { writeFrameworkError(w, http.StatusNotFound) })
	for pattern, res := range a.resources() {
		mux.Handle(pattern, res)
	}
	if opts.Admin != AdminOnly {
		if opts.Metrics != nil {
			mux.Handle("/metrics", readable(opts.Metrics))
		}
		mux.Handle("/openapi.json", readable(http.HandlerFunc(serveOpenAPI)))
		for path, file := range pageHandlers() {
			mux.Handle(path, readable(file))
		}
	}
	return mux
}

// readable lets only reads through to a handler that is no part of Kafka Connect's API.
func readable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			next.ServeHTTP(w, r)
		default:
			refuseMethod(w, r, "GET,HEAD,OPTIONS")
		}
	})
}
