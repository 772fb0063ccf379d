package primitive

import (
	"errors"

	"github.com/stepconnect/stepconnect/connector"
)

// headers is the SimpleHeaderConverter: it finds out from the text of a header what it may have been
// (Kafka Connect's Values.parseString).
type headers struct{}

// ConvertHeader never fails: what nests too deep to be looked at stays bytes.
func (headers) ConvertHeader(_, _ string, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	text := fromUTF8(data)
	if !mayMean(text) {
		return connector.NewValue(stringSchema, text), nil
	}
	p := parser{tokens: tokens{text: text}}
	s, v, err := p.whole()
	switch {
	case errors.Is(err, errDeep):
		return connector.NewValue(bytesSchema, data), nil
	case err != nil:
		return connector.NewValue(stringSchema, text), nil
	}
	return connector.NewValue(s, v), nil
}

// mayMean reports whether the text can be anything but a string.
func mayMean(text string) bool {
	text = trim(text)
	if text == "" {
		return false
	}
	switch c := text[0]; c {
	case '[', '{', 't', 'f', 'n', '+', '-':
		return true
	default:
		return isDigit(c)
	}
}

// The schemas of what a header can be. They are shared and never changed.
var (
	stringSchema    = &connector.Schema{Type: connector.String}
	bytesSchema     = &connector.Schema{Type: connector.Bytes}
	booleanSchema   = &connector.Schema{Type: connector.Boolean}
	int8Schema      = &connector.Schema{Type: connector.Int8}
	int16Schema     = &connector.Schema{Type: connector.Int16}
	int32Schema     = &connector.Schema{Type: connector.Int32}
	int64Schema     = &connector.Schema{Type: connector.Int64}
	float32Schema   = &connector.Schema{Type: connector.Float32}
	float64Schema   = &connector.Schema{Type: connector.Float64}
	dateSchema      = &connector.Schema{Type: connector.Int32, Name: connector.NameDate, Version: 1}
	timeSchema      = &connector.Schema{Type: connector.Int32, Name: connector.NameTime, Version: 1}
	timestampSchema = &connector.Schema{Type: connector.Int64, Name: connector.NameTimestamp, Version: 1}
)
