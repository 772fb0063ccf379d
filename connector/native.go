package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// TemporalOf says how the integers of a schema count time; NotTemporal when s is nil, plain,
// or has the name of a temporal type on another physical type.
func TemporalOf(s *Schema) jsontext.Temporal {
	if s == nil {
		return jsontext.NotTemporal
	}
	switch s.Type {
	case Int32:
		switch s.Name {
		case NameDate, NameDebeziumDate:
			return jsontext.Date
		case NameTime, NameDebeziumTime:
			return jsontext.TimeMillis
		}
	case Int64:
		switch s.Name {
		case NameTimestamp, NameDebeziumTimestamp:
			return jsontext.TimestampMillis
		case NameDebeziumMicroTimestamp:
			return jsontext.TimestampMicros
		case NameDebeziumNanoTimestamp:
			return jsontext.TimestampNanos
		case NameDebeziumMicroTime:
			return jsontext.TimeMicros
		case NameDebeziumNanoTime:
			return jsontext.TimeNanos
		}
	}
	return jsontext.NotTemporal
}

// DecimalScale gives the scale of a NameDecimal schema; ok is false for every other schema.
// The error says that a Decimal has no usable "scale" parameter.
func DecimalScale(s *Schema) (scale int, ok bool, err error) {
	if s == nil || s.Type != Bytes || s.Name != NameDecimal {
		return 0, false, nil
	}
	text, found := s.Params["scale"]
	if !found {
		return 0, true, errors.New("decimal without a scale parameter")
	}
	scale, err = strconv.Atoi(text)
	if err != nil || scale > jsontext.MaxScale || scale < -jsontext.MaxScale {
		return 0, true, fmt.Errorf("decimal scale %q is no integer from -%d to %[2]d", text, jsontext.MaxScale)
	}
	return scale, true, nil
}

// MapAsObject reports whether maps of s are JSON objects; the others are arrays of
// [key, value] pairs, as Kafka Connect's JsonConverter writes maps whose keys are no strings.
func MapAsObject(s *Schema) bool {
	return s == nil || s.Key == nil || s.Key.Type == String && !s.Key.Optional
}

// appendNative appends the JSON text of a native value (see Value.Native), by the rules of jsontext.
func appendNative(dst []byte, s *Schema, native any, f *Format) ([]byte, error) {
	switch v := native.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return jsontext.AppendString(dst, v), nil
	case int8:
		return jsontext.AppendInt(dst, int64(v)), nil
	case int16:
		return jsontext.AppendInt(dst, int64(v)), nil
	case int32:
		return appendInt(dst, s, int64(v), f, Int64Number), nil
	case int64:
		return appendInt(dst, s, v, f, f.Int64), nil
	case float32:
		return jsontext.AppendFloat(dst, float64(v), 32), nil
	case float64:
		return jsontext.AppendFloat(dst, v, 64), nil
	case Number:
		if v == "" || v[0] != '-' && (v[0] < '0' || v[0] > '9') || !json.Valid([]byte(v)) {
			return dst, fmt.Errorf("%q is no JSON number", string(v))
		}
		return append(dst, v...), nil
	case []byte:
		return appendBytes(dst, s, v, f)
	case []any:
		return appendArray(dst, s, v, f)
	case *MapValue:
		return appendMap(dst, s, v, f)
	case *StructValue:
		return appendStruct(dst, v, f)
	}
	return dst, fmt.Errorf("%T is not the native form of any schema type", native)
}

func appendInt(dst []byte, s *Schema, v int64, f *Format, form Int64Format) []byte {
	t := TemporalOf(s)
	switch {
	case t != jsontext.NotTemporal && f.Time == TimeISO:
		return append(jsontext.AppendTemporal(append(dst, '"'), t, v), '"')
	case t == jsontext.NotTemporal && form == Int64String:
		return append(jsontext.AppendInt(append(dst, '"'), v), '"')
	}
	return jsontext.AppendInt(dst, v)
}

func appendBytes(dst []byte, s *Schema, v []byte, f *Format) ([]byte, error) {
	scale, isDecimal, err := DecimalScale(s)
	switch {
	case err != nil:
		return dst, err
	case isDecimal && f.Decimal == DecimalNumber:
		return jsontext.AppendDecimal(dst, v, scale)
	case isDecimal:
		dst, err = jsontext.AppendDecimal(append(dst, '"'), v, scale)
		return append(dst, '"'), err
	case f.Binary == BinaryHex:
		return append(jsontext.AppendHex(append(dst, '"'), v), '"'), nil
	}
	return append(jsontext.AppendBase64(append(dst, '"'), v), '"'), nil
}

func appendArray(dst []byte, s *Schema, v []any, f *Format) ([]byte, error) {
	var elem *Schema
	if s != nil {
		elem = s.Elem
	}
	dst = append(dst, '[')
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendNative(dst, elem, e, f); err != nil {
			return dst, within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return append(dst, ']'), nil
}

func appendStruct(dst []byte, v *StructValue, f *Format) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	if v.Schema == nil || len(v.Values) != len(v.Schema.Fields) {
		return dst, fmt.Errorf("struct holds %d values that its schema does not describe", len(v.Values))
	}
	dst = append(dst, '{')
	for i, field := range v.Schema.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendString(dst, field.Name), ':')
		var err error
		if dst, err = appendNative(dst, field.Schema, v.Values[i], f); err != nil {
			return dst, within(field.Name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendMap(dst []byte, s *Schema, v *MapValue, f *Format) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	var key, elem *Schema
	if s != nil {
		key, elem = s.Key, s.Elem
	}
	object := MapAsObject(s) && stringKeys(v)
	brackets := "[]"
	if object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i, e := range v.Entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendEntry(dst, object, key, elem, e, f); err != nil {
			return dst, within(fmt.Sprintf("[%q]", fmt.Sprint(e.Key)), err)
		}
	}
	return append(dst, brackets[1]), nil
}

func appendEntry(dst []byte, object bool, key, elem *Schema, e Entry, f *Format) ([]byte, error) {
	before, between := "[", byte(',')
	if object {
		before, between = "", ':'
	}
	dst, err := appendNative(append(dst, before...), key, e.Key, f)
	if err != nil {
		return dst, err
	}
	dst, err = appendNative(append(dst, between), elem, e.Value, f)
	if err != nil || object {
		return dst, err
	}
	return append(dst, ']'), nil
}

func stringKeys(v *MapValue) bool {
	for _, e := range v.Entries {
		if _, ok := e.Key.(string); !ok {
			return false
		}
	}
	return true
}

// pathError places an error inside a value, innermost step last.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

// within says that err happened below the field or element called step.
func within(step string, err error) error {
	var inner *pathError
	if errors.As(err, &inner) {
		if inner.path[0] != '[' {
			step += "."
		}
		return &pathError{path: step + inner.path, err: inner.err}
	}
	return &pathError{path: step, err: err}
}
