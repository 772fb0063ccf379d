package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/avro"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/schemas/aurora"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

const sourceBlock = `{"type":"record","name":"Source","namespace":"io.debezium.connector.sqlserver","fields":[
 {"name":"version","type":"string"},{"name":"connector","type":"string"},{"name":"name","type":"string"},{"name":"ts_ms","type":"long"},
 {"name":"snapshot","type":["null","string"]},{"name":"db","type":"string"},{"name":"schema","type":"string"},{"name":"table","type":"string"},
 {"name":"change_lsn","type":["null","string"]},{"name":"commit_lsn","type":["null","string"]},{"name":"event_serial_no","type":["null","long"]}]}`

// shapeOf is Debezium's schema of Pedidos with these columns.
func shapeOf(columns []string) string {
	row := `{"type":"record","name":"Value","namespace":"consorcio.ConsorcioDB.dbo.Pedidos","fields":[` + strings.Join(columns, ",") + `]}`
	return `{"type":"record","name":"Envelope","namespace":"consorcio.ConsorcioDB.dbo.Pedidos","fields":[{"name":"before","type":["null",` + row +
		`],"default":null},{"name":"after","type":["null","Value"],"default":null},{"name":"source","type":` + sourceBlock + `},{"name":"op","type":"string"}]}`
}

func decimal(precision, scale int) string {
	return fmt.Sprintf(`{"type":"bytes","logicalType":"decimal","precision":%d,"scale":%d,"connect.version":1,"connect.name":"org.apache.kafka.connect.data.Decimal","connect.parameters":{"scale":"%d","connect.decimal.precision":"%d"}}`, precision, scale, scale, precision)
}

// base are the columns that Pedidos begins with: those that Aurora requires, and some to change.
func base() map[string]string {
	return map[string]string{
		"id": `"int"`, "numero": `"long"`, "cliente_id": `"long"`, "produto_id": `"string"`, "status": `"string"`, "valor": decimal(18, 2),
		"data_pedido": `"string"`, "parcelas": `["null","int"],"default":null`, "desconto": `["null","string"],"default":null`, "versao": `"bytes"`,
	}
}

var order = []string{"id", "numero", "cliente_id", "produto_id", "status", "valor", "data_pedido", "parcelas", "desconto", "versao", "apelido", "canal", "origem"}

func fields(columns map[string]string) []string {
	var out []string
	for _, name := range order {
		if kind, ok := columns[name]; ok {
			out = append(out, fmt.Sprintf(`{"name":%q,"type":%s}`, name, kind))
		}
	}
	return out
}

// registry is a subject of the real registry under a compatibility mode.
type registry struct{ url, subject string }

func (r registry) send(t *testing.T, method, path string, body any, into any) int {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK && into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
	}
	return resp.StatusCode
}

// register gives a schema's id; ok is false where the mode refuses it.
func (r registry) register(t *testing.T, schema string) (id int, ok bool) {
	t.Helper()
	var made struct{ ID int }
	switch status := r.send(t, http.MethodPost, "/subjects/"+r.subject+"/versions", map[string]string{"schema": schema}, &made); status {
	case http.StatusOK:
		return made.ID, true
	case http.StatusConflict:
		return 0, false
	default:
		t.Fatalf("registering answers %d", status)
		return 0, false
	}
}

