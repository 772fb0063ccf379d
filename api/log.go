package api

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// audit records a write, or a read of what records hold: who, what, on which connector, with which outcome. Never what a body held.
func (a *handler) audit(r *http.Request, rt route, status int, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("component", "audit"), slog.String("action", rt.action), slog.Int("status", status),
		slog.String("user", principalOf(r.Context()).Name), slog.String("remote", r.RemoteAddr),
		slog.Float64("took_ms", milliseconds(took)),
	}
	req := &request{Request: r}
	for _, p := range []string{"connector", "task", "plugin", "logger", "partition", "offset"} {
		if v := req.param(p); v != "" {
			attrs = append(attrs, slog.String(p, v))
		}
	}
	what := "REST write"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		what = "REST read of records"
	}
	a.log.LogAttrs(r.Context(), slog.LevelInfo, what, attrs...)
}

// accessLog writes a line for each request when it has been answered; reads of health and metrics
// at debug level, since probes ask for them every few seconds.
func (a *handler) accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		holder := &principalHolder{}
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			holder.Name = r.TLS.PeerCertificates[0].Subject.String()
		}
		r = r.WithContext(withHolder(r.Context(), holder))
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			level := slog.LevelInfo
			if r.URL.Path == "/health" || r.URL.Path == "/metrics" {
				level = slog.LevelDebug
			}
			a.log.LogAttrs(r.Context(), level, "REST request", slog.String("component", "access"),
				slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()),
				slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Float64("took_ms", milliseconds(time.Since(start))),
				slog.String("user", holder.Name), slog.String("remote", r.RemoteAddr))
		}()
		next.ServeHTTP(rec, r)
	})
}

// recoverPanic answers 500 for a defect of ours instead of cutting the connection.
func (a *handler) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			a.log.ErrorContext(r.Context(), "REST request failed by a defect", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", stack())
			if rec, ok := w.(*recorder); !ok || !rec.wrote {
				writeErrorBody(w, http.StatusInternalServerError, "Internal server error; the worker's log has the details")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.wrote = true
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
