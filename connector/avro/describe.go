package avro

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// props are the attributes of a schema object.
type props map[string]any

// nameUUID is Debezium's name of a UUID in a string.
const nameUUID = "io.debezium.data.Uuid"

// logicalNames maps Avro's logical types to the Connect names that count the same way.
// AvroData knows date, time-millis, timestamp-millis and decimal only, and leaves the others as
// plain numbers; here they keep their meaning.
var logicalNames = map[[2]string]string{
	{"int", "date"}:                    connector.NameDate,
	{"int", "time-millis"}:             connector.NameTime,
	{"long", "time-micros"}:            connector.NameDebeziumMicroTime,
	{"long", "timestamp-millis"}:       connector.NameTimestamp,
	{"long", "timestamp-micros"}:       connector.NameDebeziumMicroTimestamp,
	{"long", "timestamp-nanos"}:        connector.NameDebeziumNanoTimestamp,
	{"long", "local-timestamp-millis"}: connector.NameDebeziumTimestamp,
	{"long", "local-timestamp-micros"}: connector.NameDebeziumMicroTimestamp,
	{"long", "local-timestamp-nanos"}:  connector.NameDebeziumNanoTimestamp,
	{"bytes", "decimal"}:               connector.NameDecimal,
	{"fixed", "decimal"}:               connector.NameDecimal,
	{"string", "uuid"}:                 nameUUID,
}

// describe puts on s what the attributes beside an Avro type say: logicalType, connect.type,
// connect.name, connect.version, connect.doc, connect.parameters and connect.default.
func (p props) describe(s *connector.Schema, avroType string, at place) *SchemaError {
	if len(p) == 0 {
		return nil
	}
	logical, _ := p["logicalType"].(string)
	if name := logicalNames[[2]string{avroType, strings.ToLower(logical)}]; name != "" {
		s.Name = name
	} else if avroType == "int" {
		switch p["connect.type"] {
		case "int8":
			s.Type = connector.Int8
		case "int16":
			s.Type = connector.Int16
		}
	}
	var err *SchemaError
	if s.Params, err = p.params(s, at); err != nil {
		return err
	}
	if name, ok := p["connect.name"].(string); ok {
		s.Name = name
	} else if p["connect.name"] != nil {
		return schemaErrorf(at.path, "connect.name is %s, not a string", kindOf(p["connect.name"]))
	}
	if s.Version, err = p.version(at); err != nil {
		return err
	}
	for _, key := range []string{"doc", "connect.doc"} {
		if doc, ok := p[key].(string); ok {
			s.Doc = doc
		}
	}
	return nil
}

// params gives connect.parameters, and those that a decimal's own attributes stand for.
func (p props) params(s *connector.Schema, at place) (map[string]string, *SchemaError) {
	params := maps.Clone(s.Params)
	set := func(key, value string) {
		if params == nil {
			params = map[string]string{}
		}
		params[key] = value
	}
	switch own := p["connect.parameters"].(type) {
	case nil:
	case map[string]any:
		for key, value := range own {
			text, ok := value.(string)
			if !ok {
				return nil, schemaErrorf(at.path+".connect.parameters", "%q is %s, not a string", key, kindOf(value))
			}
			set(key, text)
		}
	default:
		return nil, schemaErrorf(at.path, "connect.parameters is %s, not an object", kindOf(own))
	}
	if s.Name == connector.NameDecimal {
		scale, err := p.integer("scale", at)
		if err != nil {
			return nil, err
		}
		set("scale", strconv.Itoa(scale))
		if precision, err := p.integer("precision", at); err == nil && precision > 0 {
			set("connect.decimal.precision", strconv.Itoa(precision))
		}
	}
	return params, nil
}

func (p props) version(at place) (int, *SchemaError) { return p.integer("connect.version", at) }

// integer gives the integer under key, 0 when there is none.
func (p props) integer(key string, at place) (int, *SchemaError) {
	if p[key] == nil {
		return 0, nil
	}
	number, _ := p[key].(json.Number)
	v, err := strconv.ParseInt(number.String(), 10, 32)
	if err != nil {
		return 0, schemaErrorf(at.path, "%s is no 32-bit integer: %v", key, p[key])
	}
	return int(v), nil
}
