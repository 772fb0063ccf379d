package transform

import (
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	keyStaticField = "static.field"
	keyStaticValue = "static.value"
)

// insertKeys are the keys that name a field, in the order of the fields.
func insertKeys() []string {
	return []string{"topic.field", "partition.field", "offset.field", "timestamp.field", keyStaticField}
}

func insertDef() *config.Def {
	const suffix = " Suffix with ! to make this a required field, or ? to keep it optional (the default)."
	key := func(name, doc string) config.Key { return config.Key{Name: name, Importance: config.Medium, Doc: doc} }
	return config.New(
		key("topic.field", "Field name for Kafka topic."+suffix),
		key("partition.field", "Field name for Kafka partition."+suffix),
		key("offset.field", "Field name for Kafka offset - only applicable to sink connectors."+suffix),
		key("timestamp.field", "Field name for record timestamp."+suffix),
		key(keyStaticField, "Field name for static data field."+suffix),
		key(keyStaticValue, "Static field value, if field name configured."),
		fillKey(),
	).Cross(checkInsert)
}

func checkInsert(v config.Values) map[string][]string {
	for _, name := range insertKeys() {
		if !v.Has(name) {
			continue
		}
		if v.Has(keyStaticField) && v.IsNull(keyStaticValue) {
			err := config.Invalid(keyStaticValue, nil, "No value specified for static field: "+v.String(keyStaticField))
			return map[string][]string{keyStaticValue: {err.Error()}}
		}
		return nil
	}
	return map[string][]string{"topic.field": {"No field insertion configured"}}
}

// insertion is one field that InsertField adds.
type insertion struct {
	name   string
	schema *connector.Schema
	// value gives the native value; nil when the record has none.
	value func(r *connector.Record) any
}

func newInsertion(spec string, s connector.Schema, value func(*connector.Record) any) insertion {
	name, required := strings.CutSuffix(spec, "!")
	if !required {
		name = strings.TrimSuffix(spec, "?")
	}
	s.Optional = !required
	return insertion{name, &s, value}
}

type insert struct {
	part
	insertions []insertion
	fill       bool
	layouts    cache[*connector.Schema, *layout]
}

func newInsert(v config.Values, p part) (connector.Transform, error) {
	static := any(v.String(keyStaticValue))
	schemas := []connector.Schema{
		{Type: connector.String}, {Type: connector.Int32}, {Type: connector.Int64},
		{Type: connector.Int64, Name: connector.NameTimestamp, Version: 1}, {Type: connector.String},
	}
	values := []func(*connector.Record) any{
		func(r *connector.Record) any { return r.Topic },
		func(r *connector.Record) any { return r.Partition },
		func(r *connector.Record) any { return r.Origin.Offset },
		func(r *connector.Record) any {
			if r.Timestamp.IsZero() {
				return nil
			}
			return r.Timestamp.UnixMilli()
		},
		func(*connector.Record) any { return static },
	}
	t := &insert{part: p, fill: v.Bool(keyFill)}
	for i, key := range insertKeys() {
		if v.Has(key) {
			t.insertions = append(t.insertions, newInsertion(v.String(key), schemas[i], values[i]))
		}
	}
	return t, nil
}

// number is the form of an integer in data without a schema.
func number(v int64) connector.Number { return connector.Number(strconv.FormatInt(v, 10)) }

func (t *insert) Apply(r *connector.Record) (*connector.Record, error) {
	v := t.of(r)
	if v.IsNull() {
		return r, nil
	}
	var err error
	if v.Schema() == nil {
		v, err = t.schemaless(r, v)
	} else {
		v, err = t.withSchema(r, v)
	}
	if err != nil {
		return nil, err
	}
	t.put(r, v)
	return r, nil
}

const insertPurpose = "field insertion"

func (t *insert) schemaless(r *connector.Record, v connector.Value) (connector.Value, error) {
	m, err := requireMap(v, insertPurpose)
	if err != nil {
		return v, err
	}
	entries := entriesOf(m, len(t.insertions))
	for _, ins := range t.insertions {
		switch v := ins.value(r).(type) {
		case nil:
		case int32:
			entries = set(entries, ins.name, number(int64(v)))
		case int64:
			entries = set(entries, ins.name, number(v))
		default:
			entries = set(entries, ins.name, v)
		}
	}
	return withEntries(entries), nil
}

func (t *insert) withSchema(r *connector.Record, v connector.Value) (connector.Value, error) {
	if err := requireStruct(v, insertPurpose); err != nil {
		return v, err
	}
	layout, err := t.layouts.get(v.Schema(), t.layout)
	if err != nil {
		return v, err
	}
	fields, err := split(v, len(t.insertions), t.fill)
	if err != nil {
		return v, err
	}
	for _, ins := range t.insertions {
		native := ins.value(r)
		if native == nil && !ins.schema.Optional {
			return v, dataError("Invalid value: null used for required field: %q, schema type: %s", ins.name, strings.ToUpper(ins.schema.Type.String()))
		}
		fields = append(fields, connector.NewValue(ins.schema, native))
	}
	return layout.join(v, fields)
}

func (t *insert) layout(s *connector.Schema) (*layout, error) {
	fields := append(make([]connector.Field, 0, len(s.Fields)+len(t.insertions)), s.Fields...)
	for _, ins := range t.insertions {
		fields = append(fields, connector.Field{Name: ins.name, Schema: ins.schema})
	}
	out, err := basics(s, fields)
	if err != nil {
		return nil, err
	}
	return newLayout(out), nil
}
