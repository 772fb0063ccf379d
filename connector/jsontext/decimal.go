package jsontext

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// Limits of decimals: beyond them a value is no column's and only costs memory.
const (
	// MaxScale is the largest scale, either way, that AppendDecimal writes (PostgreSQL's most).
	MaxScale = 16_383
	// MaxUnscaled is the most bytes of an unscaled value, some 157,000 digits.
	MaxUnscaled = 64 << 10
)

var errNoDigits = errors.New("decimal without bytes: an unscaled value has at least one")

const tenToThe19 = 10_000_000_000_000_000_000

// AppendDecimal appends unscaled × 10^-scale as exact plain text (no exponent, all digits of
// the scale, no quotes): 12345 with scale 2 is 123.45, with scale -2 it is 1234500. unscaled is
// big-endian two's complement, as java.math.BigInteger.toByteArray gives it. Up to 16 bytes
// (decimal(38)) nothing is allocated. dst is returned unchanged with an error.
func AppendDecimal(dst, unscaled []byte, scale int) ([]byte, error) {
	if len(unscaled) == 0 {
		return dst, errNoDigits
	}
	if scale > MaxScale || scale < -MaxScale {
		return dst, fmt.Errorf("decimal scale %d is beyond %d", scale, MaxScale)
	}
	if len(unscaled) > MaxUnscaled {
		return dst, fmt.Errorf("decimal of %d bytes is longer than %d", len(unscaled), MaxUnscaled)
	}
	unscaled = trimSign(unscaled)
	negative := unscaled[0] >= 0x80
	if negative {
		dst = append(dst, '-')
	}
	var buf [40]byte
	switch {
	case len(unscaled) <= 8:
		_, lo := magnitude(unscaled, negative)
		return appendScaled(dst, appendUint(buf[:0], lo), scale), nil
	case len(unscaled) <= 16:
		hi, lo := magnitude(unscaled, negative)
		return appendScaled(dst, appendUint128(buf[:0], hi, lo), scale), nil
	}
	v := new(big.Int).SetBytes(unscaled)
	if negative {
		v.Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))), v)
	}
	return appendScaled(dst, v.Append(nil, 10), scale), nil
}

// trimSign drops leading bytes that only repeat the sign, as fixed-size decimals have them.
func trimSign(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// magnitude gives the absolute value of up to 16 bytes of two's complement.
func magnitude(b []byte, negative bool) (hi, lo uint64) {
	if negative {
		hi, lo = ^uint64(0), ^uint64(0)
	}
	for _, c := range b {
		hi = hi<<8 | lo>>56
		lo = lo<<8 | uint64(c)
	}
	if negative {
		var carry uint64
		lo, carry = bits.Add64(^lo, 1, 0)
		hi = ^hi + carry
	}
	return hi, lo
}

// appendUint128 appends hi·2^64+lo, which is at most 2^127.
func appendUint128(dst []byte, hi, lo uint64) []byte {
	if hi == 0 {
		return appendUint(dst, lo)
	}
	// hi < tenToThe19 as the value is at most 2^127, so the division cannot overflow.
	quotient, rest := bits.Div64(hi, lo, tenToThe19)
	dst = appendUint(dst, quotient)
	for unit := uint64(1e12); unit > 0; unit /= 1e6 { // 7 and twice 6 digits
		digits := 6
		if unit == 1e12 {
			digits = 7
		}
		dst = appendPadded(dst, uint32(rest/unit), digits)
		rest %= unit
	}
	return dst
}

// appendScaled puts the point of scale into digits.
func appendScaled(dst, digits []byte, scale int) []byte {
	switch whole := len(digits) - scale; {
	case scale <= 0:
		dst = append(dst, digits...)
		if len(digits) == 1 && digits[0] == '0' {
			return dst
		}
		return appendZeros(dst, -scale)
	case whole > 0:
		dst = append(dst, digits[:whole]...)
		dst = append(dst, '.')
		return append(dst, digits[whole:]...)
	default:
		dst = appendZeros(append(dst, '0', '.'), -whole)
		return append(dst, digits...)
	}
}

func appendZeros(dst []byte, n int) []byte {
	const zeros = "00000000000000000000000000000000"
	for n > len(zeros) {
		dst = append(dst, zeros...)
		n -= len(zeros)
	}
	return append(dst, zeros[:n]...)
}
