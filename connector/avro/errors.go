package avro

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// DataError says where the bytes of a value contradict their schema.
type DataError struct {
	// Path of the field, such as "value.after.itens[2].valor"; "" for the value itself.
	Path string
	// Offset in the Avro bytes that were read, from 0; the prefix of the registry does not count.
	Offset int
	// Reason is what was found there.
	Reason string
}

// Error gives path, reason and byte.
func (e *DataError) Error() string {
	text := e.Reason + " (at byte " + strconv.Itoa(e.Offset) + " of the Avro data)"
	if e.Path == "" {
		return text
	}
	return short(e.Path) + ": " + text
}

// short keeps a path readable that nests deeper than anybody reads.
func short(path string) string {
	const start, end = 200, 100
	if len(path) <= start+end {
		return path
	}
	return strings.ToValidUTF8(path[:start]+"…"+path[len(path)-end:], "")
}

// in puts step in front of the path, while the error travels up through the value.
func (e *DataError) in(step string) *DataError {
	switch {
	case step == "":
	case e.Path == "" || e.Path[0] == '[':
		e.Path = step + e.Path
	default:
		e.Path = step + "." + e.Path
	}
	return e
}

// rejected gives e as an error of the Rejected class: the same bytes never become readable.
func (e *DataError) rejected(root string) error {
	if e == nil {
		return nil
	}
	return connector.Rejected(e.in(root))
}

func faultf(offset int, format string, args ...any) *DataError {
	return &DataError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// SchemaError says what is wrong with a schema text.
type SchemaError struct {
	// Path in the schema, such as "fields[2].type.items"; "" for the schema itself.
	Path string
	// Reason is what was found there.
	Reason string
}

// Error gives path and reason.
func (e *SchemaError) Error() string {
	if e.Path == "" {
		return "invalid Avro schema: " + e.Reason
	}
	return "invalid Avro schema: " + short(e.Path) + ": " + e.Reason
}

func schemaErrorf(path, format string, args ...any) *SchemaError {
	return &SchemaError{Path: strings.TrimPrefix(path, "."), Reason: fmt.Sprintf(format, args...)}
}
