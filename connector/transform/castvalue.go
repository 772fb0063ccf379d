package transform

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// castNative casts a native value of schema s, nil for none, as the casts of Java's Number do. The
// result is the native form of the target type; null stays null.
func castNative(s *connector.Schema, v any, to connector.Type) (any, error) {
	switch v.(type) {
	case nil:
		return nil, nil
	case []any, *connector.MapValue, *connector.StructValue:
		name := "MAP"
		if s != nil {
			name = strings.ToUpper(s.Type.String())
		} else if _, ok := v.([]any); ok {
			name = "ARRAY"
		}
		return nil, dataError("Cast transformation does not support casting from %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", name)
	}
	switch to {
	case connector.String:
		return castString(s, v)
	case connector.Boolean:
		return castBool(s, v)
	case connector.Float32, connector.Float64:
		return castFloat(s, v, to)
	}
	if text, ok := v.(string); ok {
		n, err := strconv.ParseInt(text, 10, bits(to))
		if err != nil {
			return nil, outOfRange(text, err)
		}
		return castInt(n, to), nil
	}
	n, err := wholeNumber(s, v, to)
	return castInt(n, to), err
}

// castLoose is castNative for data without a schema, whose numbers are JSON numbers.
func castLoose(v any, to connector.Type) (any, error) {
	out, err := castNative(nil, v, to)
	if err != nil {
		return nil, err
	}
	switch n := out.(type) {
	case float32:
		return looseFloat(float64(n), 32)
	case float64:
		return looseFloat(n, 64)
	case int8:
		return number(int64(n)), nil
	case int16:
		return number(int64(n)), nil
	case int32:
		return number(int64(n)), nil
	case int64:
		return number(n), nil
	}
	return out, nil
}

// looseFloat gives a JSON number that reads as no integer.
func looseFloat(f float64, size int) (any, error) {
	text := javaFloat(f, size)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, dataError("%s is no JSON number, so data without a schema cannot hold it", text)
	}
	return connector.Number(text), nil
}

func outOfRange(text string, cause error) error {
	return &Error{dataException, "Value (" + text + ") was out of range for requested data type", cause}
}

func unexpected(s *connector.Schema, v any) error {
	return dataError("Unexpected type in Cast transformation: class %s", classOf(s, v))
}

func bits(t connector.Type) int {
	switch t {
	case connector.Int8:
		return 8
	case connector.Int16:
		return 16
	case connector.Int32, connector.Float32:
		return 32
	}
	return 64
}

// castInt gives n in the native form of a numeric type; integers lose their upper bits.
func castInt(n int64, to connector.Type) any {
	switch to {
	case connector.Int8:
		return int8(n)
	case connector.Int16:
		return int16(n)
	case connector.Int32:
		return int32(n)
	case connector.Float32:
		return float32(n)
	case connector.Float64:
		return float64(n)
	}
	return n
}

// wholeNumber gives the integer part of a number or boolean. Floats that are too large become the
// largest integer, as in Java; the cast to the target's own width is castInt's.
func wholeNumber(s *connector.Schema, v any, to connector.Type) (int64, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float32:
		return saturate(float64(v), to), nil
	case float64:
		return saturate(v, to), nil
	case connector.Number:
		if integral(v) {
			n, err := strconv.ParseInt(string(v), 10, 64)
			if err != nil {
				return 0, outOfRange(string(v), err)
			}
			return n, nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return 0, outOfRange(string(v), err)
		}
		return saturate(f, to), nil
	case []byte:
		if s != nil && isDecimal(s) {
			d, err := newDecimal(s, v)
			return d.low(), err
		}
	}
	return 0, unexpected(s, v)
}

// saturate is Java's cast of a double to long, or to int for the narrower types.
func saturate(f float64, to connector.Type) int64 {
	least, most := int64(math.MinInt32), int64(math.MaxInt32)
	if to == connector.Int64 || to == connector.Boolean {
		least, most = math.MinInt64, math.MaxInt64
	}
	switch {
	case f != f:
		return 0
	case f <= float64(least):
		return least
	case f >= float64(most):
		return most
	}
	return int64(f)
}

func castBool(s *connector.Schema, v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		return strings.EqualFold(v, "true"), nil
	}
	n, err := wholeNumber(s, v, connector.Boolean)
	return n != 0, err
}

func castFloat(s *connector.Schema, v any, to connector.Type) (any, error) {
	var f float64
	var err error
	size := bits(to)
	switch v := v.(type) {
	case float32:
		f = float64(v)
	case float64:
		f = v
	case string:
		f, err = parseFloat(v, size)
	case connector.Number:
		f, err = parseFloat(string(v), size)
	case []byte:
		if s == nil || !isDecimal(s) {
			return nil, unexpected(s, v)
		}
		d, decimalErr := newDecimal(s, v)
		if decimalErr != nil {
			return nil, decimalErr
		}
		f, err = parseFloat(d.String(), size)
	default:
		n, err := wholeNumber(s, v, to)
		return castInt(n, to), err
	}
	switch {
	case err != nil:
		return nil, err
	case size == 32:
		return float32(f), nil
	}
	return f, nil
}

func castString(s *connector.Schema, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case connector.Number:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case float32:
		return javaFloat(float64(v), 32), nil
	case float64:
		return javaFloat(v, 64), nil
	case []byte:
		if s == nil || !isDecimal(s) {
			return base64.StdEncoding.EncodeToString(v), nil
		}
		d, err := newDecimal(s, v)
		return d.String(), err
	}
	n, err := wholeNumber(s, v, connector.Int64)
	if err == nil && s != nil && isDate(s) {
		return dateText(s, n), nil
	}
	return strconv.FormatInt(n, 10), err
}

const msPerDay = 86_400_000

// dateText gives a Date, Time or Timestamp in the forms of Kafka's Values.dateFormatFor, but that a
// Date or Timestamp of 1970-01-01 or before keeps its date.
func dateText(s *connector.Schema, n int64) string {
	form := "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
	switch {
	case s.Name == connector.NameTime:
		form = "HH:mm:ss.SSS'Z'"
	case s.Name == connector.NameDate:
		form, n = "yyyy-MM-dd", n*msPerDay
	case n >= msPerDay && n%msPerDay == 0:
		form = "yyyy-MM-dd"
	}
	p, err := parseDatePattern(form)
	if err != nil {
		return ""
	}
	return string(p.format(nil, n))
}
