package json

import (
	"fmt"
	"strconv"
	"strings"
)

// DataError says what is wrong with a record's JSON. Where Kafka Connect has words for it,
// Message is exactly those.
type DataError struct {
	Message string
	// Path of the value in the payload, such as "after.itens[2].valor", or in the schema, such as
	// "schema.fields[3].items"; "" for the whole record.
	Path string
	// Err is the cause, such as the position of a syntax error; nil when Message says it all.
	Err error

	builder bool // Kafka Connect throws SchemaBuilderException
}

// Error gives the message and the path.
func (e *DataError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Message + " (at " + e.Path + ")"
}

// Unwrap gives the cause.
func (e *DataError) Unwrap() error { return e.Err }

// ExceptionMessage gives the text that a Kafka Connect worker would show: the message without the path.
func (e *DataError) ExceptionMessage() string { return e.Message }

// ExceptionClass names the Java exception that a Kafka Connect worker would show.
func (e *DataError) ExceptionClass() string {
	if e.builder {
		return "org.apache.kafka.connect.errors.SchemaBuilderException"
	}
	return "org.apache.kafka.connect.errors.DataException"
}

// in puts step in front of the path, while the error travels up through the value.
func (e *DataError) in(step string) *DataError {
	switch {
	case e.Path == "" || e.Path[0] == '[':
		e.Path = step + e.Path
	default:
		e.Path = step + "." + e.Path
	}
	return e
}

// at is in for the i-th element of an array.
func (e *DataError) at(i int) *DataError { return e.in("[" + strconv.Itoa(i) + "]") }

func faultf(format string, args ...any) *DataError {
	return &DataError{Message: fmt.Sprintf(format, args...)}
}

// The texts of Kafka Connect's JsonConverter for a record as a whole.
const (
	textSyntax   = "Converting byte[] to Kafka Connect data failed due to serialization error: "
	textEnvelope = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields." +
		" If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration."
	textContent = "Failed to parse schema in converter config due to serialization error: "
)

// SyntaxError is the cause of a DataError for text that is no JSON.
type SyntaxError struct {
	Reason string
	Offset int // in the bytes of the record, from 0
}

// Error gives reason and position.
func (e *SyntaxError) Error() string { return e.Reason + " at byte " + strconv.Itoa(e.Offset) }

// clip keeps foreign text in messages short.
func clip(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
