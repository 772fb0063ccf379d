package connector

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector/jsontext"
)

func decimalSchema(scale string) *Schema {
	return &Schema{Type: Bytes, Name: NameDecimal, Params: map[string]string{"scale": scale}}
}

func TestANativeValueHasTheJSONOfItsSchema(t *testing.T) {
	plain := func(t Type) *Schema { return &Schema{Type: t} }
	named := func(t Type, name string) *Schema { return &Schema{Type: t, Name: name} }
	point := &Schema{Type: Struct, Fields: []Field{{"x", plain(Int64)}, {"na\"me", plain(String)}}}
	all := Format{Decimal: DecimalNumber, Int64: Int64String, Time: TimeRaw, Binary: BinaryHex}
	cases := map[string]struct {
		schema *Schema
		native any
		want   string
		other  string // with decimals as numbers, int64 as text, raw times and hex; "" when the same
	}{
		"null":                     {plain(Int64), nil, `null`, ""},
		"null without a schema":    {nil, nil, `null`, ""},
		"boolean":                  {plain(Boolean), true, `true`, ""},
		"string":                   {plain(String), "a\"\xff", `"a\"` + "\uFFFD" + `"`, ""},
		"int8":                     {plain(Int8), int8(-8), `-8`, ""},
		"int16":                    {plain(Int16), int16(-16), `-16`, ""},
		"int32":                    {plain(Int32), int32(math.MinInt32), `-2147483648`, ""},
		"int64":                    {plain(Int64), int64(math.MaxInt64), `9223372036854775807`, `"9223372036854775807"`},
		"float32":                  {plain(Float32), float32(0.1), `0.1`, ""},
		"float64":                  {plain(Float64), 1e300, `1e+300`, ""},
		"not a number":             {plain(Float64), math.NaN(), `"NaN"`, ""},
		"bytes":                    {plain(Bytes), []byte{0xfb}, `"+w=="`, `"fb"`},
		"decimal":                  {decimalSchema("2"), []byte{0xff, 0x85}, `"-1.23"`, `-1.23`},
		"decimal of minus scale":   {decimalSchema("-2"), []byte{5}, `"500"`, `500`},
		"Connect date":             {named(Int32, NameDate), int32(1), `"1970-01-02"`, `1`},
		"Connect time":             {named(Int32, NameTime), int32(1), `"00:00:00.001"`, `1`},
		"Connect timestamp":        {named(Int64, NameTimestamp), int64(-1), `"1969-12-31T23:59:59.999"`, `-1`},
		"Debezium date":            {named(Int32, NameDebeziumDate), int32(1), `"1970-01-02"`, `1`},
		"Debezium time":            {named(Int32, NameDebeziumTime), int32(1), `"00:00:00.001"`, `1`},
		"Debezium micro time":      {named(Int64, NameDebeziumMicroTime), int64(1), `"00:00:00.000001"`, `1`},
		"Debezium nano time":       {named(Int64, NameDebeziumNanoTime), int64(1), `"00:00:00.000000001"`, `1`},
		"Debezium timestamp":       {named(Int64, NameDebeziumTimestamp), int64(1), `"1970-01-01T00:00:00.001"`, `1`},
		"Debezium micro timestamp": {named(Int64, NameDebeziumMicroTimestamp), int64(1), `"1970-01-01T00:00:00.000001"`, `1`},
		"Debezium nano timestamp":  {named(Int64, NameDebeziumNanoTimestamp), int64(1), `"1970-01-01T00:00:00.000000001"`, `1`},
		"zoned timestamp":          {named(String, NameDebeziumZonedTimestamp), "2025-01-01T00:00:00-03:00", `"2025-01-01T00:00:00-03:00"`, ""},
		"a name on another type":   {named(Int64, NameDate), int64(1), `1`, `"1"`},
		"array":                    {&Schema{Type: Array, Elem: plain(Int64)}, []any{int64(1), nil}, `[1,null]`, `["1",null]`},
		"empty array":              {&Schema{Type: Array, Elem: plain(Int64)}, []any{}, `[]`, ""},
		"map": {&Schema{Type: Map, Key: plain(String), Elem: named(Int32, NameDate)}, &MapValue{Entries: []Entry{{"b", int32(0)}, {"a", nil}}},
			`{"b":"1970-01-01","a":null}`, `{"b":0,"a":null}`},
		"map of other keys":      {&Schema{Type: Map, Key: plain(Int32), Elem: plain(Boolean)}, &MapValue{Entries: []Entry{{int32(1), true}}}, `[[1,true]]`, ""},
		"map of optional keys":   {&Schema{Type: Map, Key: &Schema{Type: String, Optional: true}, Elem: plain(Boolean)}, &MapValue{Entries: []Entry{{"k", true}}}, `[["k",true]]`, ""},
		"struct":                 {point, &StructValue{Schema: point, Values: []any{int64(1), "n"}}, `{"x":1,"na\"me":"n"}`, `{"x":"1","na\"me":"n"}`},
		"schemaless":             {nil, &MapValue{Entries: []Entry{{"n", Number("1.50")}, {"l", []any{Number("1e400"), false, "s"}}}}, `{"n":1.50,"l":[1e400,false,"s"]}`, ""},
		"schemaless, other keys": {nil, &MapValue{Entries: []Entry{{Number("1"), "a"}}}, `[[1,"a"]]`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			v := NewValue(tc.schema, tc.native)
			if got, err := v.AppendJSON([]byte("x"), nil); err != nil || string(got) != "x"+tc.want {
				t.Errorf("got %s, %v, want x%s", got, err, tc.want)
			}
			want := tc.other
			if want == "" {
				want = tc.want
			}
			got, err := v.AppendJSON(nil, &all)
			if err != nil || string(got) != want {
				t.Errorf("with all options: got %s, %v, want %s", got, err, want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is no JSON", got)
			}
		})
	}
}

