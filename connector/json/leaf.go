package json

import (
	"encoding/base64"
	"strconv"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// choose settles how values of the plan's schema are read.
func (p *plan) choose() {
	switch s := p.schema; s.Type {
	case connector.Boolean:
		p.leaf = (*plan).readBool
	case connector.Int8, connector.Int16:
		p.leaf = (*plan).readInt
	case connector.Int32:
		p.leaf = (*plan).readInt
		if s.Name == connector.NameDate || s.Name == connector.NameTime {
			p.leaf = (*plan).readDay
		}
	case connector.Int64:
		p.leaf = (*plan).readInt
		if s.Name == connector.NameTimestamp {
			p.leaf = (*plan).readTimestamp
		}
	case connector.Float32, connector.Float64:
		p.leaf = (*plan).readFloat
	case connector.String:
		p.leaf = (*plan).readString
	case connector.Bytes:
		p.leaf = (*plan).readBytes
		scale, isDecimal, err := connector.DecimalScale(s)
		if isDecimal {
			p.leaf, p.scale, p.fault = (*plan).readDecimal, scale, err
		}
	}
}

// mismatch is the error for a value of another kind than the type has. Kafka Connect makes 0,
// false or null of it.
func (p *plan) mismatch(s *scanner, wanted string) error {
	return faultf("Invalid value for %s field: it should be %s but was %s", p.typeName(), wanted, s.nodeType())
}

func (p *plan) readBool(s *scanner) (any, error) {
	switch s.peek() {
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	}
	return nil, p.mismatch(s, "a boolean")
}

func (p *plan) readInt(s *scanner) (any, error) {
	if s.nodeType() != "NUMBER" {
		return nil, p.mismatch(s, "an integer")
	}
	text, err := s.number()
	if err != nil {
		return nil, err
	}
	return p.toInt(text)
}

// toInt gives the number in the Go type of the schema.
func (p *plan) toInt(text []byte) (any, error) {
	v, whole, fits := integer(text)
	switch {
	case !whole:
		return nil, faultf("Invalid value for %s field: %s is not an integer", p.typeName(), clip(string(text)))
	case !fits:
	case p.schema.Type == connector.Int64:
		return v, nil
	case p.schema.Type == connector.Int32 && v == int64(int32(v)):
		return int32(v), nil
	case p.schema.Type == connector.Int16 && v == int64(int16(v)):
		return int16(v), nil
	case p.schema.Type == connector.Int8 && v == int64(int8(v)):
		return int8(v), nil
	}
	return nil, faultf("Invalid value for %s field: %s is out of range", p.typeName(), clip(string(text)))
}

// readDay reads Connect's Date and Time, which Jackson must call an int: digits only, 32 bits.
func (p *plan) readDay(s *scanner) (any, error) {
	text, node, err := s.integral()
	if err != nil {
		return nil, err
	}
	if v, err := strconv.ParseInt(string(text), 10, 32); text != nil && err == nil {
		return int32(v), nil
	}
	name := "Date"
	if p.schema.Name == connector.NameTime {
		name = "Time"
	}
	return nil, faultf("Invalid type for %s, underlying representation should be integer but was %s", name, node)
}

func (p *plan) readTimestamp(s *scanner) (any, error) {
	text, node, err := s.integral()
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, faultf("Invalid type for Timestamp, underlying representation should be integral but was %s", node)
	}
	return p.toInt(text)
}

// integral passes a number and gives its text when it has neither point nor exponent; for every
// other value, which it need not pass, the text is nil. node is Jackson's name of what there is.
func (s *scanner) integral() (text []byte, node string, err error) {
	if node = s.nodeType(); node != "NUMBER" {
		return nil, node, nil
	}
	if text, err = s.number(); err != nil {
		return nil, node, err
	}
	for _, c := range text {
		if c != '-' && !digit(c) {
			return nil, node, nil
		}
	}
	return text, node, nil
}

// readFloat also takes the texts that Kafka Connect writes for what JSON has no number for.
func (p *plan) readFloat(s *scanner) (any, error) {
	width := 64
	if p.schema.Type == connector.Float32 {
		width = 32
	}
	var text []byte
	switch s.nodeType() {
	case "NUMBER":
		var err error
		if text, err = s.number(); err != nil {
			return nil, err
		}
	case "STRING":
		before := s.at
		t, err := s.text()
		if err != nil {
			return nil, err
		}
		if text = t.body; string(text) != "NaN" && string(text) != "Infinity" && string(text) != "-Infinity" {
			s.at = before
			return nil, p.mismatch(s, "a number")
		}
	default:
		return nil, p.mismatch(s, "a number")
	}
	v, err := strconv.ParseFloat(string(text), width)
	switch {
	case err != nil:
		return nil, faultf("Invalid value for %s field: %s is out of range", p.typeName(), clip(string(text)))
	case width == 32:
		return float32(v), nil
	}
	return v, nil
}

func (p *plan) readString(s *scanner) (any, error) {
	if s.peek() != '"' {
		return nil, p.mismatch(s, "text")
	}
	t, err := s.text()
	if err != nil {
		return nil, err
	}
	return t.string(), nil
}

func (p *plan) readBytes(s *scanner) (any, error) {
	if s.peek() != '"' {
		return nil, p.mismatch(s, "base64 text")
	}
	t, err := s.text()
	if err != nil {
		return nil, err
	}
	b, err := t.base64()
	if err != nil {
		return nil, &DataError{Message: "Invalid bytes field", Err: err}
	}
	return b, nil
}

// base64 reads the standard alphabet with padding; blanks do not count.
func (t token) base64() ([]byte, error) {
	text := t.body
	if t.escaped {
		text = unescape(make([]byte, 0, len(text)), text)
	}
	kept := text
	for i, c := range text {
		if c <= ' ' {
			kept = append(make([]byte, 0, len(text)), text[:i]...)
			for _, c := range text[i:] {
				if c > ' ' {
					kept = append(kept, c)
				}
			}
			break
		}
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(kept)))
	n, err := base64.StdEncoding.Decode(b, kept)
	return b[:n], err
}

// readDecimal reads both forms of decimal.format: the unscaled bytes in base64, and a number, whose
// digits must fit the scale exactly.
func (p *plan) readDecimal(s *scanner) (any, error) {
	switch node := s.nodeType(); node {
	case "NUMBER":
		text, err := s.number()
		if err != nil {
			return nil, err
		}
		return p.fromNumber(s, text)
	case "STRING":
		t, err := s.text()
		if err != nil {
			return nil, err
		}
		return p.fromBase64(t)
	default:
		return nil, faultf("Invalid type for Decimal, underlying representation should be numeric or bytes but was %s", node)
	}
}

func (p *plan) fromNumber(s *scanner, text []byte) (any, error) {
	if p.fault != nil {
		return nil, &DataError{Message: "Invalid Decimal schema: scale parameter not found.", Err: p.fault}
	}
	b, reason := unscaled(text, p.scale)
	if reason != "" {
		return nil, faultf("Invalid number for Decimal field: %s %s", clip(string(text)), reason)
	}
	return b, s.take(len(b) / 16)
}

func (p *plan) fromBase64(t token) (any, error) {
	b, err := t.base64()
	switch {
	case err != nil:
	case p.fault != nil:
		err = p.fault
	case len(b) > jsontext.MaxUnscaled:
		err = faultf("%d bytes are more than %d", len(b), jsontext.MaxUnscaled)
	case len(b) > 0:
		return b, nil
	default:
		err = faultf("an unscaled value has at least one byte")
	}
	return nil, &DataError{Message: "Invalid bytes for Decimal field", Err: err}
}
