package transform

import (
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func flattenDef() *config.Def {
	return config.New(config.Key{Name: "delimiter", Default: ".", Importance: config.Medium,
		Doc: "Delimiter to insert between field names from the input record when generating field names for the output record"})
}

// maxDepth is how deep structs may be nested; a schema that holds itself has no end.
const maxDepth = 64

type flatten struct {
	part
	delimiter string
	layouts   cache[*connector.Schema, *layout]
}

func newFlatten(v config.Values, p part) (connector.Transform, error) {
	return &flatten{part: p, delimiter: v.String("delimiter")}, nil
}

func (t *flatten) Apply(r *connector.Record) (*connector.Record, error) {
	const purpose = "flattening"
	v := t.of(r)
	if v.IsNull() {
		return r, nil
	}
	if v.Schema() == nil {
		m, err := requireMap(v, purpose)
		if err != nil {
			return nil, err
		}
		var out entrySet
		t.entries(&out, "", m)
		t.put(r, withEntries(out.entries))
		return r, nil
	}
	if err := requireStruct(v, purpose); err != nil {
		return nil, err
	}
	layout, err := t.layouts.get(v.Schema(), t.layout)
	if err != nil {
		return nil, err
	}
	fields, err := leaves(make([]connector.Value, 0, len(layout.schema.Fields)), v.Schema(), v)
	if err != nil {
		return nil, err
	}
	if v, err = layout.join(v, fields); err != nil {
		return nil, err
	}
	t.put(r, v)
	return r, nil
}

func (t *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + t.delimiter + name
}

func (t *flatten) entries(out *entrySet, prefix string, m *connector.MapValue) {
	for _, e := range m.Entries {
		key, _ := e.Key.(string)
		name := t.name(prefix, key)
		if inner, ok := e.Value.(*connector.MapValue); ok {
			t.entries(out, name, inner)
		} else {
			out.put(name, e.Value)
		}
	}
}

func (t *flatten) layout(s *connector.Schema) (*layout, error) {
	def, _ := s.Default.(*connector.StructValue)
	fields, err := t.fields(nil, "", s, s.Optional, def, 0)
	if err != nil {
		return nil, err
	}
	out, err := basics(s, fields)
	if err != nil {
		return nil, err
	}
	return newLayout(out), nil
}

// fields appends the leaves of s. A leaf is optional when a struct around it is, and takes its
// default from the default of such a struct when it has none.
func (t *flatten) fields(out []connector.Field, prefix string, s *connector.Schema, isOptional bool, def *connector.StructValue, depth int) ([]connector.Field, error) {
	if depth > maxDepth {
		return nil, dataError("Flatten transformation does not support structs nested deeper than %d levels, or inside themselves (for field %s).", maxDepth, prefix)
	}
	for i, f := range s.Fields {
		name, leaf := t.name(prefix, f.Name), *f.Schema
		leaf.Optional = isOptional || leaf.Optional
		if !leaf.HasDefault && def != nil && def.Values[i] != nil {
			leaf.HasDefault, leaf.Default = true, def.Values[i]
		}
		switch leaf.Type {
		case connector.Struct:
			inner, _ := leaf.Default.(*connector.StructValue)
			var err error
			if out, err = t.fields(out, name, f.Schema, leaf.Optional, inner, depth+1); err != nil {
				return nil, err
			}
		case connector.Map:
			return nil, dataError("Flatten transformation does not support %s for record with schemas (for field %s).", strings.ToUpper(leaf.Type.String()), name)
		default:
			out = append(out, connector.Field{Name: name, Schema: &leaf})
		}
	}
	return out, nil
}

// leaves appends the fields of v, those of the structs in it in their places.
func leaves(dst []connector.Value, s *connector.Schema, v connector.Value) ([]connector.Value, error) {
	if v.IsNull() {
		return nulls(dst, s), nil
	}
	fields, err := split(v, 0, true)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		if fs := s.Fields[i].Schema; fs.Type != connector.Struct {
			dst = append(dst, f)
		} else if dst, err = leaves(dst, fs, f); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// nulls appends a null for each leaf of s.
func nulls(dst []connector.Value, s *connector.Schema) []connector.Value {
	for _, f := range s.Fields {
		if f.Schema.Type == connector.Struct {
			dst = nulls(dst, f.Schema)
		} else {
			dst = append(dst, connector.NewValue(f.Schema, nil))
		}
	}
	return dst
}
