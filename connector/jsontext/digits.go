package jsontext

import (
	"math/bits"
	"slices"
)

const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

var powersOf10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// AppendInt appends the decimal digits of v.
func AppendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendUint(append(dst, '-'), -uint64(v))
	}
	return appendUint(dst, uint64(v))
}

// appendUint appends the decimal digits of v in place, which strconv does by way of a buffer:
// integers are half of what a change event holds.
func appendUint(dst []byte, v uint64) []byte {
	n := digitCount(v)
	dst = extend(dst, n)
	out := dst[len(dst)-n:]
	i := n
	for ; v >= 1e8; i -= 8 {
		q := v / 1e8
		rest := uint32(v - q*1e8)
		v = q
		high, low := rest/1e4, rest%1e4
		b := out[i-8 : i]
		put2(b[0:2], high/100)
		put2(b[2:4], high%100)
		put2(b[4:6], low/100)
		put2(b[6:8], low%100)
	}
	putDigits(out[:i], uint32(v))
	return dst
}

// putDigits fills out with the last len(out) digits of v.
func putDigits(out []byte, v uint32) {
	i := len(out)
	for ; i >= 2; i -= 2 {
		q := v / 100
		put2(out[i-2:i], v-q*100)
		v = q
	}
	if i == 1 {
		out[0] = '0' + byte(v%10)
	}
}

// put2 writes v, which is below 100, as two digits.
func put2(out []byte, v uint32) {
	_ = out[1]
	out[0], out[1] = pairs[2*v], pairs[2*v+1]
}

// append2 appends v, which is below 100, as two digits.
func append2(dst []byte, v uint32) []byte {
	return append(dst, pairs[2*v], pairs[2*v+1])
}

// appendPadded appends the last width digits of v, leading zeros included.
func appendPadded(dst []byte, v uint32, width int) []byte {
	dst = extend(dst, width)
	putDigits(dst[len(dst)-width:], v)
	return dst
}

// extend makes dst longer by n bytes of any content.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) < n {
		dst = slices.Grow(dst, n)
	}
	return dst[:len(dst)+n]
}

func digitCount(v uint64) int {
	n := bits.Len64(v|1) * 1233 >> 12 // log10(2) is just over 1233/4096
	if v >= powersOf10[n] {
		n++
	}
	return max(n, 1)
}
