package json

import (
	"errors"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// plan is how values of one schema are read. It is made once per schema text and immutable.
type plan struct {
	schema *connector.Schema
	leaf   func(p *plan, s *scanner) (any, error) // nil for arrays, maps and structs
	scale  int                                    // of a Decimal
	fault  error                                  // why no Decimal of this schema can be read

	key, elem *plan          // of a map or an array
	fields    []*plan        // of a struct
	index     map[string]int // of a struct's fields

	null     any // what stands for null and for a missing field
	nullable bool
}

// newPayload gives the scanner of a payload that lies at base in the record. It limits what may
// be made of the text: fields that are missing take memory too, and a schema that comes with
// the record can ask for any number of them.
func newPayload(raw []byte, base int) scanner {
	const free = 1 << 20
	return scanner{data: raw, base: base, room: free + len(raw)}
}

// take gives an error when n more values are too many.
func (s *scanner) take(n int) error {
	if s.room -= n; s.room < 0 {
		return faultf("the record stands for many more values than it has bytes: most are missing fields")
	}
	return nil
}

// read reads one value into its native form. The error is a *DataError or, for text that is no
// JSON, a *SyntaxError.
func (p *plan) read(s *scanner) (any, error) {
	c := s.peek()
	if c == 'n' {
		if err := s.literal("null"); err != nil {
			return nil, err
		}
		return p.missing()
	}
	switch p.schema.Type {
	case connector.Struct:
		return p.readStruct(s)
	case connector.Array:
		return p.readArray(s)
	case connector.Map:
		return p.readMap(s)
	}
	return p.leaf(p, s)
}

// missing gives what stands for null.
func (p *plan) missing() (any, error) {
	if p.nullable {
		return p.null, nil
	}
	return nil, faultf("Invalid null value for required %s field", p.typeName())
}

// typeName gives the type as Java's enum names it.
func (p *plan) typeName() string { return strings.ToUpper(p.schema.Type.String()) }

// nodeType names what comes next in Jackson's words (JsonNodeType).
func (s *scanner) nodeType() string {
	switch c := s.peek(); c {
	case 0:
		return "MISSING"
	case '{':
		return "OBJECT"
	case '[':
		return "ARRAY"
	case '"':
		return "STRING"
	case 't', 'f':
		return "BOOLEAN"
	case 'n':
		return "NULL"
	}
	return "NUMBER"
}

// asDataError gives err as the DataError that it is, or as the one that a syntax error becomes.
func asDataError(err error) *DataError {
	var e *DataError
	if errors.As(err, &e) {
		return e
	}
	return &DataError{Message: textSyntax, Err: err}
}

// under puts step in front of the path of a DataError; a syntax error stays as it is.
func under(err error, step string) error {
	var e *DataError
	if errors.As(err, &e) {
		return e.in(step)
	}
	return err
}
