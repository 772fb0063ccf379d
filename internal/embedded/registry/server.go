package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/loopback"
)

const contentType = "application/vnd.schemaregistry.v1+json"

// Options declare a registry. The zero value is an open one on a free port.
type Options struct {
	// Addr is the loopback address to listen on; "" takes a free port of 127.0.0.1.
	Addr string
	// User and Password, or Token, are asked of every request when set (basic, bearer).
	User, Password, Token string
	// Fault is asked on every request, concurrently.
	Fault func(*http.Request) Fault
}

// Fault is what goes wrong with one request. The zero value is nothing.
type Fault struct {
	// Delay is waited first.
	Delay time.Duration
	// Down resets the connection instead of an answer.
	Down bool
	// Status answers with this HTTP status; Code is the error_code (0: the status) and Message its text.
	Status  int
	Code    int
	Message string
}

// Server is a schema registry. Its methods may be called from any goroutine.
type Server struct {
	o      Options
	store  *store
	mux    http.Handler
	server *loopback.Server
	done   chan struct{} // closed by Close

	mu       sync.Mutex // guards the two below
	fault    func(*http.Request) Fault
	requests map[string]int
}

// Start listens on o.Addr and answers until Close. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, store: newStore(), done: make(chan struct{}), fault: o.Fault, requests: map[string]int{}}
	s.mux = s.routes()
	server, err := loopback.Listen(ctx, o.Addr, s, func() { close(s.done) })
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	s.server = server
	return s, nil
}

// URL is the registry's address without a slash at the end.
func (s *Server) URL() string { return s.server.URL }

// Close stops the registry and forgets its schemas.
func (s *Server) Close() error { return s.server.Close() }

// SetFault replaces Options.Fault; nil gives none.
func (s *Server) SetFault(fault func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Requests counts what was asked, refused requests too, by method and path without the query: "GET /schemas/ids/1".
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Register adds a schema to a subject as POST /subjects/{subject}/versions does.
func (s *Server) Register(subject string, schema Schema) (Registered, error) {
	return s.RegisterID(subject, 0, schema)
}

// RegisterID registers a schema under the id that records on the wire carry; 0 lets the registry choose.
// An id that stands for another schema is an error.
func (s *Server) RegisterID(subject string, id int, schema Schema) (Registered, error) {
	r, bad := s.store.register(subject, schema, id, false)
	if bad != nil {
		return Registered{}, fmt.Errorf("register a schema under subject %s: %w", subject, bad)
	}
	return r, nil
}

// ServeHTTP counts a request, lets it fail where it should, and answers it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.Method+" "+r.URL.EscapedPath()]++
	fault := s.fault
	s.mu.Unlock()

	var f Fault
	if fault != nil {
		f = fault(r)
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		case <-s.done:
		}
	}
	switch {
	case f.Down:
		loopback.Reset(w)
	case f.Status != 0:
		if f.Code == 0 {
			f.Code = f.Status
		}
		refuse(w, &apiError{f.Status, f.Code, f.Message})
	case !s.authorized(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="SchemaRegistry"`)
		refuse(w, &apiError{http.StatusUnauthorized, http.StatusUnauthorized, "Unauthorized"})
	default:
		s.mux.ServeHTTP(w, r)
	}
}

func (s *Server) authorized(r *http.Request) bool {
	if s.o.User == "" && s.o.Token == "" {
		return true
	}
	user, password, basic := r.BasicAuth()
	return s.o.User != "" && basic && user == s.o.User && password == s.o.Password ||
		s.o.Token != "" && r.Header.Get("Authorization") == "Bearer "+s.o.Token
}

func refuse(w http.ResponseWriter, e *apiError) {
	write(w, e.status, struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{e.code, e.message})
}

// write sends v; a client that has gone is nobody's concern.
func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
