package primitive

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// temporal reads the texts of exactly these forms, in UTC: 2006-01-02, 15:04:05.000Z and
// 2006-01-02T15:04:05.000Z, with colons escaped or not. Days that the calendar does not have are none:
// they stay text. (Kafka Connect takes 2019-02-30 for the 2nd of March.)
func temporal(text string) (node, bool) {
	text = strings.ReplaceAll(text, `\:`, ":")
	layout, schema := "", (*connector.Schema)(nil)
	switch len(text) {
	case len("2006-01-02"):
		layout, schema = "2006-01-02", dateSchema
	case len("15:04:05.000Z"):
		layout, schema = "15:04:05.000Z", timeSchema
	case len("2006-01-02T15:04:05.000Z"):
		layout, schema = "2006-01-02T15:04:05.000Z", timestampSchema
	default:
		return node{}, false
	}
	t, err := time.Parse(layout, text)
	if err != nil || t.Format(layout) != text {
		return node{}, false
	}
	var v any
	switch schema {
	case dateSchema:
		v = int32(t.Unix() / (24 * 60 * 60))
	case timeSchema:
		v = int32(((t.Hour()*60+t.Minute())*60+t.Second())*1000 + t.Nanosecond()/1e6)
	default:
		v = t.UnixMilli()
	}
	return node{kind: kindLeaf, schema: schema, value: v, text: text}, true
}

// number reads what java.math.BigDecimal reads and gives it the first type that holds it: the
// smallest integer if it is one, else float32, float64 or Decimal. As in Kafka Connect a fraction
// becomes a float32 whatever digits that loses.
func number(token string) (node, bool) {
	d, ok := parseDecimal(token)
	if !ok {
		return node{}, false
	}
	if v, ok := d.integer(); ok {
		return integerLeaf(v), true
	}
	if d.scale != 0 {
		if f, err := strconv.ParseFloat(token, 32); err == nil {
			return leaf(float32Schema, float32(f)), true
		}
		if f, err := strconv.ParseFloat(token, 64); err == nil {
			return leaf(float64Schema, f), true
		}
	}
	return d.leaf()
}

func integerLeaf(v int64) node {
	switch {
	case v == int64(int8(v)):
		return leaf(int8Schema, int8(v))
	case v == int64(int16(v)):
		return leaf(int16Schema, int16(v))
	case v == int64(int32(v)):
		return leaf(int32Schema, int32(v))
	}
	return leaf(int64Schema, v)
}

// decimal is ±digits × 10^-scale.
type decimal struct {
	negative bool
	digits   string
	scale    int
}

// parseDecimal reads [+-] digits [. digits] [e [+-] digits], with a digit before or after the point.
func parseDecimal(token string) (decimal, bool) {
	var d decimal
	rest := token
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		d.negative = rest[0] == '-'
		rest = rest[1:]
	}
	whole := leadingDigits(rest)
	rest = rest[len(whole):]
	fraction := ""
	if rest != "" && rest[0] == '.' {
		fraction = leadingDigits(rest[1:])
		rest = rest[1+len(fraction):]
	}
	if whole == "" && fraction == "" {
		return d, false
	}
	d.digits, d.scale = whole+fraction, len(fraction)
	if rest == "" {
		return d, true
	}
	if rest[0]|' ' != 'e' {
		return d, false
	}
	exponent, err := strconv.ParseInt(rest[1:], 10, 32)
	scale := int64(d.scale) - exponent
	d.scale = int(scale)
	return d, err == nil && scale >= math.MinInt32 && scale <= math.MaxInt32
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}

// integer gives the value if it is an integer of 64 bits.
func (d decimal) integer() (int64, bool) {
	digits := strings.TrimLeft(d.digits, "0")
	if digits == "" {
		return 0, true
	}
	kept := strings.TrimRight(digits, "0")
	zeros := len(digits) - len(kept) - d.scale
	if zeros < 0 || len(kept)+zeros > 19 {
		return 0, false
	}
	v, err := strconv.ParseInt(d.sign()+kept+strings.Repeat("0", zeros), 10, 64)
	return v, err == nil
}

func (d decimal) sign() string {
	if d.negative {
		return "-"
	}
	return ""
}

// Limits of a Decimal in a header: a few bytes of text must not stand for many thousand digits.
const (
	maxDigits = 10_000
	maxScale  = 1000
)

// leaf gives the Decimal; not ok beyond the limits: then the text is a string.
func (d decimal) leaf() (node, bool) {
	if len(d.digits) > maxDigits || d.scale > maxScale || d.scale < -maxScale {
		return node{}, false
	}
	v, ok := new(big.Int).SetString(d.sign()+d.digits, 10)
	return leaf(decimalSchema(d.scale), twosComplement(v)), ok
}

func decimalSchema(scale int) *connector.Schema {
	return &connector.Schema{Type: connector.Bytes, Name: connector.NameDecimal, Version: 1,
		Params: map[string]string{"scale": strconv.Itoa(scale)}}
}

// twosComplement gives v as java.math.BigInteger.toByteArray does.
func twosComplement(v *big.Int) []byte {
	// The least length holds the magnitude and a sign; of a negative number, of -v-1.
	bits := v.BitLen()
	if v.Sign() < 0 {
		bits = new(big.Int).Not(v).BitLen()
	}
	b := make([]byte, bits/8+1)
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v.FillBytes(b)
}

// rescale gives unscaled bytes at a larger scale: the value stays.
func rescale(b []byte, digits int) []byte {
	v := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return twosComplement(v.Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
}
