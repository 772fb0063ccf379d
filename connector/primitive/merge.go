package primitive

import (
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// mixed stands, while schemas are merged, for elements that have no common schema; nil stands
// for elements that are not known yet because there is none, or none but null.
var mixed = &connector.Schema{}

// infer gives the schema and the native form of a parsed header. Numbers of several types widen to the
// largest of them; other elements of different types have no schema.
func (n node) infer() (*connector.Schema, any, error) {
	if n.kind == kindNull {
		return nil, nil, nil
	}
	s, err := n.shape()
	if err != nil {
		return nil, nil, err
	}
	v, err := n.align(s)
	return settled(s), v, err
}

// shape gives the schema of a node that is not null.
func (n node) shape() (*connector.Schema, error) {
	switch n.kind {
	case kindArray:
		elem, err := common(n.nodes)
		return &connector.Schema{Type: connector.Array, Elem: elem}, err
	case kindMap:
		key, err := common(n.keys)
		if err != nil {
			return nil, err
		}
		elem, err := common(n.nodes)
		if key == mixed {
			elem = mixed
		}
		return &connector.Schema{Type: connector.Map, Key: key, Elem: elem}, err
	}
	return n.schema, nil
}

// common gives the schema that all nodes have. Beside null none can have one: it would not be
// optional, so Kafka Connect takes the whole text for a string.
func common(nodes []node) (*connector.Schema, error) {
	var all *connector.Schema
	null := false
	for _, n := range nodes {
		if n.kind == kindNull {
			null = true
			continue
		}
		s, err := n.shape()
		if err != nil {
			return nil, err
		}
		all = merge(all, s)
	}
	if null && all != nil && all != mixed {
		return nil, errMalformed
	}
	return all, nil
}

// merge gives the schema that holds values of both.
func merge(a, b *connector.Schema) *connector.Schema {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	case a == mixed || b == mixed:
		return mixed
	case isNumber(a) && isNumber(b):
		if a.Type > b.Type {
			return a
		}
		return b
	case a.Type != b.Type || a.Name != b.Name:
		return mixed
	case a.Type == connector.Array:
		return &connector.Schema{Type: connector.Array, Elem: merge(a.Elem, b.Elem)}
	case a.Type == connector.Map:
		return &connector.Schema{Type: connector.Map, Key: merge(a.Key, b.Key), Elem: merge(a.Elem, b.Elem)}
	case a.Name == connector.NameDecimal && scaleOf(a) > scaleOf(b):
		return a
	}
	return b
}

// isNumber reports a number that widens; the order of connector.Type is that of widening.
func isNumber(s *connector.Schema) bool {
	return s.Name == "" && s.Type >= connector.Int8 && s.Type <= connector.Float64
}

func scaleOf(s *connector.Schema) int {
	scale, _, err := connector.DecimalScale(s)
	if err != nil {
		return 0
	}
	return scale
}

// settled gives a merged schema as a value shows it: without mixed.
func settled(s *connector.Schema) *connector.Schema {
	if s == nil || s == mixed {
		return nil
	}
	if s.Type == connector.Array || s.Type == connector.Map {
		return &connector.Schema{Type: s.Type, Key: settled(s.Key), Elem: settled(s.Elem)}
	}
	return s
}

// align gives the native form of the node under a schema that came from merging.
func (n node) align(s *connector.Schema) (any, error) {
	switch {
	case s == nil || s == mixed:
		return n.loose(), nil
	case n.kind == kindNull:
		return nil, errMalformed
	case n.kind == kindArray:
		list := make([]any, len(n.nodes))
		for i, e := range n.nodes {
			var err error
			if list[i], err = e.align(s.Elem); err != nil {
				return nil, err
			}
		}
		return list, nil
	case n.kind == kindMap:
		return n.alignMap(s)
	case s.Name == connector.NameDecimal:
		b, _ := n.value.([]byte)
		if digits := scaleOf(s) - scaleOf(n.schema); digits > 0 {
			return rescale(b, digits), nil
		}
		return b, nil
	case n.schema.Type != s.Type:
		return widen(n.value, s.Type), nil
	}
	return n.value, nil
}

func (n node) alignMap(s *connector.Schema) (any, error) {
	entries := make([]connector.Entry, len(n.keys))
	for i := range n.keys {
		key, err := n.keys[i].align(s.Key)
		if err != nil {
			return nil, err
		}
		v, err := n.nodes[i].align(s.Elem)
		if err != nil {
			return nil, err
		}
		entries[i] = connector.Entry{Key: key, Value: v}
	}
	return distinct(settled(s.Key), entries), nil
}

// distinct keeps of entries with one key the last, at the place of the first. Keys are equal when
// their JSON texts are: a map's keys have one type.
func distinct(key *connector.Schema, entries []connector.Entry) *connector.MapValue {
	places := make(map[string]int, len(entries))
	kept := entries[:0]
	var buf []byte
	for _, e := range entries {
		var err error
		buf, err = connector.NewValue(key, e.Key).AppendJSON(buf[:0], nil)
		if i, twice := places[string(buf)]; twice && err == nil {
			kept[i].Value = e.Value
			continue
		}
		places[string(buf)] = len(kept)
		kept = append(kept, e)
	}
	return &connector.MapValue{Entries: kept}
}

// widen gives a number as one of a larger type.
func widen(v any, t connector.Type) any {
	var i int64
	var f float64
	switch v := v.(type) {
	case int8:
		i, f = int64(v), float64(v)
	case int16:
		i, f = int64(v), float64(v)
	case int32:
		i, f = int64(v), float64(v)
	case int64:
		i, f = v, float64(v)
	case float32:
		f = float64(v)
	}
	switch t {
	case connector.Int16:
		return int16(i)
	case connector.Int32:
		return int32(i)
	case connector.Int64:
		return i
	case connector.Float32:
		return float32(f)
	}
	return f
}

// loose gives the form that data without a schema has: numbers as Number, dates and times as
// their text.
func (n node) loose() any {
	switch n.kind {
	case kindNull:
		return nil
	case kindArray:
		list := make([]any, len(n.nodes))
		for i, e := range n.nodes {
			list[i] = e.loose()
		}
		return list
	case kindMap:
		entries := make([]connector.Entry, len(n.keys))
		for i := range n.keys {
			entries[i] = connector.Entry{Key: n.keys[i].loose(), Value: n.nodes[i].loose()}
		}
		return distinct(nil, entries)
	}
	return n.looseLeaf()
}

func (n node) looseLeaf() any {
	if n.text != "" {
		return n.text
	}
	switch v := n.value.(type) {
	case int8:
		return connector.Number(strconv.FormatInt(int64(v), 10))
	case int16:
		return connector.Number(strconv.FormatInt(int64(v), 10))
	case int32:
		return connector.Number(strconv.FormatInt(int64(v), 10))
	case int64:
		return connector.Number(strconv.FormatInt(v, 10))
	case float32:
		return connector.Number(jsontext.AppendFloat(nil, float64(v), 32))
	case float64:
		return connector.Number(jsontext.AppendFloat(nil, v, 64))
	case []byte:
		text, err := jsontext.AppendDecimal(nil, v, scaleOf(n.schema))
		if err == nil {
			return connector.Number(text)
		}
	}
	return n.value
}
