package debezium

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// scratch is what parsing one record needs and the next one can use again.
type scratch struct {
	fields   []connector.Value // the envelope's, then the source's
	envelope [numEnvelope]*connector.Value
	source   [numSource]*connector.Value
	null     connector.Value // what absent fields point to
	json     []byte
	buf      []byte // all texts of the change, one after the other
}

type span struct{ from, to int }

// reset drops the references to the record, which may be large.
func (s *scratch) reset() {
	clear(s.fields)
	s.fields, s.json, s.buf = s.fields[:0], s.json[:0], s.buf[:0]
}

// pick puts the fields called names into out: by their places for a struct, by name for a map
// without schema. A field that is absent is null in out.
func (s *scratch) pick(v *connector.Value, path string, names []string, places []int, out []*connector.Value) error {
	for j := range out {
		out[j] = &s.null
	}
	if v.Schema() == nil {
		m, err := mapOf(v)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for i := range m.Entries {
			for j, name := range names {
				if m.Entries[i].Key == name {
					s.fields = append(s.fields, connector.NewValue(nil, m.Entries[i].Value))
					out[j] = &s.fields[len(s.fields)-1]
				}
			}
		}
		return nil
	}
	from := len(s.fields)
	fields, err := v.AppendFields(s.fields)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.fields = fields
	for j, at := range places {
		if at >= 0 && from+at < len(fields) {
			out[j] = &fields[from+at]
		}
	}
	return nil
}

// text appends the text of a string value to buf and says where it is.
func (s *scratch) text(v *connector.Value, path string) (span, error) {
	if typeOf(v) != connector.String {
		return span{}, fmt.Errorf("%s is %s, expected string", path, found(v))
	}
	from := len(s.buf)
	if _, _, lazy := v.Wire(); !lazy {
		n, _ := v.Native()
		text, _ := n.(string)
		s.buf = append(s.buf, text...)
		return span{from, len(s.buf)}, nil
	}
	// By way of JSON, because that is the one form every encoding writes without allocating.
	var err error
	if s.json, err = v.AppendJSON(s.json[:0], nil); err != nil {
		return span{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.buf, err = appendUnquoted(s.buf, s.json); err != nil {
		return span{}, fmt.Errorf("%s: %w", path, err)
	}
	return span{from, len(s.buf)}, nil
}

func appendUnquoted(dst, text []byte) ([]byte, error) {
	if len(text) >= 2 && text[0] == '"' && bytes.IndexByte(text, '\\') < 0 {
		return append(dst, text[1:len(text)-1]...), nil
	}
	var plain string
	if err := json.Unmarshal(text, &plain); err != nil {
		return dst, err
	}
	return append(dst, plain...), nil
}

func (s *scratch) integer(v *connector.Value, path string) (int64, error) {
	switch typeOf(v) {
	case connector.Int8, connector.Int16, connector.Int32, connector.Int64:
	default:
		return 0, fmt.Errorf("%s is %s, expected int64", path, found(v))
	}
	var err error
	if s.json, err = v.AppendJSON(s.json[:0], nil); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	n, err := strconv.ParseInt(string(s.json), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %s, expected int64", path, clip(string(s.json)))
	}
	return n, nil
}

// typeOf gives the type of a value: the schema's, or what the native form stands for. A number
// without a schema counts as Int64 until it is read.
func typeOf(v *connector.Value) connector.Type {
	if s := v.Schema(); s != nil {
		return s.Type
	}
	n, err := v.Native()
	if err != nil {
		return connector.Invalid
	}
	switch n.(type) {
	case string:
		return connector.String
	case bool:
		return connector.Boolean
	case connector.Number:
		return connector.Int64
	case []any:
		return connector.Array
	case *connector.MapValue:
		return connector.Map
	case *connector.StructValue:
		return connector.Struct
	}
	return connector.Invalid
}

// found names a value in an error, by its type only: rows hold personal data.
func found(v *connector.Value) string {
	t := typeOf(v)
	switch {
	case t == connector.Int64 && v.Schema() == nil:
		return "number"
	case t == connector.Invalid:
		n, err := v.Native()
		if err != nil {
			return "unreadable"
		}
		return fmt.Sprintf("%T", n)
	}
	return t.String()
}

// clip keeps what an event says short in an error.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
