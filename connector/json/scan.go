package json

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// Limits of what is read; they are those of Jackson, which reads for Kafka Connect.
const (
	maxDepth  = 1000 // arrays and objects inside each other
	maxNumber = 1000 // characters of a number
)

// scanner reads JSON text (RFC 8259), and what Kafka Connect's reader accepts beyond it: leading
// zeros of numbers. Its methods check what they pass and never panic. Strings must be UTF-8.
type scanner struct {
	data  []byte
	at    int
	depth int
	// base is added to positions in errors: where data begins in the record.
	base int
	// loose is set once the text passed is not its own compact form: a blank, an escape, a leading zero.
	loose bool
	// names looks for names that occur twice in an object; nil when nobody asks.
	names *names
	// room is how many more values may be made of the text (see plan.go).
	room int
}

// token is the inside of a string, quotes excluded.
type token struct {
	body    []byte
	escaped bool // body has backslashes
}

func (s *scanner) fault(reason string) error {
	return &SyntaxError{Reason: reason, Offset: s.base + s.at}
}

func (s *scanner) unexpected(wanted string) error {
	if s.at >= len(s.data) {
		return s.fault("the text ends where " + wanted + " is expected")
	}
	r, size := utf8.DecodeRune(s.data[s.at:])
	if r == utf8.RuneError && size <= 1 {
		return s.fault("the byte 0x" + strconv.FormatUint(uint64(s.data[s.at]), 16) + " stands where " + wanted + " is expected")
	}
	return s.fault(strconv.QuoteRune(r) + " stands where " + wanted + " is expected")
}

// peek gives the next byte that is no blank without passing it; 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		c := s.data[s.at]
		if c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.loose = true
		s.at++
	}
	return 0
}

// blank reports whether nothing but blanks is left.
func (s *scanner) blank() bool { return s.peek() == 0 && s.at == len(s.data) }

// whole passes one value and fails when more follows.
func (s *scanner) whole() error {
	if err := s.skip(); err != nil {
		return err
	}
	return s.end()
}

// end fails when something other than blanks follows.
func (s *scanner) end() error {
	if s.peek(); s.at < len(s.data) {
		return s.unexpected("the end of the text")
	}
	return nil
}

// skip passes one value.
func (s *scanner) skip() error {
	switch c := s.peek(); c {
	case '{':
		return s.skipObject()
	case '[':
		if err := s.open(); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.next(first, ']')
			if err != nil || !more {
				return err
			}
			if err := s.skip(); err != nil {
				return err
			}
		}
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c != '-' && !digit(c) {
			return s.unexpected("a value")
		}
		_, err := s.number()
		return err
	}
}

