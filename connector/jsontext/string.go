// Package jsontext writes the texts that values have in JSON: strings, numbers, exact
// decimals, ISO-8601 dates and times, and binary data. Every function appends to dst and
// returns it, so a caller that reuses its buffer allocates nothing.
//
// It is the one place where these rules stand: the pass from Avro to JSON and the encoder of
// materialised values both write through it, so a value has one text however it was held.
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

const (
	hexDigits = "0123456789abcdef"
	lowBits   = 0x0101010101010101
	highBits  = 0x8080808080808080
)

// AppendString appends s as a JSON string with its quotes. Only what RFC 8259 demands is
// escaped (quote, backslash, control characters); each byte that is not part of valid UTF-8
// becomes U+FFFD, so the result is always valid JSON.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	at, n := len(dst), len(s)
	if cap(dst)-at < n+2 {
		dst = slices.Grow(dst, n+2)
	}
	out := dst[at : at+n+2]
	out[0], out[n+1] = '"', '"'
	body := out[1 : n+1]
	// Eight bytes at a time are looked at and copied; then the last eight, some once more.
	i := 0
	for ; i+8 <= n; i += 8 {
		w := word(s, i)
		if suspects(w) != 0 {
			return appendEscaped(dst[:at+1+i], s, i)
		}
		binary.LittleEndian.PutUint64(body[i:], w)
	}
	if n >= 8 {
		w := word(s, n-8)
		if suspects(w) != 0 {
			return appendEscaped(dst[:at+1+i], s, i)
		}
		binary.LittleEndian.PutUint64(body[n-8:], w)
		return dst[:at+n+2]
	}
	for i := range n {
		c := s[i]
		if !plain(c) {
			return appendEscaped(dst[:at+1+i], s, i)
		}
		body[i] = c
	}
	return dst[:at+n+2]
}

func plain(c byte) bool { return c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' }

// appendEscaped writes s[start:] and the closing quote.
func appendEscaped[T string | []byte](dst []byte, s T, start int) []byte {
	i := cleanPrefix(s, start)
	for i < len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			size, ok := runeAt(s, i)
			if !ok {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i = cleanPrefix(s, i+size)
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		start = i + 1
		i = cleanPrefix(s, start)
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// runeAt measures the rune at s[i], which is not ASCII; an invalid one has size 1.
func runeAt[T string | []byte](s T, i int) (size int, ok bool) {
	if c := s[i]; c >= 0xc2 && c <= 0xdf && i+1 < len(s) && s[i+1]&0xc0 == 0x80 {
		return 2, true // all letters with accents
	}
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s[i:])
	r, size := utf8.DecodeRune(buf[:n])
	return size, r != utf8.RuneError || size > 1
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// cleanPrefix gives the index of the first byte from i on that is no printable ASCII or
// needs an escape; len(s) when there is none. It looks at eight bytes at a time.
func cleanPrefix[T string | []byte](s T, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if m := suspects(word(s, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(s); i++ {
		if !plain(s[i]) {
			return i
		}
	}
	return i
}

// suspects has the high bit set in the lowest byte of w that is a control character, a quote,
// a backslash or not ASCII; higher bytes may be marked wrongly, by a borrow.
func suspects(w uint64) uint64 {
	const quotes, backslashes, spaces = '"' * lowBits, '\\' * lowBits, ' ' * lowBits
	return (w | (w - spaces) | ((w ^ quotes) - lowBits) | ((w ^ backslashes) - lowBits)) & highBits
}

// word loads s[i:i+8]; the compiler makes one load of it.
func word[T string | []byte](s T, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}
