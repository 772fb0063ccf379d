package transform

import (
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func castDef() *config.Def {
	return config.New(
		config.Key{Name: "spec", Type: config.List, Required: true, Importance: config.High,
			Validate: config.Func("list of colon-delimited pairs, e.g. foo:bar,abc:xyz", func(_ string, value any) error {
				items, _ := value.([]string)
				_, err := parseSpec(items)
				return err
			}),
			Doc: "List of fields and the type to cast them to of the form field1:type,field2:type to cast fields of Maps or Structs. A single type to cast the entire value. " +
				"Valid types are int8, int16, int32, int64, float32, float64, boolean, and string. Note that binary fields can only be cast to string."},
		fillKey(),
	)
}

// castSpec is what to cast: fields, or the whole when whole is not Invalid.
type castSpec struct {
	fields map[string]connector.Type
	order  []string
	whole  connector.Type
}

const castTargets = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"

func parseSpec(items []string) (castSpec, error) {
	spec := castSpec{fields: map[string]connector.Type{}}
	if len(items) == 0 {
		return spec, message("Must specify at least one field to cast.")
	}
	for _, item := range items {
		field, name, isField := strings.Cut(item, ":")
		if strings.Contains(name, ":") {
			return spec, config.Invalid("renames", items, "Invalid rename mapping: "+item)
		}
		if !isField {
			name = field
		}
		to, err := castTarget(strings.TrimSpace(name))
		if err != nil {
			return spec, err
		}
		if !isField {
			spec.whole = to
			continue
		}
		field = strings.TrimSpace(field)
		if _, again := spec.fields[field]; !again {
			spec.order = append(spec.order, field)
		}
		spec.fields[field] = to
	}
	if spec.whole != connector.Invalid && len(items) > 1 {
		return spec, message("Cast transformations that specify a type to cast the entire value to may ony specify a single cast in their spec")
	}
	return spec, nil
}

func castTarget(name string) (connector.Type, error) {
	for t := connector.Int8; t <= connector.Struct; t++ {
		switch {
		case !strings.EqualFold(name, t.String()):
		case t > connector.String:
			return t, message("Cast transformation does not support casting to " + strings.ToUpper(name) + "; supported types are " + castTargets)
		default:
			return t, nil
		}
	}
	return connector.Invalid, message("Invalid type found in casting spec: " + name)
}

type cast struct {
	part
	spec  castSpec
	fill  bool
	plans cache[*connector.Schema, castPlan]
}

// castPlan is a struct's new schema and the targets of its fields, Invalid for those that stay; or
// the schema of a whole that is cast.
type castPlan struct {
	layout  *layout
	targets []connector.Type
	whole   *connector.Schema
}

func newCast(v config.Values, p part) (connector.Transform, error) {
	spec, err := parseSpec(v.List("spec"))
	return &cast{part: p, spec: spec, fill: v.Bool(keyFill)}, err
}

func (t *cast) Apply(r *connector.Record) (*connector.Record, error) {
	v := t.of(r)
	if v.IsNull() {
		return r, nil
	}
	var err error
	if v.Schema() == nil {
		v, err = t.schemaless(v)
	} else {
		v, err = t.withSchema(v)
	}
	if err != nil {
		return nil, err
	}
	t.put(r, v)
	return r, nil
}

const castPurpose = "cast types"

func (t *cast) schemaless(v connector.Value) (connector.Value, error) {
	if t.spec.whole != connector.Invalid {
		native, err := v.Native()
		if err != nil {
			return v, err
		}
		out, err := castLoose(native, t.spec.whole)
		return connector.NewValue(nil, out), err
	}
	m, err := requireMap(v, castPurpose)
	if err != nil {
		return v, err
	}
	entries := entriesOf(m, len(t.spec.order))
	for _, name := range t.spec.order {
		old, _ := get(m, name)
		out, err := castLoose(old, t.spec.fields[name])
		if err != nil {
			return v, err
		}
		entries = set(entries, name, out)
	}
	return withEntries(entries), nil
}

func (t *cast) withSchema(v connector.Value) (connector.Value, error) {
	if t.spec.whole == connector.Invalid {
		if err := requireStruct(v, castPurpose); err != nil {
			return v, err
		}
	}
	plan, err := t.plans.get(v.Schema(), t.plan)
	if err != nil {
		return v, err
	}
	if plan.whole != nil {
		return castValue(v, v.Schema(), plan.whole)
	}
	fields, err := split(v, 0, t.fill)
	if err != nil {
		return v, err
	}
	for i, to := range plan.targets {
		if to == connector.Invalid {
			continue
		}
		if fields[i], err = castValue(fields[i], v.Schema().Fields[i].Schema, plan.layout.schema.Fields[i].Schema); err != nil {
			return v, err
		}
	}
	return plan.layout.join(v, fields)
}

func castValue(v connector.Value, from, to *connector.Schema) (connector.Value, error) {
	native, err := v.Native()
	if err != nil {
		return v, err
	}
	out, err := castNative(from, native, to.Type)
	return connector.NewValue(to, out), err
}

func (t *cast) plan(s *connector.Schema) (castPlan, error) {
	if t.spec.whole != connector.Invalid {
		whole, err := castSchema(s, t.spec.whole)
		if err == nil && !isDate(s) && !isDecimal(s) {
			// A logical type's name would give the new value a meaning that it does not have.
			whole.Name, whole.Version, whole.Doc, whole.Params = s.Name, s.Version, s.Doc, s.Params
		}
		return castPlan{whole: whole}, err
	}
	p := castPlan{targets: make([]connector.Type, len(s.Fields))}
	fields := append([]connector.Field(nil), s.Fields...)
	for i, f := range fields {
		to, ok := t.spec.fields[f.Name]
		if !ok {
			continue
		}
		out, err := castSchema(f.Schema, to)
		if err != nil {
			return p, err
		}
		p.targets[i], fields[i].Schema = to, out
	}
	out, err := basics(s, fields)
	if err != nil {
		return p, err
	}
	out.Optional = s.Optional
	p.layout = newLayout(out)
	return p, nil
}

// castSchema gives the schema of values of s after the cast.
func castSchema(s *connector.Schema, to connector.Type) (*connector.Schema, error) {
	out := &connector.Schema{Type: to, Optional: s.Optional}
	if s.HasDefault && s.Default != nil {
		def, err := castNative(s, s.Default, to)
		if err != nil {
			return nil, err
		}
		out.HasDefault, out.Default = true, def
	}
	return out, nil
}
