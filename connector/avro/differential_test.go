package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"testing"

	twmb "github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/stepconnect/stepconnect/connector"
)

// sample is a random schema with the values it can have, in the generic form of twmb/avro:
// maps for records and maps, nil, and Go's own types.
type sample struct {
	schema any
	value  *rapid.Generator[any]
}

// samples makes random schemas; depth bounds how they nest, and named numbers named types.
type samples struct {
	t     *rapid.T
	named int
}

func (s *samples) draw(depth int) sample {
	kinds := []string{"boolean", "int", "long", "float", "double", "string", "bytes", "enum", "fixed"}
	if depth > 0 {
		kinds = append(kinds, "record", "record", "array", "map", "optional", "optional", "union")
	}
	switch kind := rapid.SampledFrom(kinds).Draw(s.t, "kind"); kind {
	case "record":
		return s.record(depth - 1)
	case "array":
		elem := s.draw(depth - 1)
		return sample{map[string]any{"type": "array", "items": elem.schema}, rapid.Custom(func(t *rapid.T) any {
			return rapid.SliceOfN(elem.value, 0, 4).Draw(t, "items")
		})}
	case "map":
		elem := s.draw(depth - 1)
		return sample{map[string]any{"type": "map", "values": elem.schema}, rapid.Custom(func(t *rapid.T) any {
			return rapid.MapOfN(rapid.String(), elem.value, 0, 4).Draw(t, "entries")
		})}
	case "optional":
		inner := s.draw(depth - 1)
		if _, nested := inner.schema.([]any); nested {
			return inner
		}
		union := []any{"null", inner.schema}
		if rapid.Bool().Draw(s.t, "null last") {
			union = []any{inner.schema, "null"}
		}
		return sample{union, rapid.OneOf(rapid.Just[any](nil), inner.value)}
	case "union":
		return sample{[]any{"long", "null", "string", "boolean"}, rapid.OneOf(rapid.Just[any](nil), anyOf(rapid.Int64()), anyOf(rapid.String()), anyOf(rapid.Bool()))}
	default:
		return s.leaf(kind)
	}
}

func anyOf[T any](g *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.Map(g, func(v T) any { return v })
}

func (s *samples) leaf(kind string) sample {
	switch kind {
	case "boolean":
		return sample{kind, anyOf(rapid.Bool())}
	case "int":
		return sample{kind, anyOf(rapid.Int32())}
	case "long":
		return sample{kind, anyOf(rapid.Int64())}
	case "float":
		return sample{kind, anyOf(rapid.Float32())}
	case "double":
		return sample{kind, anyOf(rapid.Float64())}
	case "bytes":
		return sample{kind, anyOf(rapid.SliceOfN(rapid.Byte(), 0, 20))}
	case "string":
		return sample{kind, anyOf(rapid.String())}
	}
	s.named++
	name := fmt.Sprintf("n%d.T%d", s.named%3, s.named)
	if kind == "enum" {
		return sample{map[string]any{"type": kind, "name": name, "symbols": []any{"A", "B", "C"}}, anyOf(rapid.SampledFrom([]string{"A", "B", "C"}))}
	}
	size := rapid.IntRange(0, 9).Draw(s.t, "size")
	return sample{map[string]any{"type": kind, "name": name, "size": size}, anyOf(rapid.SliceOfN(rapid.Byte(), size, size))}
}

func (s *samples) record(depth int) sample {
	s.named++
	name := fmt.Sprintf("R%d", s.named)
	var fields []any
	values := map[string]*rapid.Generator[any]{}
	for i := range rapid.IntRange(0, 5).Draw(s.t, "fields") {
		f := s.draw(depth)
		field := "f" + strconv.Itoa(i)
		fields = append(fields, map[string]any{"name": field, "type": f.schema})
		values[field] = f.value
	}
	if fields == nil {
		fields = []any{}
	}
	return sample{map[string]any{"type": "record", "name": name, "fields": fields}, rapid.Custom(func(t *rapid.T) any {
		v := map[string]any{}
		for i := range len(values) {
			field := "f" + strconv.Itoa(i)
			v[field] = values[field].Draw(t, field)
		}
		// A custom generator has to draw something.
		rapid.Just(0).Draw(t, "")
		return v
	})}
}

