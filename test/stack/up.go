package stack

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Names of servers and of the environment variables that hold their addresses.
const (
	nameKafka     = "kafka"
	nameRegistry  = "registry"
	namePostgres  = "postgres"
	nameMoto      = "moto"
	nameMinistack = "ministack"
)

// service is a kind of server that can be shared.
type service struct {
	name string
	env  string // variable that holds the address, as other tools than ours know it
	open func(ctx context.Context, s *setup) (*handle, error)
}

// handle is a running shared server.
type handle struct {
	what  string // name, address, process id
	addr  string
	close func()
}

func services() []service {
	single := func(open func(*setup, context.Context) (*Server, error)) func(context.Context, *setup) (*handle, error) {
		return func(ctx context.Context, s *setup) (*handle, error) {
			server, err := open(s, ctx)
			if err != nil {
				return nil, err
			}
			return &handle{what: server.describe(), addr: server.Addr(), close: server.close}, nil
		}
	}
	return []service{
		{nameKafka, "KAFKA_BOOTSTRAP", func(ctx context.Context, s *setup) (*handle, error) {
			cluster, err := s.kafka(ctx, 1)
			if err != nil {
				return nil, err
			}
			return &handle{what: cluster.Nodes[0].describe(), addr: cluster.Bootstrap(), close: cluster.close}, nil
		}},
		{nameRegistry, "SCHEMA_REGISTRY_URL", single((*setup).registry)},
		{namePostgres, "POSTGRES_DSN", single((*setup).postgres)},
		{nameMoto, "STEPFUNCTIONS_ENDPOINT", single((*setup).moto)},
		{nameMinistack, "MINISTACK_ENDPOINT", single(func(s *setup, ctx context.Context) (*Server, error) { return s.ministack(ctx) })},
	}
}

func serviceNamed(name string) (service, error) {
	var names []string
	for _, s := range services() {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return service{}, fmt.Errorf("unknown server %q (there are %s)", name, strings.Join(names, ", "))
}

// start opens the service and says how long that took.
func (sv service) start(ctx context.Context, s *setup) (*handle, error) {
	began := time.Now()
	h, err := sv.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sv.name, err)
	}
	s.logf("stack: %s, ready after %s", h.what, time.Since(began).Round(100*time.Millisecond))
	return h, nil
}

// Running is a set of servers that Up started.
type Running struct {
	mu      sync.Mutex // guards handles while Up starts them
	handles map[string]*handle
}

// Up starts the named servers together (kafka, registry, postgres, moto, ministack) and returns when
// all of them answer, or none is left running. What it fetches and starts is told to logf, which
// is called from several goroutines. A prerequisite that is missing is an error that names
// the command that installs it.
func Up(ctx context.Context, logf func(format string, args ...any), names ...string) (*Running, error) {
	s, err := newSetup(logf)
	if err != nil {
		return nil, err
	}
	wanted := make([]service, len(names))
	for i, name := range names {
		if wanted[i], err = serviceNamed(name); err != nil {
			return nil, err
		}
	}
	r := &Running{handles: map[string]*handle{}}
	g, gctx := errgroup.WithContext(ctx)
	for _, sv := range wanted {
		g.Go(func() error {
			h, err := sv.start(gctx, s)
			if err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.handles[sv.name] = h
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Env gives the addresses as lines of an environment, such as KAFKA_BOOTSTRAP=127.0.0.1:19092.
func (r *Running) Env() []string {
	var env []string
	for _, sv := range services() {
		if h := r.handles[sv.name]; h != nil {
			env = append(env, sv.env+"="+h.addr)
		}
	}
	return env
}

// Close stops the servers together and removes their data. It returns when they are gone.
func (r *Running) Close() {
	var wg sync.WaitGroup
	for _, h := range r.handles {
		wg.Go(h.close)
	}
	wg.Wait()
}
