package connector

// Type is one of Kafka Connect's schema types.
type Type uint8

// The schema types of Kafka Connect's data API.
const (
	Invalid Type = iota
	Int8
	Int16
	Int32
	Int64
	Float32
	Float64
	Boolean
	String
	Bytes
	Array
	Map
	Struct
)

var typeNames = [...]string{"invalid", "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes", "array", "map", "struct"}

// String gives the name that Kafka Connect's JSON schemas use, such as "int64".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "invalid"
}

// Names of the logical types that a Schema can carry in its Name.
// Connect's come from org.apache.kafka.connect.data, Debezium's from io.debezium.time.
const (
	NameDecimal   = "org.apache.kafka.connect.data.Decimal"   // Bytes: big-endian two's complement; parameter "scale"
	NameDate      = "org.apache.kafka.connect.data.Date"      // Int32: days since 1970-01-01
	NameTime      = "org.apache.kafka.connect.data.Time"      // Int32: milliseconds since midnight
	NameTimestamp = "org.apache.kafka.connect.data.Timestamp" // Int64: milliseconds since 1970-01-01T00:00:00

	NameDebeziumDate           = "io.debezium.time.Date"           // Int32: days since 1970-01-01
	NameDebeziumTime           = "io.debezium.time.Time"           // Int32: milliseconds since midnight
	NameDebeziumMicroTime      = "io.debezium.time.MicroTime"      // Int64: microseconds since midnight
	NameDebeziumNanoTime       = "io.debezium.time.NanoTime"       // Int64: nanoseconds since midnight
	NameDebeziumTimestamp      = "io.debezium.time.Timestamp"      // Int64: milliseconds, local clock time as if UTC
	NameDebeziumMicroTimestamp = "io.debezium.time.MicroTimestamp" // Int64: microseconds, local clock time as if UTC
	NameDebeziumNanoTimestamp  = "io.debezium.time.NanoTimestamp"  // Int64: nanoseconds, local clock time as if UTC
	NameDebeziumZonedTimestamp = "io.debezium.time.ZonedTimestamp" // String: ISO-8601 with the original offset
)

// Schema describes a value, in Kafka Connect's terms. A Schema is immutable once it
// is reachable from a Value; share it, never change it.
type Schema struct {
	Type     Type
	Optional bool
	Name     string            // logical type or record name; "" for none
	Version  int               // 0 for none
	Doc      string            // "" for none
	Params   map[string]string // nil for none
	// Default is the native default value (see Value.Native); it counts only when HasDefault.
	Default    any
	HasDefault bool

	Key    *Schema // of a Map's keys
	Elem   *Schema // of an Array's elements or a Map's values
	Fields []Field // of a Struct, in order
}

// Field is one field of a Struct schema.
type Field struct {
	Name   string
	Schema *Schema
}

// Index gives the position of the field called name in a Struct schema, or -1.
// It is a linear search: look a name up once per schema, not once per record.
func (s *Schema) Index(name string) int {
	if s == nil {
		return -1
	}
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}
