package avro

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
)

// withDefault gives n the default that a field declares. As in AvroData the default of a type
// that is no union is the field's, else its connect.default; a union keeps the connect.default
// of its type only.
func withDefault(n *node, p props, at place) (*node, *SchemaError) {
	declared, has := p["default"]
	if !has {
		return n, nil
	}
	v, ok := n.native(declared, 0)
	if !ok {
		return nil, schemaErrorf(at.path+".default", "%s is no default for %v", clip(declared), n.schema.Type)
	}
	if n.null >= 0 || n.op == opUnion || v == nil {
		return n, nil
	}
	return n.with(func(s *connector.Schema) { s.Default, s.HasDefault = v, true }), nil
}

func clip(j any) string {
	text, err := json.Marshal(j)
	if err != nil {
		return kindOf(j)
	}
	if len(text) > 100 {
		return string(text[:100]) + "…"
	}
	return string(text)
}

// native gives the value that a default in a schema text stands for. A union takes a default
// of any of its types: writers are not strict about the first.
func (n *node) native(j any, depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	if j == nil && n.null >= 0 && n.null != noNull {
		return nil, true
	}
	switch n.op {
	case opNull:
		return nil, j == nil
	case opBoolean:
		v, ok := j.(bool)
		return v, ok
	case opInt, opLong, opTemporal:
		number, _ := j.(json.Number)
		v, ok := exactInteger(number.String())
		return n.sized(v), ok && v >= n.least && v <= n.most
	case opFloat, opDouble:
		return n.floating(j)
	case opString:
		v, ok := j.(string)
		return v, ok
	case opEnum:
		return n.enumDefault(j)
	case opBytes, opDecimal, opFixed, opFixedDecimal:
		text, ok := j.(string)
		if !ok {
			return nil, false
		}
		return latin1(text)
	}
	return n.nativeContainer(j, depth+1)
}

func (n *node) enumDefault(j any) (any, bool) {
	for _, s := range n.symbols {
		if s.text == j {
			return s.text, true
		}
	}
	return nil, false
}

func (n *node) nativeContainer(j any, depth int) (any, bool) {
	switch n.op {
	case opArray, opEntries:
		items, ok := j.([]any)
		if !ok || n.op == opEntries && len(items) > 0 {
			return nil, false
		}
		if n.op == opEntries {
			return &connector.MapValue{}, true
		}
		list := make([]any, len(items))
		for i, item := range items {
			if list[i], ok = n.elem.native(item, depth); !ok {
				return nil, false
			}
		}
		return list, true
	case opMap:
		return n.mapDefault(j, depth)
	case opRecord:
		return n.recordDefault(j, depth)
	case opUnion:
		for _, b := range n.union {
			v, ok := b.node.native(j, depth)
			if ok && b.slot < 0 {
				return nil, true
			}
			if ok {
				s := &connector.StructValue{Schema: n.schema, Values: make([]any, len(n.schema.Fields))}
				s.Values[b.slot] = v
				return s, true
			}
		}
	}
	return nil, false
}

func (n *node) mapDefault(j any, depth int) (any, bool) {
	object, ok := j.(map[string]any)
	if !ok {
		return nil, false
	}
	m := &connector.MapValue{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		v, ok := n.elem.native(object[key], depth)
		if !ok {
			return nil, false
		}
		m.Entries = append(m.Entries, connector.Entry{Key: key, Value: v})
	}
	return m, true
}

func (n *node) recordDefault(j any, depth int) (any, bool) {
	object, ok := j.(map[string]any)
	if !ok {
		return nil, false
	}
	s := &connector.StructValue{Schema: n.schema, Values: make([]any, len(n.rec.fields))}
	for i, f := range n.rec.fields {
		if f.node == nil { // the record is still being compiled: a default inside itself
			return nil, false
		}
		item, present := object[f.name]
		if !present {
			s.Values[i] = f.node.schema.Default
			if !f.node.schema.HasDefault && !f.node.schema.Optional {
				return nil, false
			}
			continue
		}
		if s.Values[i], ok = f.node.native(item, depth); !ok {
			return nil, false
		}
	}
	return s, true
}

// exactInteger reads the texts of integers that JSON has, 1.0 and 1e3 too.
func exactInteger(text string) (int64, bool) {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
		return 0, false
	}
	return int64(v), true
}

func (n *node) floating(j any) (any, bool) {
	text, ok := j.(string)
	if ok && text != "NaN" && text != "Infinity" && text != "-Infinity" {
		return nil, false
	}
	if number, isNumber := j.(json.Number); isNumber {
		text, ok = number.String(), true
	}
	if !ok {
		return nil, false
	}
	if n.op == opFloat {
		v, err := strconv.ParseFloat(text, 32)
		return float32(v), err == nil
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// latin1 reads bytes as a schema text has them: a character for each byte.
func latin1(text string) (any, bool) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}
