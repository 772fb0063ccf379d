package primitive

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// charset gives the decoder of a character set by its name in Java (java.nio.charset.Charset:
// the canonical name and its usual aliases, in any case). Decoders replace what they cannot read
// by U+FFFD, as often as Java's do.
func charset(name string) (decode func([]byte) string, ok bool) {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "unicode-1-1-utf-8":
		return fromUTF8, true
	case "iso-8859-1", "iso8859-1", "iso_8859-1", "iso8859_1", "iso_8859_1", "8859_1", "latin1", "l1", "iso-ir-100", "cp819", "ibm819", "ibm-819", "819", "csisolatin1":
		return fromLatin1, true
	case "us-ascii", "ascii", "ascii7", "iso646-us", "iso_646.irv:1991", "ansi_x3.4-1968", "ansi_x3.4-1986", "cp367", "ibm367", "646", "us", "csascii":
		return fromASCII, true
	case "utf-16", "utf16", "utf_16", "unicode", "unicodebig":
		return fromUTF16, true
	case "utf-16be", "utf_16be", "x-utf-16be", "iso-10646-ucs-2", "unicodebigunmarked":
		return func(b []byte) string { return fromUnits(b, binary.BigEndian) }, true
	case "utf-16le", "utf_16le", "x-utf-16le", "unicodelittleunmarked":
		return func(b []byte) string { return fromUnits(b, binary.LittleEndian) }, true
	}
	return nil, false
}

// fromUTF8 puts one U+FFFD in the place of each longest beginning of a character that does not go
// on, and of each encoded surrogate.
func fromUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var text strings.Builder
	text.Grow(len(b) + 8)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			size = malformed(b)
		}
		text.WriteRune(r)
		b = b[size:]
	}
	return text.String()
}

// malformed gives how many bytes one replacement stands for.
func malformed(b []byte) int {
	c := b[0]
	if c < 0xc2 || c > 0xf4 || len(b) < 2 || !continues(b[1]) {
		return 1
	}
	switch second := b[1]; {
	case c == 0xe0 && second < 0xa0, c == 0xf0 && second < 0x90, c == 0xf4 && second > 0x8f:
		return 1
	case c == 0xed && second > 0x9f:
		if len(b) > 2 && continues(b[2]) {
			return 3
		}
		return 1
	case c >= 0xf0 && len(b) > 2 && continues(b[2]):
		return 3
	}
	return 2
}

func continues(c byte) bool { return c&0xc0 == 0x80 }

func fromLatin1(b []byte) string {
	var text strings.Builder
	text.Grow(len(b) + len(b)/8)
	for _, c := range b {
		text.WriteRune(rune(c))
	}
	return text.String()
}

func fromASCII(b []byte) string {
	var text strings.Builder
	text.Grow(len(b))
	for _, c := range b {
		if c >= utf8.RuneSelf {
			text.WriteRune(utf8.RuneError)
		} else {
			text.WriteByte(c)
		}
	}
	return text.String()
}

// fromUTF16 reads the order of the bytes from the mark, which is no part of the text.
func fromUTF16(b []byte) string {
	if len(b) >= 2 {
		switch binary.BigEndian.Uint16(b) {
		case 0xfeff:
			return fromUnits(b[2:], binary.BigEndian)
		case 0xfffe:
			return fromUnits(b[2:], binary.LittleEndian)
		}
	}
	return fromUnits(b, binary.BigEndian)
}

func fromUnits(b []byte, order binary.ByteOrder) string {
	var text strings.Builder
	text.Grow(len(b))
	for len(b) >= 2 {
		r := rune(order.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(r) && len(b) >= 2 {
			if pair := utf16.DecodeRune(r, rune(order.Uint16(b))); pair != utf8.RuneError {
				r, b = pair, b[2:]
			}
		}
		text.WriteRune(r) // half a pair becomes U+FFFD
	}
	if len(b) == 1 {
		text.WriteRune(utf8.RuneError)
	}
	return text.String()
}
