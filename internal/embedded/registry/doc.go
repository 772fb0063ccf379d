// Package registry is an in-process schema registry that speaks the REST API of Confluent's, in memory,
// for the demo and the tests. Paths, bodies and error codes are those of the API reference
// (docs.confluent.io/platform/current/schema-registry/develop/api.html); /schemas/guids is that of
// version 8.
//
// # Known differences
//
//   - Compatibility is never checked: registering and the compatibility calls always say yes.
//   - Schemas count as equal when their text is, without regard to white space (and, with
//     ?normalize=true, to the order of members); Confluent compares what Avro makes of them.
//   - AVRO is parsed with its references and refused with 42201; of JSON only the JSON text is checked,
//     of PROTOBUF nothing.
//   - No contexts, metadata, rules, exporters or encryption keys.
//   - A GUID is the MD5 of the normalised text and references, as a UUID; Confluent hashes more.
package registry