// generic gives a native value the form that twmb decodes to.
func generic(v any) any {
	switch v := v.(type) {
	case *connector.StructValue:
		if v.Schema.Name == nameUnion {
			for _, e := range v.Values {
				if e != nil {
					return generic(e)
				}
			}
			return nil
		}
		m := map[string]any{}
		for i, f := range v.Schema.Fields {
			m[f.Name] = generic(v.Values[i])
		}
		return m
	case *connector.MapValue:
		m := map[string]any{}
		for _, e := range v.Entries {
			m[e.Key.(string)] = generic(e.Value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = generic(e)
		}
		return list
	case []byte:
		return append([]byte{}, v...)
	}
	return v
}

// comparableForm makes floats equal by their bits and empty things equal to none.
func comparableForm(v any) any {
	switch v := v.(type) {
	case float32:
		return math.Float32bits(v)
	case float64:
		return math.Float64bits(v)
	case []byte:
		return append([]byte{}, v...)
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = comparableForm(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = comparableForm(e)
		}
		return list
	}
	return v
}

func TestRandomValuesReadAsTwmbReadsThem(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := (&samples{t: r}).draw(4)
		text, err := json.Marshal(s.schema)
		if err != nil {
			r.Fatal(err)
		}
		oracle, err := twmb.Parse(string(text))
		if err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		p, err := Compile(string(text))
		if err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		data, err := oracle.Encode(s.value.Draw(r, "value"))
		if err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		var want any
		if _, err := oracle.Decode(data, &want); err != nil {
			r.Fatal(err)
		}
		compare(r, p, data, want)
	})
}

func compare(r *rapid.T, p *Program, data []byte, want any) {
	read, err := p.Read(data)
	if err != nil {
		r.Fatal(err)
	}
	v, err := p.Value(data)
	if err != nil {
		r.Fatal(err)
	}
	native, err := v.Native()
	if err != nil {
		r.Fatal(err)
	}
	if got := comparableForm(generic(native)); !reflect.DeepEqual(got, comparableForm(want)) {
		r.Fatalf("% x is\n%#v, twmb says\n%#v", data, got, want)
	}
	text, err := v.AppendJSON(nil, nil)
	if err != nil {
		r.Fatal(err)
	}
	var got, expected any
	decode(r, text, &got)
	decode(r, plainJSON(r, generic(native)), &expected)
	// The JSON of a union is a struct, which the generic form does not show.
	if !hasUnion(p.Schema(), map[*connector.Schema]bool{}) && !reflect.DeepEqual(got, expected) {
		r.Fatalf("JSON %s, want %v", text, expected)
	}
	fields, err := v.AppendFields(nil)
	if err == nil && len(fields) != len(p.Schema().Fields) {
		r.Fatalf("%d fields of %d", len(fields), len(p.Schema().Fields))
	}
	if walked, _ := read.AppendFields(nil); err == nil && !reflect.DeepEqual(walked, fields) {
		r.Fatalf("fields %v, walked %v", fields, walked)
	}
}

func decode(r *rapid.T, text []byte, v *any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		r.Fatalf("%v in %s", err, text)
	}
}

// plainJSON encodes a generic value by encoding/json.
func plainJSON(r *rapid.T, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	return text
}

func hasUnion(s *connector.Schema, seen map[*connector.Schema]bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	for _, f := range s.Fields {
		if hasUnion(f.Schema, seen) {
			return true
		}
	}
	return s.Name == nameUnion || hasUnion(s.Elem, seen)
}
