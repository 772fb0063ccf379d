// Package loopback runs an HTTP handler on an address of this machine only. The embedded registry and
// Step Functions endpoint answer whoever calls them, so no other address is accepted.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves one handler until Close.
type Server struct {
	// URL is "http://host:port" without a slash at the end.
	URL string

	http   http.Server
	stop   func()
	served chan error

	mu     sync.Mutex // guards closed, and active.Add against active.Wait
	closed bool
	active sync.WaitGroup
}

// Listen binds addr (host:port of loopback; port 0 takes a free one; "" is "127.0.0.1:0") and serves h.
// Close calls stop, which must make waiting handlers return; it may be nil.
// ctx bounds the binding only.
func Listen(ctx context.Context, addr string, h http.Handler, stop func()) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if err := onlyLoopback(addr); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	s := &Server{URL: "http://" + ln.Addr().String(), stop: stop, served: make(chan error, 1)}
	s.http.Handler = s.counted(h)
	s.http.ReadHeaderTimeout = 10 * time.Second
	// net/http reports a client that went away and a handler that aborts: both are what tests ask for.
	s.http.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	go func() { s.served <- s.http.Serve(ln) }()
	return s, nil
}

// Close stops listening, makes waiting handlers return, cuts every connection and returns when the last
// handler has returned. Calling it again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()

	if s.stop != nil {
		s.stop()
	}
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.active.Wait()
	if err != nil {
		return fmt.Errorf("close %s: %w", s.URL, err)
	}
	return nil
}

// counted lets Close wait for handlers: http.Server.Close does not.
func (s *Server) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			http.Error(w, "closing", http.StatusServiceUnavailable)
			return
		}
		s.active.Add(1)
		s.mu.Unlock()
		defer s.active.Done()
		h.ServeHTTP(w, r)
	})
}

// Reset ends the connection of w with a TCP reset, as a broken network does, instead of answering.
// The handler must return afterwards.
func Reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // cannot be hijacked (HTTP/2): cut the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // unsent data is dropped and RST sent
	}
	_ = conn.Close()
}

func onlyLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen on %q: only loopback addresses are served, since nothing is authenticated; use 127.0.0.1", addr)
}
