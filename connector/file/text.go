package file

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// appendText writes a value as Java's String.valueOf prints it. Two kinds differ, since Java's own text
// is of no use: bytes are written as they are (Java prints an address), and logical types in the host's
// JSON form (Java prints dates in the worker's time zone).
func appendText(b *bytes.Buffer, v connector.Value) error {
	if v.IsNull() {
		b.WriteString("null")
		return nil
	}
	native, err := v.Native()
	if err != nil {
		return err
	}
	return appendNative(b, v.Schema(), native)
}

func appendNative(b *bytes.Buffer, s *connector.Schema, v any) error {
	if s != nil && v != nil && s.Type != connector.Struct && isLogical(s.Name) {
		return appendLogical(b, s, v)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		b.WriteString(v)
	case []byte:
		b.Write(v)
	case connector.Number:
		b.WriteString(javaNumber(string(v)))
	case float32:
		b.WriteString(javaDouble(float64(v), 32))
	case float64:
		b.WriteString(javaDouble(v, 64))
	case []any:
		return appendList(b, s, v)
	case *connector.MapValue:
		return appendMap(b, s, v)
	case *connector.StructValue:
		return appendStruct(b, v)
	default:
		fmt.Fprint(b, v)
	}
	return nil
}

func isLogical(name string) bool {
	return strings.HasPrefix(name, "org.apache.kafka.connect.data.") || strings.HasPrefix(name, "io.debezium.time.")
}

func appendLogical(b *bytes.Buffer, s *connector.Schema, v any) error {
	text, err := connector.NewValue(s, v).AppendJSON(nil, nil)
	if err != nil {
		return err
	}
	b.Write(bytes.Trim(text, `"`))
	return nil
}

func appendList(b *bytes.Buffer, s *connector.Schema, items []any) error {
	var elem *connector.Schema
	if s != nil {
		elem = s.Elem
	}
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := appendNative(b, elem, item); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func appendMap(b *bytes.Buffer, s *connector.Schema, m *connector.MapValue) error {
	var key, elem *connector.Schema
	if s != nil {
		key, elem = s.Key, s.Elem
	}
	b.WriteByte('{')
	for i, e := range m.Entries {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := appendNative(b, key, e.Key); err != nil {
			return err
		}
		b.WriteByte('=')
		if err := appendNative(b, elem, e.Value); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// appendStruct leaves out null fields, as Connect's Struct.toString does.
func appendStruct(b *bytes.Buffer, s *connector.StructValue) error {
	b.WriteString("Struct{")
	first := true
	for i, f := range s.Schema.Fields {
		if s.Values[i] == nil {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(f.Name + "=")
		if err := appendNative(b, f.Schema, s.Values[i]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// javaNumber prints a JSON number as JsonConverter's Long or Double prints.
func javaNumber(s string) string {
	if !strings.ContainsAny(s, ".eE") {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return javaDouble(f, 64)
}

// javaDouble prints as Double.toString and Float.toString do: 1.0, 0.001, 1.0E10.
func javaDouble(f float64, bits int) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || abs >= 1e-3 && abs < 1e7:
		return withFraction(strconv.FormatFloat(f, 'f', -1, bits))
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, bits), "E")
	exponent = strings.TrimPrefix(exponent, "+")
	sign := ""
	if strings.HasPrefix(exponent, "-") {
		sign, exponent = "-", exponent[1:]
	}
	return withFraction(digits) + "E" + sign + strings.TrimLeft(exponent, "0")
}

func withFraction(s string) string {
	if strings.Contains(s, ".") {
		return s
	}
	return s + ".0"
}
