package avro

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stepconnect/stepconnect/connector"
)

const (
	// fetchTime bounds one fetch with all its retries and references.
	fetchTime = 60 * time.Second
	// unknownFor is how long a registry's no is believed: a schema may be registered late, and a
	// topic of records that nobody can read must not ask for each of them.
	unknownFor = 5 * time.Second
)

// ErrUnknown marks a registry's answer that a schema does not exist.
var ErrUnknown = errors.New("not found")

// SchemaID names a schema of a registry.
type SchemaID interface {
	comparable
	fmt.Stringer
}

// Fetched is what a schema became: a program, or the reason why it can never be one. It is kept.
type Fetched struct {
	Program *Program
	Err     error
}

// Programs fetches and keeps the programs of a registry's schemas. It is safe for concurrent use.
type Programs[K SchemaID] struct {
	registry string // for errors
	size     int
	fetch    func(ctx context.Context, id K) (Fetched, error)
	known    atomic.Pointer[map[K]entry] // replaced, never changed
	flight   singleflight.Group
	now      func() time.Time

	mu      sync.Mutex // guards the fields below, and writes to known
	unknown map[K]refusal
	running map[*context.CancelFunc]bool
	closed  bool
	done    sync.WaitGroup
}

// entry is what a schema became. It never changes.
type entry struct {
	key, value *Program // one program, with the paths of its errors
	err        error    // it cannot be compiled
}

// refusal is a registry's no, until it is asked again.
type refusal struct {
	err   error
	until time.Time
}

// NewPrograms makes a cache of up to size programs. fetch asks the registry for one schema; an error of it is not kept,
// but for one with ErrUnknown in its chain, which is for a few seconds. registry names the registry in errors.
func NewPrograms[K SchemaID](registry string, size int, fetch func(ctx context.Context, id K) (Fetched, error)) *Programs[K] {
	p := &Programs[K]{registry: registry, size: size, fetch: fetch, now: time.Now, unknown: map[K]refusal{}, running: map[*context.CancelFunc]bool{}}
	p.known.Store(&map[K]entry{})
	return p
}

// Get gives the program of a schema, for a record's key or its value. Any number of callers cause one fetch; a
// caller whose ctx ends leaves at once, and the fetch goes on for the others.
func (p *Programs[K]) Get(ctx context.Context, id K, isKey bool) (*Program, error) {
	e, ok := (*p.known.Load())[id]
	if !ok {
		result := p.flight.DoChan(id.String(), func() (any, error) { return p.get(ctx, id) })
		select {
		case <-ctx.Done():
			return nil, connector.Retryable(fmt.Errorf("waiting for %s of %s: %w", id, p.registry, ctx.Err()))
		case got := <-result:
			if got.Err != nil {
				return nil, got.Err
			}
			e = got.Val.(entry)
		}
	}
	if isKey {
		return e.key, e.err
	}
	return e.value, e.err
}

// get is the one fetch of a schema that all waiting callers share.
func (p *Programs[K]) get(ctx context.Context, id K) (entry, error) {
	if e, ok := (*p.known.Load())[id]; ok {
		return e, nil // it came between the look and the flight
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	if err := p.begin(&cancel, id); err != nil {
		return entry{}, err
	}
	defer p.end(&cancel)
	f, err := p.fetch(ctx, id)
	if err != nil {
		if errors.Is(err, ErrUnknown) {
			p.refuse(id, err)
		}
		return entry{}, err
	}
	e := entry{err: f.Err}
	if f.Err == nil {
		e = entry{key: f.Program.Under("key"), value: f.Program.Under("value")}
	}
	p.keep(id, e)
	return e, nil
}

// begin enters a fetch, unless the cache is closed or the registry has just said no.
func (p *Programs[K]) begin(cancel *context.CancelFunc, id K) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return connector.Retryable(fmt.Errorf("the converter was closed before %s was fetched", id))
	}
	if no, ok := p.unknown[id]; ok {
		if p.now().Before(no.until) {
			return no.err
		}
		delete(p.unknown, id)
	}
	p.running[cancel] = true
	p.done.Add(1)
	return nil
}

func (p *Programs[K]) end(cancel *context.CancelFunc) {
	p.mu.Lock()
	delete(p.running, cancel)
	p.mu.Unlock()
	p.done.Done()
}

func (p *Programs[K]) refuse(id K, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unknown) >= p.size {
		clear(p.unknown)
	}
	p.unknown[id] = refusal{err: err, until: p.now().Add(unknownFor)}
}

// keep adds an entry. A full cache loses any other one: it is fetched again when it is needed.
func (p *Programs[K]) keep(id K, e entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := maps.Clone(*p.known.Load())
	for other := range known {
		if len(known) < p.size {
			break
		}
		delete(known, other)
	}
	known[id] = e
	p.known.Store(&known)
}

// Close ends the fetches that run and waits for them.
func (p *Programs[K]) Close() {
	p.mu.Lock()
	p.closed = true
	for cancel := range p.running {
		(*cancel)()
	}
	p.mu.Unlock()
	p.done.Wait()
}
