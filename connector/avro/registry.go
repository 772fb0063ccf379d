package avro

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riferrei/srclient"
	"golang.org/x/sync/singleflight"

	"github.com/stepconnect/stepconnect/connector"
)

const (
	// fetchTime bounds one fetch with all its retries and references.
	fetchTime = 60 * time.Second
	// unknownFor is how long a registry's no is believed: a schema may be registered late, and a
	// topic of records that nobody can read must not ask for each of them.
	unknownFor = 5 * time.Second
	// maxRefs is how many schemas one schema may refer to, directly or not.
	maxRefs = 1000
)

// entry is what a schema became. It never changes.
type entry struct {
	key, value *Program // one program, with the paths of its errors
	err        error    // it cannot be compiled
}

// registry fetches and keeps the programs of a schema registry's schemas. It is safe for
// concurrent use.
type registry struct {
	client *client
	known  atomic.Pointer[map[schemaID]entry] // replaced, never changed
	flight singleflight.Group
	now    func() time.Time

	mu      sync.Mutex // guards the fields below, and writes to known
	unknown map[schemaID]refusal
	running map[*context.CancelFunc]bool
	closed  bool
	done    sync.WaitGroup
}

// refusal is a registry's no, until it is asked again.
type refusal struct {
	err   error
	until time.Time
}

func newRegistry(s settings) (*registry, error) {
	c, err := newClient(s)
	if err != nil {
		return nil, err
	}
	r := &registry{client: c, now: time.Now, unknown: map[schemaID]refusal{}, running: map[*context.CancelFunc]bool{}}
	r.known.Store(&map[schemaID]entry{})
	return r, nil
}

// get gives the programs of a schema. Any number of callers cause one fetch; a caller whose ctx
// ends leaves at once, and the fetch goes on for the others.
func (r *registry) get(ctx context.Context, id schemaID) (entry, error) {
	if e, ok := (*r.known.Load())[id]; ok {
		return e, e.err
	}
	result := r.flight.DoChan(id.String(), func() (any, error) { return r.fetch(ctx, id) })
	select {
	case <-ctx.Done():
		return entry{}, connector.Retryable(fmt.Errorf("waiting for %s of schema registry %v: %w", id, r.client, ctx.Err()))
	case got := <-result:
		if got.Err != nil {
			return entry{}, got.Err
		}
		e := got.Val.(entry)
		return e, e.err
	}
}

// fetch is the one fetch of a schema that all waiting callers share.
func (r *registry) fetch(ctx context.Context, id schemaID) (entry, error) {
	if e, ok := (*r.known.Load())[id]; ok {
		return e, nil // it came between the look and the flight
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	if err := r.begin(&cancel, id); err != nil {
		return entry{}, err
	}
	defer r.end(&cancel)

	d, err := r.client.schema(ctx, id)
	var refs []string
	if err == nil {
		refs, err = r.references(ctx, d.refs)
	}
	if err != nil {
		if errors.Is(err, errUnknown) {
			r.refuse(id, err)
		}
		return entry{}, err
	}
	e := r.compile(id, d, refs)
	r.keep(id, e)
	return e, nil
}

// begin enters a fetch, unless the registry is closed or has just said no.
func (r *registry) begin(cancel *context.CancelFunc, id schemaID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return connector.Retryable(fmt.Errorf("the converter was closed before %s was fetched", id))
	}
	if no, ok := r.unknown[id]; ok {
		if r.now().Before(no.until) {
			return no.err
		}
		delete(r.unknown, id)
	}
	r.running[cancel] = true
	r.done.Add(1)
	return nil
}

func (r *registry) end(cancel *context.CancelFunc) {
	r.mu.Lock()
	delete(r.running, cancel)
	r.mu.Unlock()
	r.done.Done()
}

func (r *registry) refuse(id schemaID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unknown) >= r.client.settings.cacheSize {
		clear(r.unknown)
	}
	r.unknown[id] = refusal{err: err, until: r.now().Add(unknownFor)}
}

// keep adds an entry. A full cache loses any other one: it is fetched again when it is needed.
func (r *registry) keep(id schemaID, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := maps.Clone(*r.known.Load())
	for other := range known {
		if len(known) < r.client.settings.cacheSize {
			break
		}
		delete(known, other)
	}
	known[id] = e
	r.known.Store(&known)
}

func (r *registry) compile(id schemaID, d document, refs []string) entry {
	reject := func(err error) entry {
		return entry{err: connector.Rejected(fmt.Errorf("%s of schema registry %v: %w", id, r.client, err))}
	}
	if d.kind != "" && d.kind != string(srclient.Avro) {
		return reject(fmt.Errorf("it is of type %s, not AVRO: use the converter of that format", d.kind))
	}
	p, err := compile(d.text, refs, r.client.settings.fullNames)
	if err != nil {
		return reject(err)
	}
	return entry{key: p.Under("key"), value: p.Under("value")}
}

// references fetches what refs name and what that refers to in turn, each once, in an order in
// which each comes after what it refers to.
func (r *registry) references(ctx context.Context, refs []srclient.Reference) ([]string, error) {
	type version struct {
		subject string
		number  int
	}
	var texts []string
	seen := map[version]bool{}
	var visit func(refs []srclient.Reference) error
	visit = func(refs []srclient.Reference) error {
		for _, ref := range refs {
			v := version{ref.Subject, ref.Version}
			if seen[v] {
				continue
			}
			if len(seen) >= maxRefs {
				return connector.Rejected(fmt.Errorf("a schema that refers to more than %d others", maxRefs))
			}
			seen[v] = true
			d, err := r.client.version(ctx, ref)
			if err != nil {
				return err
			}
			if err := visit(d.refs); err != nil {
				return err
			}
			texts = append(texts, d.text)
		}
		return nil
	}
	err := visit(refs)
	return texts, err
}

// close ends the fetches that run and waits for them.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	for cancel := range r.running {
		(*cancel)()
	}
	r.mu.Unlock()
	r.done.Wait()
	r.client.close()
}
