package transform

import (
	"math"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// schema gives the schema of the target.
func (t *timestamps) schema(isOptional bool) *connector.Schema {
	s := &connector.Schema{Type: connector.Int64, Optional: isOptional, Version: 1}
	switch t.target {
	case typeString:
		s.Type, s.Version = connector.String, 0
	case typeUnix:
		s.Version = 0
	case typeDate:
		s.Type, s.Name = connector.Int32, connector.NameDate
	case typeTime:
		s.Type, s.Name = connector.Int32, connector.NameTime
	case typeTimestamp:
		s.Name = connector.NameTimestamp
	}
	return s
}

func (t *timestamps) convertValue(v connector.Value, from, to *connector.Schema) (connector.Value, error) {
	native, err := v.Native()
	if err != nil {
		return v, err
	}
	out, err := t.convert(from, native)
	return connector.NewValue(to, out), err
}

// convert gives a native value of schema s in the native form of the target.
func (t *timestamps) convert(s *connector.Schema, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	ms, err := t.millis(s, v)
	if err != nil {
		return nil, err
	}
	return t.native(ms)
}

func (t *timestamps) millis(s *connector.Schema, v any) (int64, error) {
	switch n := v.(type) {
	case int32:
		switch s.Name {
		case connector.NameDate:
			return int64(n) * msPerDay, nil
		case connector.NameTime:
			return int64(n), nil
		}
	case int64:
		if s.Name == connector.NameTimestamp {
			return n, nil
		}
		return t.fromUnix(n)
	case string:
		return t.fromText(n)
	}
	name := strings.ToUpper(s.Type.String())
	if s.Name != "" {
		name = s.Name + ":" + name
	}
	return 0, failure(connectException, "Schema Schema{%s} does not correspond to a known timestamp type format", name)
}

// convertLoose converts a value without a schema, whose type says what it is. Dates and times, for
// which there is no such type, become text as JSON shows them.
func (t *timestamps) convertLoose(v any) (any, error) {
	var ms int64
	var err error
	switch n := v.(type) {
	case nil:
		return nil, nil
	case string:
		ms, err = t.fromText(n)
	case connector.Number:
		if !integral(n) {
			return nil, notTimestamp(v)
		}
		var long int64
		if long, err = wholeNumber(nil, n, connector.Int64); err == nil {
			ms, err = t.fromUnix(long)
		}
	default:
		return nil, notTimestamp(v)
	}
	if err != nil {
		return nil, err
	}
	out, err := t.native(ms)
	if err != nil {
		return nil, err
	}
	switch n := out.(type) {
	case int32:
		kind := connector.TemporalOf(t.schema(false))
		return string(jsontext.AppendTemporal(nil, kind, int64(n))), nil
	case int64:
		if t.target == typeTimestamp {
			return string(jsontext.AppendTemporal(nil, jsontext.TimestampMillis, n)), nil
		}
		return number(n), nil
	}
	return out, nil
}

func notTimestamp(v any) error {
	return dataError("TimestampConverter does not support class %s objects as timestamps", classOf(nil, v))
}

func (t *timestamps) fromText(text string) (int64, error) {
	if t.pattern == nil {
		return 0, dataError("Could not parse timestamp: value (%s) is text, and no format is configured", text)
	}
	ms, ok := t.pattern.parse(text)
	if !ok {
		return 0, dataError("Could not parse timestamp: value (%s) does not match pattern (%s)", text, t.pattern.text)
	}
	return ms, nil
}

func (t *timestamps) fromUnix(n int64) (int64, error) {
	switch t.precision {
	case "seconds":
		return scaled(n, 1000)
	case "microseconds":
		return n / 1000, nil
	case "nanoseconds":
		return n / 1_000_000, nil
	}
	return n, nil
}

// scaled gives n times factor, which must fit 64 bits.
func scaled(n, factor int64) (int64, error) {
	if n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return 0, dataError("Timestamp %d is too large to be converted exactly", n)
	}
	return n * factor, nil
}

// native gives milliseconds since 1970 in the native form of the target.
func (t *timestamps) native(ms int64) (any, error) {
	switch t.target {
	case typeString:
		return string(t.pattern.format(nil, ms)), nil
	case typeUnix:
		return t.toUnix(ms)
	case typeTimestamp:
		return ms, nil
	}
	day := ms / msPerDay
	if ms%msPerDay < 0 {
		day--
	}
	if t.target == typeTime {
		return int32(ms - day*msPerDay), nil
	}
	if day > math.MaxInt32 || day < math.MinInt32 {
		return nil, dataError("Timestamp %d is too large to be converted exactly", ms)
	}
	return int32(day), nil
}

func (t *timestamps) toUnix(ms int64) (any, error) {
	var n int64
	var err error
	switch t.precision {
	case "seconds":
		n = ms / 1000
	case "microseconds":
		n, err = scaled(ms, 1000)
	case "nanoseconds":
		n, err = scaled(ms, 1_000_000)
	default:
		n = ms
	}
	return n, err
}
