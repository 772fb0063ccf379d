package badinput

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/test/worker"
)

// badRecord is a record that can never be delivered as it is.
type badRecord struct {
	name  string // as in docs/bad-input.md
	stage string
	cause string // what trace and dead letter say
	// spoil gives what is wrong; a key that it leaves nil is that of the third row.
	spoil func(x *trial) broker.Record
}

const (
	atKey   = "KEY_CONVERTER"
	atValue = "VALUE_CONVERTER"
	atPut   = "TASK_PUT"
)

func value(make func(x *trial) []byte) func(x *trial) broker.Record {
	return func(x *trial) broker.Record { return broker.Record{Value: make(x)} }
}

// edited is an envelope with something changed in it.
func edited(edit func(envelope map[string]any)) func(x *trial) broker.Record {
	return value(func(x *trial) []byte { return x.value(3, "Caio", edit) })
}

// typed is an envelope written with other types of after and op.
func typed(after, op string, edit func(envelope map[string]any)) func(x *trial) broker.Record {
	return value(func(x *trial) []byte {
		v := envelope(3, "Caio")
		edit(v)
		return x.encode(envelopeSchema(after, op, ""), v)
	})
}

func badRecords() []badRecord {
	source := func(field string, v any) func(map[string]any) {
		return func(e map[string]any) { e["source"].(map[string]any)[field] = v }
	}
	set := func(field string, v any) func(map[string]any) {
		return func(e map[string]any) { e[field] = v }
	}
	return []badRecord{
		{"an unknown magic byte", atValue, "Unknown magic byte! The data does not begin with 0x00 and a schema id, its first byte is 0x7b",
			value(func(*trial) []byte { return []byte(`{"op":"c"}`) })},
		{"a value of no bytes", atValue, "Unknown magic byte! The data does not begin with 0x00 and a schema id, it is empty", value(func(*trial) []byte { return []byte{} })},
		{"a schema id that is cut off", atValue, "3 bytes are too few for a schema id", value(func(*trial) []byte { return []byte{0, 0, 0} })},
		{"a schema id that the registry does not have", atValue, "does not know schema id 999999",
			value(func(x *trial) []byte { return append(prefix(999_999), x.value(3, "Caio", nil)[5:]...) })},
		{"a schema of another format", atValue, "it is of type PROTOBUF, not AVRO", value(func(x *trial) []byte {
			r, err := x.registry.Register("protobuf-value", registry.Schema{Text: `syntax = "proto3"; message Cliente { int64 id = 1; }`, Type: "PROTOBUF"})
			if err != nil {
				x.t.Fatal(err)
			}
			return append(prefix(r.ID), 0, 8, 1)
		})},
		{"a truncated value", atValue, "at byte", value(func(x *trial) []byte { b := x.value(3, "Caio", nil); return b[:len(b)-3] })},
		{"bytes behind the value", atValue, "at byte", value(func(x *trial) []byte { return append(x.value(3, "Caio", nil), 1, 2, 3) })},
		{"a branch that the union does not have", atValue, "value.before: branch 2 of a union that has none such", value(func(x *trial) []byte {
			b := x.value(3, "Caio", nil)
			b[5] = 4 // the index of before's union
			return b
		})},
		{"a list of more elements than bytes", atValue, "value.after.nomes[0]: data ends inside a number", value(func(x *trial) []byte {
			return x.raw(listSchema, append([]byte{2}, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)...)
		})},
		{"a row that nests without end", atValue, "nested deeper than 128", value(func(x *trial) []byte {
			return x.raw(nestedSchema, bytes.Repeat([]byte{2}, 10_000)...)
		})},
		{"an unreadable key", atKey, "Unknown magic byte!", func(x *trial) broker.Record {
			return broker.Record{Key: []byte("42"), Value: x.value(3, "Caio", nil)}
		}},
		{"a schema that is no envelope", atPut, "not a Debezium change event", value(func(x *trial) []byte {
			return x.encode(rowSchema, map[string]any{"id": int64(3), "nome": "Caio"})
		})},
		{"a value that is no record", atPut, "not a Debezium change event", value(func(x *trial) []byte { return x.encode(`"string"`, "texto") })},
		{"an envelope without op", atPut, "op", typed(rowOrNull, "", func(e map[string]any) { delete(e, "op") })},
		{"an op of the wrong type", atPut, "value.op", typed(rowOrNull, `"int"`, set("op", int32(1)))},
		{"an op of null", atPut, "value.op is null: Debezium always sets it", typed(rowOrNull, `["null","string"]`, set("op", nil))},
		{"an unknown op", atPut, `value.op is "x": expected c, u, d or r`, edited(set("op", "x"))},
		{"a truncated table", atPut, "set skipped.operations=t in Debezium", edited(set("op", "t"))},
		{"after null on an insert", atPut, "value.after is null, op insert: it must hold the row", edited(set("after", nil))},
		{"an after that is no row", atPut, "value.after", typed(textType, textType, set("after", "texto"))},
		{"a source without a position", atPut, "value.source.commit_lsn is null or missing", edited(source("commit_lsn", nil))},
		{"a source that is not supported", atPut, `value.source.connector is "mysql"`, edited(source("connector", "mysql"))},
		{"a value over the size limit", atPut, "Step Functions takes 262144", value(func(x *trial) []byte { return x.value(3, huge(), nil) })},
		{"a huge key", atPut, "Step Functions takes 262144", func(x *trial) broker.Record {
			key := x.encode(`{"type":"record","name":"Key","namespace":"c.dbo.Codigos","fields":[{"name":"codigo","type":"string"}]}`, map[string]any{"codigo": huge()})
			return broker.Record{Key: key, Value: x.value(3, "Caio", nil)}
		}},
	}
}

