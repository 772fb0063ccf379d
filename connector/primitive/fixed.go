package primitive

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/stepconnect/stepconnect/connector"
)

// fixed reads values of a fixed width, big-endian, as Kafka's serializers write them.
type fixed struct {
	class string // without "Converter"
	doc   string
	name  string // in Kafka Connect's error text
	typ   connector.Type
	width int
	read  func(data []byte) (any, error)
}

func fixedWidths() []fixed {
	whole := func(v any) (any, error) { return v, nil }
	return []fixed{
		{"Short", "Integers of 16 bits, big-endian.", "short", connector.Int16, 2, func(b []byte) (any, error) { return whole(int16(binary.BigEndian.Uint16(b))) }},
		{"Integer", "Integers of 32 bits, big-endian.", "integer", connector.Int32, 4, func(b []byte) (any, error) { return whole(int32(binary.BigEndian.Uint32(b))) }},
		{"Long", "Integers of 64 bits, big-endian.", "long", connector.Int64, 8, func(b []byte) (any, error) { return whole(int64(binary.BigEndian.Uint64(b))) }},
		{"Float", "IEEE 754 numbers of 32 bits, big-endian.", "float", connector.Float32, 4, func(b []byte) (any, error) { return whole(math.Float32frombits(binary.BigEndian.Uint32(b))) }},
		{"Double", "IEEE 754 numbers of 64 bits, big-endian.", "double", connector.Float64, 8, func(b []byte) (any, error) { return whole(math.Float64frombits(binary.BigEndian.Uint64(b))) }},
		{"Boolean", "One byte, 0 or 1.", "boolean", connector.Boolean, 1, readBoolean},
	}
}

func readBoolean(b []byte) (any, error) {
	if b[0] > 1 {
		return nil, fmt.Errorf("unexpected byte 0x%02x: false is 0x00 and true 0x01", b[0])
	}
	return b[0] == 1, nil
}

func (f fixed) reader() reader {
	schema := &connector.Schema{Type: f.typ, Optional: true}
	return func(data []byte) (connector.Value, error) {
		var v any
		err := fmt.Errorf("%d bytes where %d are expected", len(data), f.width)
		if len(data) == f.width {
			v, err = f.read(data)
		}
		if err != nil {
			return connector.Value{}, connector.Rejected(&dataError{"Failed to deserialize " + f.name + ": ", err})
		}
		return connector.NewValue(schema, v), nil
	}
}

// optionalBytes is what ByteArrayConverter calls every value.
var optionalBytes = &connector.Schema{Type: connector.Bytes, Optional: true}

// readBytes keeps data, which never changes.
func readBytes(data []byte) (connector.Value, error) {
	return connector.NewValue(optionalBytes, data), nil
}
