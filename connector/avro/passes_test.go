package avro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// zigzag encodes an Avro number.
func zigzag(v int64) []byte { return binary.AppendVarint(nil, v) }

func text(t testing.TB, p *Program, data []byte, f *connector.Format) (string, error) {
	t.Helper()
	v, err := p.Value(data)
	if err != nil {
		return "", err
	}
	b, err := v.AppendJSON(nil, f)
	literally(t, v, f, b, err)
	return string(b), err
}

// literally checks that the text inside a string literal is the text, and fails where it fails.
func literally(t testing.TB, v connector.Value, f *connector.Format, text []byte, err error) {
	t.Helper()
	literal, literalErr := v.AppendLiteral([]byte("kept"), f)
	if (err == nil) != (literalErr == nil) || err != nil && err.Error() != literalErr.Error() {
		t.Fatalf("AppendJSON says %v, AppendLiteral says %v", err, literalErr)
	}
	if want := jsontext.AppendLiteral([]byte("kept"), text); err == nil && !bytes.Equal(literal, want) {
		t.Fatalf("literal %s\nwant    %s", literal, want)
	}
}

func TestEachTypeHasItsJSON(t *testing.T) {
	logical := func(typ, name string) string { return `{"type":"` + typ + `","connect.name":"` + name + `"}` }
	float := func(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }
	double := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	str := func(s string) []byte { return append(zigzag(int64(len(s))), s...) }
	decimal := `{"type":"bytes","logicalType":"decimal","precision":40,"scale":2}`
	entries := func(key string) string {
		return `{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":` + key + `},{"name":"value","type":"int"}]}}`
	}
	cases := map[string]struct {
		schema string
		data   []byte
		want   string
	}{
		"true":                           {`"boolean"`, []byte{1}, `true`},
		"false":                          {`"boolean"`, []byte{0}, `false`},
		"the smallest int":               {`"int"`, zigzag(math.MinInt32), `-2147483648`},
		"the largest long":               {`"long"`, zigzag(math.MaxInt64), `9223372036854775807`},
		"the smallest long":              {`"long"`, zigzag(math.MinInt64), `-9223372036854775808`},
		"a long of nine bytes":           {`"long"`, zigzag(1 << 60), `1152921504606846976`},
		"a long of too many bytes":       {`"long"`, []byte{0x82, 0x80, 0x80, 0}, `1`},
		"a float of its own width":       {`"float"`, float(0.1), `0.1`},
		"a double":                       {`"double"`, double(0.1), `0.1`},
		"a large float":                  {`"float"`, float(math.MaxFloat32), `3.4028235e+38`},
		"a small double":                 {`"double"`, double(1e-7), `1e-7`},
		"minus zero":                     {`"double"`, double(math.Copysign(0, -1)), `-0`},
		"not a number":                   {`"float"`, float(float32(math.NaN())), `"NaN"`},
		"infinity":                       {`"double"`, double(math.Inf(1)), `"Infinity"`},
		"minus infinity":                 {`"double"`, double(math.Inf(-1)), `"-Infinity"`},
		"a string with escapes":          {`"string"`, str("a\"\\\n\x01é😀\xff<"), `"a\"\\\n\u0001é😀` + "\uFFFD" + `<"`},
		"bytes":                          {`"bytes"`, []byte{6, 1, 2, 3}, `"AQID"`},
		"no bytes":                       {`"bytes"`, []byte{0}, `""`},
		"fixed":                          {`{"type":"fixed","name":"F","size":2}`, []byte{0xff, 0}, `"/wA="`},
		"an enum":                        {`{"type":"enum","name":"E","symbols":["A","B"]}`, []byte{2}, `"B"`},
		"a decimal":                      {decimal, []byte{4, 0x30, 0x39}, `"123.45"`},
		"a negative decimal":             {decimal, []byte{2, 0xff}, `"-0.01"`},
		"a decimal of 17 bytes":          {decimal, append([]byte{34, 1}, make([]byte, 16)...), `"3402823669209384634633746074317682114.56"`},
		"a fixed decimal":                {`{"type":"fixed","name":"F","size":12,"logicalType":"decimal","precision":20,"scale":3}`, append(bytes.Repeat([]byte{0xff}, 11), 0xfe), `"-0.002"`},
		"a date":                         {logical("int", connector.NameDebeziumDate), zigzag(-1), `"1969-12-31"`},
		"nanoseconds before the epoch":   {logical("long", connector.NameDebeziumNanoTimestamp), zigzag(-1), `"1969-12-31T23:59:59.999999999"`},
		"a timestamp of microseconds":    {`{"type":"long","logicalType":"timestamp-micros"}`, zigzag(1), `"1970-01-01T00:00:00.000001"`},
		"a time of nanoseconds":          {logical("long", connector.NameDebeziumNanoTime), zigzag(86_399_999_999_900), `"23:59:59.999999900"`},
		"a temporal name on other types": {logical("long", connector.NameDebeziumDate), zigzag(7), `7`},
		"text that is a time":            {logical("string", connector.NameDebeziumZonedTimestamp), str("2025-01-01T00:00:00-03:00"), `"2025-01-01T00:00:00-03:00"`},
		"a null":                         {`["null","int"]`, []byte{0}, `null`},
		"a null that comes last":         {`["int","null"]`, []byte{2}, `null`},
		"a value before null":            {`["int","null"]`, []byte{0, 2}, `1`},
		"the type null":                  {`"null"`, nil, `null`},
		"a union of null":                {`["null"]`, []byte{0}, `null`},
		"a union of one":                 {`["int"]`, []byte{0, 2}, `1`},
		"a union of several":             {`["null","string","int"]`, []byte{4, 2}, `{"string":null,"int":1}`},
		"a union of several, null":       {`["null","string","int"]`, []byte{0}, `null`},
		"an empty record":                {`{"type":"record","name":"R","fields":[]}`, nil, `{}`},
		"an array in two blocks":         {`{"type":"array","items":"int"}`, []byte{4, 2, 4, 1, 2, 6, 0}, `[1,2,3]`},
		"an empty array":                 {`{"type":"array","items":"int"}`, []byte{0}, `[]`},
		"an array of nulls":              {`{"type":"array","items":"null"}`, []byte{4, 0}, `[null,null]`},
		"a map":                          {`{"type":"map","values":"int"}`, []byte{4, 2, 'a', 2, 2, '"', 4, 0}, `{"a":1,"\"":2}`},
		"a map of int keys":              {entries(`"int"`), []byte{4, 2, 4, 6, 8, 0}, `[[1,2],[3,4]]`},
		"a map of string keys as array":  {entries(`"string"`), []byte{2, 2, 'k', 8, 0}, `{"k":4}`},
		"a map of optional keys":         {entries(`["null","string"]`), []byte{2, 0, 8, 0}, `[[null,4]]`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, tc.schema)
			if got, err := text(t, p, tc.data, nil); err != nil || got != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
			agree(t, p, tc.data, &connector.Format{})
		})
	}
}

