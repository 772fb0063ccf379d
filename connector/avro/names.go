package avro

import (
	"encoding/json"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// fullName resolves the name that a type is defined with. Characters are not held against
// Avro's grammar: connectors write names that it forbids (schema.name.adjustment.mode=none).
func (p props) fullName(at place) (full, namespace string, err *SchemaError) {
	name, ok := p["name"].(string)
	if !ok || name == "" || strings.HasSuffix(name, ".") {
		return "", "", schemaErrorf(at.path, "named type without a name")
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return strings.TrimPrefix(name, "."), strings.TrimPrefix(name[:i], "."), nil
	}
	namespace = at.namespace
	if own, ok := p["namespace"].(string); ok {
		namespace = own
	}
	if namespace == "" && primitive(name) != nil {
		return "", "", schemaErrorf(at.path, "a named type cannot be called %q", name)
	}
	return join(namespace, name), namespace, nil
}

// candidates are the full names that a reference can mean: in the enclosing namespace first,
// then without one, as Avro's Java library resolves them.
func candidates(name, namespace string) []string {
	if namespace == "" || strings.Contains(name, ".") {
		return []string{strings.TrimPrefix(name, ".")}
	}
	return []string{join(namespace, name), name}
}

func join(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "." + name
}

// branchName is the field that stands for b in a union's struct: the name of a named type, the
// last part of it unless fullNames or another branch has it already, else the Avro type.
func (c *compiler) branchName(b *node, taken map[string]bool) string {
	if full := b.fullName(); full != "" {
		short := full[strings.LastIndexByte(full, '.')+1:]
		if c.fullNames || taken[short] {
			return full
		}
		return short
	}
	switch b.op {
	case opFixed, opFixedDecimal:
		return "fixed"
	case opEntries:
		return "array"
	}
	return avroNames[b.schema.Type]
}

// fullName of a record or enum; "" for other types.
func (n *node) fullName() string {
	switch n.op {
	case opRecord:
		return n.rec.name
	case opEnum:
		return n.schema.Params[nameEnum]
	}
	return ""
}

var avroNames = map[connector.Type]string{
	connector.Boolean: "boolean", connector.Int8: "int", connector.Int16: "int", connector.Int32: "int",
	connector.Int64: "long", connector.Float32: "float", connector.Float64: "double", connector.Bytes: "bytes",
	connector.String: "string", connector.Array: "array", connector.Map: "map",
}

// kindOf names what j is in JSON.
func kindOf(j any) string {
	switch j.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}
