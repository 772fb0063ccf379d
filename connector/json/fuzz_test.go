package json

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stepconnect/stepconnect/connector"
)

// seeds adds the inputs of the golden cases and some events.
func seeds(f *testing.F, suffix string) {
	f.Helper()
	text, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if input, ok := strings.CutPrefix(line, "< "); ok {
			f.Add([]byte(strings.TrimSuffix(input, "\n")))
		}
	}
	for _, name := range []string{"clientes-u", "pedidos-u", "produtos-c"} {
		b, err := os.ReadFile(filepath.Join(eventsDir, name+suffix))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// depth is how deep the brackets of text nest at most.
func depth(text []byte) int {
	most, now, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}

// FuzzSchemaless holds the reader against encoding/json: what that takes is taken (but for
// text that is not UTF-8 and the limits), and what comes out means the same.
func FuzzSchemaless(f *testing.F) {
	seeds(f, ".value.schemaless.json")
	c := made(f, "schemas.enable=false")
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := c.convert("topic", data)
		valid := stdjson.Valid(data)
		if err != nil {
			if valid && utf8.Valid(data) && depth(data) <= maxDepth && len(data) <= maxNumber {
				t.Fatalf("%q: %v", data, errorChain(err))
			}
			return
		}
		text := agree(t, v, &connector.Format{Int64: connector.Int64String})
		if valid && !reflect.DeepEqual(generic(t, text), generic(t, data)) {
			t.Fatalf("got  %s\nwant %s", text, data)
		}
	})
}

// FuzzEnvelope wants no panic, and of what is accepted one text in every form.
func FuzzEnvelope(f *testing.F) {
	seeds(f, ".value.json")
	formats := []connector.Format{{}, {Decimal: connector.DecimalNumber, Int64: connector.Int64String, Time: connector.TimeRaw, Binary: connector.BinaryHex}}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, plain := made(t), made(t, "schemas.enable=true", "schemas.cache.size=0", "replace.null.with.default=false")
		v, err := c.convert("topic", data)
		again, againErr := c.convert("topic", bytes.Clone(data))
		if (err == nil) != (againErr == nil) {
			t.Fatalf("first %v, then %v", err, againErr)
		}
		if err == nil {
			for i := range formats {
				text := agree(t, v, &formats[i])
				if other := agree(t, again, &formats[i]); !bytes.Equal(text, other) {
					t.Fatalf("first %s\nthen  %s", text, other)
				}
			}
		}
		if v, err := plain.convert("topic", data); err == nil {
			agree(t, v, &formats[0])
		}
	})
}

// FuzzContent wants no panic of a schema text that a user writes.
func FuzzContent(f *testing.F) {
	for _, text := range []string{`{"type":"int8"}`, `null`, `{"type":"struct","fields":[{"field":"a","type":"array","items":{"type":"double","default":1}}]}`} {
		f.Add(text, []byte(`{"a":[1.5,null]}`))
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		p, err := (parser{defaults: true}).content(text)
		if err != nil || p == nil {
			return
		}
		c := made(t)
		c.fixed = &cached{text: text, plan: p}
		if v, err := c.convert("topic", data); err == nil {
			agree(t, v, &connector.Format{})
		}
	})
}

func errorChain(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		b.WriteString(err.Error() + "; ")
	}
	return b.String()
}
