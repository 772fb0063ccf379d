package transform

import (
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// layout is a struct schema with the text that stands before each field in JSON.
type layout struct {
	schema *connector.Schema
	before []string // `{"a":`, `,"b":` …
}

func newLayout(s *connector.Schema) *layout {
	l := &layout{schema: s, before: make([]string, len(s.Fields))}
	for i, f := range s.Fields {
		sign := byte(',')
		if i == 0 {
			sign = '{'
		}
		l.before[i] = string(append(jsontext.AppendString([]byte{sign}, f.Name), ':'))
	}
	return l
}

// join makes a struct of its fields, which stay as they are: wire bytes are not read. Where from, the
// value that they came from, is wire bytes, the result has the same ones (Value.Wire): they are
// what was received, and identify the datum.
func (l *layout) join(from connector.Value, fields []connector.Value) (connector.Value, error) {
	if raw, _, lazy := from.Wire(); lazy {
		return connector.Lazy(&joined{l, fields}, raw), nil
	}
	return l.native(fields)
}

// native makes a struct of its fields and materialises them.
func (l *layout) native(fields []connector.Value) (connector.Value, error) {
	values := make([]any, len(fields))
	for i, f := range fields {
		v, err := f.Native()
		if err != nil {
			return connector.Value{}, fmt.Errorf("%s: %w", l.schema.Fields[i].Name, err)
		}
		values[i] = v
	}
	return connector.NewValue(l.schema, &connector.StructValue{Schema: l.schema, Values: values}), nil
}

// joined is the encoding of one struct: it holds the fields and does not read the bytes again.
type joined struct {
	*layout
	fields []connector.Value
}

func (j *joined) Schema() *connector.Schema { return j.schema }

func (j *joined) AppendJSON(dst, _ []byte, f *connector.Format) ([]byte, error) {
	if len(j.fields) == 0 {
		return append(dst, "{}"...), nil
	}
	for i, v := range j.fields {
		var err error
		if dst, err = v.AppendJSON(append(dst, j.before[i]...), f); err != nil {
			return dst, fmt.Errorf("%s: %w", j.schema.Fields[i].Name, err)
		}
	}
	return append(dst, '}'), nil
}

func (j *joined) Decode([]byte) (any, error) {
	v, err := j.native(j.fields)
	if err != nil {
		return nil, err
	}
	return v.Native()
}

func (j *joined) AppendFields(dst []connector.Value, _ []byte) ([]connector.Value, error) {
	return append(dst, j.fields...), nil
}

// renamed is the encoding of a struct whose schema has other metadata, the same fields.
type renamed struct {
	schema *connector.Schema
	connector.Encoding
}

func (r *renamed) Schema() *connector.Schema { return r.schema }

func (r *renamed) Decode(raw []byte) (any, error) {
	native, err := r.Encoding.Decode(raw)
	if s, ok := native.(*connector.StructValue); ok {
		return &connector.StructValue{Schema: r.schema, Values: s.Values}, err
	}
	return native, err
}
