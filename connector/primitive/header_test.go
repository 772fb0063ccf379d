package primitive

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// inferred gives what the SimpleHeaderConverter makes of text, and its JSON.
func inferred(t testing.TB, text []byte) (connector.Value, []byte) {
	t.Helper()
	v, err := headers{}.ConvertHeader("topic", "h", text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	json, err := v.AppendJSON(nil, nil)
	if err != nil || !stdjson.Valid(json) {
		t.Fatalf("%q gives %s: %v", text, json, err)
	}
	return v, json
}

func TestArraysThatNestTooDeepStayBytes(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if v, _ := inferred(t, nested(maxNesting)); v.Schema().Type != connector.Array {
		t.Errorf("%d levels are %v", maxNesting, v.Schema().Type)
	}
	for _, text := range [][]byte{nested(maxNesting + 1), bytes.Repeat([]byte("["), 1<<20), bytes.Repeat([]byte(`{"a":`), 1<<20)} {
		v, _ := inferred(t, text)
		native, err := v.Native()
		if err != nil || v.Schema().Type != connector.Bytes || !bytes.Equal(native.([]byte), text) {
			t.Errorf("%d bytes of brackets are %v (%v)", len(text), v.Schema().Type, err)
		}
	}
}

func TestTimeGrowsWithTheLengthOfTheHeader(t *testing.T) {
	for name, text := range map[string]string{
		"numbers":        "[" + strings.Repeat("1,", 1<<20) + "2]",
		"decimals":       "[" + strings.Repeat("1e400,9223372036854775808,", 1<<14) + "2]",
		"keys":           "{" + strings.Repeat(`"a":1,`, 1<<19) + `"b":2}`,
		"colons":         strings.Repeat("1:", 1<<20),
		"colons inside":  "[" + strings.Repeat("1:", 1<<20),
		"blanks":         strings.Repeat(" ", 4<<20),
		"digits":         strings.Repeat("9", 4<<20),
		"zeros":          "1" + strings.Repeat("0", 4<<20),
		"a long word":    "n" + strings.Repeat("x", 4<<20),
		"backslashes":    `["` + strings.Repeat(`\"`, 2<<20) + `"]`,
		"a quote behind": "[" + strings.Repeat(`"a",`, 1<<19) + `"`,
		"arrays":         "[" + strings.Repeat("[1],", 1<<18) + "[300]]",
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			inferred(t, []byte(text))
			// Linear time takes a second at most; quadratic time would take hours.
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("%d bytes took %v", len(text), took)
			}
		})
	}
}

func TestTwosComplementReadsBackAndHasNoByteTooMany(t *testing.T) {
	one := big.NewInt(1)
	for bits := range uint(140) {
		power := new(big.Int).Lsh(one, bits)
		for _, v := range []*big.Int{new(big.Int).Sub(power, one), power, new(big.Int).Neg(power), new(big.Int).Sub(new(big.Int).Neg(power), one)} {
			b := twosComplement(v)
			back := rescale(b, 0)
			if !bytes.Equal(b, back) {
				t.Errorf("%v: %x, rescaled by nothing %x", v, b, back)
			}
			if len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
				t.Errorf("%v: %x has a byte too many", v, b)
			}
		}
	}
}

// goldenInputs gives the inputs of the golden cases.
func goldenInputs(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if input, ok := strings.CutPrefix(line, "< "); ok {
				f.Add([]byte(strings.TrimSuffix(input, "\n")))
			}
		}
	}
}

var temporalText = regexp.MustCompile(`"\s*[0-9]`)

// FuzzSimpleHeader wants an answer for everything; of a string the text itself, and of a text
// that is JSON the same elements that encoding/json finds.
func FuzzSimpleHeader(f *testing.F) {
	goldenInputs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, json := inferred(t, data)
		native, err := v.Native()
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := native.(string); ok && text != fromUTF8(data) {
			t.Fatalf("%q became the string %q", data, text)
		}
		if again, err := connector.NewValue(v.Schema(), native).AppendJSON(nil, nil); err != nil || !bytes.Equal(json, again) {
			t.Fatalf("%s, then %s (%v)", json, again, err)
		}
		_, isString := native.(string)
		if !stdjson.Valid(data) || bytes.ContainsAny(data, "\\\ufffd") || isString || v.IsNull() || temporalText.Match(data) {
			return
		}
		if got, want := generic(t, json), generic(t, data); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became %s", data, json)
		}
	})
}

// generic is what encoding/json makes of text, with numbers as float32: the SimpleHeaderConverter
// gives them no more digits. Decimals are text there.
func generic(t testing.TB, text []byte) any {
	t.Helper()
	d := stdjson.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return floats(v)
}

func floats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = floats(e)
		}
	case []any:
		for i, e := range v {
			v[i] = floats(e)
		}
	case stdjson.Number:
		f, _ := strconv.ParseFloat(string(v), 32)
		return float32(f) + 0 // -0 and 0 are one
	case string:
		if f, err := strconv.ParseFloat(v, 64); len(v) > 18 && (err == nil || errors.Is(err, strconv.ErrRange)) {
			return float32(f)
		}
	}
	return v
}

// FuzzSingleValues wants a value or a rejection of every converter, whatever the bytes.
func FuzzSingleValues(f *testing.F) {
	goldenInputs(f)
	f.Add([]byte{0xed, 0xa0, 0x80, 0xff, 0xf0, 0x9f, 0x98})
	var converters []connector.HeaderConverter
	for _, p := range Plugins() {
		for _, encoding := range []string{"UTF-8", "ISO-8859-1", "US-ASCII", "UTF-16", "UTF-16BE", "UTF-16LE"} {
			values, err := p.Config.Parse(map[string]string{keyType: "header", keyEncoding: encoding})
			if err != nil {
				f.Fatal(err)
			}
			c, err := p.NewHeader(values)
			if err != nil {
				f.Fatal(err)
			}
			converters = append(converters, c)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, c := range converters {
			v, err := c.ConvertHeader("topic", "h", data)
			if class, _ := connector.Classify(err); err != nil && class != connector.ClassRejected {
				t.Fatal(err)
			}
			if json, jsonErr := v.AppendJSON(nil, nil); err == nil && (jsonErr != nil || !stdjson.Valid(json)) {
				t.Fatalf("%q gives %s: %v", data, json, jsonErr)
			}
		}
	})
}

func BenchmarkSimpleHeader(b *testing.B) {
	for _, text := range []string{"5001", `{"id":5001}`, "sqlserver", "2019-08-23T14:34:54.346Z"} {
		b.Run(text, func(b *testing.B) {
			data := []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (headers{}).ConvertHeader("topic", "h", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkString(b *testing.B) {
	values, err := stringPlugin().Config.Parse(map[string]string{keyType: "value"})
	if err != nil {
		b.Fatal(err)
	}
	c, err := stringPlugin().New(values, false)
	if err != nil {
		b.Fatal(err)
	}
	data := []byte("Maria Aparecida da Conceição")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Convert(b.Context(), "topic", nil, data); err != nil {
			b.Fatal(err)
		}
	}
}