// spoiled gives six records of which the one at offset 2 is bad; those at 0 and 3, and at 2 and 4, share a key.
func spoiled(x *trial, b badRecord) []broker.Record {
	bad := b.spoil(x)
	if bad.Key == nil {
		bad.Key = x.key(3)
	}
	later := broker.Record{Key: bad.Key, Value: x.value(3, "Caio", nil)}
	if b.stage == atKey || len(bad.Key) > 1000 {
		later = x.good(4) // nothing under such a key can be delivered
	}
	return []broker.Record{x.good(1), x.good(2), bad, x.good(1), later, x.good(5)}
}

func TestARecordThatCanNeverBeDeliveredFailsTheTaskUnderToleranceNone(t *testing.T) {
	t.Parallel()
	for _, b := range badRecords() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, withDLQ(t, "none"))
			records := spoiled(x, b)
			x.begin(2, records...)
			x.awaitState(failed, "topic "+x.name+", partition 0, offset 2", b.cause, "errors.tolerance=all", "POST /connectors/"+x.name+"/tasks/0/restart")
			if at := x.committed(); at != 2 {
				t.Errorf("committed %d, want 2", at)
			}
			if got := x.started(); slices.Contains(got, 2) || slices.Contains(got, 4) && bytes.Equal(records[2].Key, records[4].Key) {
				t.Errorf("started %v: a change passed one of its own key", got)
			}
			checkLetters(t, x, b, records[2], 1)
			othersGoOn(t)

			// The remedy that the trace names: nothing is lost, and nothing is started twice.
			x.create(map[string]string{"errors.tolerance": "all"})
			x.awaitStarted(0, 1, 3, 4, 5)
			x.inOrder(0, 3)
			x.awaitCommitted(6)
			x.awaitState(running)
			checkLetters(t, x, b, records[2], 2)
		})
	}
}

func TestARecordThatCanNeverBeDeliveredGoesToTheDeadLetterQueueUnderToleranceAll(t *testing.T) {
	t.Parallel()
	for _, b := range badRecords() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, withDLQ(t, "all"))
			x.config["batch.max.records"] = "50" // the others of its batch go on
			records := spoiled(x, b)
			x.send(records...)
			x.create(nil)
			x.awaitStarted(0, 1, 3, 4, 5)
			x.awaitCommitted(6)
			x.awaitState(running)
			checkLetters(t, x, b, records[2], 1)
		})
	}
}

// TestRecordsAreSkippedUnderToleranceAllWithoutADeadLetterQueueByConsentOnly has all bad records in one topic.
func TestRecordsAreSkippedUnderToleranceAllWithoutADeadLetterQueueByConsentOnly(t *testing.T) {
	t.Parallel()
	x := newTrial(t, map[string]string{"errors.tolerance": "all"})
	if status, answer := x.call("PUT", "/connectors/"+x.name+"/config", x.config); status != 400 || !strings.Contains(answer, "errors.skip.without.dlq=true") {
		t.Fatalf("status %d: %s", status, answer)
	}
	var all []broker.Record
	var want []int64
	for i, b := range badRecords() {
		all = append(all, spoiled(x, b)...)
		for _, o := range []int64{0, 1, 3, 4, 5} {
			want = append(want, int64(6*i)+o)
		}
	}
	x.send(all...)
	x.create(map[string]string{"errors.skip.without.dlq": "true"})
	x.awaitStarted(want...)
	x.awaitCommitted(int64(len(all)))
	if got := metric(x, "total_records_skipped"); got != len(badRecords()) {
		t.Errorf("%d records are counted as skipped, want %d", got, len(badRecords()))
	}
}

