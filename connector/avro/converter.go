package avro

import (
	"context"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
)

// converter is the AvroConverter of keys or values.
type converter struct {
	registry *registry
	isKey    bool
	header   string
	release  func()
	once     sync.Once
}

// Convert finds the schema of data, fetches it if need be, and gives a lazy value that keeps
// data. It walks data once without reading it, so that bytes which are no datum of the schema fail
// here, at the converter's stage, and not in the sink. The host names topic, partition and offset in
// front of its errors.
func (c *converter) Convert(ctx context.Context, _ string, headers []connector.RawHeader, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	id, datum, err := frame(headers, c.header, data)
	if err != nil {
		return connector.Value{}, connector.Rejected(err)
	}
	e, err := c.registry.get(ctx, id)
	if err != nil {
		return connector.Value{}, err
	}
	program := e.value
	if c.isKey {
		program = e.key
	}
	if err := program.Check(datum); err != nil {
		return connector.Value{}, err
	}
	return program.Value(datum)
}

// Close lets go of the registry client, whose connections close with its last converter.
func (c *converter) Close() error {
	c.once.Do(c.release)
	return nil
}

// pool shares registry clients among the converters of a worker: the tasks of a connector, its
// keys and values, and connectors with the same settings fetch and compile a schema once.
type pool struct {
	mu     sync.Mutex // guards shared
	shared map[string]*member
	calls  callMetrics
}

type member struct {
	registry *registry
	users    int
}

// take gives the registry of s and the function that gives it back, to be called once.
func (p *pool) take(s settings) (*registry, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := s.fingerprint()
	m := p.shared[key]
	if m == nil {
		r, err := newRegistry(s)
		if err != nil {
			return nil, nil, err
		}
		r.client.watch = p.calls.ended
		m = &member{registry: r}
		p.shared[key] = m
	}
	m.users++
	return m.registry, func() { p.release(key, m) }, nil
}

func (p *pool) release(key string, m *member) {
	p.mu.Lock()
	m.users--
	last := m.users == 0
	if last {
		delete(p.shared, key)
	}
	p.mu.Unlock()
	if last {
		m.registry.close()
	}
}
