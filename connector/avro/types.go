package avro

import (
	"encoding/json"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// Names by which AvroData marks what Avro has no type for.
const (
	confluentNamespace = "io.confluent.connect.avro"
	nameUnion          = confluentNamespace + ".Union"
	nameMapEntry       = confluentNamespace + ".MapEntry"
	nameEnum           = confluentNamespace + ".Enum"
	nameDefault        = confluentNamespace + ".ConnectDefault"
)

// maxFixed is the largest size of a fixed type.
const maxFixed = 1 << 30

// define enters a named type, so that it can be referred to from inside itself.
func (c *compiler) define(n *node, p props, at place) (full string, inside place, err *SchemaError) {
	full, namespace, err := p.fullName(at)
	if err != nil {
		return "", at, err
	}
	if c.named[full] != nil {
		return "", at, schemaErrorf(at.path, "type %q is defined twice", full)
	}
	c.named[full] = n
	at.namespace = namespace
	return full, at, nil
}

func (c *compiler) record(p props, at place) (*node, *SchemaError) {
	list, ok := p["fields"].([]any)
	if !ok {
		return nil, schemaErrorf(at.path, "record without an array of fields")
	}
	n := &node{op: opRecord, null: -1, rec: &record{fields: make([]field, len(list))},
		schema: &connector.Schema{Type: connector.Struct, Fields: make([]connector.Field, len(list))}}
	full, at, err := c.define(n, p, at)
	if err != nil {
		return nil, err
	}
	n.bare, n.rec.name, n.schema.Name = n, full, full
	if p["connect.internal.type"] == "MapEntry" {
		n.rec.name = nameMapEntry
	}
	if err := p.describe(n.schema, "record", at); err != nil {
		return nil, err
	}
	if n.schema.Name == nameDefault {
		n.schema.Name = ""
	}
	seen := make(map[string]bool, len(list))
	for i, j := range list {
		f, err := c.field(j, i, at.under(".fields["+strconv.Itoa(i)+"]"))
		if err != nil {
			return nil, err
		}
		if seen[f.name] {
			return nil, schemaErrorf(at.path, "record %q has two fields %q", full, f.name)
		}
		seen[f.name] = true
		n.rec.fields[i] = f
		n.schema.Fields[i] = connector.Field{Name: f.name, Schema: f.node.schema}
	}
	return n.finish(p, at)
}

func (c *compiler) field(j any, i int, at place) (field, *SchemaError) {
	p, ok := j.(map[string]any)
	if !ok {
		return field{}, schemaErrorf(at.path, "a field is an object, not %s", kindOf(j))
	}
	name, ok := p["name"].(string)
	if !ok || name == "" {
		return field{}, schemaErrorf(at.path, "field without a name")
	}
	if p["type"] == nil {
		return field{}, schemaErrorf(at.path, "field %q without a type", name)
	}
	n, err := c.schema(p["type"], at.under(".type"))
	if err != nil {
		return field{}, err
	}
	if n, err = withDefault(n, p, at); err != nil {
		return field{}, err
	}
	if doc, _ := p["doc"].(string); doc != "" && n.schema.Doc == "" {
		n = n.with(func(s *connector.Schema) { s.Doc = doc })
	}
	prefix := keyPrefix(name, i)
	f := field{name: name, plain: newKey(prefix), literal: newKey(jsontext.AppendLiteral(nil, prefix)), node: n, null: -1, some: -1}
	if n.null >= 0 && n.null != noNull {
		f.null, f.some = int16(n.null)<<1, int16(1-n.null)<<1
	}
	return f, nil
}

// keyPrefix is what stands in front of the i-th value of an object.
func keyPrefix(name string, i int) []byte {
	opening := byte(',')
	if i == 0 {
		opening = '{'
	}
	return append(jsontext.AppendString([]byte{opening}, name), ':')
}

// isEntry reports whether the record is AvroData's form of a map's entry.
func (r *record) isEntry() bool {
	return r.name == nameMapEntry && len(r.fields) == 2 && r.fields[0].name == "key" && r.fields[1].name == "value" &&
		r.fields[0].node != nil && r.fields[1].node != nil
}

func (c *compiler) enum(p props, at place) (*node, *SchemaError) {
	list, ok := p["symbols"].([]any)
	if !ok {
		return nil, schemaErrorf(at.path, "enum without an array of symbols")
	}
	n := &node{op: opEnum, null: -1, schema: &connector.Schema{Type: connector.String}}
	full, at, err := c.define(n, p, at)
	if err != nil {
		return nil, err
	}
	params := map[string]string{nameEnum: full}
	seen := make(map[string]bool, len(list))
	for i, j := range list {
		text, ok := j.(string)
		if !ok || text == "" || seen[text] {
			return nil, schemaErrorf(at.path+".symbols["+strconv.Itoa(i)+"]", "a symbol is a string of its own, not %v", j)
		}
		seen[text] = true
		params[nameEnum+"."+text] = text
		n.symbols = append(n.symbols, symbol{text: text, json: jsontext.AppendString(nil, text)})
	}
	n.schema.Name, n.schema.Params = full, params
	if err := p.describe(n.schema, "enum", at); err != nil {
		return nil, err
	}
	return n.finish(p, at)
}

func (c *compiler) fixed(p props, at place) (*node, *SchemaError) {
	number, _ := p["size"].(json.Number)
	size, bad := strconv.Atoi(number.String())
	if bad != nil || size < 0 || size > maxFixed {
		return nil, schemaErrorf(at.path, "fixed needs a size from 0 to %d", maxFixed)
	}
	n := &node{op: opFixed, null: -1, size: size,
		schema: &connector.Schema{Type: connector.Bytes, Params: map[string]string{"connect.fixed.size": strconv.Itoa(size)}}}
	_, at, err := c.define(n, p, at)
	if err != nil {
		return nil, err
	}
	if err := p.describe(n.schema, "fixed", at); err != nil {
		return nil, err
	}
	if n, err = n.finish(p, at); err != nil {
		return nil, err
	}
	if n.op == opFixedDecimal && (size == 0 || size > jsontext.MaxUnscaled) {
		return nil, schemaErrorf(at.path, "decimal of a fixed size %d: it is 1 to %d", size, jsontext.MaxUnscaled)
	}
	return n, nil
}

// union compiles a union as AvroData reads it: of null and one type it is that type, optional;
// of one type it is that type; all others are a struct with a field for each type.
func (c *compiler) union(list []any, at place) (*node, *SchemaError) {
	if len(list) == 0 {
		return nil, schemaErrorf(at.path, "union without types")
	}
	null, nodes := -1, make([]*node, len(list))
	for i, j := range list {
		inside := at.under("[" + strconv.Itoa(i) + "]")
		if _, nested := j.([]any); nested {
			return nil, schemaErrorf(inside.path, "a union directly in a union")
		}
		n, err := c.schema(j, inside)
		if err != nil {
			return nil, err
		}
		if n.op == opNull {
			if null >= 0 {
				return nil, schemaErrorf(inside.path, "null stands twice in the union")
			}
			null = i
		}
		nodes[i] = n
	}
	switch {
	case len(list) == 1:
		return nodes[0].behind(noNull), nil
	case len(list) == 2 && null >= 0:
		return nodes[1-null].behind(int8(null)), nil
	}
	return c.sum(nodes, null, at)
}

// sum compiles a union of several types that are not null.
func (c *compiler) sum(nodes []*node, null int, at place) (*node, *SchemaError) {
	n := &node{op: opUnion, null: -1, schema: &connector.Schema{Type: connector.Struct, Name: nameUnion, Optional: null >= 0}}
	seen := map[string]bool{}
	for i, b := range nodes {
		if i == null {
			n.union = append(n.union, branch{node: b, slot: -1})
			continue
		}
		name := c.branchName(b, seen)
		if seen[name] {
			return nil, schemaErrorf(at.path+"["+strconv.Itoa(i)+"]", "%s stands twice in the union", name)
		}
		seen[name], seen[b.fullName()] = true, true
		optional := b.with(func(s *connector.Schema) { s.Optional = true })
		slot := len(n.schema.Fields)
		n.union = append(n.union, branch{name: name, prefix: keyPrefix(name, slot), node: optional, slot: slot})
		n.schema.Fields = append(n.schema.Fields, connector.Field{Name: name, Schema: optional.schema})
	}
	return n.finish(nil, at)
}
