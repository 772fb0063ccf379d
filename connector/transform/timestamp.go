package transform

import (
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	typeString    = "string"
	typeUnix      = "unix"
	typeDate      = "Date"
	typeTime      = "Time"
	typeTimestamp = "Timestamp"
)

func timestampDef() *config.Def {
	syntax := syntaxKey()
	// Kafka's transform knows top-level fields only; the key is accepted, and not listed.
	syntax.Internal = true
	return config.New(
		config.Key{Name: "field", Default: "", Importance: config.High, Doc: "The field containing the timestamp, or empty if the entire value is a timestamp"},
		config.Key{Name: "target.type", Required: true, Importance: config.High, Validate: config.OneOf(typeString, typeUnix, typeDate, typeTime, typeTimestamp),
			Doc: "The desired timestamp representation: string, unix, Date, Time, or Timestamp"},
		config.Key{Name: "format", Default: "", Importance: config.Medium, Validate: dateValidator(),
			Doc: "A SimpleDateFormat-compatible format for the timestamp, of the letters " + dateLetters + ". Used to generate the output when type=string or used to parse the input if the input is a string."},
		config.Key{Name: "unix.precision", Default: "milliseconds", Importance: config.Low, Validate: config.OneOf("nanoseconds", "microseconds", "milliseconds", "seconds"),
			Doc: "The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to generate the output when type=unix or used to parse the input if the input is a Long. " +
				"What is below a millisecond is cut off."},
		fillKey(),
		syntax,
	).Cross(func(v config.Values) map[string][]string {
		if v.Valid("format") && v.String("target.type") == typeString && strings.TrimSpace(v.String("format")) == "" {
			return map[string][]string{"format": {"TimestampConverter requires format option to be specified when using string timestamps"}}
		}
		return nil
	}).Cross(pathRule("field"))
}

// timestamps converts a value or the field at a path.
type timestamps struct {
	part
	path      []string // nil for the whole
	target    string
	pattern   *datePattern // nil without a format
	precision string
	fill      bool
	plans     cache[*connector.Schema, timePlan]
}

// timePlan is the struct schemas from the outermost to the one with the field, each with the place
// to go on at, and the field's own schemas before and after.
type timePlan struct {
	layouts  []*layout
	places   []int
	from, to *connector.Schema
}

func newTimestamp(v config.Values, p part) (connector.Transform, error) {
	t := &timestamps{part: p, target: v.String("target.type"), precision: v.String("unix.precision"), fill: v.Bool(keyFill)}
	var err error
	if text := v.String("format"); strings.TrimSpace(text) != "" {
		if t.pattern, err = parseDatePattern(text); err != nil {
			return nil, err
		}
	}
	if field := v.String("field"); field != "" {
		t.path, err = parsePath(field, v.String(keySyntax))
	}
	return t, err
}

func (t *timestamps) Apply(r *connector.Record) (*connector.Record, error) {
	v := t.of(r)
	var err error
	switch s := v.Schema(); {
	case s == nil:
		v, err = t.schemaless(v)
	case t.path == nil:
		v, err = t.convertValue(v, s, t.schema(s.Optional))
	default:
		v, err = t.withSchema(v)
	}
	if err != nil {
		return nil, err
	}
	t.put(r, v)
	return r, nil
}

const timePurpose = "converting timestamp formats"

func (t *timestamps) schemaless(v connector.Value) (connector.Value, error) {
	if v.IsNull() {
		return v, nil
	}
	if t.path == nil {
		native, err := v.Native()
		if err != nil {
			return v, err
		}
		out, err := t.convertLoose(native)
		return connector.NewValue(nil, out), err
	}
	m, err := requireMap(v, timePurpose)
	if err != nil {
		return v, err
	}
	entries, err := t.entries(m, t.path)
	return withEntries(entries), err
}

// entries gives the entries of m with the field at path converted.
func (t *timestamps) entries(m *connector.MapValue, path []string) ([]connector.Entry, error) {
	old, _ := get(m, path[0])
	var out any
	if len(path) == 1 {
		var err error
		if out, err = t.convertLoose(old); err != nil {
			return nil, err
		}
	} else {
		inner, ok := old.(*connector.MapValue)
		if !ok {
			return m.Entries, nil
		}
		entries, err := t.entries(inner, path[1:])
		if err != nil {
			return nil, err
		}
		out = &connector.MapValue{Entries: entries}
	}
	return set(entriesOf(m, 1), path[0], out), nil
}

func (t *timestamps) withSchema(v connector.Value) (connector.Value, error) {
	if err := requireStruct(v, timePurpose); err != nil && !v.IsNull() {
		return v, err
	}
	plan, err := t.plans.get(v.Schema(), t.plan)
	if err != nil {
		return v, err
	}
	return t.rebuild(v, plan, 0)
}

// rebuild gives v with the field converted; depth counts the structs around v.
func (t *timestamps) rebuild(v connector.Value, plan timePlan, depth int) (connector.Value, error) {
	layout, at := plan.layouts[depth], plan.places[depth]
	if v.IsNull() {
		return connector.NewValue(layout.schema, nil), nil
	}
	fields, err := split(v, 0, t.fill)
	if err != nil {
		return v, err
	}
	switch {
	case at < 0:
	case depth+1 < len(plan.layouts):
		fields[at], err = t.rebuild(fields[at], plan, depth+1)
	default:
		fields[at], err = t.convertValue(fields[at], plan.from, plan.to)
	}
	if err != nil {
		return v, err
	}
	return layout.join(v, fields)
}

// plan finds the field; a path that leads nowhere leaves the schema as it is.
func (t *timestamps) plan(s *connector.Schema) (timePlan, error) {
	schemas := []*connector.Schema{s}
	var p timePlan
	for i, step := range t.path {
		at := s.Index(step)
		p.places = append(p.places, at)
		if at < 0 {
			break
		}
		p.from = s.Fields[at].Schema
		if last := i == len(t.path)-1; last {
			p.to = t.schema(p.from.Optional)
			break
		}
		if s = p.from; s.Type != connector.Struct {
			p.places[i] = -1
			break
		}
		schemas = append(schemas, s)
	}
	p.layouts = make([]*layout, len(schemas))
	inner := p.to
	for i := len(schemas) - 1; i >= 0; i-- {
		out := *schemas[i]
		if inner != nil {
			out.Fields = append([]connector.Field(nil), out.Fields...)
			out.Fields[p.places[i]].Schema = inner
			if def, ok := out.Default.(*connector.StructValue); ok && def != nil {
				converted, err := t.convertDefault(def, &out, p, i)
				if err != nil {
					return p, err
				}
				out.Default = converted
			}
			inner = &out
		}
		p.layouts[i] = newLayout(&out)
	}
	return p, nil
}

// convertDefault gives the default of a struct at depth with the field in it converted; s is the
// struct's new schema.
func (t *timestamps) convertDefault(def *connector.StructValue, s *connector.Schema, p timePlan, depth int) (*connector.StructValue, error) {
	at := p.places[depth]
	values := append([]any(nil), def.Values...)
	var err error
	if depth+1 == len(p.places) {
		values[at], err = t.convert(p.from, values[at])
	} else if inner, ok := values[at].(*connector.StructValue); ok && inner != nil {
		values[at], err = t.convertDefault(inner, s.Fields[at].Schema, p, depth+1)
	}
	return &connector.StructValue{Schema: s, Values: values}, err
}
