package transform

import (
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
)

// The exceptions of Kafka Connect that transforms throw.
const (
	dataException          = "org.apache.kafka.connect.errors.DataException"
	connectException       = "org.apache.kafka.connect.errors.ConnectException"
	schemaBuilderException = "org.apache.kafka.connect.errors.SchemaBuilderException"
	illegalArgument        = "java.lang.IllegalArgumentException"
)

// Error says why a transform cannot work on a record. Its text is the message of the Java
// exception that Kafka Connect's transforms throw.
type Error struct {
	class, text string
	cause       error
}

// Error gives the message.
func (e *Error) Error() string { return e.text }

// Unwrap gives the cause; nil when there is none.
func (e *Error) Unwrap() error { return e.cause }

// ExceptionClass names the Java exception, for the headers of the dead letter queue.
func (e *Error) ExceptionClass() string { return e.class }

func failure(class, format string, a ...any) error {
	return &Error{class: class, text: fmt.Sprintf(format, a...)}
}

func dataError(format string, a ...any) error { return failure(dataException, format, a...) }

// requireStruct says that v is no struct, in the words of Kafka's Requirements class.
func requireStruct(v connector.Value, purpose string) error {
	if s := v.Schema(); s != nil && s.Type == connector.Struct && !v.IsNull() {
		return nil
	}
	return dataError("Only Struct objects supported for [%s], found: %s", purpose, className(v))
}

// requireMap gives the native form of a value without a schema, which must be a map.
func requireMap(v connector.Value, purpose string) (*connector.MapValue, error) {
	native, err := v.Native()
	if err != nil {
		return nil, err
	}
	if m, ok := native.(*connector.MapValue); ok {
		return m, nil
	}
	return nil, dataError("Only Map objects supported in absence of schema for [%s], found: %s", purpose, classOf(nil, native))
}

// className gives the Java class that v would have in Kafka Connect.
func className(v connector.Value) string {
	if v.IsNull() {
		return "null"
	}
	if s := v.Schema(); s != nil {
		return classOfSchema(s)
	}
	native, err := v.Native()
	if err != nil {
		return "unreadable"
	}
	return classOf(nil, native)
}

// classOf gives the Java class of a native value of schema s, which may be nil.
func classOf(s *connector.Schema, native any) string {
	if s != nil && native != nil {
		return classOfSchema(s)
	}
	switch v := native.(type) {
	case nil:
		return "null"
	case string:
		return "java.lang.String"
	case bool:
		return "java.lang.Boolean"
	case connector.Number:
		if integral(v) {
			return "java.lang.Long"
		}
		return "java.lang.Double"
	case []byte:
		return "[B"
	case []any:
		return "java.util.ArrayList"
	}
	return "java.util.HashMap"
}

func classOfSchema(s *connector.Schema) string {
	switch {
	case isDate(s):
		return "java.util.Date"
	case isDecimal(s):
		return "java.math.BigDecimal"
	}
	return [...]string{
		connector.Invalid: "java.lang.Object", connector.Int8: "java.lang.Byte", connector.Int16: "java.lang.Short",
		connector.Int32: "java.lang.Integer", connector.Int64: "java.lang.Long", connector.Float32: "java.lang.Float",
		connector.Float64: "java.lang.Double", connector.Boolean: "java.lang.Boolean", connector.String: "java.lang.String",
		connector.Bytes: "[B", connector.Array: "java.util.ArrayList", connector.Map: "java.util.HashMap",
		connector.Struct: "org.apache.kafka.connect.data.Struct",
	}[s.Type]
}

// isDate reports whether Kafka Connect holds values of s as java.util.Date.
func isDate(s *connector.Schema) bool {
	switch s.Name {
	case connector.NameDate, connector.NameTime:
		return s.Type == connector.Int32
	case connector.NameTimestamp:
		return s.Type == connector.Int64
	}
	return false
}

func isDecimal(s *connector.Schema) bool {
	return s.Type == connector.Bytes && s.Name == connector.NameDecimal
}

// integral reports whether a JSON number is written as an integer, which Kafka Connect reads as a Long.
func integral(n connector.Number) bool {
	for i := range len(n) {
		if c := n[i]; c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}
