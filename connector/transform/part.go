package transform

import (
	"slices"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
)

// part says whether a transform works on the key or on the value.
type part uint8

const (
	keyPart part = iota
	valuePart
)

func (p part) of(r *connector.Record) connector.Value {
	if p == keyPart {
		return r.Key
	}
	return r.Value
}

func (p part) put(r *connector.Record, v connector.Value) {
	if p == keyPart {
		r.Key = v
	} else {
		r.Value = v
	}
}

// split gives the fields of a struct, unread, with room for extra more. With fill set a null field
// takes its schema's default, as Struct.get does in Java.
func split(v connector.Value, extra int, fill bool) ([]connector.Value, error) {
	s := v.Schema()
	fields, err := v.AppendFields(make([]connector.Value, 0, len(s.Fields)+extra))
	if err != nil {
		return nil, err
	}
	if fill {
		for i, f := range fields {
			fields[i] = orDefault(f, s.Fields[i].Schema)
		}
	}
	return fields, nil
}

// orDefault gives v, or the default of its schema for null.
func orDefault(v connector.Value, s *connector.Schema) connector.Value {
	if s != nil && s.HasDefault && s.Default != nil && v.IsNull() {
		return connector.NewValue(s, s.Default)
	}
	return v
}

// scratch lends room for the fields of a struct of which few are wanted, or only for a while.
type scratch struct{ pool sync.Pool }

// open gives the fields of a struct, unread; release gives the room back.
func (s *scratch) open(v connector.Value) (fields []connector.Value, release func(), err error) {
	room, _ := s.pool.Get().(*lent)
	if room == nil {
		room = &lent{}
		room.release = func() {
			// The pool must not keep wire bytes alive.
			clear(room.fields)
			s.pool.Put(room)
		}
	}
	room.fields, err = v.AppendFields(room.fields[:0])
	return room.fields, room.release, err
}

type lent struct {
	fields  []connector.Value
	release func() // made once, so that lending allocates nothing
}

// pick gives the i-th field of a struct without materialising anything.
func (s *scratch) pick(v connector.Value, i int) (connector.Value, error) {
	fields, release, err := s.open(v)
	defer release()
	if err != nil {
		return v, err
	}
	return fields[i], nil
}

// basics gives a struct schema of these fields with the name, version, doc and parameters of s
// (SchemaUtil.copySchemaBasics). Two fields of one name are an error.
func basics(s *connector.Schema, fields []connector.Field) (*connector.Schema, error) {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.Name] {
			return nil, failure(schemaBuilderException, "Cannot create field because of field name duplication %s", f.Name)
		}
		seen[f.Name] = true
	}
	return &connector.Schema{Type: connector.Struct, Name: s.Name, Version: s.Version, Doc: s.Doc, Params: s.Params, Fields: fields}, nil
}

// optional gives s as a schema that takes null, without its default.
func optional(s *connector.Schema) *connector.Schema {
	o := *s
	o.Optional, o.HasDefault, o.Default = true, false, nil
	return &o
}

// get gives the entry called name of a map without a schema.
func get(m *connector.MapValue, name string) (any, bool) {
	if i := find(m.Entries, name); i >= 0 {
		return m.Entries[i].Value, true
	}
	return nil, false
}

func find(entries []connector.Entry, name string) int {
	return slices.IndexFunc(entries, func(e connector.Entry) bool {
		key, ok := e.Key.(string)
		return ok && key == name
	})
}

// set replaces the entry called name, or adds it at the end. entries must be the caller's own.
func set(entries []connector.Entry, name string, v any) []connector.Entry {
	if i := find(entries, name); i >= 0 {
		entries[i].Value = v
		return entries
	}
	return append(entries, connector.Entry{Key: name, Value: v})
}

// withEntries makes a value without a schema of entries.
func withEntries(entries []connector.Entry) connector.Value {
	return connector.NewValue(nil, &connector.MapValue{Entries: entries})
}

// entriesOf gives a copy of a map's entries with room for extra more.
func entriesOf(m *connector.MapValue, extra int) []connector.Entry {
	return append(make([]connector.Entry, 0, len(m.Entries)+extra), m.Entries...)
}

// entrySet is the entries of a new map, in which the last value of a name counts, at the place of the
// first.
type entrySet struct {
	entries []connector.Entry
	places  map[string]int
}

func (s *entrySet) put(name string, v any) {
	if at, ok := s.places[name]; ok {
		s.entries[at].Value = v
		return
	}
	if s.places == nil {
		s.places = map[string]int{}
	}
	s.places[name] = len(s.entries)
	s.entries = append(s.entries, connector.Entry{Key: name, Value: v})
}