// TestATableThatChangesItsShapeFlowsThroughWithoutARestart: what the registry accepts under BACKWARD goes through one worker that is
// never restarted, into one database that is not migrated; what it refuses never gets an id, so Debezium stops before it writes.
func TestATableThatChangesItsShapeFlowsThroughWithoutARestart(t *testing.T) {
	flow := newFlow(t)
	shape := base() // what is accepted stays
	for _, step := range []struct {
		name    string
		changes map[string]string // of columns; "" drops one
		set     map[string]any    // of the row, beside the usual
		refused bool
		query   string // of the row in Aurora
		want    string
	}{
		{name: "as it was", query: "numero || ' ' || valor || ' ' || parcelas", want: "1 10.00 12"},
		{name: "a column is added, nullable", changes: map[string]string{"apelido": `["null","string"],"default":null`}, set: map[string]any{"apelido": "Zé"},
			query: "extra::text", want: `{"apelido": "Zé"}`},
		{name: "a column is added, with a DEFAULT", changes: map[string]string{"canal": `"string","default":"loja"`}, set: map[string]any{"apelido": nil, "canal": "app"},
			query: "extra::text", want: `{"canal": "app", "apelido": null}`},
		{name: "a column is added, NOT NULL without a DEFAULT", changes: map[string]string{"origem": `"string"`}, refused: true},
		{name: "a column is made nullable", changes: map[string]string{"cliente_id": `["null","long"],"default":null`},
			query: "cliente_id::text", want: "7"},
		{name: "a column is dropped", changes: map[string]string{"desconto": ""}, query: "coalesce(desconto::text, 'null')", want: "null"},
		{name: "an int is widened to a bigint", changes: map[string]string{"parcelas": `["null","long"],"default":null`}, set: map[string]any{"parcelas": int64(9007199254740993)},
			query: "parcelas::text", want: "9007199254740993"},
		{name: "a decimal gets digits before and behind the point", changes: map[string]string{"valor": decimal(20, 4)}, set: map[string]any{"valor": []byte{0x01, 0xe2, 0x40}}, query: "valor::text", want: "12.3456"},
		{name: "a text becomes a number", changes: map[string]string{"status": `"int"`}, refused: true},
		{name: "after all of that", query: "valor::text", want: "0.1000"},
	} {
		t.Run(step.name, func(t *testing.T) {
			next := maps.Clone(shape)
			for name, kind := range step.changes {
				next[name] = kind
				if kind == "" {
					delete(next, name)
				}
			}
			id, ok := flow.registry.register(t, shapeOf(fields(next)))
			if ok == step.refused {
				t.Fatalf("the registry accepts it: %t", ok)
			}
			if step.refused {
				return
			}
			shape = next
			row := flow.change(t, id, shape, step.set)
			if got := flow.aurora(t, row, step.query); got != step.want {
				t.Errorf("%s = %q, want %q", step.query, got, step.want)
			}
		})
	}
	if state, trace := flow.worker.TaskState(t, flow.topic, 0); state != "RUNNING" {
		t.Errorf("the task is %s: %s", state, trace)
	}
}

