// Package avro reads Avro records in the wire forms of Confluent's schema registry.
//
// A schema is compiled once, to a tree of nodes that each know what to do with the bytes at
// hand. One pass over a record's bytes then writes its JSON text, or its native values, or
// finds where its fields begin and end; none of them goes through a generic value. The schema
// that a value shows is Kafka Connect's, derived as Confluent's and Apicurio's AvroData derive it.
//
// Map of the package: compile.go, names.go, describe.go and defaults.go turn schema text into
// nodes (node.go); json.go, decode.go and skip.go are the three passes over wire.go's
// primitives; frame.go finds the schema id of a message; registry.go fetches and keeps
// programs over client.go and transport.go; converter.go and plugin.go are what the host sees.
package avro
