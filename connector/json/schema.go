package json

import (
	"math"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
)

// schemaTypes are the names of types in Kafka Connect's JSON schemas.
var schemaTypes = map[string]connector.Type{
	"boolean": connector.Boolean, "int8": connector.Int8, "int16": connector.Int16, "int32": connector.Int32,
	"int64": connector.Int64, "float": connector.Float32, "double": connector.Float64, "bytes": connector.Bytes,
	"string": connector.String, "array": connector.Array, "map": connector.Map, "struct": connector.Struct,
}

// object is a JSON object of a schema text.
type object struct{ entries map[string]any }

func objectOf(j any) object {
	o := object{}
	if m, ok := j.(*connector.MapValue); ok {
		o.entries = make(map[string]any, len(m.Entries))
		for _, e := range m.Entries {
			if name, ok := e.Key.(string); ok {
				o.entries[name] = e.Value
			}
		}
	}
	return o
}

func (o object) text(name string) (string, bool) {
	v, ok := o.entries[name].(string)
	return v, ok
}

// parser turns a schema text into a plan. Its rules and words are those of asConnectSchema in
// Kafka Connect's JsonConverter.
type parser struct {
	// defaults says that null and absent become the default (replace.null.with.default).
	defaults bool
}

// parse reads a schema text that was found valid JSON; nil is the plan of null.
func (p parser) parse(raw []byte) (*plan, error) {
	s := scanner{data: raw}
	tree, err := s.native(true)
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, nil
	}
	made, fault := p.schema(tree)
	if fault == nil {
		return made, nil
	}
	if fault.Path != "" {
		fault = fault.in("schema")
	}
	return nil, fault
}

func (p parser) schema(j any) (*plan, *DataError) {
	o := objectOf(j)
	name, ok := o.text("type")
	if !ok {
		return nil, faultf("Schema must contain 'type' field")
	}
	t, known := schemaTypes[name]
	if !known {
		return nil, faultf("Unknown schema type: %s", name)
	}
	made := &plan{schema: &connector.Schema{Type: t}}
	var err *DataError
	switch t {
	case connector.Array:
		err = p.array(made, o)
	case connector.Map:
		err = p.mapping(made, o)
	case connector.Struct:
		err = p.structure(made, o)
	}
	if err != nil {
		return nil, err
	}
	if err := describe(made.schema, o); err != nil {
		return nil, err
	}
	made.choose()
	return made, p.absent(made, o)
}

func (p parser) array(made *plan, o object) (err *DataError) {
	items := o.entries["items"]
	if items == nil {
		return faultf("Array schema did not specify the element type")
	}
	if made.elem, err = p.schema(items); err != nil {
		return err.in("items")
	}
	made.schema.Elem = made.elem.schema
	return nil
}

func (p parser) mapping(made *plan, o object) (err *DataError) {
	keys, hasKeys := o.entries["keys"]
	values, hasValues := o.entries["values"]
	switch {
	case !hasKeys:
		return faultf("Map schema did not specify the key type")
	case !hasValues:
		return faultf("Map schema did not specify the value type")
	case keys == nil:
		return &DataError{Message: "keySchema cannot be null.", builder: true}
	case values == nil:
		return &DataError{Message: "valueSchema cannot be null.", builder: true}
	}
	if made.key, err = p.schema(keys); err != nil {
		return err.in("keys")
	}
	if made.elem, err = p.schema(values); err != nil {
		return err.in("values")
	}
	made.schema.Key, made.schema.Elem = made.key.schema, made.elem.schema
	return nil
}

func (p parser) structure(made *plan, o object) *DataError {
	list, ok := o.entries["fields"].([]any)
	if !ok {
		return faultf(`Struct schema's "fields" argument is not an array.`)
	}
	made.fields = make([]*plan, len(list))
	made.schema.Fields = make([]connector.Field, len(list))
	made.index = make(map[string]int, len(list))
	for i, j := range list {
		name, ok := objectOf(j).text("field")
		if !ok {
			return faultf("Struct schema's field name not specified properly").in("fields[" + strconv.Itoa(i) + "]")
		}
		field, err := p.schema(j)
		if err != nil {
			return err.in("fields[" + strconv.Itoa(i) + "]")
		}
		if _, twice := made.index[name]; twice {
			return &DataError{Message: "Cannot create field because of field name duplication " + name, builder: true}
		}
		made.index[name], made.fields[i] = i, field
		made.schema.Fields[i] = connector.Field{Name: name, Schema: field.schema}
	}
	return nil
}

// describe reads what stands beside the type. Entries of another type than they should have count
// as not given, except parameters.
func describe(s *connector.Schema, o object) *DataError {
	s.Optional, _ = o.entries["optional"].(bool)
	s.Name, _ = o.text("name")
	s.Doc, _ = o.text("doc")
	if n, ok := o.entries["version"].(connector.Number); ok {
		if v, whole, fits := integer([]byte(n)); whole && fits && v >= math.MinInt32 && v <= math.MaxInt32 {
			s.Version = int(v)
		}
	}
	params, _ := o.entries["parameters"].(*connector.MapValue)
	if params == nil {
		return nil
	}
	s.Params = make(map[string]string, len(params.Entries))
	for name, v := range objectOf(params).entries {
		text, ok := v.(string)
		if !ok {
			return faultf("Schema parameters must have string values.").in("parameters." + name)
		}
		s.Params[name] = text
	}
	return nil
}

// absent settles what the plan gives for null and for a field that is missing.
func (p parser) absent(made *plan, o object) *DataError {
	s := made.schema
	made.nullable = s.Optional
	j, given := o.entries["default"]
	if !given {
		return nil
	}
	raw, err := connector.NewValue(nil, j).AppendJSON(nil, nil)
	if err != nil {
		return asDataError(err).in("default")
	}
	text := newPayload(raw, 0)
	v, err := made.read(&text)
	if err != nil {
		return asDataError(err).in("default")
	}
	if v == nil {
		return nil
	}
	s.Default, s.HasDefault = v, true
	if p.defaults {
		made.null, made.nullable = v, true
	}
	return nil
}
