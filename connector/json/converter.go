package json

import (
	"bytes"
	"context"
	"hash/maphash"

	"github.com/stepconnect/stepconnect/connector"
)

// converter is the JsonConverter of keys, values or headers: they are read alike.
type converter struct {
	schemas  bool // schemas.enable
	fixed    *cached
	parser   parser
	cache    *cache
	hashSeed maphash.Seed
}

// Convert reads data. What has no schema stays as it is and is read when asked for; what has one
// is read at once.
func (c *converter) Convert(_ context.Context, topic string, _ []connector.RawHeader, data []byte) (connector.Value, error) {
	return c.convert(topic, data)
}

// ConvertHeader reads the value of a header as Convert reads a record's.
func (c *converter) ConvertHeader(topic, _ string, data []byte) (connector.Value, error) {
	return c.convert(topic, data)
}

// Close has nothing to release.
func (c *converter) Close() error { return nil }

func (c *converter) convert(topic string, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	v, err := c.read(topic, data)
	if err != nil {
		return connector.Value{}, connector.Rejected(asDataError(err))
	}
	return v, nil
}

// read tells the three forms apart. Its error is a *DataError or a *SyntaxError.
func (c *converter) read(topic string, data []byte) (connector.Value, error) {
	base := 0
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		base = len("\ufeff")
	}
	text := data[base:]
	switch {
	case !c.schemas:
		return schemaless(text, base, c.hashSeed)
	case c.fixed == nil:
		return c.envelope(topic, text, base)
	}
	s := scanner{data: text, base: base}
	if !s.blank() {
		if err := s.whole(); err != nil {
			return connector.Value{}, err
		}
	}
	return c.payload(c.fixed.plan, text, base)
}

// part is a range of the record's text.
type part struct {
	raw   []byte
	at    int
	found bool
}

// envelope reads {"schema": …, "payload": …}. All of the text is looked at before the schema and the
// payload are: what is no JSON at all is said first.
func (c *converter) envelope(topic string, text []byte, base int) (connector.Value, error) {
	s := scanner{data: text, base: base}
	var schema *cached
	var schemaText, payload part
	others, err := c.members(topic, &s, &schema, &schemaText, &payload)
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return connector.Value{}, err
	case others || !schemaText.found || !payload.found:
		return connector.Value{}, &DataError{Message: textEnvelope}
	}
	if schema == nil {
		if schema = c.cache.get(topic, schemaText.raw); schema == nil {
			p, err := c.parser.parse(schemaText.raw)
			if err != nil {
				return connector.Value{}, err
			}
			schema = c.cache.put(topic, schemaText.raw, p)
		}
	}
	if schema.plan == nil {
		return schemaless(payload.raw, payload.at, c.hashSeed)
	}
	return c.payload(schema.plan, payload.raw, payload.at)
}

// members finds the two parts of the envelope. others reports what is no envelope: another value
// than an object, or a third member. Of several members of one name the last counts.
func (c *converter) members(topic string, s *scanner, schema **cached, schemaText, payload *part) (others bool, err error) {
	if s.blank() {
		return true, nil
	}
	if s.peek() != '{' {
		return true, s.skip()
	}
	if err := s.open(); err != nil {
		return false, err
	}
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil || !more {
			return others, err
		}
		t, err := s.name()
		if err != nil {
			return false, err
		}
		s.peek()
		start := s.at
		isSchema := t.is("schema")
		if isSchema {
			*schema = c.cache.guess(topic, s.data[start:])
		}
		if isSchema && *schema != nil {
			s.at += len((*schema).text)
		} else if err := s.skip(); err != nil {
			return false, err
		}
		found := part{s.data[start:s.at], s.base + start, true}
		switch {
		case isSchema:
			*schemaText = found
		case t.is("payload"):
			*payload = found
		default:
			others = true
		}
	}
}

// payload reads text, which was found valid, by a plan.
func (c *converter) payload(p *plan, text []byte, base int) (connector.Value, error) {
	s := newPayload(text, base)
	v, err := p.read(&s)
	if err != nil {
		return connector.Value{}, err
	}
	return connector.NewValue(p.schema, v), nil
}
