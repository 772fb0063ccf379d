package json

import (
	"bytes"
	stdjson "encoding/json"
	"testing"
)

// BenchmarkDebezium reads a change event and writes its JSON, in both forms, beside encoding/json
// into generic values, which is what one would write without this package.
func BenchmarkDebezium(b *testing.B) {
	for _, event := range []string{"clientes-u", "pedidos-u", "produtos-c"} {
		b.Run(event+"/schema", func(b *testing.B) { benchConvert(b, made(b), eventOf(b, event, ".value.json")) })
		b.Run(event+"/schemaless", func(b *testing.B) {
			benchConvert(b, made(b, "schemas.enable=false"), eventOf(b, event, ".value.schemaless.json"))
		})
		b.Run(event+"/schema-encoding-json", func(b *testing.B) { benchGeneric(b, eventOf(b, event, ".value.json")) })
		b.Run(event+"/schemaless-encoding-json", func(b *testing.B) { benchGeneric(b, eventOf(b, event, ".value.schemaless.json")) })
	}
}

func eventOf(b *testing.B, name, suffix string) []byte { return event(b, name+suffix) }

func benchConvert(b *testing.B, c *converter, data []byte) {
	var buf []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		v, err := c.convert("topic", data)
		if err != nil {
			b.Fatal(err)
		}
		if buf, err = v.AppendJSON(buf[:0], nil); err != nil {
			b.Fatal(err)
		}
	}
}

func benchGeneric(b *testing.B, data []byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		d := stdjson.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			b.Fatal(err)
		}
		if _, err := stdjson.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
}
