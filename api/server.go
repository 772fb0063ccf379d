package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// DefaultListener is where a worker listens that says nothing: loopback, since the API is open to
// whoever reaches it (a deliberate difference from Kafka Connect, which takes all interfaces).
const DefaultListener = "http://127.0.0.1:8083"

// ServerOptions say where and how to listen. The zero value listens on DefaultListener.
type ServerOptions struct {
	// API shapes the handlers; its Admin field is set by the server.
	API Options
	// Listeners are the values of the key listeners, such as "http://127.0.0.1:8083" or
	// "https://:8443". Port 0 takes a free port.
	Listeners []string
	// AdminListeners are those of admin.listeners: nil serves the admin endpoints on Listeners, an
	// empty list nowhere.
	AdminListeners []string
	// Keys are the worker's properties, from which the TLS of https listeners is read: those with
	// prefix listeners.https. (admin.listeners.https. for AdminListeners), or else ssl.*.
	Keys map[string]string
	// AllowUnauthenticated is rest.allow.unauthenticated.
	AllowUnauthenticated bool
	// DrainTimeout is how long requests may go on after the stop; 0 means 60 s, as in Kafka Connect.
	DrainTimeout time.Duration
	// ReadHeaderTimeout bounds how slowly a request's header may come; 0 means 10 s.
	ReadHeaderTimeout time.Duration
	// IdleTimeout closes unused connections; 0 means 2 minutes.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header; 0 means 16 KiB.
	MaxHeaderBytes int
}

// Server owns the worker's listening sockets. Listen binds them, Run serves them.
type Server struct {
	opts    ServerOptions
	sockets []socket
}

// socket is one bound listener.
type socket struct {
	net.Listener
	url   *url.URL // as configured, with the port that was bound
	tls   *tls.Config
	admin bool
}

// Listen checks the options and binds the addresses, so that a worker knows its own URL before it
// joins its group. It starts nothing; the caller runs or closes the server. An error names the key.
func Listen(ctx context.Context, opts ServerOptions) (*Server, error) {
	opts.setDefaults()
	s := &Server{opts: opts}
	if err := s.bindAll(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (o *ServerOptions) setDefaults() {
	if len(o.Listeners) == 0 {
		o.Listeners = []string{DefaultListener}
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = 60 * time.Second
	}
	if o.ReadHeaderTimeout <= 0 {
		o.ReadHeaderTimeout = 10 * time.Second
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 2 * time.Minute
	}
	if o.MaxHeaderBytes <= 0 {
		o.MaxHeaderBytes = 16 << 10
	}
	if o.API.Log == nil {
		o.API.Log = slog.Default()
	}
}

func (s *Server) bindAll(ctx context.Context) error {
	for _, l := range s.opts.Listeners {
		if err := s.bind(ctx, l, "listeners", false); err != nil {
			return err
		}
	}
	for _, l := range s.opts.AdminListeners {
		if err := s.bind(ctx, l, "admin.listeners", true); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) bind(ctx context.Context, text, key string, admin bool) error {
	u, err := parseListener(text)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	sock := socket{url: u, admin: admin}
	if u.Scheme == "https" {
		if sock.tls, err = ServerTLS(s.opts.Keys, key+".https."); err != nil {
			return fmt.Errorf("%s: %s: %w", key, text, err)
		}
	}
	if !s.opts.AllowUnauthenticated && s.opts.API.Auth == nil && !requiresCertificate(sock.tls) && !isLoopback(u.Hostname()) {
		return fmt.Errorf("%s: %s can be reached from other machines and asks nobody who they are: set rest.auth.basic.users.file or rest.auth.bearer.tokens.file, "+
			"require client certificates (ssl.client.auth=required on https), listen on %s, or accept it with rest.allow.unauthenticated=true", key, text, DefaultListener)
	}
	var lc net.ListenConfig
	if sock.Listener, err = lc.Listen(ctx, "tcp", u.Host); err != nil {
		return fmt.Errorf("%s: cannot listen on %s: %w", key, text, err)
	}
	_, port, _ := net.SplitHostPort(sock.Addr().String())
	u.Host = net.JoinHostPort(u.Hostname(), port)
	s.sockets = append(s.sockets, sock)
	return nil
}

// parseListener reads "scheme://host:port"; the host may be empty for all interfaces.
func parseListener(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%q is not of the form http://host:port", text)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q: listeners must begin with http:// or https://", text)
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not of the form %s://host:port", text, u.Scheme)
	}
	u.Path = ""
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func requiresCertificate(c *tls.Config) bool {
	return c != nil && c.ClientAuth == tls.RequireAndVerifyClientCert
}

// URLs gives the bound addresses of the listeners, in their order, admin listeners left out.
func (s *Server) URLs() []string { return s.urls(false) }

// AdminURLs gives the bound addresses of the admin listeners.
func (s *Server) AdminURLs() []string { return s.urls(true) }

func (s *Server) urls(admin bool) []string {
	var out []string
	for _, sock := range s.sockets {
		if sock.admin == admin {
			out = append(out, sock.url.String())
		}
	}
	return out
}

// Close releases the sockets of a server that was never run.
func (s *Server) Close() error {
	var errs []error
	for _, sock := range s.sockets {
		if err := sock.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run serves h until ctx ends, then accepts nothing new and lets requests finish for
// DrainTimeout before it cuts them off. It returns nil after such a stop, and an error when a
// listener fails. Run is called once.
func (s *Server) Run(ctx context.Context, h Herder) error {
	shared, adminOnly := s.opts.API, s.opts.API
	shared.Admin, adminOnly.Admin = AdminShared, AdminOnly
	if s.opts.AdminListeners != nil {
		shared.Admin = AdminOff
	}
	main, admin := New(h, shared), New(h, adminOnly)

	// Requests outlive ctx by the drain time: stop and abort are two contexts.
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	group, stop := errgroup.WithContext(ctx)
	for _, sock := range s.sockets {
		handler := main
		if sock.admin {
			handler = admin
		}
		srv := s.httpServer(requests, handler, sock.tls)
		group.Go(func() error { return serve(srv, sock) })
		group.Go(func() error {
			<-stop.Done()
			return s.drain(requests, srv, abort)
		})
	}
	return group.Wait()
}

func (s *Server) httpServer(requests context.Context, h http.Handler, tlsConfig *tls.Config) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: s.opts.ReadHeaderTimeout,
		// The longest request: its body, the herder's time, and a slow reader of the answer.
		WriteTimeout:   30*time.Second + requestTimeout + 30*time.Second,
		IdleTimeout:    s.opts.IdleTimeout,
		MaxHeaderBytes: s.opts.MaxHeaderBytes,
		BaseContext:    func(net.Listener) context.Context { return requests },
		ErrorLog:       slog.NewLogLogger(s.opts.API.Log.With("component", "http").Handler(), slog.LevelDebug),
	}
}

func serve(srv *http.Server, sock socket) error {
	var err error
	if sock.tls != nil {
		err = srv.ServeTLS(sock.Listener, "", "")
	} else {
		err = srv.Serve(sock.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the REST listener %s failed: %w", sock.url, err)
}

// drain waits for the requests in flight; those that outlast the drain time are cut off.
func (s *Server) drain(ctx context.Context, srv *http.Server, abort context.CancelFunc) error {
	limit, cancel := context.WithTimeout(ctx, s.opts.DrainTimeout)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		abort()
		s.opts.API.Log.Warn("REST requests were cut off at the stop", "after", s.opts.DrainTimeout)
		return srv.Close()
	}
	return nil
}
