package transform

import (
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// reference names a field of an event that is added to the row, or as a header.
type reference struct {
	part  string // the struct that holds the field, such as source; "" for the event itself
	field string
	name  string // of the new field or header
}

func parseReferences(prefix string, items []string) ([]reference, error) {
	var refs []reference
	for _, item := range items {
		ref, err := parseReference(prefix, item)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// parseReference reads [part.]field[:name]. A field without a part is the event's own, the
// transaction's, or the source's.
func parseReference(prefix, text string) (reference, error) {
	path, name, named := strings.Cut(text, ":")
	part, field, nested := strings.Cut(path, ".")
	ref := reference{part: part, field: field, name: prefix + name}
	if !nested {
		ref.field, ref.part = path, partOf(path)
	}
	if ref.field == "" || strings.ContainsAny(ref.field, ".") || nested && part == "" || named && (name == "" || strings.Contains(name, ":")) {
		return ref, message("Unexpected field name: " + text)
	}
	if !named {
		ref.name = prefix + strings.ReplaceAll(path, ".", "_")
	}
	return ref, nil
}

func partOf(field string) string {
	switch field {
	case "op", "ts_ms", "ts_us", "ts_ns":
		return ""
	case "id", "data_collection_order", "total_order":
		return "transaction"
	}
	return "source"
}

// envelope is what unwrap does with events of one schema.
type envelope struct {
	before, after   int // places of the rows; before is -1 where there is none, and null then
	row             *connector.Schema
	flag            *connector.Schema // of __deleted
	layout          *layout           // of the row with what is added; nil when nothing is
	fields, headers []addition
}

// addition is a reference whose field was found.
type addition struct {
	name   string
	part   int // place in the event of the struct that holds the field, or -1
	field  int // place in that struct, or in the event
	schema *connector.Schema
}

func (e *envelope) at(parts []connector.Value, i int) connector.Value {
	if i < 0 {
		return connector.Value{}
	}
	return parts[i]
}

func (t *unwrap) plan(s *connector.Schema) (*envelope, error) {
	e := &envelope{before: s.Index("before"), after: s.Index("after"), flag: &connector.Schema{Type: connector.String, Optional: true}}
	if e.after < 0 {
		return nil, failure(illegalArgument, "Unknown field: after")
	}
	e.row = s.Fields[e.after].Schema
	var err error
	if e.headers, err = additions(s, t.headers); err != nil {
		return nil, err
	}
	if e.fields, err = additions(s, t.fields); err != nil {
		return nil, err
	}
	if !t.rewrite && len(e.fields) == 0 {
		return e, nil
	}
	if e.row.Type != connector.Struct {
		return nil, dataError("Only Struct objects supported for [source field insertion], found: %s", classOfSchema(e.row))
	}
	columns := append([]connector.Field(nil), e.row.Fields...)
	if t.rewrite {
		columns = append(columns, connector.Field{Name: "__deleted", Schema: e.flag})
	}
	for _, a := range e.fields {
		columns = append(columns, connector.Field{Name: a.name, Schema: a.schema})
	}
	out, err := basics(e.row, columns)
	if err != nil {
		return nil, err
	}
	e.layout = newLayout(out)
	return e, nil
}

// additions finds the fields in an event's schema. One that is neither in its part nor in the event
// is left out; a part that the event does not have is an error.
func additions(s *connector.Schema, refs []reference) ([]addition, error) {
	var found []addition
	for _, ref := range refs {
		a := addition{name: ref.name, part: -1}
		holder := s
		if ref.part != "" {
			if a.part = s.Index(ref.part); a.part < 0 || s.Fields[a.part].Schema.Type != connector.Struct {
				return nil, dataError("%s is not a struct of the event, so %s cannot be added", ref.part, ref.name)
			}
			holder = s.Fields[a.part].Schema
		}
		if a.field = holder.Index(ref.field); a.field < 0 && a.part >= 0 {
			holder, a.part, a.field = s, -1, s.Index(ref.field)
		}
		if a.field < 0 {
			continue
		}
		a.schema = optional(holder.Fields[a.field].Schema)
		found = append(found, a)
	}
	return found, nil
}

// opened is an event whose fields are split, and the last of its structs that was.
type opened struct {
	parts   []connector.Value
	room    *scratch
	part    int // of inner
	inner   []connector.Value
	release func() // gives inner back; nil while there is none
}

func (o *opened) close() {
	if o.release != nil {
		o.release()
		o.release = nil
	}
}

// value gives a field as a value of the schema that takes null. Defaults do not replace nulls.
func (o *opened) value(a addition) (connector.Value, error) {
	v, err := o.field(a)
	if err != nil {
		return v, err
	}
	if v.IsNull() {
		return connector.NewValue(a.schema, nil), nil
	}
	if raw, enc, lazy := v.Wire(); lazy && a.schema.Type == connector.Struct {
		return connector.Lazy(&renamed{a.schema, enc}, raw), nil
	}
	native, err := v.Native()
	return connector.NewValue(a.schema, native), err
}

func (o *opened) field(a addition) (connector.Value, error) {
	switch {
	case a.part < 0:
		return o.parts[a.field], nil
	case o.parts[a.part].IsNull():
		return connector.Value{}, nil
	case o.release == nil || o.part != a.part:
		o.close()
		var err error
		if o.inner, o.release, err = o.room.open(o.parts[a.part]); err != nil {
			return connector.Value{}, err
		}
		o.part = a.part
	}
	return o.inner[a.field], nil
}
