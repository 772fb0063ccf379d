package avro

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	twmb "github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/test/scale"
)

// sample is a random schema with the values it can have, in the generic form of twmb/avro:
// maps for records and maps, nil, and Go's own types.
type sample struct {
	schema any
	value  *rapid.Generator[any]
}

// samples makes random schemas; depth bounds how they nest, and named numbers named types.
type samples struct {
	t       *rapid.T
	named   int
	defined []sample // named types so far, by their names
	plain   bool     // what a default can be: no unions, no logical types
}

// logicalTypes are those with a form of their own in JSON, with the values whose text has a year of four digits.
var logicalTypes = []struct {
	schema      map[string]any
	least, most int64 // of int and long
}{
	{map[string]any{"type": "int", "logicalType": "date"}, -719_162, 2_932_896},
	{map[string]any{"type": "int", "logicalType": "time-millis"}, 0, 86_399_999},
	{map[string]any{"type": "long", "logicalType": "time-micros"}, 0, 86_399_999_999},
	{map[string]any{"type": "long", "logicalType": "timestamp-millis"}, -62_135_596_800_000, 253_402_300_799_999},
	{map[string]any{"type": "long", "logicalType": "timestamp-micros"}, -62_135_596_800_000_000, 253_402_300_799_999_999},
	{map[string]any{"type": "long", "logicalType": "timestamp-nanos"}, math.MinInt64, math.MaxInt64},
	{map[string]any{"type": "long", "logicalType": "local-timestamp-millis"}, -62_135_596_800_000, 253_402_300_799_999},
	{map[string]any{"type": "long", "logicalType": "local-timestamp-micros"}, -62_135_596_800_000_000, 253_402_300_799_999_999},
	{map[string]any{"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 4}, 0, 0},
	{map[string]any{"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 0}, 0, 0},
	{map[string]any{"type": "fixed", "logicalType": "decimal", "precision": 20, "scale": 9, "size": 12}, 0, 0},
}

func (s *samples) logical() sample {
	l := rapid.SampledFrom(logicalTypes).Draw(s.t, "logical")
	schema := maps.Clone(l.schema)
	switch schema["type"] {
	case "int":
		return sample{schema, anyOf(rapid.Int32Range(int32(l.least), int32(l.most)))}
	case "long":
		return sample{schema, anyOf(rapid.Int64Range(l.least, l.most))}
	case "bytes":
		return sample{schema, anyOf(rapid.SliceOfN(rapid.Byte(), 1, 24))}
	}
	s.named++
	schema["name"] = fmt.Sprintf("d.D%d", s.named)
	return sample{schema, anyOf(rapid.SliceOfN(rapid.Byte(), 12, 12))}
}

// union draws branches whose values differ in their Go types, so that an encoder can tell them apart.
func (s *samples) union(depth int) sample {
	branches := []any{"null"}
	values := []*rapid.Generator[any]{rapid.Just[any](nil)}
	for _, group := range [][]string{{"boolean"}, {"int"}, {"long"}, {"double"}, {"string", "enum"}, {"bytes", "fixed"}, {"record", "map"}, {"array"}} {
		if !rapid.Bool().Draw(s.t, "has "+group[0]) {
			continue
		}
		var b sample
		switch kind := rapid.SampledFrom(group).Draw(s.t, "branch"); kind {
		case "record":
			b = s.record(depth)
		case "array":
			b = sample{map[string]any{"type": "array", "items": "long"}, rapid.Custom(func(t *rapid.T) any {
				return rapid.SliceOfN(anyOf(rapid.Int64()), 0, 3).Draw(t, "items")
			})}
		case "map":
			b = sample{map[string]any{"type": "map", "values": "string"}, rapid.Custom(func(t *rapid.T) any {
				return rapid.MapOfN(rapid.String(), anyOf(rapid.String()), 0, 3).Draw(t, "entries")
			})}
		default:
			b = s.leaf(kind)
		}
		branches, values = append(branches, b.schema), append(values, b.value)
	}
	// Null need not come first. The others keep their order: a type is defined before it is referred to.
	at := rapid.IntRange(0, len(branches)-1).Draw(s.t, "null at")
	branches = slices.Insert(branches[1:], at, branches[0])
	return sample{branches, rapid.OneOf(values...)}
}

func (s *samples) draw(depth int) sample {
	kinds := []string{"boolean", "int", "long", "float", "double", "string", "bytes", "enum", "fixed"}
	if !s.plain {
		kinds = append(kinds, "logical", "logical", "logical")
	}
	if depth > 0 {
		kinds = append(kinds, "record", "record", "array", "map")
	}
	if depth > 0 && !s.plain {
		kinds = append(kinds, "optional", "optional", "union")
	}
	if len(s.defined) > 0 && !s.plain {
		kinds = append(kinds, "again")
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
		return s.union(depth - 1)
	case "again":
		return s.defined[rapid.IntRange(0, len(s.defined)-1).Draw(s.t, "which")]
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
	case "logical":
		return s.logical()
	}
	s.named++
	name := fmt.Sprintf("n%d.T%d", s.named%3, s.named)
	define := func(as sample) sample {
		s.defined = append(s.defined, sample{name, as.value})
		return as
	}
	if kind == "enum" {
		return define(sample{map[string]any{"type": kind, "name": name, "symbols": []any{"A", "B", "C"}}, anyOf(rapid.SampledFrom([]string{"A", "B", "C"}))})
	}
	size := rapid.IntRange(0, 9).Draw(s.t, "size")
	return define(sample{map[string]any{"type": kind, "name": name, "size": size}, anyOf(rapid.SliceOfN(rapid.Byte(), size, size))})
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

// TestRandomValuesReadAsTwmbReadsThem draws schemas and values of every kind, and compares the native form with what the
// other library reads without logical types, and the JSON text with what it reads with them.
func TestRandomValuesReadAsTwmbReadsThem(t *testing.T) {
	checks(t, 2000, 200_000)
	rapid.Check(t, func(r *rapid.T) {
		s := (&samples{t: r}).draw(4)
		oracle, bare := parsed(r, s.schema), parsed(r, withoutLogicalTypes(s.schema))
		text := schemaText(r, s.schema)
		p, err := Compile(text)
		if err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		data, err := bare.Encode(s.value.Draw(r, "value"))
		if err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		var raw, logical any
		if _, err := bare.Decode(data, &raw); err != nil {
			r.Fatal(err)
		}
		if _, err := oracle.Decode(data, &logical); err != nil {
			r.Fatalf("%v in %s", err, text)
		}
		compare(r, p, data, raw, (&expectation{r: r, named: map[string]any{}}).json(s.schema, logical))
	})
}

// TestDefaultsAreThoseThatTwmbFillsIn lets the other library read a record without the field, by a reader's schema that has it
// with a default: what it fills in is the default of our schema.
func TestDefaultsAreThoseThatTwmbFillsIn(t *testing.T) {
	checks(t, 1000, 50_000)
	rapid.Check(t, func(r *rapid.T) {
		s := (&samples{t: r, plain: true}).draw(3)
		record := func(fields ...any) map[string]any {
			return map[string]any{"type": "record", "name": "Evolved", "fields": append([]any{}, fields...)}
		}
		given := s.value.Draw(r, "default")
		if !finite(given) {
			r.Skip("JSON has no such number")
		}
		reader := record(map[string]any{"name": "f", "type": s.schema, "default": jsonDefault(given)})
		evolved, err := twmb.Resolve(parsed(r, record()), parsed(r, reader))
		if err != nil {
			r.Fatal(err)
		}
		var want map[string]any
		if _, err := evolved.Decode(nil, &want); err != nil {
			r.Fatal(err)
		}
		f := mustCompile(t, schemaText(r, reader)).Schema().Fields[0].Schema
		if got := comparableForm(generic(f.Default)); !f.HasDefault || !reflect.DeepEqual(got, comparableForm(want["f"])) {
			r.Fatalf("the default is %#v (%v), twmb fills in %#v", got, f.HasDefault, want["f"])
		}
	})
}

// checks sets how often rapid draws, unless the command line says so.
func checks(t *testing.T, short, long int) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := f.Value.Set(strconv.Itoa(scale.N(short, long))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

func schemaText(r *rapid.T, schema any) string {
	text, err := json.Marshal(schema)
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

func parsed(r *rapid.T, schema any) *twmb.Schema {
	s, err := twmb.Parse(schemaText(r, schema))
	if err != nil {
		r.Fatalf("%v in %s", err, schemaText(r, schema))
	}
	return s
}

func withoutLogicalTypes(schema any) any {
	switch s := schema.(type) {
	case map[string]any:
		bare := map[string]any{}
		for k, v := range s {
			if k != "logicalType" && k != "precision" && k != "scale" {
				bare[k] = withoutLogicalTypes(v)
			}
		}
		return bare
	case []any:
		bare := make([]any, len(s))
		for i, e := range s {
			bare[i] = withoutLogicalTypes(e)
		}
		return bare
	}
	return schema
}

// finite tells whether v holds no float that JSON cannot write.
func finite(v any) bool {
	switch v := v.(type) {
	case float32:
		return finite(float64(v))
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !finite(e) })
	case map[string]any:
		for _, e := range v {
			if !finite(e) {
				return false
			}
		}
	}
	return true
}

// jsonDefault gives a value as a schema writes it: bytes as text of a character for each.
func jsonDefault(v any) any {
	switch v := v.(type) {
	case []byte:
		text := make([]rune, len(v))
		for i, b := range v {
			text[i] = rune(b)
		}
		return string(text)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = jsonDefault(e)
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = jsonDefault(e)
		}
		return m
	}
	return v
}

// expectation makes the JSON that a value should have of what the other library read.
type expectation struct {
	r     *rapid.T
	named map[string]any // schemas by name
}

func (x *expectation) json(schema, v any) any {
	switch s := schema.(type) {
	case []any:
		return x.union(s, v)
	case map[string]any:
		if name, ok := s["name"].(string); ok {
			x.named[name] = s
		}
		switch s["type"] {
		case "record":
			object := map[string]any{}
			for _, f := range s["fields"].([]any) {
				field := f.(map[string]any)
				object[field["name"].(string)] = x.json(field["type"], v.(map[string]any)[field["name"].(string)])
			}
			return object
		case "array":
			list := []any{}
			for _, e := range v.([]any) {
				list = append(list, x.json(s["items"], e))
			}
			return list
		case "map":
			object := map[string]any{}
			for k, e := range v.(map[string]any) {
				object[k] = x.json(s["values"], e)
			}
			return object
		}
		if kind, ok := s["logicalType"]; ok {
			return x.logical(kind.(string), s, v)
		}
	case string:
		if named, ok := x.named[s]; ok {
			return x.json(named, v)
		}
	}
	return v
}

func (x *expectation) logical(kind string, s map[string]any, v any) any {
	switch v := v.(type) {
	case *big.Rat:
		return v.FloatString(s["scale"].(int))
	case time.Duration:
		return time.Unix(0, 0).UTC().Add(v).Format(map[string]string{"time-millis": "15:04:05.000", "time-micros": "15:04:05.000000"}[kind])
	case time.Time:
		switch {
		case kind == "date":
			return v.Format("2006-01-02")
		case strings.HasSuffix(kind, "millis"):
			return v.Format("2006-01-02T15:04:05.000")
		case strings.HasSuffix(kind, "micros"):
			return v.Format("2006-01-02T15:04:05.000000")
		}
		return v.Format("2006-01-02T15:04:05.000000000")
	}
	x.r.Fatalf("%s came as %T", kind, v)
	return nil
}

// union gives null, the value of the one type beside null, or an object of all types with null for those that it is not.
func (x *expectation) union(branches []any, v any) any {
	if len(branches) == 1 || len(branches) == 2 && slices.Contains(branches, any("null")) {
		for _, b := range branches {
			if b != "null" {
				of := x.json
				if v == nil { // what is defined there can be referred to later
					x.learn(b)
					return nil
				}
				return of(b, v)
			}
		}
		return nil
	}
	object := map[string]any{}
	for _, b := range branches {
		x.learn(b)
		kind, name := b, b
		if s, ok := b.(map[string]any); ok {
			kind, name = s["type"], s["type"]
			if full, ok := s["name"].(string); ok && kind != "fixed" {
				name = full[strings.LastIndexByte(full, '.')+1:]
			}
		}
		if kind == "null" {
			continue
		}
		object[name.(string)] = nil
		if isOf(kind.(string), v) {
			object[name.(string)] = x.json(b, v)
		}
	}
	if v == nil {
		return nil
	}
	return object
}

// learn remembers the types that a schema defines.
func (x *expectation) learn(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, b := range s {
			x.learn(b)
		}
	case map[string]any:
		if name, ok := s["name"].(string); ok {
			x.named[name] = s
		}
		for _, key := range []string{"fields", "items", "values", "type"} {
			if inner, ok := s[key]; ok {
				x.learn(inner)
			}
		}
	}
}

// isOf tells whether a value of the other library is of a type of a union.
func isOf(kind string, v any) bool {
	switch v.(type) {
	case bool:
		return kind == "boolean"
	case int32:
		return kind == "int"
	case int64:
		return kind == "long"
	case float64:
		return kind == "double"
	case string:
		return kind == "string" || kind == "enum"
	case []byte:
		return kind == "bytes" || kind == "fixed"
	case map[string]any:
		return kind == "record" || kind == "map"
	case []any:
		return kind == "array"
	}
	return false
}

func compare(r *rapid.T, p *Program, data []byte, want, wantJSON any) {
	if err := p.Check(data); err != nil {
		r.Fatal(err)
	}
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
	decode(r, plainJSON(r, spelled(wantJSON)), &expected)
	if !reflect.DeepEqual(got, expected) {
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

// spelled gives the floats that JSON has no number for as the texts that Kafka Connect writes.
func spelled(v any) any {
	switch v := v.(type) {
	case float32:
		if !finite(v) {
			return spelled(float64(v))
		}
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
	case []any:
		for i, e := range v {
			v[i] = spelled(e)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = spelled(e)
		}
	}
	return v
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
