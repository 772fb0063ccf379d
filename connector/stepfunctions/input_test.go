package stepfunctions

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

var update = flag.Bool("update", false, "write the golden files anew")

const vectorsDir = "../../test/testdata/vectors"

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

type vectorCase struct{ Name, Topic, Op, Kind string }

func vectorCases(t testing.TB) []vectorCase {
	t.Helper()
	var m struct{ Cases []vectorCase }
	if err := json.Unmarshal(readVector(t, "manifest.json"), &m); err != nil {
		t.Fatal(err)
	}
	return m.Cases
}

type programs map[uint32]*avro.Program

func (p programs) value(t testing.TB, wire []byte) connector.Value {
	t.Helper()
	if wire == nil {
		return connector.Value{}
	}
	id := binary.BigEndian.Uint32(wire[1:])
	if p[id] == nil {
		program, err := avro.Compile(string(readVector(t, fmt.Sprintf("schemas/%d.avsc", id))))
		if err != nil {
			t.Fatal(err)
		}
		p[id] = program
	}
	v, err := p[id].Read(wire[5:])
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// vector gives the event of a case at an offset of partition 3 of topic.
func (p programs) vector(t testing.TB, topic, name string, offset int64) *connector.Record {
	t.Helper()
	key, value := readVector(t, "events/"+name+".key.avro"), readVector(t, "events/"+name+".value.avro")
	return &connector.Record{
		Topic: topic, Partition: 3, Key: p.value(t, key), Value: p.value(t, value),
		Origin: connector.Origin{Topic: topic, Partition: 3, Offset: offset, Key: key, Value: value},
	}
}

// inputOf gives the input of one execution for the records.
func inputOf(t testing.TB, s *Sink, records ...*connector.Record) string {
	t.Helper()
	j, err := s.load(connectortest.Freeze(records...))
	if err != nil {
		t.Fatal(err)
	}
	r := j.request()
	body := r.body()
	defer body.Release()
	reader, err := body.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var in struct{ Input string }
	if err := json.NewDecoder(reader).Decode(&in); err != nil {
		t.Fatal(err)
	}
	return in.Input
}

// anywhere takes every topic and table.
func anywhere(t testing.TB, pairs ...string) *Sink {
	t.Helper()
	return newSink(t, newTask(t).TaskContext, settingsFor(nil, append([]string{"execution.type", "express", "domain.clientes.topics", ""}, pairs...)...))
}

func inputSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../schemas/execution-input.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, input string) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(input))
	if err == nil {
		err = s.Validate(v)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, input)
	}
}

func exact(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// wanted makes of a vector's expected values the change that an input must hold.
func wanted(t *testing.T, c vectorCase, offset int64) map[string]any {
	e := exact(t, readVector(t, "events/"+c.Name+".expected.json")).(map[string]any)
	value := e["value"].(map[string]any)
	source := value["source"].(map[string]any)
	ms, err := source["ts_ms"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"operation": map[string]string{"c": "insert", "u": "update", "d": "delete", "r": "snapshot"}[value["op"].(string)],
		"database":  source["db"], "schema": source["schema"], "table": source["table"],
		"key": e["key"], "before": value["before"], "after": value["after"],
		"position":     map[string]any{"epoch": json.Number("0"), "commit_lsn": source["commit_lsn"], "change_lsn": source["change_lsn"], "event_serial_no": source["event_serial_no"]},
		"committed_at": time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z"),
		"snapshot":     source["snapshot"] != nil && source["snapshot"] != "false",
		"kafka":        map[string]any{"topic": c.Topic, "partition": json.Number("3"), "offset": json.Number(fmt.Sprint(offset))},
	}
	var missing []any
	for _, row := range []string{"before", "after"} {
		columns, _ := want[row].(map[string]any)
		for name, v := range columns {
			if v == debezium.Placeholder {
				delete(columns, name)
				if missing == nil {
					missing = []any{name}
				}
			}
		}
	}
	if missing != nil {
		want["unavailable"] = missing
	}
	return want
}

func TestTheInputOfEveryVectorHoldsItsExactValuesAndKeepsTheSchema(t *testing.T) {
	s, schema, p, seen := anywhere(t), inputSchema(t), programs{}, 0
	for i, c := range vectorCases(t) {
		if c.Kind != "" || c.Op == "t" || c.Op == "tombstone" {
			continue
		}
		seen++
		t.Run(c.Name, func(t *testing.T) {
			text := inputOf(t, s, p.vector(t, c.Topic, c.Name, int64(i)))
			validate(t, schema, text)
			got := exact(t, []byte(text))
			want := map[string]any{"domain": "clientes", "changes": []any{wanted(t, c, int64(i))}}
			if diff := cmp.Diff(canonical(want), canonical(got)); diff != "" {
				t.Error(diff)
			}
			if again := inputOf(t, s, p.vector(t, c.Topic, c.Name, int64(i))); again != text {
				t.Errorf("the second time the input is\n%s\nafter\n%s", again, text)
			}
		})
	}
	if seen < 35 {
		t.Fatalf("%d vectors of rows: the set is not complete", seen)
	}
}

// canonical brings floats to one spelling: Java writes 3.4028235E38, ECMAScript 3.4028235e+38.
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = canonical(v[k])
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := v.Float64()
			if err != nil {
				panic(err)
			}
			return f
		}
	}
	return v
}

