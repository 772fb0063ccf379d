package jsontext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// LiteralSize is how many bytes AppendLiteral appends for JSON text without control characters, as everything in this
// package writes it.
func LiteralSize(text []byte) int {
	return len(text) + bytes.Count(text, []byte{'"'}) + bytes.Count(text, []byte{'\\'})
}

// AppendLiteral appends JSON text as it stands inside a JSON string literal, without the literal's quotes: quotes and
// backslashes get a backslash, control characters, which may stand between JSON's tokens, their escapes. All else stays
// as it is, UTF-8 included.
func AppendLiteral(dst, text []byte) []byte {
	at, size := len(dst), LiteralSize(text)
	dst = slices.Grow(dst, size)
	out := dst[at : at+size]
	// A backslash is written before every byte, and only counts where it belongs: about one byte in seven
	// is a quote, which no branch predictor foresees.
	n, kinds := 0, uint8(0)
	for _, c := range text {
		kind := literalKinds[c]
		kinds |= kind
		out[n] = '\\'
		n += int(kind & literalQuoted)
		out[n] = c
		n++
	}
	if kinds&literalControl == 0 {
		return dst[:at+size]
	}
	dst = dst[:at]
	for _, c := range text {
		if literalKinds[c] == 0 {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

// Literalize turns dst[from:], which is JSON text, into what AppendLiteral makes of it, in place.
func Literalize(dst []byte, from int) []byte {
	end := len(dst)
	dst = slices.Grow(dst, 2*(end-from))
	dst = AppendLiteral(dst, dst[from:end])
	return append(dst[:from], dst[end:]...)
}

// AppendStringLiteral appends s as AppendString does, as it stands inside a JSON string literal.
func AppendStringLiteral[T string | []byte](dst []byte, s T) []byte {
	at, n := len(dst), len(s)
	if cap(dst)-at < n+4 {
		dst = slices.Grow(dst, n+4)
	}
	out := dst[at : at+n+4]
	for i := 0; i < n; {
		if i+8 <= n { // eight bytes at a time, up to the first that is not plain
			w := word(s, i)
			binary.LittleEndian.PutUint64(out[2+i:], w)
			m := suspects(w)
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		} else if plain(s[i]) {
			out[2+i] = s[i]
			i++
			continue
		}
		size, ok := 0, false
		if s[i] >= utf8.RuneSelf {
			size, ok = runeAt(s, i)
		}
		if !ok { // it becomes longer
			return Literalize(AppendString(dst[:at], s), at)
		}
		copy(out[2+i:], s[i:i+size])
		i += size
	}
	out[0], out[1], out[n+2], out[n+3] = '\\', '"', '\\', '"'
	return dst[:at+n+4]
}

const (
	literalQuoted  = 1 // a backslash goes before it
	literalControl = 2
)

var literalKinds = func() (kinds [256]uint8) {
	for c := range byte(' ') {
		kinds[c] = literalControl
	}
	kinds['"'], kinds['\\'] = literalQuoted, literalQuoted
	return kinds
}()
