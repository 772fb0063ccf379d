package transform

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// parseNumber reads an integer or float into the native form of a numeric type.
func parseNumber(text string, to connector.Type) (any, error) {
	if to == connector.Float32 || to == connector.Float64 {
		f, err := parseFloat(text, bits(to))
		if to == connector.Float32 {
			return float32(f), err
		}
		return f, err
	}
	n, err := strconv.ParseInt(text, 10, bits(to))
	return castInt(n, to), err
}

// parseFloat reads what Java's parseDouble and parseFloat read.
func parseFloat(text string, size int) (float64, error) {
	s := strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	sign := 1.0
	switch unsigned := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-"); {
	case len(s)-len(unsigned) > 1:
		return 0, outOfRange(text, nil)
	case unsigned == "NaN":
		return math.NaN(), nil
	case unsigned == "Infinity":
		if strings.HasPrefix(s, "-") {
			sign = -1
		}
		return sign * math.Inf(1), nil
	}
	if strings.ContainsAny(s, "_iInN") {
		return 0, outOfRange(text, nil)
	}
	if hex := strings.ContainsAny(s, "xX"); !hex || strings.ContainsAny(s, "pP") {
		if n := len(s); n > 0 && strings.IndexByte("dDfF", s[n-1]) >= 0 {
			s = s[:n-1]
		}
	}
	f, err := strconv.ParseFloat(s, size)
	// Java rounds what is too large to infinity.
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, outOfRange(text, err)
	}
	return f, nil
}

// javaFloat prints as Float.toString and Double.toString do: 1.0, 0.001, 1.0E10.
func javaFloat(f float64, size int) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || abs >= 1e-3 && abs < 1e7:
		return withFraction(strconv.FormatFloat(f, 'f', -1, size))
	}
	digits, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, size), "E")
	n, err := strconv.Atoi(exp)
	if err != nil {
		return digits
	}
	return withFraction(digits) + "E" + strconv.Itoa(n)
}

func withFraction(s string) string {
	if strings.Contains(s, ".") {
		return s
	}
	return s + ".0"
}

// decimal is an exact decimal number, unscaled / 10^scale, as java.math.BigDecimal.
type decimal struct {
	unscaled big.Int
	scale    int
}

// newDecimal reads the bytes of a Decimal: big-endian two's complement.
func newDecimal(s *connector.Schema, unscaled []byte) (*decimal, error) {
	scale, _, err := connector.DecimalScale(s)
	d := &decimal{scale: scale}
	if err != nil {
		return d, &Error{dataException, err.Error(), err}
	}
	d.unscaled.SetBytes(unscaled)
	if len(unscaled) > 0 && unscaled[0] >= 0x80 {
		d.unscaled.Sub(&d.unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	return d, nil
}

// low gives the integer part's lower 64 bits, as BigDecimal.longValue.
func (d *decimal) low() int64 {
	n := new(big.Int).Set(&d.unscaled)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.scale, -d.scale))), nil)
	if d.scale >= 0 {
		n.Quo(n, power)
	} else {
		n.Mul(n, power)
	}
	// Uint64 is undefined for numbers that do not fit, so they are cut first; And works on two's complement.
	n.And(n, new(big.Int).SetUint64(math.MaxUint64))
	return int64(n.Uint64())
}

// String prints as BigDecimal.toString does: with an exponent where the scale is negative or the
// number has more than five zeros after the point.
func (d *decimal) String() string {
	digits := new(big.Int).Abs(&d.unscaled).String()
	sign := ""
	if d.unscaled.Sign() < 0 {
		sign = "-"
	}
	exponent := len(digits) - 1 - d.scale
	switch {
	case d.scale == 0:
		return sign + digits
	case d.scale > 0 && exponent >= 0:
		at := len(digits) - d.scale
		return sign + digits[:at] + "." + digits[at:]
	case d.scale > 0 && exponent >= -6:
		return sign + "0." + strings.Repeat("0", d.scale-len(digits)) + digits
	case len(digits) > 1:
		digits = digits[:1] + "." + digits[1:]
	}
	return fmt.Sprintf("%s%sE%+d", sign, digits, exponent)
}

// decimalOf reads decimal text into the bytes of a Decimal of schema s. It must fit the scale exactly.
func decimalOf(s *connector.Schema, text string) ([]byte, error) {
	scale, _, err := connector.DecimalScale(s)
	if err != nil {
		return nil, err
	}
	if len(text) > 1000 || strings.ContainsAny(text, "/_xXpPbBoO") {
		return nil, fmt.Errorf("%q is no decimal number", text)
	}
	if _, exp, ok := strings.Cut(strings.ToLower(text), "e"); ok {
		if n, err := strconv.Atoi(exp); err != nil || n > 1000 || n < -1000 {
			return nil, fmt.Errorf("%q has no exponent from -1000 to 1000", text)
		}
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%q is no decimal number", text)
	}
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
	if scale < 0 {
		power.Inv(power)
	}
	if n.Mul(n, power); !n.IsInt() {
		return nil, fmt.Errorf("%q has more than %d digits after the point", text, scale)
	}
	return twosComplement(n.Num()), nil
}

// twosComplement gives the shortest big-endian two's complement of n, as BigInteger.toByteArray.
func twosComplement(n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	if n.Sign() < 0 {
		size = new(big.Int).Not(n).BitLen()/8 + 1
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(make([]byte, size))
}