// The golden files are the contract with the state machines: a diff here is a change for them.
func TestInputsAreByteForByteTheGoldenOnes(t *testing.T) {
	schema, p := inputSchema(t), programs{}
	one := func(name string) []string { return []string{name} }
	for golden, tc := range map[string]struct {
		vectors []string
		pairs   []string
	}{
		"clientes-insert":              {one("clientes-c-full"), nil},
		"clientes-update":              {one("clientes-u"), nil},
		"clientes-update-unavailable":  {one("clientes-u-lob-unavailable"), nil},
		"clientes-delete":              {one("clientes-d"), nil},
		"clientes-snapshot":            {one("clientes-r-first"), nil},
		"clientes-key-change":          {[]string{"clientes-pk-1-delete", "clientes-pk-2-tombstone", "clientes-pk-3-create"}, nil},
		"pedidos-insert":               {one("pedidos-c"), nil},
		"pedidos-update":               {one("pedidos-u"), nil},
		"pedidos-delete":               {one("pedidos-d"), nil},
		"pedidos-snapshot":             {one("pedidos-r-last"), nil},
		"produtos-insert":              {one("produtos-c-decimal38-max"), nil},
		"produtos-delete":              {one("produtos-d"), nil},
		"auditoria-without-key":        {one("auditoria-c-no-key"), nil},
		"many":                         {[]string{"clientes-c-nulls", "clientes-u", "clientes-d"}, nil},
		"before-changed":               {one("clientes-u-to-null"), []string{"input.before", "changed"}},
		"before-changed-unavailable":   {one("clientes-u-lob-unavailable"), []string{"input.before", "changed"}},
		"before-changed-delete":        {one("pedidos-d"), []string{"input.before", "changed"}},
		"before-never":                 {one("pedidos-u"), []string{"input.before", "never"}},
		"flat-insert":                  {one("pedidos-c"), []string{"input.format", "flat"}},
		"flat-delete":                  {one("pedidos-d"), []string{"input.format", "flat"}},
		"flat-unavailable":             {one("clientes-u-lob-unavailable"), []string{"input.format", "flat"}},
		"envelope-update":              {one("pedidos-u"), []string{"input.format", "envelope"}},
		"values-number-string-raw-hex": {one("produtos-c-decimal38-max"), []string{"value.decimal.format", "number", "value.int64.format", "string", "value.time.format", "raw", "value.binary.format", "hex"}},
		"source-epoch":                 {one("pedidos-u"), []string{"source.epoch.consorcio", "4", "source.epoch.outro", "9"}},
		"source-epoch-flat":            {one("pedidos-u"), []string{"source.epoch.consorcio", "4", "input.format", "flat"}},
		"consumed-coordinates":         {one("pedidos-u"), nil},
		"changed-fields":               {[]string{"clientes-u-to-null", "clientes-d", "clientes-u-lob-unavailable"}, []string{"input.changed.fields", "true", "input.before", "changed"}},
		"changed-fields-flat":          {one("pedidos-u"), []string{"input.changed.fields", "true", "input.format", "flat"}},
		"changed-fields-envelope":      {one("pedidos-u"), []string{"input.changed.fields", "true", "input.format", "envelope"}},
		"columns-lgpd":                 {[]string{"clientes-u", "clientes-d"}, lgpd()},
		"columns-lgpd-flat":            {one("clientes-u-to-null"), append(lgpd(), "input.format", "flat")},
		"columns-lgpd-envelope":        {one("clientes-u-lob-unavailable"), append(lgpd(), "input.format", "envelope")},
		"columns-include":              {[]string{"clientes-u", "pedidos-u"}, []string{"columns.include", "Clientes.nome, Clientes.renda_*", "input.changed.fields", "true"}},
	} {
		t.Run(golden, func(t *testing.T) {
			var records []*connector.Record
			for i, name := range tc.vectors {
				records = append(records, p.vector(t, strings.SplitN(name, "-", 2)[0]+"-alteracoes", name, int64(1234+i)))
			}
			if golden == "consumed-coordinates" {
				records[0].Topic = "renamed-by-a-transform"
			}
			got := inputOf(t, anywhere(t, tc.pairs...), records...)
			validate(t, schema, got)
			file := filepath.Join("testdata", "inputs", golden+".json")
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// lgpd hides personal data in every way there is.
func lgpd() []string {
	return []string{"columns.exclude", "clientes.telefone,*.perfil_xml", "columns.mask", "dbo.Clientes.*mail, *.Clientes.observacoes",
		"columns.hash", "ConsorcioDB.dbo.Clientes.cpf_cnpj,Clientes.id,Clientes.email,Clientes.renda_mensal", "columns.hash.key", "segredo", "input.changed.fields", "true"}
}

func TestFlatInputsRefuseColumnsWithReservedNames(t *testing.T) {
	s := anywhere(t, "input.format", "flat")
	r := change("Clientes", "c", "1", 1)
	native, _ := r.Value.Native()
	native.(*connector.MapValue).Entries[1].Value = object("__operation", "mine")
	_, err := s.load(connectortest.Freeze(r))
	partial, _ := errors.AsType[*connector.PartialError](err)
	if partial == nil || !strings.Contains(partial.Failed[0].Error(), "__operation") {
		t.Errorf("%v", err)
	}
}

func TestUnavailableNamesTheColumnsThatTheNewRowLacks(t *testing.T) {
	s := anywhere(t)
	event := func(op string, before, after any) *connector.Record {
		r := change("Clientes", op, "1", 1)
		native, _ := r.Value.Native()
		native.(*connector.MapValue).Entries[0].Value, native.(*connector.MapValue).Entries[1].Value = before, after
		return r
	}
	missing, there := object("id", "1", "nota", debezium.Placeholder), object("id", "1", "nota", "nova")
	for what, tc := range map[string]struct {
		record *connector.Record
		want   string
	}{
		"both rows":      {event("u", missing, missing), `"before":{"id":"1"},"after":{"id":"1"},"unavailable":["nota"]`},
		"the new row":    {event("u", there, missing), `"before":{"id":"1","nota":"nova"},"after":{"id":"1"},"unavailable":["nota"]`},
		"the former row": {event("u", missing, there), `"before":{"id":"1"},"after":{"id":"1","nota":"nova"},"position"`},
		"a deleted row":  {event("d", missing, nil), `"before":{"id":"1"},"after":null,"unavailable":["nota"]`},
	} {
		if got := inputOf(t, s, tc.record); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s does not hold %s", what, got, tc.want)
		}
	}
}

func TestTheSchemaRefusesInputsThatAreNone(t *testing.T) {
	schema := inputSchema(t)
	good := inputOf(t, anywhere(t), change("Clientes", "u", "1", 7))
	validate(t, schema, good)
	for what, bad := range map[string]string{
		"no changes":                 `{"domain":"d","changes":[]}`,
		"another operation":          strings.Replace(good, `"update"`, `"upsert"`, 1),
		"an update without a row":    strings.Replace(good, `"after":{"id":"1","nome":"Conceição"}`, `"after":null`, 1),
		"a streamed one without LSN": strings.Replace(good, `"0000002a:00000007:0023"`, `null`, 1),
		"another field":              strings.Replace(good, `"snapshot":`, `"attempt":2,"snapshot":`, 1),
		"a time with a zone":         strings.Replace(good, `.537Z"`, `.537-03:00"`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: the replacement found nothing in %s", what, good)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(v) == nil {
			t.Errorf("%s passes", what)
		}
	}
}
