// Package schemas holds the schemas of the company's data: the Avro schemas of the three topics as
// Debezium registers them, and the JSON Schema of the execution input.
package schemas

import "embed"

// Files are the schema files: <topic>-key.avsc and <topic>-value.avsc for the subjects of the same
// names, and execution-input.schema.json.
//
//go:embed *.avsc *.json
var Files embed.FS
