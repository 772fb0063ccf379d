package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

const vectorsDir = "../../test/testdata/vectors"

// manifest of the vectors, as far as these tests read it.
type manifest struct {
	Cases []struct {
		Name     string `json:"name"`
		KeyID    *int   `json:"key_schema_id"`
		ValueID  *int   `json:"value_schema_id"`
		Op, Kind string
	} `json:"cases"`
	Schemas []struct {
		ID   int    `json:"id"`
		File string `json:"file"`
	} `json:"schemas"`
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadManifest(t testing.TB) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(readFile(t, "manifest.json"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// program compiles the schema of the vectors that has this id.
func program(t testing.TB, id int32) *Program {
	t.Helper()
	p, err := Compile(string(readFile(t, "schemas/"+strconv.Itoa(int(id))+".avsc")))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// payload reads the wire bytes of an event; nil when the vector has none.
func payload(t testing.TB, name string) (schemaID, []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorsDir, "events", name))
	if os.IsNotExist(err) {
		return schemaID{}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	id, data, err := frame(nil, headerValueSchema, b)
	if err != nil {
		t.Fatal(err)
	}
	return id, data
}

// forEachDatum calls f with every key and value of the vectors that is not null.
func forEachDatum(t *testing.T, f func(t *testing.T, name, side string, p *Program, data []byte)) {
	m := loadManifest(t)
	if len(m.Cases) < 50 {
		t.Fatalf("%d cases: the vectors are not complete", len(m.Cases))
	}
	for _, c := range m.Cases {
		for _, side := range []string{"key", "value"} {
			id, data := payload(t, c.Name+"."+side+".avro")
			if data == nil {
				continue
			}
			t.Run(c.Name+"/"+side, func(t *testing.T) { f(t, c.Name, side, program(t, id.id), data) })
		}
	}
}

func parseNumbers(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// canonical gives every number that is written with an exponent the digits of Go's shortest
// form: Java writes 3.4028235E38 where ECMAScript writes 3.4028235e+38.
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = canonical(e)
		}
	case []any:
		for i, e := range v {
			v[i] = canonical(e)
		}
	case json.Number:
		if bytes.ContainsAny([]byte(v), "eE") {
			f, err := v.Float64()
			if err != nil {
				return fmt.Errorf("%s: %w", v, err)
			}
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
	}
	return v
}

func TestEveryVectorBecomesItsExpectedJSON(t *testing.T) {
	forEachDatum(t, func(t *testing.T, name, side string, p *Program, data []byte) {
		v, err := p.Value(data)
		if err != nil {
			t.Fatal(err)
		}
		text, err := v.AppendJSON(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var expected map[string]json.RawMessage
		if err := json.Unmarshal(readFile(t, "events/"+name+".expected.json"), &expected); err != nil {
			t.Fatal(err)
		}
		got, want := canonical(parseNumbers(t, text)), canonical(parseNumbers(t, expected[side]))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %s\nwant %s", text, expected[side])
		}
	})
}

func TestAMaterialisedVectorHasTheSameTextAsTheLazyOne(t *testing.T) {
	formats := []connector.Format{
		{},
		{Decimal: connector.DecimalNumber, Int64: connector.Int64String, Time: connector.TimeRaw, Binary: connector.BinaryHex},
	}
	forEachDatum(t, func(t *testing.T, _, _ string, p *Program, data []byte) {
		for _, f := range formats {
			agree(t, p, data, &f)
		}
	})
}

func TestEveryTruncationOfAVectorIsAnError(t *testing.T) {
	for _, name := range []string{"clientes-u", "pedidos-u", "produtos-c", "tx-5-end", "schema-change"} {
		id, data := payload(t, name+".value.avro")
		p := program(t, id.id).Under("value")
		for n := range len(data) {
			v, err := p.Value(data[:n:n])
			if err == nil {
				_, err = v.AppendJSON(nil, nil)
			}
			if err == nil {
				t.Fatalf("%s cut to %d of %d bytes was read without an error", name, n, len(data))
			}
			if class, _ := connector.Classify(err); class != connector.ClassRejected {
				t.Fatalf("%s cut to %d bytes: class %d of %v", name, n, class, err)
			}
		}
	}
}

// agree checks that the passes over data say the same: one text whether it is lazy, materialised
// or put together from its fields, or an error in all of them.
func agree(t testing.TB, p *Program, data []byte, f *connector.Format) {
	t.Helper()
	read, readErr := p.Read(data)
	if checkErr := p.Check(data); fmt.Sprint(readErr) != fmt.Sprint(checkErr) {
		t.Fatalf("Read says %v, Check says %v", readErr, checkErr)
	}
	v, err := p.Value(data)
	if err != nil {
		return
	}
	lazy, lazyErr := v.AppendJSON(nil, f)
	literally(t, v, f, lazy, lazyErr)
	native, nativeErr := v.Native()
	if (lazyErr == nil) != (nativeErr == nil) {
		t.Fatalf("AppendJSON says %v, Decode says %v", lazyErr, nativeErr)
	}
	fields, fieldsErr := v.AppendFields(nil)
	isStruct := p.Schema().Type == connector.Struct && !v.IsNull()
	if isStruct && (lazyErr == nil) != (fieldsErr == nil) {
		t.Fatalf("AppendJSON says %v, AppendFields says %v", lazyErr, fieldsErr)
	}
	if lazyErr != nil {
		return
	}
	if !json.Valid(lazy) {
		t.Fatalf("not JSON: %s", lazy)
	}
	text, err := connector.NewValue(p.Schema(), native).AppendJSON(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lazy, text) {
		t.Fatalf("lazy   %s\nnative %s", lazy, text)
	}
	if readErr == nil {
		if text, err = read.AppendJSON(nil, f); err != nil || !bytes.Equal(lazy, text) || read.IsNull() != v.IsNull() {
			t.Fatalf("lazy %s\nread %s, %v", lazy, text, err)
		}
	}
	if !isStruct {
		return
	}
	walked, err := read.AppendFields(nil)
	if readErr == nil && (err != nil || !reflect.DeepEqual(walked, fields)) {
		t.Fatalf("fields %v\nwalked %v, %v", fields, walked, err)
	}
	if text = joinFields(t, p.Schema(), fields, f); !bytes.Equal(lazy, text) {
		t.Fatalf("lazy   %s\nfields %s", lazy, text)
	}
}

// joinFields writes the object of a struct from its fields.
func joinFields(t testing.TB, s *connector.Schema, fields []connector.Value, f *connector.Format) []byte {
	t.Helper()
	if len(fields) != len(s.Fields) {
		t.Fatalf("%d values of %d fields", len(fields), len(s.Fields))
	}
	text := []byte{'{'}
	for i, v := range fields {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := connector.NewValue(nil, s.Fields[i].Name).AppendJSON(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err = v.AppendJSON(append(append(text, name...), ':'), f); err != nil {
			t.Fatalf("field %s, which was split off without an error: %v", s.Fields[i].Name, err)
		}
		if v.Schema() != s.Fields[i].Schema {
			t.Fatalf("field %s has another schema than the struct gives it", s.Fields[i].Name)
		}
	}
	return append(text, '}')
}
