package transform

import (
	"slices"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func maskDef() *config.Def {
	return config.New(
		config.Key{Name: "fields", Type: config.List, Required: true, Importance: config.High, Validate: filledList(),
			Doc: "Names of fields to mask."},
		config.Key{Name: "replacement", Importance: config.Low, Validate: config.NonEmptyString,
			Doc: "Custom value replacement, that will be applied to all 'fields' values (numeric or non-empty string values only)."},
		fillKey(),
	)
}

type mask struct {
	part
	fields      []string
	replacement string // "" for the zero of the type
	fill        bool
	plans       cache[*connector.Schema, maskPlan]
}

type maskPlan struct {
	layout *layout
	places []int // of the fields to mask
}

func newMask(v config.Values, p part) (connector.Transform, error) {
	return &mask{part: p, fields: v.List("fields"), replacement: v.String("replacement"), fill: v.Bool(keyFill)}, nil
}

func (t *mask) Apply(r *connector.Record) (*connector.Record, error) {
	v := t.of(r)
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

const maskPurpose = "mask fields"

func (t *mask) withSchema(v connector.Value) (connector.Value, error) {
	if err := requireStruct(v, maskPurpose); err != nil {
		return v, err
	}
	plan, err := t.plans.get(v.Schema(), func(s *connector.Schema) (maskPlan, error) {
		p := maskPlan{layout: newLayout(s)}
		for i, f := range s.Fields {
			if slices.Contains(t.fields, f.Name) {
				p.places = append(p.places, i)
			}
		}
		return p, nil
	})
	if err != nil {
		return v, err
	}
	fields, err := split(v, 0, t.fill)
	if err != nil {
		return v, err
	}
	for _, i := range plan.places {
		if fields[i].IsNull() {
			continue
		}
		s := plan.layout.schema.Fields[i].Schema
		masked, err := t.typed(s)
		if err != nil {
			return v, err
		}
		fields[i] = connector.NewValue(s, masked)
	}
	return plan.layout.join(v, fields)
}

func (t *mask) schemaless(v connector.Value) (connector.Value, error) {
	m, err := requireMap(v, maskPurpose)
	if err != nil {
		return v, err
	}
	entries := entriesOf(m, len(t.fields))
	for _, name := range t.fields {
		old, _ := get(m, name)
		masked, err := t.loose(old)
		if err != nil {
			return v, err
		}
		entries = set(entries, name, masked)
	}
	return withEntries(entries), nil
}

// typed gives what stands for a value of schema s.
func (t *mask) typed(s *connector.Schema) (any, error) {
	if t.replacement != "" {
		return t.replaced(s)
	}
	switch s.Type {
	case connector.Array:
		return []any{}, nil
	case connector.Map:
		return &connector.MapValue{}, nil
	case connector.String:
		return "", nil
	case connector.Boolean:
		return false, nil
	case connector.Bytes:
		if isDecimal(s) {
			return []byte{0}, nil
		}
	case connector.Int8, connector.Int16, connector.Int32, connector.Int64, connector.Float32, connector.Float64:
		return castInt(0, s.Type), nil
	}
	return nil, dataError("Cannot mask value of type: class %s", classOfSchema(s))
}

func (t *mask) replaced(s *connector.Schema) (any, error) {
	var out any
	var err error
	switch {
	case isDate(s):
		return nil, t.notReplaceable(classOfSchema(s))
	case s.Type == connector.String:
		return t.replacement, nil
	case s.Type >= connector.Int8 && s.Type <= connector.Float64:
		out, err = parseNumber(t.replacement, s.Type)
	case isDecimal(s):
		out, err = decimalOf(s, t.replacement)
	default:
		return nil, t.notReplaceable(classOfSchema(s))
	}
	if err != nil {
		return nil, t.notNumber(err)
	}
	return out, nil
}

// loose gives what stands for a value without a schema.
func (t *mask) loose(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case connector.Number:
		return t.looseNumber(v)
	case string:
		return t.replacement, nil
	}
	if t.replacement != "" {
		return nil, t.notReplaceable(classOf(nil, v))
	}
	switch v.(type) {
	case bool:
		return false, nil
	case []any:
		return []any{}, nil
	}
	return &connector.MapValue{}, nil
}

func (t *mask) looseNumber(v connector.Number) (any, error) {
	if t.replacement == "" {
		if integral(v) {
			return connector.Number("0"), nil
		}
		return connector.Number("0.0"), nil
	}
	if integral(v) {
		n, err := strconv.ParseInt(t.replacement, 10, 64)
		if err != nil {
			return nil, t.notNumber(err)
		}
		return number(n), nil
	}
	f, err := parseFloat(t.replacement, 64)
	if err != nil {
		return nil, t.notNumber(err)
	}
	return looseFloat(f, 64)
}

func (t *mask) notReplaceable(class string) error {
	return dataError("Cannot mask value of type class %s with custom replacement.", class)
}

func (t *mask) notNumber(err error) error {
	return &Error{dataException, "Unable to convert " + t.replacement + " (class java.lang.String) to number", err}
}
