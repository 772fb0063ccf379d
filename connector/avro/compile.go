package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// maxSchemaDepth is how deep types may nest in a schema text.
const maxSchemaDepth = 512

// maxKeys bounds what a new buffer gets for the names of the fields.
const maxKeys = 16 << 10

// Compile makes the program of a writer schema. refs are the texts of the schemas that it
// refers to by name, each after those that it refers to itself, as a registry's references list
// them. The error is a *SchemaError.
func Compile(schemaJSON string, refs ...string) (*Program, error) {
	return compile(schemaJSON, refs, false)
}

// CompileNamed is Compile for a schema without references; fullNames names the branches of a union by the full names of
// their types (enhanced.avro.schema.support).
func CompileNamed(schemaJSON string, fullNames bool) (*Program, error) {
	return compile(schemaJSON, nil, fullNames)
}

// compile is Compile; fullNames names the branches of a union by the full names of their types
// (enhanced.avro.schema.support).
func compile(text string, refs []string, fullNames bool) (*Program, error) {
	c := compiler{named: map[string]*node{}, fullNames: fullNames}
	for i, ref := range refs {
		if _, err := c.text(ref, fmt.Sprintf("references[%d]", i)); err != nil {
			return nil, err
		}
	}
	root, err := c.text(text, "")
	if err != nil {
		return nil, err
	}
	keys := min(keyBytes(root, map[*record]int{}), maxKeys)
	return &Program{top: encoding{node: root, keys: keys}}, nil
}

type compiler struct {
	named     map[string]*node
	fullNames bool
}

// place is where in the schema text the compiler is.
type place struct {
	path      string
	namespace string
	depth     int
}

func (at place) under(step string) place {
	at.path += step
	at.depth++
	return at
}

