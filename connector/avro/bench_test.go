package avro

import (
	"encoding/json"
	"math/big"
	"testing"

	goavro "github.com/linkedin/goavro/v2"
	twmb "github.com/twmb/avro"

	"github.com/stepconnect/stepconnect/connector"
)

// envelopes are the change events that the benchmarks read, one for each table.
var envelopes = []struct{ table, event string }{
	{"clientes", "clientes-u"},
	{"pedidos", "pedidos-u"},
	{"produtos", "produtos-c"},
}

// BenchmarkTranscode compares the pass from Avro to JSON with decoding by a library and encoding
// by encoding/json, which is what one would write without it.
func BenchmarkTranscode(b *testing.B) {
	for _, e := range envelopes {
		id, data := payload(b, e.event+".value.avro")
		text := string(readFile(b, "schemas/"+id.file()))
		b.Run(e.table+"/ours", func(b *testing.B) { benchOurs(b, text, data) })
		b.Run(e.table+"/ours-fresh-buffer", func(b *testing.B) { benchFresh(b, text, data) })
		b.Run(e.table+"/twmb", func(b *testing.B) { benchTwmb(b, text, data) })
		b.Run(e.table+"/goavro", func(b *testing.B) { benchGoavro(b, text, data) })
	}
}

func (s schemaID) file() string { return big.NewInt(int64(s.id)).String() + ".avsc" }

func start(b *testing.B, data []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	b.ResetTimer()
}

func benchOurs(b *testing.B, text string, data []byte) {
	p, err := Compile(text)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	start(b, data)
	for b.Loop() {
		v, err := p.Value(data)
		if err != nil {
			b.Fatal(err)
		}
		if buf, err = v.AppendJSON(buf[:0], nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchFresh(b *testing.B, text string, data []byte) {
	p, err := Compile(text)
	if err != nil {
		b.Fatal(err)
	}
	start(b, data)
	for b.Loop() {
		v, err := p.Value(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = v.AppendJSON(nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchTwmb(b *testing.B, text string, data []byte) {
	s, err := twmb.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	start(b, data)
	for b.Loop() {
		var v any
		if _, err := s.Decode(data, &v); err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchGoavro(b *testing.B, text string, data []byte) {
	c, err := goavro.NewCodec(withoutDefaults(b, text))
	if err != nil {
		b.Fatal(err)
	}
	start(b, data)
	for b.Loop() {
		v, _, err := c.NativeFromBinary(data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
}

// withoutDefaults drops the defaults from a schema: goavro refuses those of decimals, and no
// reader of the writer's own schema uses them.
func withoutDefaults(b *testing.B, text string) string {
	var drop func(v any)
	drop = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "default")
			for _, e := range v {
				drop(e)
			}
		case []any:
			for _, e := range v {
				drop(e)
			}
		}
	}
	schema := parseNumbers(b, []byte(text))
	drop(schema)
	out, err := json.Marshal(schema)
	if err != nil {
		b.Fatal(err)
	}
	return string(out)
}

// BenchmarkFields splits an envelope into its fields without decoding them, as a transform or
// the reader of the envelope does.
func BenchmarkFields(b *testing.B) {
	for _, e := range envelopes {
		id, data := payload(b, e.event+".value.avro")
		p := program(b, id.id)
		b.Run(e.table, func(b *testing.B) {
			v, err := p.Value(data)
			if err != nil {
				b.Fatal(err)
			}
			var fields []connector.Value
			start(b, data)
			for b.Loop() {
				if fields, err = v.AppendFields(fields[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode materialises an envelope.
func BenchmarkDecode(b *testing.B) {
	id, data := payload(b, "clientes-u.value.avro")
	v, err := program(b, id.id).Value(data)
	if err != nil {
		b.Fatal(err)
	}
	start(b, data)
	for b.Loop() {
		if _, err := v.Native(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile is what a new schema id costs once, beside its fetch.
func BenchmarkCompile(b *testing.B) {
	id, _ := payload(b, "clientes-u.value.avro")
	text := string(readFile(b, "schemas/"+id.file()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(text); err != nil {
			b.Fatal(err)
		}
	}
}
