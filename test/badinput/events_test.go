package badinput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/twmb/avro"
)

const avroConverter = "io.confluent.connect.avro.AvroConverter"

// source is the block that says where a change comes from.
const sourceSchema = `{"type":"record","name":"Source","namespace":"io.debezium.connector.sqlserver","fields":[
 {"name":"version","type":"string"},{"name":"connector","type":"string"},{"name":"name","type":"string"},{"name":"ts_ms","type":"long"},
 {"name":"snapshot","type":["null","string"]},{"name":"db","type":"string"},{"name":"schema","type":"string"},{"name":"table","type":"string"},
 {"name":"change_lsn","type":["null","string"]},{"name":"commit_lsn","type":["null","string"]},{"name":"event_serial_no","type":["null","long"]}]}`

const rowSchema = `{"type":"record","name":"Value","namespace":"c.dbo.Clientes","fields":[{"name":"id","type":"long"},{"name":"nome","type":"string"}]}`

const keySchema = `{"type":"record","name":"Key","namespace":"c.dbo.Clientes","fields":[{"name":"id","type":"long"}]}`

// envelopeSchema is Debezium's, with the types of after and of op as given; "" leaves op out. doc makes schemas
// of the same content differ.
func envelopeSchema(after, op, doc string) string {
	fields := []string{
		`{"name":"before","type":["null",` + rowSchema + `],"default":null}`, `{"name":"after","type":` + after + `}`,
		`{"name":"source","type":` + sourceSchema + `}`,
	}
	if op != "" {
		fields = append(fields, `{"name":"op","type":`+op+`}`)
	}
	return fmt.Sprintf(`{"type":"record","name":"Envelope","namespace":"c.dbo.Clientes","doc":%q,"fields":[%s]}`, doc, strings.Join(fields, ","))
}

const (
	listSchema   = `{"type":"record","name":"Envelope","fields":[{"name":"after","type":["null",{"type":"record","name":"Value","fields":[{"name":"nomes","type":{"type":"array","items":"string"}}]}]}]}`
	nestedSchema = `{"type":"record","name":"Envelope","fields":[{"name":"after","type":["null","Envelope"]}]}`
)

const (
	rowOrNull = `["null","c.dbo.Clientes.Value"]`
	textType  = `"string"`
)

// events encodes change events with the schemas of one registry.
type events struct {
	t        testing.TB
	registry *registry.Server
	doc      string
}

// id registers a schema.
func (e *events) id(schema string) int {
	e.t.Helper()
	r, err := e.registry.Register("clientes-value", registry.Schema{Text: schema})
	if err != nil {
		e.t.Fatal(err)
	}
	return r.ID
}

// encode writes v with a schema as the registry's serializers do.
func (e *events) encode(schema string, v any) []byte {
	e.t.Helper()
	s, err := avro.Parse(schema)
	if err != nil {
		e.t.Fatal(err)
	}
	b, err := s.AppendEncode(prefix(e.id(schema)), v)
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

// raw is a value of bytes that no encoder makes.
func (e *events) raw(schema string, datum ...byte) []byte {
	e.t.Helper()
	return append(prefix(e.id(schema)), datum...)
}

func prefix(id int) []byte { return binary.BigEndian.AppendUint32([]byte{0}, uint32(id)) }

// key is the key of a row.
func (e *events) key(id int64) []byte { return e.encode(keySchema, map[string]any{"id": id}) }

// value is the envelope of an insert of a row whose name is nome, after edit.
func (e *events) value(id int64, nome string, edit func(envelope map[string]any)) []byte {
	v := envelope(id, nome)
	if edit != nil {
		edit(v)
	}
	return e.encode(envelopeSchema(rowOrNull, textType, e.doc), v)
}

func envelope(id int64, nome string) map[string]any {
	return map[string]any{
		"before": nil, "after": map[string]any{"id": id, "nome": nome}, "op": "c",
		"source": map[string]any{
			"version": "3.6.1.Final", "connector": "sqlserver", "name": "consorcio", "ts_ms": int64(1764000000000), "snapshot": "false",
			"db": "ConsorcioDB", "schema": "dbo", "table": "Clientes", "change_lsn": "0000002a:00000f58:0002",
			"commit_lsn": "0000002a:00000f58:0003", "event_serial_no": int64(1),
		},
	}
}

// huge is a text that no input can hold.
func huge() string { return string(bytes.Repeat([]byte("x"), 263_000)) }
