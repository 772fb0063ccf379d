package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestJSONTextInALiteralComesBackAsItWas(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                    "",
		"an object":                  `{"nome":"Conceição","obs":"a \"b\" \\ c","n":1.5}`,
		"blanks between the tokens":  "{\n\t\"a\" :\r 1 }",
		"quotes only":                `""""""`,
		"long and plain":             `"` + strings.Repeat("abcdefgh", 1000) + `"`,
		"characters beyond ASCII":    "\"\u2028 👩‍👩‍👧 \x7f\"",
		"a control character at end": "1\x00",
	} {
		t.Run(name, func(t *testing.T) {
			got := AppendLiteral([]byte("kept"), []byte(text))
			var back string
			if err := json.Unmarshal([]byte(`"`+string(got[4:])+`"`), &back); err != nil || back != text || string(got[:4]) != "kept" {
				t.Errorf("%q: %v, %q", got, err, back)
			}
		})
	}
}

func TestLiteralSizeIsWhatAJSONEncoderMakesOfTheText(t *testing.T) {
	for _, text := range []string{`{}`, `{"a":"b"}`, `{"a":"\"\\\u0001"}`, `{"nome":"Conceição <&> 日本"}`} {
		var literal bytes.Buffer
		enc := json.NewEncoder(&literal)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(text); err != nil {
			t.Fatal(err)
		}
		if got, want := LiteralSize([]byte(text)), literal.Len()-len(`""`)-len("\n"); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func FuzzLiteral(f *testing.F) {
	f.Add(`{"a":"\"\\"}`, 3)
	f.Fuzz(func(t *testing.T, text string, room int) {
		text = strings.ToValidUTF8(text, "?")
		dst := make([]byte, 0, room&0xff)
		got := AppendLiteral(dst, []byte(text))
		var back string
		if err := json.Unmarshal(append(append([]byte{'"'}, got...), '"'), &back); err != nil || back != text {
			t.Errorf("%q became %q: %v", text, got, err)
		}
		if clean := strings.IndexFunc(text, func(r rune) bool { return r < ' ' }) < 0; clean && len(got) != LiteralSize([]byte(text)) {
			t.Errorf("%d bytes for %q, announced %d", len(got), text, LiteralSize([]byte(text)))
		}
	})
}

func FuzzStringLiteral(f *testing.F) {
	f.Add([]byte("a\"b\xffç\u2028\x00 and eight more"), 3)
	f.Fuzz(func(t *testing.T, s []byte, room int) {
		dst := append(make([]byte, 0, 4+room&0xff), "kept"...)
		got, want := AppendStringLiteral(dst, s), AppendLiteral([]byte("kept"), AppendString(nil, s))
		if !bytes.Equal(got, want) {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
		if got := Literalize(AppendString(dst, s), 4); !bytes.Equal(got, want) {
			t.Errorf("%q in place is %s, want %s", s, got, want)
		}
	})
}

func BenchmarkLiteral(b *testing.B) {
	text := bytes.Repeat([]byte(`"nome":"Conceição Pereira","cpf":"123.456.789-00","limite":"1234.50","id":42,`), 20)
	dst := make([]byte, 0, 2*len(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendLiteral(dst[:0], text)
	}
}