func TestWhatIsNoNativeFormIsRefusedWithItsPath(t *testing.T) {
	inner := &Schema{Type: Struct, Fields: []Field{{"valor", decimalSchema("2")}}}
	outer := &Schema{Type: Struct, Fields: []Field{{"itens", &Schema{Type: Array, Elem: inner}}}}
	item := func(v any) any {
		return &StructValue{Schema: outer, Values: []any{[]any{nil, &StructValue{Schema: inner, Values: []any{v}}}}}
	}
	cases := map[string]struct {
		schema *Schema
		native any
		want   string
	}{
		"an int":                          {&Schema{Type: Int64}, 7, "int is not the native form"},
		"a Go map":                        {nil, map[string]any{}, "map[string]interface {} is not"},
		"deep inside":                     {outer, item(uint8(1)), "itens[1].valor: uint8 is not"},
		"a decimal without bytes":         {outer, item([]byte{}), "itens[1].valor: decimal without bytes"},
		"a decimal without a scale":       {&Schema{Type: Bytes, Name: NameDecimal}, []byte{1}, "without a scale"},
		"a decimal of another scale":      {decimalSchema("two"), []byte{1}, `scale "two"`},
		"a number that is none":           {nil, Number("1.5x"), `"1.5x" is no JSON number`},
		"a number that is a word":         {nil, Number("null"), `"null" is no JSON number`},
		"an empty number":                 {nil, Number(""), `"" is no JSON number`},
		"a struct with too few values":    {inner, &StructValue{Schema: inner}, "0 values"},
		"a struct without a schema":       {nil, &StructValue{}, "does not describe"},
		"an entry of a map":               {nil, &MapValue{Entries: []Entry{{"k", 7}}}, `["k"]: int is not`},
		"an entry inside an entry of one": {nil, &MapValue{Entries: []Entry{{"k", []any{7}}}}, `["k"][0]: int is not`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := NewValue(tc.schema, tc.native).AppendJSON(nil, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTheRulesOfLogicalTypesFollowNameAndType(t *testing.T) {
	if got := TemporalOf(nil); got != jsontext.NotTemporal {
		t.Errorf("nil is %v", got)
	}
	if _, ok, err := DecimalScale(&Schema{Type: String, Name: NameDecimal}); ok || err != nil {
		t.Errorf("a Decimal in a string: %v, %v", ok, err)
	}
	if scale, ok, err := DecimalScale(decimalSchema("-7")); scale != -7 || !ok || err != nil {
		t.Errorf("%d, %v, %v", scale, ok, err)
	}
	if _, ok, err := DecimalScale(decimalSchema("99999")); !ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestFieldsOfANativeStructAreItsValues(t *testing.T) {
	s := &Schema{Type: Struct, Fields: []Field{{"a", &Schema{Type: Int32}}, {"b", &Schema{Type: String, Optional: true}}}}
	fields, err := NewValue(s, &StructValue{Schema: s, Values: []any{int32(1), nil}}).AppendFields(nil)
	if err != nil || len(fields) != 2 || fields[0].IsNull() || !fields[1].IsNull() || fields[1].Schema() != s.Fields[1].Schema {
		t.Errorf("%v, %v", fields, err)
	}
	if _, err := NewValue(nil, "text").AppendFields(nil); !errors.Is(err, ErrNotStruct) {
		t.Errorf("error %v", err)
	}
}
