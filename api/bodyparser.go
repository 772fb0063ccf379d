package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/stepconnect/stepconnect/runtime"
)

// bodyParser walks over the tokens of a body that is known to be valid JSON, and remembers where it is.
type bodyParser struct {
	data []byte
	dec  *json.Decoder
}

func newBodyParser(body []byte) (*bodyParser, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	p := &bodyParser{data: body}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, runtime.BadRequest("The request body is empty: expected JSON")
	}
	if !utf8.Valid(body) {
		return nil, runtime.BadRequest("The request body is not UTF-8: invalid byte at %s", p.position(invalidByte(body)))
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, p.syntaxError(err)
	}
	p.dec = json.NewDecoder(bytes.NewReader(body))
	p.dec.UseNumber()
	return p, nil
}

func invalidByte(body []byte) int {
	for i := 0; i < len(body); {
		r, n := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(body)
}

// syntaxError names the field that was being read when the text stopped being JSON.
func (p *bodyParser) syntaxError(err error) error {
	offset := len(p.data)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 && syntax.Error() != "unexpected end of JSON input" {
		offset = int(syntax.Offset) - 1
	}
	where := ""
	if path := lastField(p.data); path != "" {
		where = fmt.Sprintf(" near field %q", path)
	}
	return runtime.BadRequest("The request body is not valid JSON: %s at %s%s", err, p.position(offset), where)
}

// lastField gives the path of the last field name before the point where JSON ends being valid.
func lastField(data []byte) string {
	type level struct {
		object  bool
		wantKey bool
		key     string
	}
	var levels []level
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	const deep = 16 // enough to find one's way
	for {
		tok, err := dec.Token()
		if err != nil || len(levels) > deep {
			break
		}
		top := len(levels) - 1
		if key, isText := tok.(string); isText && top >= 0 && levels[top].wantKey {
			levels[top].key, levels[top].wantKey = key, false
			continue
		}
		switch tok {
		case json.Delim('{'):
			levels = append(levels, level{object: true, wantKey: true})
			continue
		case json.Delim('['):
			levels = append(levels, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:top]
			top--
		}
		if top < 0 {
			break // what follows the document
		}
		levels[top].wantKey = levels[top].object
	}
	path := ""
	for _, l := range levels {
		if l.key != "" {
			path = join(path, l.key)
		}
	}
	return path
}

// at gives the offset of the next value's first byte.
func (p *bodyParser) at() int {
	i := int(p.dec.InputOffset())
	for i < len(p.data) && bytes.IndexByte([]byte(" \t\r\n:,"), p.data[i]) >= 0 {
		i++
	}
	return i
}

// position tells an offset as people count: from one, columns in characters.
func (p *bodyParser) position(offset int) string {
	before := p.data[:min(offset, len(p.data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

func (p *bodyParser) fail(path string, offset int, problem string) error {
	if path == "" {
		return runtime.BadRequest("The request body cannot be read at %s: %s", p.position(offset), problem)
	}
	return runtime.BadRequest("The request body cannot be read: field %q at %s: %s", path, p.position(offset), problem)
}

// takeNull consumes the next value if it is null.
func (p *bodyParser) takeNull() bool {
	if !bytes.HasPrefix(p.data[p.at():], []byte("null")) {
		return false
	}
	_, err := p.dec.Token()
	return err == nil
}

// object reads an object whose fields are known by name; field says whether it knows one and has read it.
func (p *bodyParser) object(path, fields string, field func(key string) (known bool, err error)) error {
	return p.entries(path, func(key string, at int) error {
		known, err := field(key)
		if err == nil && !known {
			err = p.fail(join(path, key), at, "unknown field; known here: "+fields)
		}
		return err
	})
}

// entries reads an object of any field names.
func (p *bodyParser) entries(path string, field func(key string, at int) error) error {
	if err := p.open(path, '{', "an object"); err != nil {
		return err
	}
	for p.dec.More() {
		at := p.at()
		tok, err := p.dec.Token()
		if err != nil {
			return p.fail(path, at, err.Error())
		}
		key, _ := tok.(string)
		if err := field(key, at); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

func (p *bodyParser) array(path string, element func(path string) error) error {
	if err := p.open(path, '[', "an array"); err != nil {
		return err
	}
	for i := 0; p.dec.More(); i++ {
		if err := element(fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	_, err := p.dec.Token()
	return err
}

func (p *bodyParser) open(path string, delim json.Delim, want string) error {
	at := p.at()
	tok, err := p.dec.Token()
	if err != nil {
		return p.fail(path, at, err.Error())
	}
	if tok != delim {
		return p.fail(path, at, "expected "+want+", got "+kind(tok))
	}
	return nil
}

// text reads a value as Jackson reads one into a String: numbers and booleans as they are written.
func (p *bodyParser) text(path string) (*string, error) {
	at := p.at()
	tok, err := p.dec.Token()
	if err != nil {
		return nil, p.fail(path, at, err.Error())
	}
	var s string
	switch v := tok.(type) {
	case nil:
		return nil, nil
	case string:
		s = v
	case json.Number:
		s = v.String()
	case bool:
		s = fmt.Sprint(v)
	default:
		return nil, p.fail(path, at, "expected a string, a number, a boolean or null, got "+kind(tok))
	}
	return &s, nil
}

func (p *bodyParser) stringMap(path string) (map[string]*string, error) {
	out := map[string]*string{}
	err := p.entries(path, func(key string, _ int) error {
		v, err := p.text(join(path, key))
		out[key] = v
		return err
	})
	return out, err
}

// anyMap reads an object of any values; null is a nil map.
func (p *bodyParser) anyMap(path string) (map[string]any, error) {
	if p.takeNull() {
		return nil, nil
	}
	out := map[string]any{}
	err := p.entries(path, func(key string, at int) error {
		var v any
		if err := p.dec.Decode(&v); err != nil {
			return p.fail(join(path, key), at, err.Error())
		}
		out[key] = v
		return nil
	})
	return out, err
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kind(tok json.Token) string {
	switch v := tok.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case json.Delim:
		if v == '{' {
			return "an object"
		}
		return "an array"
	}
	return fmt.Sprintf("%T", tok)
}
