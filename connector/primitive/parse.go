package primitive

import (
	"errors"

	"github.com/stepconnect/stepconnect/connector"
)

// node is a parsed piece of a header: a single value, or an array or map of nodes. The zero node is null.
type node struct {
	kind   kind
	schema *connector.Schema // of a single value
	value  any               // of a single value, native
	text   string            // of a date, time or timestamp: as it was written
	keys   []node            // of a map
	nodes  []node            // elements of an array, values of a map
}

type kind uint8

const (
	kindNull kind = iota
	kindLeaf
	kindArray
	kindMap
)

func leaf(s *connector.Schema, v any) node { return node{kind: kindLeaf, schema: s, value: v} }

var (
	// errMalformed says that the text is no array or map after all, so it is a string.
	errMalformed = errors.New("not an array, a map or a single value")
	// errDeep says that arrays and maps nest deeper than maxNesting.
	errDeep = errors.New("arrays and maps nest too deep")
)

// maxNesting is how deep arrays and maps may nest; a Java worker ends in a StackOverflowError
// somewhere above it.
const maxNesting = 1000

type parser struct {
	tokens
	depth int
}

// whole parses the text of a header. The error is errMalformed or errDeep.
func (p *parser) whole() (*connector.Schema, any, error) {
	n, err := p.value(false)
	if err != nil {
		return nil, nil, err
	}
	// What follows a value is part of the text: "10:30" is no 10 and "[1] x" no array. (Kafka
	// Connect drops it.)
	if trim(p.text[p.mark():]) != "" {
		return nil, nil, errMalformed
	}
	return n.infer()
}

// value parses one value; inside an array or a map (embedded) text must stand in quotes.
func (p *parser) value(embedded bool) (node, error) {
	switch {
	case !p.more():
		return node{}, nil
	case embedded && p.consume(`"`):
		return p.quotedText()
	case p.word(embedded, "null"):
		return node{}, nil
	case p.word(embedded, "true"):
		return leaf(booleanSchema, true), nil
	case p.word(embedded, "false"):
		return leaf(booleanSchema, false), nil
	case p.consume("["):
		return p.nested((*parser).array)
	case p.consume("{"):
		return p.nested((*parser).mapping)
	}
	token := trim(p.take())
	if token == "" {
		return node{}, errMalformed
	}
	if isDigit(token[0]) {
		if n, ok := p.temporal(token); ok {
			return n, nil
		}
	}
	if isDigit(token[0]) || token[0] == '+' || token[0] == '-' {
		if n, ok := number(token); ok {
			return n, nil
		}
	}
	return node{}, errMalformed
}

// word passes a literal. At the top nothing may follow it: "true}" is a string.
func (p *parser) word(embedded bool, want string) bool {
	start := p.mark()
	if p.consume(want) && (embedded || !p.more()) {
		return true
	}
	p.rewind(start)
	return false
}

func (p *parser) quotedText() (node, error) {
	content, ok := p.quoted()
	if !ok {
		return node{}, errMalformed
	}
	if n, ok := temporal(trim(content)); ok {
		return n, nil
	}
	return leaf(stringSchema, content), nil
}

// temporal reads a date, a time or a timestamp that begins with token. Their colons are delimiters
// unless they are escaped, so a time can be five tokens.
func (p *parser) temporal(token string) (node, bool) {
	mark := p.mark()
	if rest := p.takes(4); rest != "" {
		if n, ok := temporal(token + rest); ok {
			return n, true
		}
	}
	p.rewind(mark)
	return temporal(token)
}

func (p *parser) nested(read func(*parser) (node, error)) (node, error) {
	if p.depth++; p.depth > maxNesting {
		return node{}, errDeep
	}
	n, err := read(p)
	p.depth--
	return n, err
}

func (p *parser) array() (node, error) {
	n := node{kind: kindArray}
	for p.more() {
		if p.consume("]") {
			return n, nil
		}
		if p.consume(",") {
			return n, errMalformed
		}
		e, err := p.value(true)
		if err != nil {
			return n, err
		}
		n.nodes = append(n.nodes, e)
		if !p.is("]") && !p.consume(",") {
			return n, errMalformed
		}
	}
	return n, errMalformed
}

// mapping reads entries; as in Kafka Connect the comma between them may be missing.
func (p *parser) mapping() (node, error) {
	n := node{kind: kindMap}
	for p.more() {
		if p.consume("}") {
			return n, nil
		}
		if p.consume(",") {
			return n, errMalformed
		}
		key, err := p.value(true)
		if err != nil {
			return n, err
		}
		if key.kind == kindNull || !p.consume(":") {
			return n, errMalformed
		}
		v, err := p.value(true)
		if err != nil {
			return n, err
		}
		n.keys, n.nodes = append(n.keys, key), append(n.nodes, v)
		p.consume(",")
	}
	return n, errMalformed
}
