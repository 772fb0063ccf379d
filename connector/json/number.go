package json

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"slices"
	"strconv"
)

// parts of a JSON number: digits × 10^exponent. digits has no zeros at its ends; empty is zero.
type parts struct {
	negative bool
	digits   []byte
	exponent int
}

// maxExponent is where an exponent stops to matter: no type here holds such a number.
const maxExponent = 1 << 20

// split takes a number apart, which is valid JSON.
func split(text []byte) parts {
	var p parts
	if text[0] == '-' {
		p.negative, text = true, text[1:]
	}
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		e, err := strconv.Atoi(string(text[i+1:]))
		switch {
		case err != nil && text[i+1] == '-', e < -maxExponent:
			e = -maxExponent
		case err != nil, e > maxExponent:
			e = maxExponent
		}
		p.exponent, text = e, text[:i]
	}
	whole, fraction, _ := bytes.Cut(text, []byte{'.'})
	p.exponent -= len(fraction)
	p.digits = bytes.TrimLeft(append(append(make([]byte, 0, len(text)), whole...), fraction...), "0")
	trimmed := bytes.TrimRight(p.digits, "0")
	p.exponent += len(p.digits) - len(trimmed)
	p.digits = trimmed
	if len(trimmed) == 0 {
		p = parts{}
	}
	return p
}

// integer gives the value of a number that is one exactly, such as 12, 12.0 or 1.2e1. whole is
// false when it has a fraction, fits when it is beyond 64 bits.
func integer(text []byte) (v int64, whole, fits bool) {
	if len(text) <= 18 {
		if v, ok := small(text); ok {
			return v, true, true
		}
	}
	p := split(text)
	if p.exponent < 0 {
		return 0, false, false
	}
	if len(p.digits)+p.exponent > 19 {
		return 0, true, false
	}
	if p.exponent > 0 {
		p.digits = append(p.digits, bytes.Repeat([]byte{'0'}, p.exponent)...)
	}
	if len(p.digits) == 0 {
		return 0, true, true
	}
	sign := ""
	if p.negative {
		sign = "-"
	}
	v, err := strconv.ParseInt(sign+string(p.digits), 10, 64)
	return v, true, err == nil
}

// small reads what is digits only, at most 18 of them.
func small(text []byte) (int64, bool) {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	v := int64(0)
	for _, c := range digits {
		if !digit(c) {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		v = -v
	}
	return v, true
}

// maxDigits is how long a decimal that is written as a number may become at its scale.
const maxDigits = 1000

// unscaled gives the number × 10^scale as big-endian two's complement of the least length, as
// java.math.BigInteger.toByteArray does. The reason says why there is no such integer.
func unscaled(text []byte, scale int) (b []byte, reason string) {
	p := split(text)
	zeros := p.exponent + scale
	switch {
	case len(p.digits) == 0:
		return []byte{0}, ""
	case zeros < 0:
		return nil, "has more digits after the point than the scale " + strconv.Itoa(scale) + " holds"
	case len(p.digits)+zeros > maxDigits:
		return nil, "has more than " + strconv.Itoa(maxDigits) + " digits at the scale " + strconv.Itoa(scale)
	}
	digits := slices.Concat(p.digits, bytes.Repeat([]byte{'0'}, zeros))
	if len(digits) <= 18 {
		v, _ := small(digits)
		if p.negative {
			v = -v
		}
		return shortest(binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(v))), ""
	}
	v, _ := new(big.Int).SetString(string(digits), 10)
	if !p.negative {
		return shortest(append([]byte{0}, v.Bytes()...)), ""
	}
	// The two's complement of -v is the complement of v-1.
	b = append([]byte{0}, v.Sub(v, big.NewInt(1)).Bytes()...)
	for i := range b {
		b[i] = ^b[i]
	}
	return shortest(b), ""
}

// shortest drops leading bytes that only repeat the sign.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}
