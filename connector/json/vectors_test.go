package json

import (
	"bytes"
	stdjson "encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

const eventsDir = "../../test/testdata/vectors/events"

// made makes the converter of a configuration, lines key=value.
func made(t testing.TB, lines ...string) *converter {
	t.Helper()
	raw := map[string]string{"converter.type": "value"}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		raw[key] = value
	}
	values, err := Plugin().Config.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConverter(values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func event(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(eventsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forEachEvent calls f with each file of the vectors that ends in suffix.
func forEachEvent(t *testing.T, suffix string, f func(t *testing.T, name string, data []byte)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(eventsDir, "*"+suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors end in %s: %v", suffix, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), suffix)
		t.Run(name, func(t *testing.T) { f(t, name, event(t, filepath.Base(file))) })
	}
}

// generic is what encoding/json makes of text, every number with an exponent in Go's shortest form:
// Java writes 3.4028235E38 where ECMAScript writes 3.4028235e+38.
func generic(t testing.TB, text []byte) any {
	t.Helper()
	d := stdjson.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return shortest64(v)
}

func shortest64(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = shortest64(e)
		}
	case []any:
		for i, e := range v {
			v[i] = shortest64(e)
		}
	case stdjson.Number:
		if strings.ContainsAny(string(v), "eE") {
			if f, err := v.Float64(); err == nil {
				return stdjson.Number(strconv.FormatFloat(f, 'g', -1, 64))
			}
		}
	}
	return v
}

func TestADebeziumEventWithItsSchemaBecomesTheSameJSONAsFromAvro(t *testing.T) {
	c := made(t)
	for _, suffix := range []string{".value.json", ".value.numeric.json", ".key.json"} {
		side := strings.Split(suffix, ".")[1]
		forEachEvent(t, suffix, func(t *testing.T, name string, data []byte) {
			v, err := c.convert("topic", data)
			if err != nil {
				t.Fatal(err)
			}
			text, err := v.AppendJSON(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			var expected map[string]stdjson.RawMessage
			if err := stdjson.Unmarshal(event(t, name+".expected.json"), &expected); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(generic(t, text), generic(t, expected[side])) {
				t.Errorf("got  %s\nwant %s", text, expected[side])
			}
		})
	}
}

func TestADebeziumEventWithoutASchemaKeepsItsText(t *testing.T) {
	c := made(t, "schemas.enable=false")
	for _, suffix := range []string{".value.schemaless.json", ".value.schemaless-base64.json"} {
		forEachEvent(t, suffix, func(t *testing.T, _ string, data []byte) {
			v, err := c.convert("topic", data)
			if err != nil {
				t.Fatal(err)
			}
			text, err := v.AppendJSON(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := stdjson.Compact(&want, data); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, want.Bytes()) && !bytes.ContainsRune(data, '\\') {
				t.Errorf("got  %s\nwant %s", text, want.Bytes())
			}
			if !reflect.DeepEqual(generic(t, text), generic(t, data)) {
				t.Errorf("got  %s\nwant %s", text, data)
			}
			agree(t, v, &connector.Format{})
		})
	}
}

func TestEveryTruncationOfAnEventIsAnErrorOfTheConverter(t *testing.T) {
	for _, tc := range []struct{ config, file string }{
		{"schemas.enable=true", "clientes-u.value.json"},
		{"schemas.enable=true", "pedidos-u.value.json"},
		{"schemas.enable=false", "produtos-c.value.schemaless.json"},
	} {
		c, data := made(t, tc.config), bytes.TrimSpace(event(t, tc.file))
		for n := 1; n < len(data); n++ {
			_, err := c.convert("topic", data[:n:n])
			if class, _ := connector.Classify(err); class != connector.ClassRejected {
				t.Fatalf("%s cut to %d of %d bytes: %v", tc.file, n, len(data), err)
			}
		}
		if _, err := c.convert("topic", data); err != nil {
			t.Fatal(err)
		}
	}
}

// agree checks that a value has one text, lazy, materialised or put together from its fields.
func agree(t testing.TB, v connector.Value, f *connector.Format) []byte {
	t.Helper()
	text, err := v.AppendJSON(nil, f)
	if err != nil {
		t.Fatalf("AppendJSON after Convert: %v", err)
	}
	if !stdjson.Valid(text) {
		t.Fatalf("no JSON: %s", text)
	}
	native, err := v.Native()
	if err != nil {
		t.Fatalf("Native after Convert: %v", err)
	}
	again, err := connector.NewValue(v.Schema(), native).AppendJSON(nil, f)
	if err != nil || !bytes.Equal(text, again) {
		t.Fatalf("lazy %s\nnative %s (%v)", text, again, err)
	}
	if fields, err := v.AppendFields(nil); err == nil {
		joined := []byte{'{'}
		for i, field := range fields {
			if i > 0 {
				joined = append(joined, ',')
			}
			name, err := connector.NewValue(nil, v.Schema().Fields[i].Name).AppendJSON(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if joined, err = field.AppendJSON(append(append(joined, name...), ':'), f); err != nil {
				t.Fatal(err)
			}
		}
		if joined = append(joined, '}'); !bytes.Equal(text, joined) {
			t.Fatalf("whole  %s\nfields %s", text, joined)
		}
	}
	return text
}