func (s *scanner) skipObject() error {
	if err := s.open(); err != nil {
		return err
	}
	seen := s.names.enter()
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil {
			return err
		}
		if !more {
			s.names.leave(seen)
			return nil
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if s.names != nil {
			s.names.add(&seen, name)
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}

// open passes a bracket.
func (s *scanner) open() error {
	if s.depth++; s.depth > maxDepth {
		return s.fault("more than " + strconv.Itoa(maxDepth) + " arrays and objects inside each other")
	}
	s.at++
	return nil
}

// next passes the comma before a further element and reports true, or the closing bracket end.
func (s *scanner) next(first bool, end byte) (bool, error) {
	switch c := s.peek(); {
	case c == end:
		s.at++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.at++
		return true, nil
	case end == ']':
		return false, s.unexpected("',' or ']'")
	}
	return false, s.unexpected("',' or '}'")
}

// name passes the name of a member and the colon.
func (s *scanner) name() (token, error) {
	if s.peek() != '"' {
		return token{}, s.unexpected("a name in quotes")
	}
	t, err := s.text()
	if err != nil {
		return t, err
	}
	if s.peek() != ':' {
		return t, s.unexpected("':'")
	}
	s.at++
	return t, nil
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.at < len(word) || string(s.data[s.at:s.at+len(word)]) != word {
		return s.unexpected("a value")
	}
	s.at += len(word)
	return nil
}

// text passes a string, whose quote is next.
func (s *scanner) text() (token, error) {
	s.at++
	start, escaped, ascii := s.at, false, true
	for {
		s.at = plainUntil(s.data, s.at)
		if s.at >= len(s.data) {
			return token{}, s.fault("the text ends inside a string")
		}
		switch c := s.data[s.at]; {
		case c == '"':
			body := s.data[start:s.at]
			if !ascii && !utf8.Valid(body) {
				s.at = start
				return token{}, s.fault("a string that is not UTF-8")
			}
			s.at++
			return token{body, escaped}, nil
		case c == '\\':
			escaped, s.loose = true, true
			if err := s.escape(); err != nil {
				return token{}, err
			}
		case c < ' ':
			return token{}, s.fault("the control character 0x" + strconv.FormatUint(uint64(c), 16) + " inside a string")
		default:
			ascii = false
			for s.at < len(s.data) && s.data[s.at] >= utf8.RuneSelf {
				s.at++
			}
		}
	}
}

// escape passes a backslash and what belongs to it.
func (s *scanner) escape() error {
	if s.at++; s.at >= len(s.data) {
		return s.fault("the text ends inside a string")
	}
	switch s.data[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
		s.at++
		for range 4 {
			if s.at >= len(s.data) || unhex(s.data[s.at]) > 15 {
				return s.unexpected("a hexadecimal digit")
			}
			s.at++
		}
		return nil
	}
	return s.unexpected("an escape character")
}

// number passes a number and gives its digits without leading zeros: valid JSON.
func (s *scanner) number() ([]byte, error) {
	start := s.at
	if s.data[s.at] == '-' {
		s.at++
	}
	whole := s.at
	if !s.digits() {
		return nil, s.unexpected("a digit")
	}
	zeros := 0
	for whole+zeros+1 < s.at && s.data[whole+zeros] == '0' {
		zeros++
	}
	if s.at < len(s.data) && s.data[s.at] == '.' {
		s.at++
		if !s.digits() {
			return nil, s.unexpected("a digit")
		}
	}
	if s.at < len(s.data) && s.data[s.at]|' ' == 'e' {
		s.at++
		if s.at < len(s.data) && (s.data[s.at] == '+' || s.data[s.at] == '-') {
			s.at++
		}
		if !s.digits() {
			return nil, s.unexpected("a digit")
		}
	}
	if s.at-start > maxNumber {
		s.at = start
		return nil, s.fault("a number of more than " + strconv.Itoa(maxNumber) + " characters")
	}
	if zeros == 0 {
		return s.data[start:s.at], nil
	}
	s.loose = true
	if whole == start {
		return s.data[start+zeros : s.at], nil
	}
	return append([]byte{'-'}, s.data[whole+zeros:s.at]...), nil
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && digit(s.data[s.at]) {
		s.at++
	}
	return s.at > start
}

func digit(c byte) bool { return c-'0' < 10 }

// plainUntil gives the index of the first byte from i on that ends or interrupts the plain text of a
// string: a quote, a backslash, a control character or a byte that is not ASCII; len(b) when there
// is none. It looks at eight bytes at a time.
func plainUntil(b []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		// The lowest byte that is marked is right; a borrow can mark higher ones wrongly.
		quotes, slashes := w^'"'*ones, w^'\\'*ones
		if m := (w | (w - ' '*ones) | (quotes - ones) | (slashes - ones)) & high; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// names finds out whether an object has two members of one name. It remembers hashes: two names with
// the same one count as the same, which only costs the exact look that follows.
type names struct {
	seed  maphash.Seed
	stack []uint64 // of the small objects that are open, outermost first
	buf   []byte
	twice bool
}

// members are the names of one object.
type members struct {
	from  int // in the stack
	large map[uint64]struct{}
}

// few is how many names are compared one by one.
const few = 32

func (n *names) enter() members {
	if n == nil {
		return members{}
	}
	return members{from: len(n.stack)}
}

func (n *names) leave(m members) {
	if n != nil {
		n.stack = n.stack[:m.from]
	}
}

func (n *names) add(m *members, t token) {
	name := t.body
	if t.escaped {
		n.buf = unescape(n.buf[:0], t.body)
		name = n.buf
	}
	h := maphash.Bytes(n.seed, name)
	if m.large != nil {
		_, twice := m.large[h]
		n.twice = n.twice || twice
		m.large[h] = struct{}{}
		return
	}
	for _, other := range n.stack[m.from:] {
		n.twice = n.twice || other == h
	}
	n.stack = append(n.stack, h)
	if len(n.stack)-m.from > few {
		m.large = make(map[uint64]struct{}, 2*few)
		for _, other := range n.stack[m.from:] {
			m.large[other] = struct{}{}
		}
	}
}
