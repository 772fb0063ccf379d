package avro

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

func TestTheSchemaOfAMessageIsFound(t *testing.T) {
	guid := []byte{0x89, 0x79, 0x1b, 0x1e, 0x26, 0x3e, 0x4b, 0x6a, 0x8e, 0x11, 0x31, 0x47, 0x16, 0x21, 0x07, 0xd8}
	header := func(name string, value ...byte) []connector.RawHeader {
		return []connector.RawHeader{{Key: "other", Value: []byte{9}}, {Key: name, Value: value}}
	}
	cases := map[string]struct {
		headers []connector.RawHeader
		data    []byte
		id      schemaID
		datum   []byte
		err     string
	}{
		"a prefix":                            {nil, []byte{0, 0, 1, 0, 2, 0xaa}, schemaID{id: 65538}, []byte{0xaa}, ""},
		"a prefix and no datum":               {nil, []byte{0, 0, 0, 0, 2}, schemaID{id: 2}, []byte{}, ""},
		"a prefix with a GUID":                {nil, append([]byte{1}, guid...), schemaID{}, nil, "Unknown magic byte!"},
		"a header with a GUID":                {header(headerValueSchema, append([]byte{1}, guid...)...), []byte{7}, schemaID{guid: "89791b1e-263e-4b6a-8e11-3147162107d8"}, []byte{7}, ""},
		"a header with an id":                 {header(headerValueSchema, 0, 0, 0, 0, 9), []byte{7}, schemaID{id: 9}, []byte{7}, ""},
		"a header and an empty datum":         {header(headerValueSchema, 0, 0, 0, 0, 9), []byte{}, schemaID{id: 9}, []byte{}, ""},
		"the header of the key":               {header(headerKeySchema, append([]byte{1}, guid...)...), []byte{0, 0, 0, 0, 3, 7}, schemaID{id: 3}, []byte{7}, ""},
		"a null header":                       {header(headerValueSchema), []byte{0, 0, 0, 0, 3, 7}, schemaID{id: 3}, []byte{7}, ""},
		"a header that is cut":                {header(headerValueSchema, 1, 2, 3), []byte{7}, schemaID{}, nil, headerValueSchema + " holds no schema reference"},
		"a header with more":                  {header(headerValueSchema, 0, 0, 0, 0, 9, 9), []byte{7}, schemaID{}, nil, "1 bytes after it"},
		"a header with an unknown magic byte": {header(headerValueSchema, 2, 0, 0, 0, 9), []byte{7}, schemaID{}, nil, "Unknown magic byte!"},
		"an empty header":                     {[]connector.RawHeader{{Key: headerValueSchema, Value: []byte{}}}, []byte{7}, schemaID{}, nil, "too few"},
		"JSON":                                {nil, []byte(`{"a":1}`), schemaID{}, nil, "Unknown magic byte! The data does not begin with 0x00 and a schema id, its first byte is 0x7b"},
		"a prefix of AWS Glue":                {nil, append([]byte{3, 0}, guid...), schemaID{}, nil, "set the converter to com.amazonaws.services.schemaregistry.kafkaconnect.AWSKafkaAvroConverter"},
		"no byte":                             {nil, []byte{}, schemaID{}, nil, "Unknown magic byte!"},
		"too few bytes":                       {nil, []byte{0, 0, 0, 1}, schemaID{}, nil, "too few"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			id, datum, err := frame(tc.headers, headerValueSchema, tc.data)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || id != tc.id || !bytes.Equal(datum, tc.datum) {
				t.Errorf("%v, % x, %v", id, datum, err)
			}
		})
	}
}

func FuzzWire(f *testing.F) {
	f.Add([]byte(nil), []byte{0, 0, 0, 0, 1, 2})
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, []byte{4})
	f.Add([]byte{0, 0, 0, 0, 7}, []byte{})
	f.Fuzz(func(t *testing.T, header, data []byte) {
		var headers []connector.RawHeader
		if header != nil {
			headers = []connector.RawHeader{{Key: headerValueSchema, Value: header}}
		}
		id, datum, err := frame(headers, headerValueSchema, data)
		if err != nil {
			return
		}
		if id.guid != "" && len(id.guid) != 36 {
			t.Errorf("guid %q", id.guid)
		}
		if !bytes.HasSuffix(data, datum) {
			t.Errorf("% x is no part of % x", datum, data)
		}
	})
}
