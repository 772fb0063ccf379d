package json

import (
	"fmt"
	"hash/maphash"

	"github.com/stepconnect/stepconnect/connector"
)

// encoding reads JSON text that has no schema and was found valid.
type encoding struct {
	verbatim bool // the text is its own compact form
}

// Schema is nil: there is none.
func (encoding) Schema() *connector.Schema { return nil }

// AppendJSON appends raw without blanks. Nothing in JSON has more than one form, so f changes nothing.
func (e encoding) AppendJSON(dst, raw []byte, _ *connector.Format) ([]byte, error) {
	if e.verbatim {
		return append(dst, raw...), nil
	}
	return compact(dst, raw)
}

// Decode gives the native form.
func (encoding) Decode(raw []byte) (any, error) {
	s := scanner{data: raw}
	return s.native(false)
}

// AppendFields fails: objects without a schema are maps, as in Kafka Connect.
func (encoding) AppendFields(dst []connector.Value, _ []byte) ([]connector.Value, error) {
	return dst, fmt.Errorf("%w: it is JSON without a schema", connector.ErrNotStruct)
}

// schemaless gives the value of a whole text, which lies at base in the record. Nothing but
// blanks is null, as Jackson reads it.
func schemaless(data []byte, base int, seed maphash.Seed) (connector.Value, error) {
	var stack [2 * few]uint64
	n := names{seed: seed, stack: stack[:0]}
	s := scanner{data: data, base: base, names: &n}
	if s.blank() {
		return connector.Value{}, nil
	}
	start := s.at
	s.loose = false
	if err := s.skip(); err != nil {
		return connector.Value{}, err
	}
	raw, verbatim := data[start:s.at], !s.loose
	if err := s.end(); err != nil {
		return connector.Value{}, err
	}
	switch {
	case string(raw) == "null":
		return connector.Value{}, nil
	case n.twice:
		s = scanner{data: raw, base: base + start}
		v, err := s.native(true)
		return connector.NewValue(nil, v), err
	}
	return connector.Lazy(encoding{verbatim}, raw), nil
}

// native reads one value into the form that schemaless data has. With unique set the last of
// several members of one name counts, at the place of the first, as in Jackson's objects.
func (s *scanner) native(unique bool) (any, error) {
	switch c := s.peek(); c {
	case '{':
		return s.nativeObject(unique)
	case '[':
		return s.nativeArray(unique)
	case '"':
		t, err := s.text()
		if err != nil {
			return nil, err
		}
		return t.string(), nil
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return nil, s.literal("null")
	default:
		if c != '-' && !digit(c) {
			return nil, s.unexpected("a value")
		}
		n, err := s.number()
		return connector.Number(n), err
	}
}

func (s *scanner) nativeArray(unique bool) (any, error) {
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
		v, err := s.native(unique)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func (s *scanner) nativeObject(unique bool) (any, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	m := &connector.MapValue{}
	var places map[string]int
	if unique {
		places = map[string]int{}
	}
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return nil, err
		}
		if !more {
			return m, nil
		}
		t, err := s.name()
		if err != nil {
			return nil, err
		}
		v, err := s.native(unique)
		if err != nil {
			return nil, err
		}
		name := t.string()
		if i, twice := places[name]; twice {
			m.Entries[i].Value = v
			continue
		}
		if unique {
			places[name] = len(m.Entries)
		}
		m.Entries = append(m.Entries, connector.Entry{Key: name, Value: v})
	}
}
