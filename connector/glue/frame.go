package glue

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// The wire format of AWS's serializers: version, compression, id of the schema version, data.
const (
	version         = 0x03
	plain           = 0x00
	compressed      = 0x05 // zlib
	prefix          = 2 + 16
	confluentPrefix = 0x00
)

// maxInflated is the most bytes that compressed data may become: a record's size is bounded by the broker, what it
// inflates to by nothing.
const maxInflated = 32 << 20

// schemaVersion is the id of a schema version, a UUID.
type schemaVersion [16]byte

// String names the schema as AWS does.
func (v schemaVersion) String() string {
	h := hex.EncodeToString(v[:])
	return "schema version " + v.uuid(h)
}

func (v schemaVersion) uuid(h string) string {
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// frame finds which schema version data was written with, and its Avro bytes: those of data itself, or inflated ones.
func frame(data []byte) (schemaVersion, []byte, error) {
	var id schemaVersion
	switch {
	case len(data) == 0:
		return id, nil, errors.New("the data is empty: it was not written by a serializer of the AWS Glue Schema Registry")
	case data[0] == confluentPrefix && len(data) >= 5:
		return id, nil, errors.New("the data begins with 0x00: it was written with a Confluent schema registry, not AWS Glue; " +
			"set the converter to io.confluent.connect.avro.AvroConverter")
	case data[0] != version:
		return id, nil, fmt.Errorf("the data begins with 0x%02x and not with 0x03: it was not written by a serializer of the AWS Glue Schema Registry", data[0])
	case len(data) < prefix:
		return id, nil, fmt.Errorf("%d bytes are too few for the prefix of the AWS Glue Schema Registry, which has %d", len(data), prefix)
	}
	copy(id[:], data[2:])
	switch data[1] {
	case plain:
		return id, data[prefix:], nil
	case compressed:
		datum, err := inflate(data[prefix:])
		if err != nil {
			return id, nil, fmt.Errorf("the zlib data of %s cannot be inflated: %w", id, err)
		}
		return id, datum, nil
	}
	return id, nil, fmt.Errorf("the second byte is 0x%02x; known are 0x00 (plain) and 0x05 (zlib)", data[1])
}

func inflate(in []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	// Grows with what really comes: a hostile length cannot be announced in zlib.
	out, err := io.ReadAll(io.LimitReader(z, maxInflated+1))
	switch {
	case err != nil:
		return nil, err
	case len(out) > maxInflated:
		return nil, fmt.Errorf("it is more than %d bytes", maxInflated)
	}
	return out, nil
}
