// Package config is Kafka Connect's ConfigDef in Go: a key is declared once, and that
// declaration parses, validates, answers the REST API's plugin and validate endpoints, and writes
// the documentation and the chart's schema. Error texts are Kafka's own, because clients and
// people search for them. It depends on the standard library alone.
package config

import (
	"fmt"
	"math"
)

// Type is the type of a key's value, as ConfigDef.Type names it.
type Type uint8

// The types of ConfigDef. The zero Type is String.
const (
	String   Type = iota // text, trimmed; a Go string
	Boolean              // true or false in any case; a Go bool
	Int                  // 32 bits; a Go int32
	Short                // 16 bits; a Go int16
	Long                 // 64 bits; a Go int64
	Double               // a Go float64
	List                 // split on commas and the blanks around them; a Go []string
	Class                // the name of a plugin's class; a Go string
	Password             // text that is never shown; a Secret
)

var typeNames = [...]string{"STRING", "BOOLEAN", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String gives the name that the REST API uses, such as "BOOLEAN".
func (t Type) String() string { return nameOf(typeNames[:], uint8(t)) }

// Importance says how likely a user is to set a key.
type Importance uint8

// The importances of ConfigDef.
const (
	High Importance = iota
	Medium
	Low
)

var importanceNames = [...]string{"HIGH", "MEDIUM", "LOW"}

// String gives the name that the REST API uses, such as "HIGH".
func (i Importance) String() string { return nameOf(importanceNames[:], uint8(i)) }

// Width is a hint for the size of an input field.
type Width uint8

// The widths of ConfigDef. (Short, Medium and Long alone name types and an importance.)
const (
	WidthNone Width = iota
	WidthShort
	WidthMedium
	WidthLong
)

var widthNames = [...]string{"NONE", "SHORT", "MEDIUM", "LONG"}

// String gives the name that the REST API uses, such as "SHORT".
func (w Width) String() string { return nameOf(widthNames[:], uint8(w)) }

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("UNKNOWN(%d)", i)
}

// Key declares one key of a configuration.
type Key struct {
	Name string
	Type Type
	// Default is the value of a key that is not given: bool, string, int32, int16, int64, float64
	// or []string as Type says (an int serves any number). nil with Required false is a null default.
	Default any
	// Required keys have no default (Kafka's NO_DEFAULT_VALUE).
	Required bool
	// Nullable keys accept a JSON null, which then is their value; on others it is an error.
	Nullable bool
	// Validate checks a given value; nil accepts any. A null that is the default is not checked.
	Validate Validator
	// Resolve gives a Class key's full name for the name as given; its error means that there is no
	// such class. nil takes every name as it is.
	Resolve func(class string) (string, error)

	Importance  Importance
	Doc         string
	Group       string // "" means none
	Order       int    // place in Group; New counts from 1 where it is 0
	Width       Width
	DisplayName string // "" means Name
	Dependents  []string

	// Recommend gives values to offer to a user, and Visible whether the key matters, for the
	// configuration given so far. nil means none, and always.
	Recommend func(raw map[string]string) []string
	Visible   func(raw map[string]string) bool

	// Unit of a number, for documentation: "ms", "bytes" … Values.Duration needs "ms".
	Unit string
	// Internal keys are accepted but not listed.
	Internal bool
}

// normalized brings the default to the Go type of the key's Type and proves the declaration sound.
// It panics with the key's name: a wrong declaration is a programming error.
func (k Key) normalized() Key {
	if k.Name == "" {
		panic("config: a key without a name")
	}
	if k.Required && k.Default != nil {
		panic("config: key " + k.Name + " is required and has a default")
	}
	if k.Default == nil {
		return k
	}
	v, ok := typed(k.Type, k.Default)
	if !ok {
		panic(fmt.Sprintf("config: the default of key %s is a %T, which is no %s", k.Name, k.Default, k.Type))
	}
	k.Default = v
	if k.Validate != nil {
		if err := k.Validate.Check(k.Name, v); err != nil {
			panic("config: the default of key " + k.Name + " is refused: " + err.Error())
		}
	}
	return k
}

// typed gives v in the Go type that stands for t, and whether v fits.
func typed(t Type, v any) (any, bool) {
	if n, ok := v.(int); ok {
		return typedInt(t, n)
	}
	switch v := v.(type) {
	case bool:
		return v, t == Boolean
	case string:
		if t == Password {
			return Secret(v), true
		}
		return v, t == String || t == Class
	case Secret:
		return v, t == Password
	case int32:
		return v, t == Int
	case int16:
		return v, t == Short
	case int64:
		return v, t == Long
	case float64:
		return v, t == Double
	case []string:
		return v, t == List
	}
	return nil, false
}

func typedInt(t Type, n int) (any, bool) {
	switch t {
	case Int:
		return int32(n), n >= math.MinInt32 && n <= math.MaxInt32
	case Short:
		return int16(n), n >= math.MinInt16 && n <= math.MaxInt16
	case Long:
		return int64(n), true
	case Double:
		return float64(n), true
	}
	return nil, false
}
