package json

import (
	"errors"

	"github.com/stepconnect/stepconnect/connector"
)

func (p *plan) readStruct(s *scanner) (any, error) {
	if s.peek() != '{' {
		return nil, faultf("Structs should be encoded as JSON objects, but found %s", s.nodeType())
	}
	if err := s.take(len(p.fields)); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	var few [64]bool
	found := few[:]
	if len(p.fields) > len(few) {
		found = make([]bool, len(p.fields))
	}
	values := make([]any, len(p.fields))
	guess := 0
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		t, err := s.name()
		if err != nil {
			return nil, err
		}
		i := p.field(t, guess)
		if i < 0 {
			if err := s.skip(); err != nil {
				return nil, err
			}
			continue
		}
		guess = i + 1
		if values[i], err = p.fields[i].read(s); err != nil {
			return nil, under(err, p.schema.Fields[i].Name)
		}
		found[i] = true
	}
	if err := p.complete(values, found); err != nil {
		return nil, err
	}
	return &connector.StructValue{Schema: p.schema, Values: values}, nil
}

// complete fills the fields that were not found.
func (p *plan) complete(values []any, found []bool) error {
	for i, field := range p.fields {
		if found[i] {
			continue
		}
		var err error
		if values[i], err = field.missing(); err != nil {
			return under(err, p.schema.Fields[i].Name)
		}
	}
	return nil
}

// field finds the field of that name; guess is where it should be, as writers keep the order of the
// schema. -1: the schema does not know it.
func (p *plan) field(t token, guess int) int {
	if guess < len(p.fields) && !t.escaped && string(t.body) == p.schema.Fields[guess].Name {
		return guess
	}
	i, ok := 0, false
	if t.escaped {
		i, ok = p.index[t.string()]
	} else {
		i, ok = p.index[string(t.body)]
	}
	if !ok {
		return -1
	}
	return i
}

func (p *plan) readArray(s *scanner) (any, error) {
	if s.peek() != '[' {
		return nil, p.mismatch(s, "an array")
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	list := []any{}
	for first := true; ; first = false {
		more, err := s.next(first, ']')
		if err != nil {
			return nil, err
		}
		if !more {
			return list, nil
		}
		v, err := p.elem.read(s)
		if err != nil {
			return nil, element(err, len(list))
		}
		list = append(list, v)
	}
}

func element(err error, i int) error {
	var e *DataError
	if errors.As(err, &e) {
		return e.at(i)
	}
	return err
}

// readMap reads an object where keys are strings, and an array of [key, value] pairs elsewhere.
func (p *plan) readMap(s *scanner) (any, error) {
	m := distinct{value: &connector.MapValue{}, places: map[any]int{}}
	read := p.readPairs
	if p.key.schema.Type == connector.String {
		read = p.readMembers
	}
	if err := read(s, &m); err != nil {
		return nil, err
	}
	return m.value, nil
}

func (p *plan) readMembers(s *scanner, m *distinct) error {
	if s.peek() != '{' {
		return faultf("Maps with string fields should be encoded as JSON objects, but found %s", s.nodeType())
	}
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil || !more {
			return err
		}
		t, err := s.name()
		if err != nil {
			return err
		}
		key := t.string()
		v, err := p.elem.read(s)
		if err != nil {
			return under(err, key)
		}
		m.put(key, key, v)
	}
}

func (p *plan) readPairs(s *scanner, m *distinct) error {
	if s.peek() != '[' {
		return faultf("Maps with non-string fields should be encoded as JSON array of tuples, but found %s", s.nodeType())
	}
	if err := s.open(); err != nil {
		return err
	}
	count := 0
	for first := true; ; first = false {
		more, err := s.next(first, ']')
		if err != nil || !more {
			return err
		}
		if err := p.readPair(s, m); err != nil {
			return element(err, count)
		}
		count++
	}
}

func (p *plan) readPair(s *scanner, m *distinct) error {
	if s.peek() != '[' {
		return faultf("Found invalid map entry instead of array tuple: %s", s.nodeType())
	}
	ahead := *s
	size, err := ahead.size()
	if err != nil {
		return err
	}
	if size != 2 {
		return faultf("Found invalid map entry, expected length 2 but found :%d", size)
	}
	var pair [2]any
	if err := s.open(); err != nil {
		return err
	}
	for i, part := range [...]*plan{p.key, p.elem} {
		if _, err := s.next(i == 0, ']'); err != nil {
			return err
		}
		if pair[i], err = part.read(s); err != nil {
			return element(err, i)
		}
	}
	if _, err := s.next(false, ']'); err != nil {
		return err
	}
	id, err := identity(p.key.schema, pair[0])
	if err != nil {
		return err
	}
	m.put(id, pair[0], pair[1])
	return nil
}

// size passes an array and gives the number of its elements.
func (s *scanner) size() (int, error) {
	if err := s.open(); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		more, err := s.next(n == 0, ']')
		if err != nil || !more {
			return n, err
		}
		if err := s.skip(); err != nil {
			return n, err
		}
	}
}

// distinct collects the entries of a map: of several with one key the last counts, at the place of
// the first.
type distinct struct {
	value  *connector.MapValue
	places map[any]int
}

func (m *distinct) put(id, key, value any) {
	if i, twice := m.places[id]; twice {
		m.value.Entries[i].Value = value
		return
	}
	m.places[id] = len(m.value.Entries)
	m.value.Entries = append(m.value.Entries, connector.Entry{Key: key, Value: value})
}

// identity gives what is equal for equal keys: the key itself, or the text of one that Go cannot compare.
func identity(s *connector.Schema, key any) (any, error) {
	switch s.Type {
	case connector.Bytes, connector.Array, connector.Map, connector.Struct:
		text, err := connector.NewValue(s, key).AppendJSON(nil, nil)
		return string(text), err
	}
	return key, nil
}
