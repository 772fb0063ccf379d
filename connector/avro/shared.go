package avro

import "sync"

// Shared keeps one registry for each of its settings, for as long as a converter of the worker uses it: the tasks of
// a connector, its keys and values, and connectors with the same settings fetch and compile a schema once. The zero
// value is ready.
type Shared[T interface{ Close() }] struct {
	mu sync.Mutex // guards by
	by map[string]*member[T]
}

type member[T any] struct {
	of    T
	users int
}

// Take gives the registry of those settings, which open makes where there is none, and the function that gives it
// back, to be called once.
func (s *Shared[T]) Take(settings string, open func() (T, error)) (of T, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.by[settings]
	if m == nil {
		if of, err = open(); err != nil {
			return of, nil, err
		}
		if s.by == nil {
			s.by = map[string]*member[T]{}
		}
		m = &member[T]{of: of}
		s.by[settings] = m
	}
	m.users++
	return m.of, func() { s.release(settings, m) }, nil
}

func (s *Shared[T]) release(settings string, m *member[T]) {
	s.mu.Lock()
	m.users--
	last := m.users == 0
	if last {
		delete(s.by, settings)
	}
	s.mu.Unlock()
	if last {
		m.of.Close()
	}
}
