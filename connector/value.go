package connector

import (
	"errors"
	"fmt"

	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// Value is one datum of a record: exact, immutable, and materialised only when asked.
//
// A value that a converter made holds the bytes as received and an Encoding that can read
// them; AppendJSON then goes from wire bytes to JSON bytes in one pass, and AppendFields
// splits a struct without decoding it. A value that a transform made holds its native form.
//
// The zero Value is null without a schema: what a tombstone's value is.
type Value struct {
	schema *Schema
	enc    Encoding
	raw    []byte
	native any
}

// Encoding reads one wire form of one schema. Its methods are safe for concurrent use,
// never panic on hostile bytes, keep no reference to raw after they return unless the
// result is a Value or a []byte inside it, and name the field's path in their errors.
type Encoding interface {
	// Schema is the Connect schema of what raw holds; nil for schemaless data.
	Schema() *Schema
	// AppendJSON appends the JSON text of raw to dst.
	AppendJSON(dst, raw []byte, f *Format) ([]byte, error)
	// Decode gives the native form, as Value.Native documents it.
	Decode(raw []byte) (any, error)
	// AppendFields appends one Value for each field of a struct, in schema order.
	AppendFields(dst []Value, raw []byte) ([]Value, error)
}

// LiteralEncoding is an Encoding that writes JSON text as it stands inside a JSON string literal (jsontext.AppendLiteral) in the
// same pass.
type LiteralEncoding interface {
	Encoding
	// AppendLiteral is AppendJSON with quotes and backslashes behind backslashes.
	AppendLiteral(dst, raw []byte, f *Format) ([]byte, error)
}

// ErrNotStruct is returned when fields are asked of a value that has none.
var ErrNotStruct = errors.New("value is not a struct")

// NewValue makes a value from its native form; s may be nil for schemaless data.
func NewValue(s *Schema, native any) Value { return Value{schema: s, native: native} }

// Lazy makes a value from wire bytes that enc reads. The value keeps raw, which must not change.
func Lazy(enc Encoding, raw []byte) Value {
	return Value{schema: enc.Schema(), enc: enc, raw: raw}
}

// Schema of the value; nil when it has none.
func (v Value) Schema() *Schema { return v.schema }

// IsNull reports whether the value is null. A lazy value is never null: its encoding
// resolves an optional field to a null Value when it splits the struct around it.
func (v Value) IsNull() bool { return v.enc == nil && v.native == nil }

// Wire gives the bytes and encoding of a value that has not been materialised; ok is
// false for the others. The bytes must not be changed.
func (v Value) Wire() (raw []byte, enc Encoding, ok bool) { return v.raw, v.enc, v.enc != nil }

// Native materialises the value. Its Go type follows the schema's Type:
//
//	Int8…Int64 int8…int64 · Float32/64 float32/64 · Boolean bool · String string ·
//	Bytes []byte · Array []any · Map *MapValue · Struct *StructValue · null nil
//
// Logical types keep the physical form of the wire (Decimal []byte, Date int32,
// NanoTimestamp int64 …): their meaning stands in the schema's Name.
// Schemaless data uses string, bool, Number, []any and *MapValue.
func (v Value) Native() (any, error) {
	if v.enc == nil {
		return v.native, nil
	}
	return v.enc.Decode(v.raw)
}

// AppendJSON appends the value's JSON text to dst, formatted as f says; f nil means the defaults.
func (v Value) AppendJSON(dst []byte, f *Format) ([]byte, error) {
	if f == nil {
		f = &defaultFormat
	}
	if v.enc != nil {
		return v.enc.AppendJSON(dst, v.raw, f)
	}
	return appendNative(dst, v.schema, v.native, f)
}

// AppendLiteral is AppendJSON of a text that goes into a JSON string literal: quotes and backslashes get a backslash.
func (v Value) AppendLiteral(dst []byte, f *Format) ([]byte, error) {
	if f == nil {
		f = &defaultFormat
	}
	if enc, ok := v.enc.(LiteralEncoding); ok {
		return enc.AppendLiteral(dst, v.raw, f)
	}
	from := len(dst)
	out, err := v.AppendJSON(dst, f)
	if err != nil {
		return out, err
	}
	return jsontext.Literalize(out, from), nil
}

// AppendFields appends the values of a struct's fields to dst, in schema order, without
// materialising them.
func (v Value) AppendFields(dst []Value) ([]Value, error) {
	if v.enc != nil {
		return v.enc.AppendFields(dst, v.raw)
	}
	s, ok := v.native.(*StructValue)
	if !ok {
		return dst, fmt.Errorf("%w: it is %T", ErrNotStruct, v.native)
	}
	for i, f := range s.Schema.Fields {
		dst = append(dst, NewValue(f.Schema, s.Values[i]))
	}
	return dst, nil
}

// StructValue is the native form of a Struct: one native value for each field of Schema.
type StructValue struct {
	Schema *Schema
	Values []any
}

// MapValue is the native form of a Map, in the order of the wire.
type MapValue struct {
	Entries []Entry
}

// Entry is one key and value of a MapValue, each in native form.
type Entry struct {
	Key, Value any
}

// Number is a JSON number of schemaless data, exactly as it was written.
type Number string
