package convertertest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// Describe gives a value as lines of text: its schema, its JSON text and its native form with the
// Go types.
func Describe(v connector.Value) []string {
	out := lines(schemaText(v.Schema()))
	if v.IsNull() {
		return append(out, "null")
	}
	text, err := v.AppendJSON(nil, nil)
	if err != nil {
		return append(out, DescribeError(err)...)
	}
	out = append(out, "json: "+string(text))
	native, err := v.Native()
	if err != nil {
		return append(out, DescribeError(err)...)
	}
	return append(out, "go: "+goText(native))
}

func schemaText(s *connector.Schema) string {
	if s == nil {
		return "no schema"
	}
	var b strings.Builder
	b.WriteString(s.Type.String())
	switch s.Type {
	case connector.Array:
		b.WriteString("<" + schemaText(s.Elem) + ">")
	case connector.Map:
		b.WriteString("<" + schemaText(s.Key) + ", " + schemaText(s.Elem) + ">")
	case connector.Struct:
		b.WriteString("{")
		for i, f := range s.Fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.Name + " " + schemaText(f.Schema))
		}
		b.WriteString("}")
	}
	if s.Name != "" {
		b.WriteString(" name=" + s.Name)
	}
	if s.Version != 0 {
		b.WriteString(" version=" + strconv.Itoa(s.Version))
	}
	if s.Doc != "" {
		b.WriteString(" doc=" + strconv.Quote(s.Doc))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Params)) {
		b.WriteString(" " + key + "=" + strconv.Quote(s.Params[key]))
	}
	if s.Optional {
		b.WriteString(" optional")
	}
	if s.HasDefault {
		b.WriteString(" default=" + goText(s.Default))
	}
	return b.String()
}

func goText(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case []byte:
		return "0x" + hex.EncodeToString(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = goText(e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *connector.MapValue:
		parts := make([]string, len(v.Entries))
		for i, e := range v.Entries {
			parts[i] = goText(e.Key) + ":" + goText(e.Value)
		}
		return "{" + strings.Join(parts, " ") + "}"
	case *connector.StructValue:
		parts := make([]string, len(v.Values))
		for i, e := range v.Values {
			parts[i] = v.Schema.Fields[i].Name + ":" + goText(e)
		}
		return "struct{" + strings.Join(parts, " ") + "}"
	case connector.Number:
		return "Number(" + string(v) + ")"
	}
	return fmt.Sprintf("%T(%v)", v, v)
}
