package config

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Values is a parsed configuration. Asking for a key that is not declared, or for another type
// than it has, panics with the key's name: it is a programming error. Printing or encoding Values
// shows no secret. It is safe for concurrent use.
type Values struct {
	fields map[string]field
	raw    map[string]string
}

type field struct {
	typ     Type
	unit    string
	value   any // nil is null
	invalid bool
}

func (v Values) field(name string) field {
	f, ok := v.fields[name]
	if !ok {
		panic("config: key " + name + " is not declared")
	}
	return f
}

// get gives the value of a key of type t as T, the zero T for null.
func get[T any](v Values, name string, t Type) T {
	f := v.field(name)
	if f.typ != t {
		panic(fmt.Sprintf("config: key %s is a %s, asked for as a %s", name, f.typ, t))
	}
	value, _ := f.value.(T)
	return value
}

// String gives a String key's value, "" for null.
func (v Values) String(name string) string { return get[string](v, name, String) }

// Bool gives a Boolean key's value, false for null.
func (v Values) Bool(name string) bool { return get[bool](v, name, Boolean) }

// Int gives an Int key's value, 0 for null.
func (v Values) Int(name string) int { return int(get[int32](v, name, Int)) }

// Short gives a Short key's value, 0 for null.
func (v Values) Short(name string) int16 { return get[int16](v, name, Short) }

// Long gives a Long key's value, 0 for null.
func (v Values) Long(name string) int64 { return get[int64](v, name, Long) }

// Double gives a Double key's value, 0 for null.
func (v Values) Double(name string) float64 { return get[float64](v, name, Double) }

// List gives a copy of a List key's items, nil for null.
func (v Values) List(name string) []string { return slices.Clone(get[[]string](v, name, List)) }

// Class gives a Class key's full class name, "" for null.
func (v Values) Class(name string) string { return get[string](v, name, Class) }

// Password gives a Password key's value, "" for null.
func (v Values) Password(name string) Secret { return get[Secret](v, name, Password) }

// Duration gives the value of a Long or Int key whose Unit is ms, 0 for null. What a Duration
// cannot hold becomes the longest one. A negative value (-1 for "without limit") stays negative.
func (v Values) Duration(name string) time.Duration {
	f := v.field(name)
	if f.unit != "ms" || f.typ != Long && f.typ != Int {
		panic(fmt.Sprintf("config: key %s is a %s in %q, asked for as a duration", name, f.typ, f.unit))
	}
	n, _ := integer(f.value)
	const most = math.MaxInt64 / int64(time.Millisecond)
	switch {
	case n > most:
		return math.MaxInt64
	case n < -most:
		return math.MinInt64
	}
	return time.Duration(n) * time.Millisecond
}

// Has tells whether a key has a value: it was given, or has a default that is not null.
func (v Values) Has(name string) bool { return v.field(name).value != nil }

// IsNull tells whether a key has no value.
func (v Values) IsNull(name string) bool { return v.field(name).value == nil }

// Valid tells, inside a Cross rule, whether a key has no error of its own.
func (v Values) Valid(name string) bool { return !v.field(name).invalid }

// Raw gives a copy of all keys as given, unknown ones included, secrets in clear.
func (v Values) Raw() map[string]string { return maps.Clone(v.raw) }

// Prefix gives the keys as given that start with prefix, without it, secrets in clear.
func (v Values) Prefix(prefix string) map[string]string { return under(v.raw, prefix) }

// under gives the values below prefix as a configuration of their own.
func (v Values) under(prefix string) Values {
	fields := map[string]field{}
	for name, f := range v.fields {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			fields[rest] = f
		}
	}
	return Values{fields, under(v.raw, prefix)}
}

// hidden gives the keys as given, fit for showing.
func (v Values) hidden() map[string]string {
	shown := make(map[string]string, len(v.raw))
	for name, value := range v.raw {
		if hides(name, v.fields[name].typ, value) {
			value = Hidden
		}
		shown[name] = value
	}
	return shown
}

// Format writes the keys as given in Java's map form, {a=1, b=[hidden]}, for every verb.
func (v Values) Format(f fmt.State, _ rune) {
	shown := v.hidden()
	names := slices.Sorted(maps.Keys(shown))
	for i, name := range names {
		names[i] = name + "=" + shown[name]
	}
	_, _ = io.WriteString(f, "{"+strings.Join(names, ", ")+"}")
}

// MarshalJSON gives the keys as given, secrets hidden.
func (v Values) MarshalJSON() ([]byte, error) { return marshal(v.hidden()) }

// LogValue gives the keys as given, secrets hidden.
func (v Values) LogValue() slog.Value { return slog.AnyValue(v.hidden()) }
