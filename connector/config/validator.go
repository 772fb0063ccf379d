package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Validator checks the value of one key. Check gets the key's name and its value in the Go type
// of its Type, or nil for a null; the error is the whole message that the user reads (Invalid
// words the usual ones). String says for the documentation which values are valid.
type Validator interface {
	Check(name string, value any) error
	String() string
}

// number is any of the types that a bound may be written in.
type number interface {
	~int | ~int16 | ~int32 | ~int64 | ~float64
}

// AtLeast accepts numbers from least on (ConfigDef.Range.atLeast).
func AtLeast[N number](least N) Validator { return numRange{min: bound(least)} }

// Between accepts numbers from least to most, both included (ConfigDef.Range.between).
func Between[N number](least, most N) Validator {
	return numRange{min: bound(least), max: bound(most)}
}

type numRange struct{ min, max any }

// bound gives n as an int64 or a float64.
func bound[N number](n N) any {
	if i := int64(n); N(i) == n {
		var zero N
		if _, float := any(zero).(float64); !float {
			return i
		}
	}
	return float64(n)
}

func (r numRange) Check(name string, value any) error {
	switch {
	case value == nil:
		return Invalid(name, nil, "Value must be non-null")
	case r.min != nil && compare(value, r.min) < 0:
		return Invalid(name, value, "Value must be at least "+javaText(r.min))
	case r.max != nil && compare(value, r.max) > 0:
		return Invalid(name, value, "Value must be no more than "+javaText(r.max))
	}
	return nil
}

func (r numRange) String() string {
	if r.max == nil {
		return "[" + javaText(r.min) + ",...]"
	}
	return "[" + javaText(r.min) + ",...," + javaText(r.max) + "]"
}

// compare orders two numbers: exactly while both are integers, else as doubles.
func compare(a, b any) int {
	x, aInt := integer(a)
	y, bInt := integer(b)
	if aInt && bInt {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(double(a), double(b))
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

func double(v any) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	n, _ := integer(v)
	return float64(n)
}

// OneOf accepts exactly these texts (ConfigDef.ValidString.in).
func OneOf(texts ...string) Validator { return oneOf{texts, false} }

// OneOfFold accepts these texts in any case (ConfigDef.CaseInsensitiveValidString.in).
func OneOfFold(texts ...string) Validator { return oneOf{texts, true} }

type oneOf struct {
	texts []string
	fold  bool
}

func (o oneOf) Check(name string, value any) error {
	s, ok := value.(string)
	is := func(t string) bool { return t == s || o.fold && strings.EqualFold(t, s) }
	if ok && slices.ContainsFunc(o.texts, is) {
		return nil
	}
	how := ""
	if o.fold {
		how = " (case insensitive)"
	}
	return Invalid(name, value, "String must be one of"+how+": "+strings.Join(o.texts, ", "))
}

func (o oneOf) String() string {
	if o.fold {
		return "(case insensitive) " + javaText(o.texts)
	}
	return javaText(o.texts)
}

// ItemsOf accepts lists without duplicates whose items are among these texts (ConfigDef.ValidList.in).
func ItemsOf(texts ...string) Validator { return All(UniqueValues, itemsOf(texts)) }

type itemsOf []string

func (texts itemsOf) Check(name string, value any) error {
	items, _ := value.([]string)
	for _, item := range items {
		if err := OneOf(texts...).Check(name, item); err != nil {
			return err
		}
	}
	return nil
}

func (texts itemsOf) String() string { return javaText([]string(texts)) }

// rule is a validator without parameters.
type rule uint8

// The validators without parameters.
const (
	// NonEmptyString refuses the empty text (ConfigDef.NonEmptyString).
	NonEmptyString rule = iota
	// NonEmptyList refuses the empty list (Connect's NonEmptyListValidator).
	NonEmptyList
	// NonNull refuses null (ConfigDef.NonNullValidator).
	NonNull
	// NoControlChars is Connect's rule for a connector's name: not empty, no ISO control
	// characters (ConfigDef.NonEmptyStringWithoutControlChars).
	NoControlChars
	// UniqueValues refuses lists with duplicates or empty items (KIP-1161).
	UniqueValues
)

func (r rule) Check(name string, value any) error {
	s, isText := value.(string)
	switch r {
	case NonEmptyString:
		if isText && s == "" {
			return Invalid(name, value, "String must be non-empty")
		}
	case NonEmptyList:
		if items, ok := value.([]string); ok && len(items) == 0 {
			return Invalid(name, value, "Empty list")
		}
	case NonNull:
		if value == nil {
			return Invalid(name, value, "entry must be non null")
		}
	case NoControlChars:
		if isText {
			return checkName(name, s)
		}
	case UniqueValues:
		return checkUnique(name, value)
	}
	return nil
}

var ruleTexts = [...]string{"non-empty string", "non-empty list", "non-null", "non-empty string without ISO control characters", "list without duplicates or empty items"}

func (r rule) String() string { return nameOf(ruleTexts[:], uint8(r)) }

func checkName(name, s string) error {
	if s == "" {
		return Invalid(name, s, "String may not be empty")
	}
	var found []string
	for _, c := range s {
		if c <= 0x1f || c >= 0x7f && c <= 0x9f {
			found = append(found, strconv.Itoa(int(c)))
		}
	}
	if found == nil {
		return nil
	}
	return Invalid(name, s, "String may not contain control sequences but had the following ASCII chars: "+strings.Join(found, ", "))
}

func checkUnique(name string, value any) error {
	items, ok := value.([]string)
	switch {
	case !ok:
		return errorText("Configuration '%s' values must not be null.", name)
	case duplicates(items):
		return errorText("Configuration '%s' values must not be duplicated.", name)
	case slices.Contains(items, ""):
		return errorText("Configuration '%s' values must not be empty.", name)
	}
	return nil
}

func duplicates(items []string) bool { return len(distinct(items)) < len(items) }

// distinct gives each item once, in order of first appearance. Lists come from foreign bodies, so
// the time must not grow with the square of their length.
func distinct(items []string) []string {
	seen := make(map[string]bool, len(items))
	var once []string
	for _, item := range items {
		if !seen[item] {
			seen[item] = true
			once = append(once, item)
		}
	}
	return once
}

// All accepts what every one of vs accepts; the first refusal is the error.
func All(vs ...Validator) Validator { return all(vs) }

type all []Validator

func (vs all) Check(name string, value any) error {
	for _, v := range vs {
		if err := v.Check(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (vs all) String() string {
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.String()
	}
	return strings.Join(texts, ",")
}

// Func makes a validator of a function. valid says for the documentation what is valid; check
// gets null as nil and gives the whole message (Invalid words the usual form).
func Func(valid string, check func(name string, value any) error) Validator {
	return funcValidator{valid, check}
}

type funcValidator struct {
	valid string
	check func(name string, value any) error
}

func (f funcValidator) Check(name string, value any) error { return f.check(name, value) }
func (f funcValidator) String() string                     { return f.valid }

// embeddedValidator hides the prefix of the name from a validator.
type embeddedValidator struct {
	prefix string
	Validator
}

func (e embeddedValidator) Check(name string, value any) error {
	return e.Validator.Check(strings.TrimPrefix(name, e.prefix), value)
}

// inner gives the validator itself, for those who look at its kind.
func inner(v Validator) Validator {
	if e, ok := v.(embeddedValidator); ok {
		return inner(e.Validator)
	}
	return v
}

// errorText is an error of exactly these words.
func errorText(format string, a ...any) error { return fmt.Errorf(format, a...) }