// flow is a topic, the worker that reads it, the endpoint that gets its inputs, and the database that they are applied to.
type flow struct {
	topic    string
	registry registry
	producer *broker.Producer
	states   *states.Endpoint
	worker   *worker.Process
	db       *pgx.Conn
	rows     int
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{topic: stack.Name(t)}
	f.registry = registry{stack.Registry(t), f.topic + "-value"}
	if status := f.registry.send(t, http.MethodPut, "/config/"+f.registry.subject, map[string]string{"compatibility": "BACKWARD"}, nil); status != http.StatusOK {
		t.Fatalf("the compatibility mode answers %d", status)
	}
	b, err := broker.Start(broker.Options{Topics: []broker.Topic{{Name: f.topic, Partitions: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if f.producer, err = broker.NewProducer(b.Addrs()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.producer.Close)
	if f.states, err = states.Start(t.Context(), states.Options{Keep: states.KeepInputs}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.states.Close() })
	if err := f.states.SetMachine(states.Machine{Name: f.topic}); err != nil {
		t.Fatal(err)
	}
	f.worker = worker.Start(t, worker.Properties(t, b.Bootstrap(), f.registry.url), map[string]string{
		"name": f.topic, "connector.class": "StepFunctionsSink", "topics": f.topic, "aws.region": "sa-east-1", "aws.endpoint": f.states.URL(),
		"domains": "pedidos", "domain.pedidos.topics": f.topic, "domain.pedidos.state.machine.arn": "arn:aws:states:sa-east-1:000000000000:stateMachine:" + f.topic,
		"value.int64.format": "string", "input.before": "never", "key.converter": "org.apache.kafka.connect.converters.LongConverter",
	})
	if f.db, err = pgx.Connect(t.Context(), stack.Postgres(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close(context.WithoutCancel(t.Context())) })
	migrations, err := aurora.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range migrations {
		if _, err := f.db.Exec(t.Context(), m.SQL); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	return f
}

// change sends an insert under a schema, waits until it has been started, and applies its input. It gives the row's id.
func (f *flow) change(t *testing.T, schemaID int, columns map[string]string, set map[string]any) int {
	t.Helper()
	f.rows++
	row := map[string]any{
		"id": int32(f.rows), "numero": int64(f.rows), "cliente_id": int64(7), "produto_id": "P1", "status": "APROVADO", "valor": []byte{0x03, 0xe8}, "data_pedido": "2025-03-14T10:07:21.537Z",
		"parcelas": int32(12), "desconto": "-1.5", "versao": []byte{0, 0, 0, 0, 0, 0, 0x0f, 0xa1},
		"apelido": nil, "canal": "loja",
	}
	if columns["parcelas"] != base()["parcelas"] {
		row["parcelas"] = int64(12)
	}
	for name, v := range set {
		row[name] = v
	}
	for name := range row {
		if columns[name] == "" {
			delete(row, name)
		}
	}
	lsn := fmt.Sprintf("0000002a:%08x:0003", f.rows)
	// The encoder is told of a decimal's bytes, as Debezium writes them.
	schema, err := avro.Parse(strings.ReplaceAll(shapeOf(fields(columns)), `"logicalType":"decimal",`, ""))
	if err != nil {
		t.Fatal(err)
	}
	value, err := schema.AppendEncode(binary.BigEndian.AppendUint32([]byte{0}, uint32(schemaID)), map[string]any{
		"before": nil, "after": row, "op": "c",
		"source": map[string]any{
			"version": "3.6.1.Final", "connector": "sqlserver", "name": "consorcio", "ts_ms": int64(1764000000000), "snapshot": "false",
			"db": "ConsorcioDB", "schema": "dbo", "table": "Pedidos", "change_lsn": lsn, "commit_lsn": lsn, "event_serial_no": int64(1),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := binary.BigEndian.AppendUint64(nil, uint64(f.rows))
	if _, err := f.producer.Send(t.Context(), broker.Record{Topic: f.topic, Key: key, Value: value}); err != nil {
		t.Fatal(err)
	}
	var calls []states.Call
	worker.Eventually(t, 30*time.Second, "the change has started an execution", func() bool {
		calls = calls[:0]
		for _, c := range f.states.Log() {
			if c.Target == "StartExecution" && c.Outcome != "" {
				calls = append(calls, c)
			}
		}
		return len(calls) == f.rows
	})
	var input struct{ Changes []map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(calls[f.rows-1].Input), &input); err != nil {
		t.Fatal(err)
	}
	// The topic's key is a number by itself here; Debezium's is a record.
	input.Changes[0]["key"] = json.RawMessage(fmt.Sprintf(`{"id":%d}`, f.rows))
	changes, err := json.Marshal(input.Changes)
	if err != nil {
		t.Fatal(err)
	}
	var refused int
	if err := f.db.QueryRow(t.Context(), "SELECT count(*) FILTER (WHERE kind = 'refused') FROM consorcio.apply_pedidos($1::text::json)", string(changes)).Scan(&refused); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(0, refused); diff != "" {
		t.Fatalf("Aurora refuses %s", changes)
	}
	return f.rows
}

// aurora shows a row.
func (f *flow) aurora(t *testing.T, id int, expression string) string {
	t.Helper()
	var got string
	if err := f.db.QueryRow(t.Context(), "SELECT "+expression+" FROM consorcio.pedidos WHERE id = $1 AND NOT deleted", id).Scan(&got); err != nil {
		t.Fatal(err)
	}
	return got
}
