// Package json is Kafka Connect's JsonConverter: JSON with its schema beside it, with one fixed
// schema, or without any.
//
// The text of a record is looked at once from end to end before anything else, so that what is
// no JSON fails in the converter and not in the sink. Without a schema the value stays the bytes
// that were received; AppendJSON then writes them without blanks, digits untouched. With a schema
// it becomes native values of that schema by a plan that is made once per schema text.
//
// Map of the package: scan.go reads JSON text (the only code here that looks at single bytes, with
// text.go for strings and number.go for exact numbers); schemaless.go is the lazy form; schema.go
// and cache.go turn schema texts into plans; plan.go, leaf.go and container.go read a payload by its
// plan; converter.go and plugin.go are what the host sees.
//
// Where it is stricter than the original on purpose (a number that its type cannot hold, a value
// of another type, text after the value) docs/VALUES.md says so.
package json