func (c *compiler) text(text, path string) (*node, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var parsed any
	if err := d.Decode(&parsed); err != nil {
		return nil, schemaErrorf(path, "no JSON: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, schemaErrorf(path, "more text after the schema")
	}
	n, err := c.schema(parsed, place{path: path})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// schema compiles any schema: a name, an object or a union.
func (c *compiler) schema(j any, at place) (*node, *SchemaError) {
	if at.depth > maxSchemaDepth {
		return nil, schemaErrorf(at.path, "nested deeper than %d", maxSchemaDepth)
	}
	switch t := j.(type) {
	case string:
		return c.name(t, props{}, at)
	case []any:
		return c.union(t, at)
	case map[string]any:
		if name, ok := t["type"].(string); ok {
			return c.name(name, t, at)
		}
		if t["type"] != nil {
			return c.schema(t["type"], at.under(".type"))
		}
		return nil, schemaErrorf(at.path, "object without a type")
	}
	return nil, schemaErrorf(at.path, "a schema is a name, an object or an array, not %s", kindOf(j))
}

// name compiles a type by its name, with the attributes that stand beside it.
func (c *compiler) name(name string, p props, at place) (*node, *SchemaError) {
	switch name {
	case "record", "error":
		return c.record(p, at)
	case "enum":
		return c.enum(p, at)
	case "fixed":
		return c.fixed(p, at)
	case "array":
		return c.array(p, at)
	case "map":
		return c.mapping(p, at)
	}
	if n := primitive(name); n != nil {
		if err := p.describe(n.schema, name, at); err != nil {
			return nil, err
		}
		return n.finish(p, at)
	}
	for _, full := range candidates(name, at.namespace) {
		if n := c.named[full]; n != nil {
			return n, nil
		}
	}
	return nil, schemaErrorf(at.path, "unknown type %q", name)
}

func primitive(name string) *node {
	of := func(o op, t connector.Type) *node {
		return &node{op: o, null: -1, schema: &connector.Schema{Type: t}}
	}
	switch name {
	case "null":
		n := of(opNull, connector.String)
		n.schema.Optional = true
		return n
	case "boolean":
		return of(opBoolean, connector.Boolean)
	case "int":
		return of(opInt, connector.Int32)
	case "long":
		return of(opLong, connector.Int64)
	case "float":
		return of(opFloat, connector.Float32)
	case "double":
		return of(opDouble, connector.Float64)
	case "bytes":
		return of(opBytes, connector.Bytes)
	case "string":
		return of(opString, connector.String)
	}
	return nil
}

// finish derives from a described schema what the passes need.
func (n *node) finish(p props, at place) (*node, *SchemaError) {
	n.bare = n
	if n.temporal = connector.TemporalOf(n.schema); n.temporal != jsontext.NotTemporal {
		n.op = opTemporal
	}
	scale, isDecimal, err := connector.DecimalScale(n.schema)
	if err != nil {
		return nil, schemaErrorf(at.path, "%v", err)
	}
	if n.scale = scale; isDecimal {
		if n.op == opFixed {
			n.op = opFixedDecimal
		} else {
			n.op = opDecimal
		}
	}
	switch n.schema.Type {
	case connector.Int8:
		n.least, n.most = math.MinInt8, math.MaxInt8
	case connector.Int16:
		n.least, n.most = math.MinInt16, math.MaxInt16
	case connector.Int32:
		n.least, n.most = math.MinInt32, math.MaxInt32
	default:
		n.least, n.most = math.MinInt64, math.MaxInt64
	}
	// Avro does not know connect.default: one that is no value of the type is left out.
	if v, ok := n.native(p["connect.default"], 0); ok && v != nil {
		n.schema.Default, n.schema.HasDefault = v, true
	}
	return n, nil
}

// with gives a node that differs from n in its schema only.
func (n *node) with(edit func(*connector.Schema)) *node {
	schema := *n.schema
	edit(&schema)
	changed := *n
	changed.schema = &schema
	changed.bare = &changed
	if n.null >= 0 {
		bare := *n.bare
		bare.schema = &schema
		bare.bare = &bare
		changed.bare = &bare
	}
	return &changed
}

// behind gives n as what follows the index of a union whose null branch has index null.
func (n *node) behind(null int8) *node {
	bare := n.with(func(s *connector.Schema) { s.Optional = s.Optional || null != noNull })
	outer := *bare
	outer.null, outer.bare = null, bare
	return &outer
}

func (c *compiler) array(p props, at place) (*node, *SchemaError) {
	elem, err := c.schema(p["items"], at.under(".items"))
	if err != nil {
		return nil, err
	}
	n := &node{op: opArray, null: -1, elem: elem, schema: &connector.Schema{Type: connector.Array, Elem: elem.schema}}
	if elem.op == opRecord && elem.null < 0 && elem.rec.isEntry() {
		key, value := elem.rec.fields[0].node, elem.rec.fields[1].node
		n.op, n.key, n.elem = opEntries, key, value
		n.schema = &connector.Schema{Type: connector.Map, Key: key.schema, Elem: value.schema}
		n.object = connector.MapAsObject(n.schema)
	}
	if err := p.describe(n.schema, "array", at); err != nil {
		return nil, err
	}
	return n.finish(p, at)
}

func (c *compiler) mapping(p props, at place) (*node, *SchemaError) {
	elem, err := c.schema(p["values"], at.under(".values"))
	if err != nil {
		return nil, err
	}
	key, err := c.name("string", props{}, at)
	if err != nil {
		return nil, err
	}
	n := &node{op: opMap, null: -1, key: key, elem: elem, object: true,
		schema: &connector.Schema{Type: connector.Map, Key: key.schema, Elem: elem.schema}}
	if err := p.describe(n.schema, "map", at); err != nil {
		return nil, err
	}
	return n.finish(p, at)
}

// keyBytes adds up the JSON names of everything below n, each record type once.
func keyBytes(n *node, seen map[*record]int) int {
	switch {
	case n.rec != nil:
		if size, ok := seen[n.rec]; ok {
			return size
		}
		seen[n.rec] = 0
		size := 2
		for _, f := range n.rec.fields {
			size = min(size+len(f.plain.prefix)+4+keyBytes(f.node, seen), maxKeys)
		}
		seen[n.rec] = size
		return size
	case n.elem != nil:
		return keyBytes(n.elem, seen)
	}
	return 0
}