// checkLetters looks for n copies of a bad record in the case's dead letter queue.
func checkLetters(t *testing.T, x *trial, b badRecord, bad broker.Record, n int) {
	t.Helper()
	got := letters(t, dlqOf(t))
	if len(got) != n {
		t.Fatalf("%d records in the dead letter queue, want %d", len(got), n)
	}
	class := map[string]string{atKey: avroConverter, atValue: avroConverter, atPut: "org.apache.kafka.connect.sink.SinkTask"}[b.stage]
	for _, r := range got {
		if !bytes.Equal(r.Key, bad.Key) || !bytes.Equal(r.Value, bad.Value) || (r.Value == nil) != (bad.Value == nil) {
			t.Errorf("the copy is not the record as consumed")
		}
		for name, want := range map[string]string{
			"topic": x.name, "partition": "0", "offset": "2", "connector.name": x.name, "task.id": "0", "stage": b.stage, "class.name": class,
		} {
			if header(r, name) != want {
				t.Errorf("header %s is %q, want %q", name, header(r, name), want)
			}
		}
		if m := header(r, "exception.message"); !strings.Contains(m, b.cause) {
			t.Errorf("%q is not in the message %q", b.cause, m)
		}
		if header(r, "exception.class.name") == "" || header(r, "exception.stacktrace") == "" {
			t.Errorf("headers %v", r.Headers)
		}
	}
}

// oddRecord looks bad and is not.
type oddRecord struct {
	name    string
	records func(x *trial) []broker.Record
	want    []int64 // offsets that become executions
}

func oddRecords() []oddRecord {
	deleted := func(e map[string]any) { e["op"], e["before"], e["after"] = "d", e["after"], nil }
	wide := func(x *trial) []broker.Record {
		fields, row := []string{`{"name":"id","type":"long"}`}, map[string]any{"id": int64(3)}
		for i := range 2000 {
			name := fmt.Sprintf("c%d", i)
			fields, row[name] = append(fields, `{"name":"`+name+`","type":["null","int"]}`), int32(i)
		}
		e := envelope(3, "")
		e["before"], e["after"] = nil, row
		schema := strings.Replace(envelopeSchema(rowOrNull, textType, "wide"), rowSchema, `{"type":"record","name":"Value","namespace":"c.dbo.Clientes","fields":[`+strings.Join(fields, ",")+`]}`, 1)
		return []broker.Record{x.good(3), {Key: x.key(3), Value: x.encode(schema, e)}, x.good(4)}
	}
	return []oddRecord{
		{"a row of 2,000 columns", wide, []int64{0, 1, 2}},
		{"a tombstone", func(x *trial) []broker.Record { return []broker.Record{x.good(1), {Key: x.key(1)}, x.good(1)} }, []int64{0, 2}},
		{"a tombstone without a key", func(x *trial) []broker.Record { return []broker.Record{x.good(1), {}, x.good(2)} }, []int64{0, 2}},
		{"records without a key", func(x *trial) []broker.Record {
			return []broker.Record{{Value: x.value(1, "Ana", nil)}, {Value: x.value(2, "Bia", nil)}, {Value: x.value(1, "Ana", deleted)}, x.good(4)}
		}, []int64{0, 1, 2, 3}},
	}
}

func TestARecordThatOnlyLooksBadIsDelivered(t *testing.T) {
	t.Parallel()
	for _, o := range oddRecords() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, map[string]string{})
			records := o.records(x)
			x.send(records...)
			x.create(nil)
			x.awaitStarted(o.want...)
			x.inOrder(o.want[:len(o.want)-1]...)
			x.awaitCommitted(int64(len(records)))
			x.awaitState(running)
		})
	}
}

// metric reads a counter of the trial's connector from /metrics.
func metric(x *trial, name string) int {
	x.t.Helper()
	_, text := x.call("GET", "/metrics", nil)
	n := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, name) && strings.Contains(line, `"`+x.name+`"`) {
			var v int
			for _, c := range line[strings.LastIndexByte(line, ' ')+1:] {
				if c >= '0' && c <= '9' {
					v = 10*v + int(c-'0')
				}
			}
			n += v
		}
	}
	return n
}

// bystander is a connector that nothing is wrong with.
var bystander struct {
	sync.Mutex // guards made
	made       bool
}

// othersGoOn shows that the bystander still delivers.
func othersGoOn(t *testing.T) {
	t.Helper()
	bystander.Lock()
	defer bystander.Unlock()
	const name = "bystander"
	x := &trial{t: t, name: name, events: &events{t: t, registry: world.stack.Registry}}
	if !bystander.made {
		x.createTopic(name)
		x.createMachine(name)
		x.create(connectorConfig(name))
		bystander.made = true
	}
	at := x.send(x.good(1))
	worker.Eventually(t, within, "another connector goes on", func() bool { return slices.Contains(x.started(), at) })
}
