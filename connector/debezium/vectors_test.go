package debezium

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
)

// The vectors are events that Debezium's own classes made, in Avro, with their exact values.
const vectorsDir = "../../test/testdata/vectors"

type vectors struct {
	Cases    []vectorCase `json:"cases"`
	programs map[uint32]*avro.Program
}

type vectorCase struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
	Op    string `json:"op"`
	Kind  string `json:"kind"`
}

type expectation struct {
	Key   json.RawMessage `json:"key"`
	Value *struct {
		Before json.RawMessage `json:"before"`
		After  json.RawMessage `json:"after"`
		Source struct {
			Connector string  `json:"connector"`
			Name      string  `json:"name"`
			TsMs      int64   `json:"ts_ms"`
			Snapshot  *string `json:"snapshot"`
			DB        string  `json:"db"`
			Schema    string  `json:"schema"`
			Table     string  `json:"table"`
			ChangeLSN *string `json:"change_lsn"`
			CommitLSN *string `json:"commit_lsn"`
			Serial    *int64  `json:"event_serial_no"`
		} `json:"source"`
	} `json:"value"`
}

func loadVectors(t testing.TB) *vectors {
	t.Helper()
	v := &vectors{programs: map[uint32]*avro.Program{}}
	if err := json.Unmarshal(readVector(t, "manifest.json"), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readVector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorsDir, name))
	if os.IsNotExist(err) && strings.HasPrefix(name, "events/") {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// value reads wire bytes with the schema that they name; nil bytes are null.
func (v *vectors) value(t testing.TB, wire []byte) connector.Value {
	t.Helper()
	if wire == nil {
		return connector.Value{}
	}
	id := binary.BigEndian.Uint32(wire[1:])
	if v.programs[id] == nil {
		p, err := avro.Compile(string(readVector(t, fmt.Sprintf("schemas/%d.avsc", id))))
		if err != nil {
			t.Fatal(err)
		}
		v.programs[id] = p
	}
	val, err := v.programs[id].Read(wire[5:])
	if err != nil {
		t.Fatal(err)
	}
	return val
}

func (v *vectors) record(t testing.TB, name string) *connector.Record {
	t.Helper()
	key, value := readVector(t, "events/"+name+".key.avro"), readVector(t, "events/"+name+".value.avro")
	return &connector.Record{
		Key: v.value(t, key), Value: v.value(t, value),
		Origin: connector.Origin{Key: key, Value: value},
	}
}

// forms gives the record as a converter leaves it, and as transforms or other converters would.
func forms(t *testing.T, r *connector.Record) map[string]*connector.Record {
	t.Helper()
	materialised, schemaless := *r, *r
	for _, v := range []struct{ from, native, plain *connector.Value }{
		{&r.Key, &materialised.Key, &schemaless.Key}, {&r.Value, &materialised.Value, &schemaless.Value},
	} {
		n, err := v.from.Native()
		if err != nil {
			t.Fatal(err)
		}
		*v.native = connector.NewValue(v.from.Schema(), n)
		text, err := v.from.AppendJSON(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		*v.plain = connector.NewValue(nil, fromJSON(t, text))
	}
	return map[string]*connector.Record{"lazy": r, "materialised": &materialised, "schemaless": &schemaless}
}

// fromJSON reads JSON into the native forms of schemaless data, in the order of the text.
func fromJSON(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return next(t, d)
}

func next(t testing.TB, d *json.Decoder) any {
	t.Helper()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch tok := tok.(type) {
	case json.Number:
		return connector.Number(tok)
	case json.Delim:
		if tok == '[' {
			list := []any{}
			for d.More() {
				list = append(list, next(t, d))
			}
			_, _ = d.Token()
			return list
		}
		m := &connector.MapValue{}
		for d.More() {
			key := next(t, d)
			m.Entries = append(m.Entries, connector.Entry{Key: key, Value: next(t, d)})
		}
		_, _ = d.Token()
		return m
	}
	return tok
}

func TestEveryVectorOfARowBecomesItsChange(t *testing.T) {
	v, p, seen := loadVectors(t), NewParser(), 0
	for _, c := range v.Cases {
		if c.Kind != "" || c.Op == "t" {
			continue
		}
		seen++
		var want expectation
		if err := json.Unmarshal(readVector(t, "events/"+c.Name+".expected.json"), &want); err != nil {
			t.Fatal(err)
		}
		for form, r := range forms(t, v.record(t, c.Name)) {
			t.Run(c.Name+"/"+form, func(t *testing.T) { checkChange(t, p, r, c.Op, want) })
		}
	}
	if seen < 40 {
		t.Fatalf("%d vectors of rows: the set is not complete", seen)
	}
}

func checkChange(t *testing.T, p *Parser, r *connector.Record, op string, want expectation) {
	got, err := p.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	operation := map[string]Operation{"c": Insert, "u": Update, "d": Delete, "r": Snapshot, "tombstone": Tombstone}[op]
	if got.Operation != operation {
		t.Fatalf("operation %s, want %s", got.Operation, operation)
	}
	if want.Value == nil {
		return
	}
	s := want.Value.Source
	ref := Change{
		Operation: operation, Snapshot: s.Snapshot != nil && *s.Snapshot != "false",
		Connector: s.Connector, Server: s.Name, Database: s.DB, Schema: s.Schema, Table: s.Table,
		CommittedAt: time.UnixMilli(s.TsMs).UTC(),
	}
	if s.CommitLSN != nil {
		ref.Position.CommitLSN, ref.Position.HasCommitLSN = *s.CommitLSN, true
	}
	if s.ChangeLSN != nil {
		ref.Position.ChangeLSN, ref.Position.HasChangeLSN = *s.ChangeLSN, true
	}
	if s.Serial != nil {
		ref.Position.EventSerialNo, ref.Position.HasEventSerialNo = *s.Serial, true
	}
	for _, row := range []struct {
		name string
		got  connector.Value
		want json.RawMessage
	}{{"before", got.Before, want.Value.Before}, {"after", got.After, want.Value.After}} {
		checkRow(t, row.name, row.got, row.want)
	}
	got.Key, got.Before, got.After, got.Envelope = connector.Value{}, connector.Value{}, connector.Value{}, connector.Value{}
	if diff := cmp.Diff(fmt.Sprintf("%+v", ref), fmt.Sprintf("%+v", got)); diff != "" {
		t.Error(diff)
	}
}

func checkRow(t *testing.T, name string, row connector.Value, want json.RawMessage) {
	t.Helper()
	text, unavailable, err := AppendRow(nil, row, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var got, ref any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s is no JSON: %v\n%s", name, err, text)
	}
	if err := json.Unmarshal(want, &ref); err != nil {
		t.Fatal(err)
	}
	columns, _ := ref.(map[string]any)
	for column, value := range columns {
		if value != Placeholder {
			continue
		}
		delete(columns, column)
		if len(unavailable) != 1 || unavailable[0] != column {
			t.Errorf("%s: unavailable %v, want %s", name, unavailable, column)
		}
	}
	if diff := cmp.Diff(ref, got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestRecordsThatAreNoChangeOfARowAreRejectedByWhatTheyAre(t *testing.T) {
	v, p := loadVectors(t), NewParser()
	for name, says := range map[string]string{
		"heartbeat":     "heartbeat",
		"tx-1-begin":    "transaction",
		"schema-change": "schema change",
		"unwrap-c":      "flattened",
		"unwrap-u":      "flattened",
		"clientes-t":    "truncating",
	} {
		for form, r := range forms(t, v.record(t, name)) {
			t.Run(name+"/"+form, func(t *testing.T) {
				_, err := p.Parse(r)
				if class, _ := connector.Classify(err); err == nil || class != connector.ClassRejected {
					t.Fatalf("class %v, error %v: want a rejection", class, err)
				}
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			})
		}
	}
}

func TestCutAvroBytesNeverPanicAndAreNeverAFatalError(t *testing.T) {
	v, p := loadVectors(t), NewParser()
	r := v.record(t, "clientes-u")
	for n := 5; n < len(r.Origin.Value); n++ {
		cut := *r
		program := v.programs[binary.BigEndian.Uint32(r.Origin.Value[1:])]
		val, err := program.Value(r.Origin.Value[5:n])
		if err != nil {
			continue
		}
		cut.Value = val
		if _, err := p.Parse(&cut); err != nil {
			if class, _ := connector.Classify(err); class != connector.ClassRejected {
				t.Fatalf("at %d bytes: class %v: %v", n, class, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	v, p := loadVectors(f), NewParser()
	for _, name := range []string{"clientes-u", "clientes-d", "clientes-r-first", "clientes-u-lob-unavailable"} {
		f.Add(v.record(f, name).Origin.Value[5:])
	}
	program := v.programs[2]
	f.Fuzz(func(t *testing.T, data []byte) {
		val, err := program.Value(data)
		if err != nil {
			return
		}
		c, err := p.Parse(&connector.Record{Value: val})
		if class, _ := connector.Classify(err); err != nil && class != connector.ClassRejected {
			t.Fatalf("class %v: %v", class, err)
		}
		for _, row := range []connector.Value{c.Before, c.After} {
			if text, _, err := AppendRow(nil, row, nil, nil); err == nil && !json.Valid(text) {
				t.Fatalf("no JSON: %s", text)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	v, p := loadVectors(b), NewParser()
	r := v.record(b, "clientes-u")
	b.SetBytes(int64(len(r.Origin.Value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse(r); err != nil {
			b.Fatal(err)
		}
	}
}
