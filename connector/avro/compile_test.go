package avro

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

func mustCompile(t testing.TB, text string, refs ...string) *Program {
	t.Helper()
	p, err := Compile(text, refs...)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return p
}

func TestASchemaBecomesTheConnectSchemaOfAvroData(t *testing.T) {
	type schema = connector.Schema
	decimal := func(scale, precision string) map[string]string {
		return map[string]string{"scale": scale, "connect.decimal.precision": precision}
	}
	cases := map[string]struct {
		avro string
		want schema
	}{
		"a primitive":           {`"long"`, schema{Type: connector.Int64}},
		"an object of one":      {`{"type":"long"}`, schema{Type: connector.Int64}},
		"an object in an other": {`{"type":{"type":"long"}}`, schema{Type: connector.Int64}},
		"null first":            {`["null","int"]`, schema{Type: connector.Int32, Optional: true}},
		"null last":             {`["int","null"]`, schema{Type: connector.Int32, Optional: true}},
		"a union of one":        {`["int"]`, schema{Type: connector.Int32}},
		"int8":                  {`{"type":"int","connect.type":"int8"}`, schema{Type: connector.Int8}},
		"int16 with a default":  {`{"type":"int","connect.type":"int16","connect.default":5}`, schema{Type: connector.Int16, Default: int16(5), HasDefault: true}},
		"a Connect name": {`["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date","connect.doc":"d","connect.parameters":{"a":"b"}}]`,
			schema{Type: connector.Int32, Optional: true, Name: connector.NameDebeziumDate, Version: 1, Doc: "d", Params: map[string]string{"a": "b"}}},
		"date":                          {`{"type":"int","logicalType":"date"}`, schema{Type: connector.Int32, Name: connector.NameDate}},
		"time-millis":                   {`{"type":"int","logicalType":"time-millis"}`, schema{Type: connector.Int32, Name: connector.NameTime}},
		"time-micros":                   {`{"type":"long","logicalType":"time-micros"}`, schema{Type: connector.Int64, Name: connector.NameDebeziumMicroTime}},
		"timestamp-millis":              {`{"type":"long","logicalType":"timestamp-millis"}`, schema{Type: connector.Int64, Name: connector.NameTimestamp}},
		"timestamp-micros":              {`{"type":"long","logicalType":"timestamp-micros"}`, schema{Type: connector.Int64, Name: connector.NameDebeziumMicroTimestamp}},
		"timestamp-nanos":               {`{"type":"long","logicalType":"timestamp-nanos"}`, schema{Type: connector.Int64, Name: connector.NameDebeziumNanoTimestamp}},
		"local-timestamp-millis":        {`{"type":"long","logicalType":"local-timestamp-millis"}`, schema{Type: connector.Int64, Name: connector.NameDebeziumTimestamp}},
		"local-timestamp-micros":        {`{"type":"long","logicalType":"local-timestamp-micros"}`, schema{Type: connector.Int64, Name: connector.NameDebeziumMicroTimestamp}},
		"uuid":                          {`{"type":"string","logicalType":"uuid"}`, schema{Type: connector.String, Name: nameUUID}},
		"a logical type of other bytes": {`{"type":"long","logicalType":"date"}`, schema{Type: connector.Int64}},
		"decimal":                       {`{"type":"bytes","logicalType":"decimal","scale":2,"precision":9}`, schema{Type: connector.Bytes, Name: connector.NameDecimal, Params: decimal("2", "9")}},
		"decimal without a scale":       {`{"type":"bytes","logicalType":"decimal","precision":9}`, schema{Type: connector.Bytes, Name: connector.NameDecimal, Params: decimal("0", "9")}},
		"decimal by parameters": {`{"type":"bytes","connect.name":"org.apache.kafka.connect.data.Decimal","connect.parameters":{"scale":"-3"},"connect.default":"\u0001\u00ff"}`,
			schema{Type: connector.Bytes, Name: connector.NameDecimal, Params: map[string]string{"scale": "-3"}, Default: []byte{1, 0xff}, HasDefault: true}},
		"fixed": {`{"type":"fixed","name":"F","size":3}`, schema{Type: connector.Bytes, Params: map[string]string{"connect.fixed.size": "3"}}},
		"enum": {`{"type":"enum","name":"a.E","symbols":["X","Y"],"connect.parameters":{"p":"q"}}`, schema{Type: connector.String, Name: "a.E",
			Params: map[string]string{nameEnum: "a.E", nameEnum + ".X": "X", nameEnum + ".Y": "Y", "p": "q"}}},
		"array": {`{"type":"array","items":["null","string"]}`, schema{Type: connector.Array, Elem: &schema{Type: connector.String, Optional: true}}},
		"map":   {`{"type":"map","values":"double"}`, schema{Type: connector.Map, Key: &schema{Type: connector.String}, Elem: &schema{Type: connector.Float64}}},
		"an array of entries": {`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"long"}]}}`,
			schema{Type: connector.Map, Key: &schema{Type: connector.Int32}, Elem: &schema{Type: connector.Int64}}},
		"an array of entries of another name": {`{"type":"array","items":{"type":"record","name":"E","connect.internal.type":"MapEntry","fields":[{"name":"key","type":["null","string"]},{"name":"value","type":"long"}]}}`,
			schema{Type: connector.Map, Key: &schema{Type: connector.String, Optional: true}, Elem: &schema{Type: connector.Int64}}},
		"a record": {`{"type":"record","name":"R","namespace":"a.b","doc":"rd","fields":[{"name":"x","type":"int","default":7,"doc":"fd"},{"name":"y","type":["long","null"],"default":1}]}`,
			schema{Type: connector.Struct, Name: "a.b.R", Doc: "rd", Fields: []connector.Field{
				{Name: "x", Schema: &schema{Type: connector.Int32, Default: int32(7), HasDefault: true, Doc: "fd"}},
				{Name: "y", Schema: &schema{Type: connector.Int64, Optional: true}}}}},
		"a record with a Connect name": {`{"type":"record","name":"R","connect.name":"c.N","connect.version":3,"fields":[]}`,
			schema{Type: connector.Struct, Name: "c.N", Version: 3, Fields: []connector.Field{}}},
		"a record that has no name of its own": {`{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[]}`,
			schema{Type: connector.Struct, Fields: []connector.Field{}}},
		"a union of several": {`["null","string",{"type":"record","name":"a.R","fields":[]},{"type":"record","name":"b.R","fields":[]}]`,
			schema{Type: connector.Struct, Name: nameUnion, Optional: true, Fields: []connector.Field{
				{Name: "string", Schema: &schema{Type: connector.String, Optional: true}},
				{Name: "R", Schema: &schema{Type: connector.Struct, Name: "a.R", Optional: true, Fields: []connector.Field{}}},
				{Name: "b.R", Schema: &schema{Type: connector.Struct, Name: "b.R", Optional: true, Fields: []connector.Field{}}}}}},
		"names that Avro forbids": {`{"type":"record","name":"Situações-$","fields":[{"name":"não é","type":"int"}]}`,
			schema{Type: connector.Struct, Name: "Situações-$", Fields: []connector.Field{{Name: "não é", Schema: &schema{Type: connector.Int32}}}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := mustCompile(t, tc.avro).Schema(); !reflect.DeepEqual(got, &tc.want) {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

func TestNamesResolveInTheEnclosingNamespaceAndThenWithoutOne(t *testing.T) {
	p := mustCompile(t, `{"type":"record","name":"n.A","fields":[
		{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"i","type":"int"}]}},
		{"name":"b2","type":"B"},{"name":"b3","type":"n.B"},{"name":"g","type":"Global"},
		{"name":"c","type":{"type":"fixed","name":"C","namespace":"","size":1}},{"name":"c2","type":["null",{"type":"C"}]}]}`,
		`{"type":"enum","name":"Global","symbols":["G"]}`)
	for i, want := range []string{"n.B", "n.B", "n.B", "Global"} {
		if got := p.Schema().Fields[i].Schema.Name; got != want {
			t.Errorf("field %d is a %q, want %q", i, got, want)
		}
	}
	v, err := p.Value([]byte{2, 4, 6, 0, 'x', 2, 'y'})
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.AppendJSON(nil, nil)
	if want := `{"b":{"i":1},"b2":{"i":2},"b3":{"i":3},"g":"G","c":"eA==","c2":"eQ=="}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestASchemaMayReferToItself(t *testing.T) {
	p := mustCompile(t, `{"type":"record","name":"List","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","List"]}]}`)
	next := p.Schema().Fields[1].Schema
	if !next.Optional || len(next.Fields) != 2 || next.Fields[1].Schema != next {
		t.Errorf("the schema of next is %+v", next)
	}
	agree(t, p, []byte{2, 2, 4, 2, 6, 0}, &connector.Format{})
	v, err := p.Value([]byte{2, 2, 4, 0})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := v.AppendJSON(nil, nil); err != nil || string(text) != `{"v":1,"next":{"v":2,"next":null}}` {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestAnInvalidSchemaIsRefusedWithItsPath(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"f","type":` + typ + `}]}`
	}
	cases := map[string]struct{ avro, want string }{
		"no JSON":                      {`{`, "no JSON"},
		"more than a schema":           {`"int" "int"`, "more text"},
		"a number":                     {`7`, "not a number"},
		"no type":                      {field(`{}`), "fields[1].type: object without a type"},
		"an unknown type":              {field(`"Unknown"`), `fields[1].type: unknown type "Unknown"`},
		"an unknown type deep inside":  {field(`{"type":"array","items":{"type":"map","values":["null","X"]}}`), `fields[1].type.items.values[1]: unknown type "X"`},
		"a record without fields":      {`{"type":"record","name":"R"}`, "record without an array of fields"},
		"a record without a name":      {`{"type":"record","fields":[]}`, "without a name"},
		"a field without a name":       {`{"type":"record","name":"R","fields":[{"type":"int"}]}`, "fields[0]: field without a name"},
		"a field without a type":       {`{"type":"record","name":"R","fields":[{"name":"f"}]}`, `fields[0]: field "f" without a type`},
		"a field that is none":         {`{"type":"record","name":"R","fields":["x"]}`, "fields[0]: a field is an object, not a string"},
		"two fields of one name":       {`{"type":"record","name":"R","fields":[{"name":"f","type":"int"},{"name":"f","type":"int"}]}`, `two fields "f"`},
		"two types of one name":        {field(`{"type":"fixed","name":"R","size":1}`), `fields[1].type: type "R" is defined twice`},
		"a type called int":            {`{"type":"fixed","name":"int","size":1}`, `cannot be called "int"`},
		"an array of nothing":          {`{"type":"array"}`, "items: a schema is a name"},
		"a map of nothing":             {`{"type":"map"}`, "values: a schema is a name"},
		"an enum without symbols":      {`{"type":"enum","name":"E"}`, "enum without"},
		"an enum with a symbol twice":  {`{"type":"enum","name":"E","symbols":["A","A"]}`, "symbols[1]"},
		"a fixed without a size":       {`{"type":"fixed","name":"F"}`, "size"},
		"a fixed of negative size":     {`{"type":"fixed","name":"F","size":-1}`, "size"},
		"an empty union":               {`[]`, "union without types"},
		"a union in a union":           {`["null",["int"]]`, "[1]: a union directly in a union"},
		"null twice":                   {`["null","null"]`, "null stands twice"},
		"a type twice in a union":      {`["int","string","int"]`, "[2]: int stands twice"},
		"a record twice in a union":    {`["int",{"type":"record","name":"a.R","fields":[]},"a.R"]`, "[2]: a.R stands twice"},
		"a default of another type":    {`{"type":"record","name":"R","fields":[{"name":"f","type":"int","default":"x"}]}`, `fields[0].default: "x" is no default for int32`},
		"a default out of range":       {`{"type":"record","name":"R","fields":[{"name":"f","type":"int","default":3000000000}]}`, "fields[0].default"},
		"a Connect name that is none":  {`{"type":"int","connect.name":7}`, "connect.name"},
		"parameters that are no texts": {`{"type":"int","connect.parameters":{"a":1}}`, `"a" is a number`},
		"a scale that is none":         {`{"type":"bytes","logicalType":"decimal","scale":"x"}`, "scale"},
		"a scale beyond all":           {`{"type":"bytes","logicalType":"decimal","scale":2000000000}`, "scale"},
		"a decimal without a scale":    {`{"type":"bytes","connect.name":"org.apache.kafka.connect.data.Decimal"}`, "scale"},
		"too deep":                     {strings.Repeat(`{"type":"array","items":`, 600) + `"int"` + strings.Repeat(`}`, 600), "nested deeper"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(tc.avro)
			var bad *SchemaError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestBranchesOfAUnionHaveFullNamesWithEnhancedSupport(t *testing.T) {
	p, err := compile(`["string",{"type":"record","name":"a.R","fields":[]}]`, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if name := p.Schema().Fields[1].Name; name != "a.R" {
		t.Errorf("got %q", name)
	}
}

func FuzzCompile(f *testing.F) {
	for _, id := range []string{"1", "2", "100030"} {
		f.Add(string(readFile(f, "schemas/"+id+".avsc")), []byte{2, 0, 4})
	}
	f.Add(`["null",{"type":"record","name":"A","fields":[{"name":"a","type":["null","A"],"default":null}]}]`, []byte{2, 2, 0})
	f.Add(`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"long"}]}}`, []byte{2, 2, 4, 0})
	f.Add(`{"type":"enum","name":"E","symbols":["A"],"connect.default":"A"}`, []byte{0})
	f.Add(`{"type":"fixed","name":"F","size":2,"logicalType":"decimal","scale":-1}`, []byte{1, 2})
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		p, err := Compile(text)
		if err != nil {
			return
		}
		agree(t, p, data, &connector.Format{})
	})
}
