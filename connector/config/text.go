package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Trim removes what Java's String.trim removes: characters up to U+0020 at both ends. (ConfigDef
// trims every value this way; strings.TrimSpace would also take Unicode blanks.)
func Trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// SplitList splits a LIST as ConfigDef does: on commas with the blanks around them. An empty text
// is the empty list; empty items stay.
func SplitList(s string) []string {
	s = Trim(s)
	if s == "" {
		return []string{}
	}
	items := strings.Split(s, ",")
	for i, item := range items {
		items[i] = strings.Trim(item, " \t\n\v\f\r")
	}
	return items
}

// ParseJavaBool reads a BOOLEAN as ConfigDef does: true or false in any case, trimmed. ok is
// false for anything else.
func ParseJavaBool(s string) (value, ok bool) {
	switch s = Trim(s); {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// parse reads the text of a key. The error is the whole message, as ConfigException words it.
func (k Key) parse(text string) (any, error) {
	s := Trim(text)
	switch k.Type {
	case Boolean:
		if b, ok := ParseJavaBool(s); ok {
			return b, nil
		}
		return nil, Invalid(k.Name, text, "Expected value to be either true or false")
	case Int, Short, Long, Double:
		if v, ok := parseNumber(k.Type, s); ok {
			return v, nil
		}
		return nil, Invalid(k.Name, text, "Not a number of type "+k.Type.String())
	case List:
		return SplitList(s), nil
	case Class:
		return k.parseClass(text, s)
	case Password:
		return Secret(s), nil
	}
	return s, nil
}

func (k Key) parseClass(text, class string) (any, error) {
	if k.Resolve == nil {
		return class, nil
	}
	full, err := k.Resolve(class)
	if err != nil {
		return nil, Invalid(k.Name, text, "Class "+text+" could not be found.")
	}
	return full, nil
}

func parseNumber(t Type, s string) (any, bool) {
	switch t {
	case Int:
		n, err := strconv.ParseInt(s, 10, 32)
		return int32(n), err == nil
	case Short:
		n, err := strconv.ParseInt(s, 10, 16)
		return int16(n), err == nil
	case Long:
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return parseJavaDouble(s)
}

// parseJavaDouble reads what Double.parseDouble reads. Go's own parser also takes underscores and
// other spellings of the special values, which Java refuses; Java takes a type suffix.
func parseJavaDouble(s string) (any, bool) {
	switch s {
	case "NaN", "+NaN", "-NaN":
		return math.NaN(), true
	case "Infinity", "+Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	if strings.ContainsAny(s, "_iInN") {
		return nil, false
	}
	if hex := strings.ContainsAny(s, "xX"); !hex || strings.ContainsAny(s, "pP") {
		if n := len(s); n > 0 && strings.IndexByte("dDfF", s[n-1]) >= 0 {
			s = s[:n-1]
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	// Java rounds what is too large to infinity.
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// Invalid is a validator's error in the words of ConfigException. The value of a key whose name
// looks like a secret's is not shown, nor a URL with a password in it.
func Invalid(name string, value any, reason string) error {
	text := javaText(value)
	if hides(name, String, text) {
		text = Hidden
	}
	return errorText("Invalid value %s for configuration %s: %s", text, name, reason)
}

func missing(name string) error {
	return errorText("Missing required configuration \"%s\" which has no default value.", name)
}

// javaText prints a value as Java's string concatenation does.
func javaText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case float64:
		return javaDouble(v)
	}
	return fmt.Sprint(v)
}

// render gives the text of a value as ConfigDef.convertToString does; nil is null.
func render(v any) *string {
	if v == nil {
		return nil
	}
	s := javaText(v)
	if items, ok := v.([]string); ok {
		s = strings.Join(items, ",")
	}
	return &s
}

// javaDouble prints as Double.toString does: 1.0, 0.001, 1.0E10.
func javaDouble(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || abs >= 1e-3 && abs < 1e7:
		return withFraction(strconv.FormatFloat(f, 'f', -1, 64))
	}
	digits, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	n, _ := strconv.Atoi(exp)
	return withFraction(digits) + "E" + strconv.Itoa(n)
}

func withFraction(s string) string {
	if strings.Contains(s, ".") {
		return s
	}
	return s + ".0"
}
