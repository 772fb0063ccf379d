package json

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// unhex gives the value of a hexadecimal digit; more than 15 for every other byte.
func unhex(c byte) byte {
	if digit(c) {
		return c - '0'
	}
	if c |= ' '; c >= 'a' && c <= 'f' {
		return c - 'a' + 10
	}
	return 0xff
}

// unescape appends what the inside of a valid JSON string means. Half of a surrogate pair
// without its other half becomes U+FFFD: it is no character, and UTF-8 has no form for it.
func unescape(dst, body []byte) []byte {
	for i := 0; i < len(body); {
		c := body[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		c = body[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := unit(body[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				if len(body)-i >= 6 && body[i] == '\\' && body[i+1] == 'u' {
					if pair := utf16.DecodeRune(r, unit(body[i+2:])); pair != utf8.RuneError {
						dst = utf8.AppendRune(dst, pair)
						i += 6
						continue
					}
				}
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// unit gives the UTF-16 unit of four hexadecimal digits.
func unit(b []byte) rune {
	_ = b[3]
	return rune(unhex(b[0]))<<12 | rune(unhex(b[1]))<<8 | rune(unhex(b[2]))<<4 | rune(unhex(b[3]))
}

// string gives what the token means.
func (t token) string() string {
	if !t.escaped {
		return string(t.body)
	}
	return string(unescape(make([]byte, 0, len(t.body)), t.body))
}

// is reports whether the token means name.
func (t token) is(name string) bool {
	if !t.escaped {
		return string(t.body) == name
	}
	return t.string() == name
}

// compact appends valid JSON text without blanks, its strings as jsontext writes them and its
// numbers with the digits that they have.
func compact(dst, raw []byte) ([]byte, error) {
	s := scanner{data: raw}
	var buf []byte
	for {
		switch c := s.peek(); {
		case c == 0 && s.at >= len(raw):
			return dst, nil
		case c == '"':
			start := s.at
			t, err := s.text()
			if err != nil {
				return dst, err
			}
			if t.escaped {
				buf = unescape(buf[:0], t.body)
				dst = jsontext.AppendString(dst, buf)
			} else {
				dst = append(dst, raw[start:s.at]...)
			}
		case c == '-' || digit(c):
			n, err := s.number()
			if err != nil {
				return dst, err
			}
			dst = append(dst, n...)
		default:
			dst = append(dst, c)
			s.at++
		}
	}
}
