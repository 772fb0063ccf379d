package transform

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	connectjson "github.com/stepconnect/stepconnect/connector/json"
)

// value reads "<schema> <JSON>", or JSON alone, through the JsonConverter.
func value(t testing.TB, text string, materialised bool) connector.Value {
	t.Helper()
	p := schemaParser{t: t, rest: text}
	schema := p.schema()
	payload := strings.TrimSpace(p.rest)
	enable := "false"
	if schema != nil {
		doc, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		payload, enable = `{"schema":`+string(doc)+`,"payload":`+payload+`}`, "true"
	}
	plugin := connectjson.Plugin()
	cfg, err := plugin.Config.Parse(map[string]string{"converter.type": "value", "schemas.enable": enable, "replace.null.with.default": "false"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := plugin.New(cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Convert(t.Context(), "topic", nil, []byte(payload))
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	native, err := v.Native()
	if err != nil {
		t.Fatal(err)
	}
	v = connector.NewValue(v.Schema(), native)
	if materialised {
		return v
	}
	return lazily(v)
}

// lazily gives v as a value that is read only when it is asked for.
func lazily(v connector.Value) connector.Value {
	if v.IsNull() || v.Schema() == nil {
		return v
	}
	return connector.Lazy(unread{v}, []byte("wire"))
}

// unread is the encoding of one value.
type unread struct{ value connector.Value }

func (u unread) Schema() *connector.Schema { return u.value.Schema() }

func (u unread) AppendJSON(dst, _ []byte, f *connector.Format) ([]byte, error) {
	return u.value.AppendJSON(dst, f)
}

func (u unread) Decode([]byte) (any, error) { return u.value.Native() }

func (u unread) AppendFields(dst []connector.Value, _ []byte) ([]connector.Value, error) {
	fields, err := u.value.AppendFields(nil)
	for _, f := range fields {
		dst = append(dst, lazily(f))
	}
	return dst, err
}

// schemaParser reads the short form of schemas:
//
//	int32 string boolean …    a type; a question mark after it makes it optional
//	struct{a int32, b string} array<int32> map<string, int32>
//	int64@Timestamp           a logical type of Kafka Connect; bytes@Decimal(2) with its scale
//	struct:some.Name{…}       a name; struct:some.Name#3{…} with a version
//	int32=5                   a default, as JSON
type schemaParser struct {
	t    testing.TB
	rest string
}

// schema gives the Connect JSON form, nil when there is no schema.
func (p *schemaParser) schema() map[string]any {
	kind := p.word()
	s := map[string]any{"type": kind}
	switch kind {
	case "int8", "int16", "int32", "int64", "boolean", "string", "bytes", "array", "map", "struct":
	case "float32":
		s["type"] = "float"
	case "float64":
		s["type"] = "double"
	default:
		p.rest = kind + p.rest
		return nil
	}
	if p.take("@") {
		name := p.word()
		s["name"] = "org.apache.kafka.connect.data." + name
		s["version"] = 1
		if p.take("(") {
			s["parameters"] = map[string]string{"scale": p.word()}
			p.must(")")
		}
	}
	if p.take(":") {
		s["name"] = p.word()
	}
	if p.take("#") {
		s["version"] = json.Number(p.word())
	}
	switch kind {
	case "array":
		p.must("<")
		s["items"] = p.schema()
		p.must(">")
	case "map":
		p.must("<")
		s["keys"] = p.schema()
		p.must(",")
		s["values"] = p.schema()
		p.must(">")
	case "struct":
		s["fields"] = p.fields()
	}
	s["optional"] = p.take("?")
	if p.take("=") {
		d := json.NewDecoder(strings.NewReader(p.rest))
		var def json.RawMessage
		if err := d.Decode(&def); err != nil {
			p.t.Fatal(err)
		}
		s["default"] = def
		p.rest = p.rest[d.InputOffset():]
	}
	return s
}

func (p *schemaParser) fields() []any {
	fields := []any{}
	p.must("{")
	for !p.take("}") {
		p.take(",")
		name := p.word()
		s := p.schema()
		if s == nil {
			p.t.Fatalf("field %s has no type before %q", name, p.rest)
		}
		s["field"] = name
		fields = append(fields, s)
	}
	return fields
}

// word takes letters, digits, dots, dashes, dollars and underscores.
func (p *schemaParser) word() string {
	p.rest = strings.TrimLeft(p.rest, " ")
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-$", r))
	})
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

func (p *schemaParser) take(sign string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " "), sign)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *schemaParser) must(sign string) {
	p.t.Helper()
	if !p.take(sign) {
		p.t.Fatalf("want %s before %q", sign, p.rest)
	}
}
