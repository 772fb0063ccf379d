package avro

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
)

// Headers that carry a schema's GUID beside unprefixed data (Confluent Platform 8, HeaderSchemaIdSerializer).
const (
	headerKeySchema   = "__key_schema_id"
	headerValueSchema = "__value_schema_id"
)

// The magic bytes of a schema reference.
const (
	magicID   = 0x00 // 4 bytes follow: the id, big endian
	magicGUID = 0x01 // 16 bytes follow: the GUID
	magicGlue = 0x03 // of AWS Glue's prefix, which another converter reads

	gluePrefix = 18
)

// schemaID refers to a schema of a registry, by number or, when guid is not "", by GUID.
type schemaID struct {
	id   int32
	guid string
}

// String names the schema as the registry's own messages do.
func (s schemaID) String() string {
	if s.guid != "" {
		return "schema guid " + s.guid
	}
	return fmt.Sprintf("schema id %d", s.id)
}

// frame finds which schema data was written with and where its Avro bytes begin: by the header
// called name when the record has one, else by the prefix of the data (DualSchemaIdDeserializer).
func frame(headers []connector.RawHeader, name string, data []byte) (schemaID, []byte, error) {
	for i := len(headers) - 1; i >= 0; i-- {
		if h := headers[i]; h.Key == name && h.Value != nil {
			id, rest, err := reference(h.Value)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("%d bytes after it", len(rest))
			}
			if err != nil {
				return schemaID{}, nil, fmt.Errorf("header %s holds no schema reference: %w", name, err)
			}
			return id, data, nil
		}
	}
	if len(data) == 0 || data[0] != magicID {
		if len(data) >= gluePrefix && data[0] == magicGlue {
			//nolint:staticcheck // the words that users of Confluent's serdes know
			return schemaID{}, nil, errors.New("Unknown magic byte! The data begins with 0x03: it was written with the AWS Glue Schema Registry; " +
				"set the converter to com.amazonaws.services.schemaregistry.kafkaconnect.AWSKafkaAvroConverter")
		}
		first := "it is empty"
		if len(data) > 0 {
			first = fmt.Sprintf("its first byte is 0x%02x", data[0])
		}
		//nolint:staticcheck // the words that users of Confluent's serdes know
		return schemaID{}, nil, fmt.Errorf("Unknown magic byte! The data does not begin with 0x00 and a schema id, %s, "+
			"and there is no header %s: it was not written by a serializer of a schema registry", first, name)
	}
	return reference(data)
}

// reference reads a magic byte and what it announces.
func reference(b []byte) (schemaID, []byte, error) {
	switch {
	case len(b) >= 5 && b[0] == magicID:
		return schemaID{id: int32(binary.BigEndian.Uint32(b[1:]))}, b[5:], nil
	case len(b) >= 17 && b[0] == magicGUID:
		return schemaID{guid: guidText(b[1:17])}, b[17:], nil
	case len(b) > 0 && b[0] > magicGUID:
		//nolint:staticcheck // the words that users of Confluent's serdes know
		return schemaID{}, nil, fmt.Errorf("Unknown magic byte! 0x%02x", b[0])
	}
	return schemaID{}, nil, fmt.Errorf("%d bytes are too few for a schema id", len(b))
}

func guidText(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
