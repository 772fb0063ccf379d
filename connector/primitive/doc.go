// Package primitive holds Kafka Connect's converters of single values: StringConverter,
// ByteArrayConverter, the number converters, BooleanConverter and, for headers only,
// SimpleHeaderConverter.
//
// Map of the package: plugin.go lists the plugins and declares their keys; fixed.go reads numbers and
// booleans; text.go and charset.go read strings; header.go, token.go, parse.go, infer.go and merge.go are
// the SimpleHeaderConverter, in the order in which a header passes through them.
package primitive