func TestAFormatChangesTheTypesItNames(t *testing.T) {
	p := mustCompile(t, `{"type":"record","name":"R","fields":[
		{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
		{"name":"l","type":"long"},{"name":"i","type":"int"},
		{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"b","type":"bytes"}]}`)
	data := []byte{2, 100, 2, 2, 2, 4, 0xab, 0xcd}
	cases := map[string]struct {
		f    connector.Format
		want string
	}{
		"the defaults":    {connector.Format{}, `{"d":"1.00","l":1,"i":1,"ts":"1970-01-01T00:00:00.001","b":"q80="}`},
		"decimal number":  {connector.Format{Decimal: connector.DecimalNumber}, `{"d":1.00,"l":1,"i":1,"ts":"1970-01-01T00:00:00.001","b":"q80="}`},
		"int64 as string": {connector.Format{Int64: connector.Int64String}, `{"d":"1.00","l":"1","i":1,"ts":"1970-01-01T00:00:00.001","b":"q80="}`},
		"raw time":        {connector.Format{Time: connector.TimeRaw, Int64: connector.Int64String}, `{"d":"1.00","l":"1","i":1,"ts":1,"b":"q80="}`},
		"hex":             {connector.Format{Binary: connector.BinaryHex}, `{"d":"1.00","l":1,"i":1,"ts":"1970-01-01T00:00:00.001","b":"abcd"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := text(t, p, data, &tc.f); err != nil || got != tc.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tc.want)
			}
			agree(t, p, data, &tc.f)
		})
	}
}

func TestBytesThatContradictTheSchemaAreErrorsWithPathAndByte(t *testing.T) {
	record := `{"type":"record","name":"E","fields":[{"name":"after","type":["null",{"type":"record","name":"V","fields":[
		{"name":"id","type":"int"},{"name":"itens","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"valor","type":{"type":"bytes","logicalType":"decimal","scale":2}}]}}}]}]}]}`
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	list := `{"type":"array","items":"int"}`
	chain := `{"type":"record","name":"L","fields":[{"name":"n","type":["null","L"]}]}`
	cases := map[string]struct {
		schema string
		data   []byte
		want   string
	}{
		"a field deep inside that is cut": {record, []byte{2, 2, 2, 10, 1}, "value.after.itens[0].valor: length 5 is more than the 1 bytes that are left (at byte 3 of the Avro data)"},
		"a decimal without bytes":         {record, []byte{2, 2, 2, 0, 0}, "value.after.itens[0].valor: decimal of 0 bytes"},
		"a number over 64 bits":           {`"long"`, append(bytes.Repeat([]byte{0xff}, 10), 1), "value: number longer than 64 bits"},
		"a number that does not end":      {`"long"`, []byte{0xff, 0xff}, "data ends inside a number"},
		"an int over 32 bits":             {`"int"`, zigzag(math.MaxInt32 + 1), "2147483648 does not fit int32"},
		"an int8 over 8 bits":             {`{"type":"int","connect.type":"int8"}`, zigzag(128), "128 does not fit int8"},
		"an int16 over 16 bits":           {`{"type":"int","connect.type":"int16"}`, zigzag(-32769), "-32769 does not fit int16"},
		"a negative length":               {`"string"`, zigzag(-1), "negative length -1"},
		"a huge length":                   {`"bytes"`, huge, "negative length -9223372036854775808"},
		"a boolean of 2":                  {`"boolean"`, []byte{2}, "boolean of 2"},
		"no boolean":                      {`"boolean"`, nil, "data ends"},
		"half a float":                    {`"float"`, []byte{1, 2}, "data ends: 4 bytes needed, 2 left"},
		"half a double":                   {`"double"`, []byte{1, 2}, "data ends: 8 bytes needed, 2 left"},
		"half a fixed":                    {`{"type":"fixed","name":"F","size":3}`, []byte{1, 2}, "data ends: 3 bytes needed, 2 left"},
		"an enum out of range":            {`{"type":"enum","name":"E","symbols":["A"]}`, []byte{2}, "symbol 1 of an enum of 1"},
		"an enum of negative index":       {`{"type":"enum","name":"E","symbols":["A"]}`, []byte{1}, "symbol -1"},
		"a branch out of range":           {`["null","int"]`, []byte{4, 0}, "branch 2 of a union"},
		"a branch of a union of one":      {`["int"]`, []byte{2}, "branch 1 of a union"},
		"a branch of several":             {`["null","int","string"]`, []byte{6}, "branch 3 of a union of 3"},
		"a negative branch":               {`["null","int","string"]`, []byte{1}, "branch -1"},
		"a byte too much":                 {`"int"`, []byte{2, 2}, "value: 1 bytes after the end of the value (at byte 1"},
		"a byte behind null":              {`["null","int"]`, []byte{0, 2}, "1 bytes after the end"},
		"a byte behind the type null":     {`"null"`, []byte{2}, "1 bytes after the end"},
		"a block count of the lowest":     {list, huge, "block count -9223372036854775808"},
		"a block size beyond the end":     {list, []byte{1, 20, 2}, "length 10 is more than"},
		"a block size that is wrong":      {list, []byte{1, 4, 2, 0}, "block ends at byte 3, its head says 4"},
		"an array that does not end":      {list, []byte{2, 2}, "data ends inside a number"},
		"more elements than bytes":        {list, append(zigzag(math.MaxInt64), 2, 2), "value[2]: data ends"},
		"endless nulls":                   {`{"type":"array","items":"null"}`, append(zigzag(math.MaxInt64), 0), "parts without bytes"},
		"endless empty records":           {`{"type":"array","items":{"type":"record","name":"R","fields":[]}}`, append(zigzag(1<<40), 0), "parts without bytes"},
		"records nested 2^100 times":      {bush(100), nil, "parts without bytes"},
		"a map's key that is cut":         {`{"type":"map","values":"int"}`, []byte{2, 10, 'a'}, "value[0].key: length 5"},
		"a chain without end":             {chain, bytes.Repeat([]byte{2}, 1000), "nested deeper than 128"},
		"a record in itself without end":  {`{"type":"record","name":"L","fields":[{"name":"n","type":"L"}]}`, nil, "nested deeper than 128"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, tc.schema).Under("value")
			_, err := text(t, p, tc.data, nil)
			var bad *DataError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %.300v, want %q", err, tc.want)
			}
			if class, _ := connector.Classify(err); class != connector.ClassRejected {
				t.Errorf("class %d", class)
			}
			agree(t, p, tc.data, &connector.Format{})
		})
	}
}

// bush is a record of two records of two records …, which has no bytes at all.
func bush(depth int) string {
	typ := `{"type":"record","name":"R0","fields":[]}`
	for i := 1; i <= depth; i++ {
		typ = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i, typ, i-1)
	}
	return typ
}

func TestFieldsOfWhatIsNoStructAreRefused(t *testing.T) {
	v, err := mustCompile(t, `"int"`).Value([]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.AppendFields(nil); !errors.Is(err, connector.ErrNotStruct) {
		t.Errorf("error %v", err)
	}
}

func TestFieldsKeepTheWireBytesAndDecodeOnTheirOwn(t *testing.T) {
	id, data := payload(t, "clientes-u.value.avro")
	p := program(t, id.id)
	v, err := p.Value(data)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := v.AppendFields(nil)
	if err != nil {
		t.Fatal(err)
	}
	after := fields[p.Schema().Index("after")]
	raw, _, ok := after.Wire()
	if !ok || !bytes.Contains(data, raw) {
		t.Fatal("after was copied")
	}
	columns, err := after.AppendFields(nil)
	if err != nil {
		t.Fatal(err)
	}
	nome, err := columns[after.Schema().Index("nome")].Native()
	if err != nil || nome != "Maria Aparecida da Conceição" {
		t.Errorf("%v, %v", nome, err)
	}
	if tx := fields[p.Schema().Index("transaction")]; !tx.IsNull() || tx.Schema() == nil {
		t.Errorf("transaction is %v", tx)
	}
}

func TestNothingIsAllocatedWithBuffersThatAreUsedAgain(t *testing.T) {
	id, data := payload(t, "clientes-u.value.avro")
	p := program(t, id.id)
	v, err := p.Value(data)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := v.AppendJSON(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := v.AppendFields(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		v, _ := p.Value(data)
		buf, _ = v.AppendJSON(buf[:0], nil)
		fields, _ = v.AppendFields(fields[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = v.AppendJSON(nil, nil) }); n > 2 {
		t.Errorf("%v allocations with a new buffer, want at most 2", n)
	}
}

// fuzzSchemas are what FuzzDecodeAgainstSchema reads with: every kind of node, and the
// schemas of the vectors.
func fuzzSchemas(f *testing.F) []*Program {
	programs := []*Program{
		mustCompile(f, `{"type":"record","name":"L","fields":[{"name":"v","type":["int","null"]},{"name":"n","type":["null","L"]},{"name":"ls","type":{"type":"array","items":"L"}}]}`),
		mustCompile(f, `{"type":"map","values":["null","string",{"type":"map","values":"double"},"float"]}`),
		mustCompile(f, `{"type":"array","items":{"type":"array","items":"null"}}`),
		mustCompile(f, `{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":["null","int"]},{"name":"value","type":"bytes"}]}}`),
		mustCompile(f, `{"type":"record","name":"R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
			{"name":"f","type":{"type":"fixed","name":"F","size":3,"logicalType":"decimal","scale":-2}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","scale":5}},
			{"name":"u","type":["int","boolean","null"]},{"name":"s","type":["string"]},{"name":"i","type":{"type":"int","connect.type":"int8"}},
			{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"z","type":{"type":"long","logicalType":"time-micros"}}]}`),
	}
	for _, s := range loadManifest(f).Schemas {
		programs = append(programs, program(f, int32(s.ID)))
	}
	return programs
}

func FuzzDecodeAgainstSchema(f *testing.F) {
	programs := fuzzSchemas(f)
	m := loadManifest(f)
	for _, c := range m.Cases {
		id, data := payload(f, c.Name+".value.avro")
		for i, s := range m.Schemas {
			if data != nil && int32(s.ID) == id.id {
				f.Add(uint8(len(programs)-len(m.Schemas)+i), data)
			}
		}
	}
	for i := range programs {
		f.Add(uint8(i), []byte{2, 2, 4, 2, 6, 0, 0, 0})
		f.Add(uint8(i), bytes.Repeat([]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 3))
	}
	formats := []connector.Format{{}, {Decimal: connector.DecimalNumber, Int64: connector.Int64String, Time: connector.TimeRaw, Binary: connector.BinaryHex}}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		p := programs[int(which)%len(programs)]
		for i := range formats {
			agree(t, p, data, &formats[i])
		}
		agree(t, p.Under("value"), data, &formats[0])
	})
}
