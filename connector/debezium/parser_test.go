package debezium

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector"
)

// event gives a schemaless event that edit may change; a nil value removes nothing.
func event(edit func(envelope, source map[string]any)) *connector.Record {
	source := map[string]any{
		"connector": "sqlserver", "name": "consorcio", "db": "ConsorcioDB", "schema": "dbo", "table": "Clientes",
		"ts_ms": connector.Number("1741957641537"), "snapshot": "false",
		"commit_lsn": "0000002a:00000208:0023", "change_lsn": "0000002a:00000204:0002", "event_serial_no": connector.Number("1"),
	}
	envelope := map[string]any{"op": "c", "before": nil, "after": object("id", connector.Number("1")), "source": source}
	if edit != nil {
		edit(envelope, source)
	}
	if s, ok := envelope["source"].(map[string]any); ok {
		envelope["source"] = mapValue(s)
	}
	return &connector.Record{Key: connector.NewValue(nil, object("id", connector.Number("1"))), Value: connector.NewValue(nil, mapValue(envelope))}
}

func mapValue(m map[string]any) *connector.MapValue {
	v := &connector.MapValue{}
	for k, e := range m {
		v.Entries = append(v.Entries, connector.Entry{Key: k, Value: e})
	}
	return v
}

func object(pairs ...any) *connector.MapValue {
	v := &connector.MapValue{}
	for i := 0; i < len(pairs); i += 2 {
		v.Entries = append(v.Entries, connector.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return v
}

func TestAValueThatIsNoStructIsRejected(t *testing.T) {
	for _, v := range []connector.Value{
		connector.NewValue(nil, "text"),
		connector.NewValue(nil, connector.Number("1")),
		connector.NewValue(&connector.Schema{Type: connector.String}, "text"),
		connector.NewValue(&connector.Schema{Type: connector.Bytes}, []byte{1}),
	} {
		_, err := NewParser().Parse(&connector.Record{Value: v})
		if class, _ := connector.Classify(err); err == nil || class != connector.ClassRejected || !strings.Contains(err.Error(), "expected a struct") {
			t.Errorf("error %v: want a rejection", err)
		}
	}
}

func TestADeleteNeedsARowOrAKey(t *testing.T) {
	r := event(func(e, _ map[string]any) { e["op"], e["after"] = "d", nil })
	if _, err := NewParser().Parse(r); err != nil {
		t.Errorf("with a key: %v", err)
	}
	r.Key = connector.Value{}
	if _, err := NewParser().Parse(r); err == nil {
		t.Error("with neither: no error")
	}
}

func TestPostgreSQLsLSNIsSixteenHexDigits(t *testing.T) {
	c, err := NewParser().Parse(event(func(_, s map[string]any) {
		s["connector"], s["lsn"] = "postgresql", connector.Number("27391256")
		delete(s, "commit_lsn")
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Position{CommitLSN: "0000000001a1f518", HasCommitLSN: true}
	if c.Position != want {
		t.Errorf("position %+v, want %+v", c.Position, want)
	}
}

func TestAnythingButFalseIsASnapshotRead(t *testing.T) {
	for _, tc := range []struct {
		value any
		want  bool
	}{{"false", false}, {nil, false}, {false, false}, {"true", true}, {true, true}, {"first", true}, {"last", true},
		{"first_in_data_collection", true}, {"last_in_data_collection", true}, {"incremental", true}} {
		c, err := NewParser().Parse(event(func(_, s map[string]any) { s["snapshot"] = tc.value }))
		if err != nil || c.Snapshot != tc.want {
			t.Errorf("snapshot %v: %v, %v; want %v", tc.value, c.Snapshot, err, tc.want)
		}
	}
}

func TestASnapshotRowMayLackAPosition(t *testing.T) {
	c, err := NewParser().Parse(event(func(e, s map[string]any) {
		e["op"], s["snapshot"], s["commit_lsn"], s["change_lsn"], s["event_serial_no"] = "r", "true", nil, nil, nil
	}))
	if err != nil || c.Position != (Position{}) || c.Operation != Snapshot {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTheTwoEndsOfAKeyChangeAreMarked(t *testing.T) {
	for header, want := range map[string]KeyChange{"__debezium.newkey": KeyMovedAway, "__debezium.oldkey": KeyMovedHere, "other": NoKeyChange} {
		r := event(nil)
		r.Headers = []connector.Header{{Key: "__debezium.context.taskId"}, {Key: header, Value: connector.NewValue(nil, "k")}}
		c, err := NewParser().Parse(r)
		if err != nil || c.KeyChange != want {
			t.Errorf("%s: %v, %v", header, c.KeyChange, err)
		}
	}
}

func TestTextsWithEscapesAreReadBack(t *testing.T) {
	c, err := NewParser().Parse(event(func(_, s map[string]any) { s["table"] = "Situações \"x\"\\\n" }))
	if err != nil || c.Table != "Situações \"x\"\\\n" {
		t.Errorf("%q, %v", c.Table, err)
	}
}

func TestColumnsThatDebeziumDidNotCarryAreLeftOut(t *testing.T) {
	s := &connector.Schema{Type: connector.Struct, Fields: []connector.Field{
		{Name: "id", Schema: &connector.Schema{Type: connector.Int64}},
		{Name: "texto", Schema: &connector.Schema{Type: connector.String, Optional: true}},
		{Name: "foto", Schema: &connector.Schema{Type: connector.Bytes, Optional: true}},
		{Name: "nota", Schema: &connector.Schema{Type: connector.String}},
	}}
	row := func(values ...any) connector.Value {
		return connector.NewValue(s, &connector.StructValue{Schema: s, Values: values})
	}
	for name, tc := range map[string]struct {
		row  connector.Value
		json string
		out  []string
	}{
		"none":              {row(int64(1), "a", nil, "b"), `{"id":1,"texto":"a","foto":null,"nota":"b"}`, nil},
		"as text":           {row(int64(1), Placeholder, []byte{1}, "b"), `{"id":1,"foto":"AQ==","nota":"b"}`, []string{"texto"}},
		"as bytes":          {row(int64(1), nil, []byte(Placeholder), "b"), `{"id":1,"texto":null,"nota":"b"}`, []string{"foto"}},
		"both":              {row(int64(1), Placeholder, []byte(Placeholder), "b"), `{"id":1,"nota":"b"}`, []string{"texto", "foto"}},
		"only inside text":  {row(int64(1), "x"+Placeholder, nil, "b"), `{"id":1,"texto":"x` + Placeholder + `","foto":null,"nota":"b"}`, nil},
		"without a schema":  {connector.NewValue(nil, object("a", Placeholder, "b", "c")), `{"b":"c"}`, []string{"a"}},
		"a row that's null": {connector.Value{}, `null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, out, err := AppendRow([]byte("kept"), tc.row, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("kept"+tc.json, string(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.out, out); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnlyChangedColumnsOfTheFormerRow(t *testing.T) {
	before := connector.NewValue(nil, object("id", connector.Number("1"), "a", "x", "b", nil, "gone", "y", "big", Placeholder))
	after := connector.NewValue(nil, object("id", connector.Number("1"), "a", "z", "b", nil, "big", Placeholder))
	got, out, err := AppendChanged(nil, before, after, nil, nil)
	if err != nil || string(got) != `{"a":"x","gone":"y"}` || len(out) != 1 {
		t.Errorf("%s, %v, %v", got, out, err)
	}
	got, _, err = AppendChanged(nil, before, connector.Value{}, nil, nil)
	if err != nil || !strings.Contains(string(got), `"id":1`) {
		t.Errorf("a delete keeps the whole row: %s, %v", got, err)
	}
}

func TestAParserServesManyAtOnceAndForgetsSchemas(t *testing.T) {
	p := NewParser()
	var all sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		all.Go(func() {
			for j := range 300 {
				s := &connector.Schema{Type: connector.Struct, Name: fmt.Sprintf("s%d-%d", i, j)}
				_, err := p.Parse(&connector.Record{Value: connector.NewValue(s, &connector.StructValue{Schema: s})})
				if err == nil || !strings.Contains(err.Error(), "has no value.op, value.source, value.before and value.after") {
					errs <- errors.Join(errors.New("an empty struct passed"), err)
					return
				}
				if c, err := p.Parse(event(nil)); err != nil || c.Table != "Clientes" || !c.CommittedAt.Equal(time.UnixMilli(1741957641537)) {
					errs <- fmt.Errorf("%+v: %w", c, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if n := p.plans.size.Load(); n > maxPlans {
		t.Errorf("%d plans are kept", n)
	}
}

// jsonText is an encoding whose wire form is JSON: it stands for any converter that is lazy.
type jsonText struct {
	schema *connector.Schema
	parts  []connector.Value // of a struct
}

func (e jsonText) Schema() *connector.Schema { return e.schema }
func (e jsonText) AppendJSON(dst, raw []byte, _ *connector.Format) ([]byte, error) {
	return append(dst, raw...), nil
}
func (e jsonText) Decode(raw []byte) (any, error) { return string(raw), nil }
func (e jsonText) AppendFields(dst []connector.Value, _ []byte) ([]connector.Value, error) {
	return append(dst, e.parts...), nil
}

func TestTextsThatAreStillOnTheWireAreUnescaped(t *testing.T) {
	text := &connector.Schema{Type: connector.String}
	number := &connector.Schema{Type: connector.Int64}
	lazy := func(s *connector.Schema, json string) connector.Value {
		return connector.Lazy(jsonText{schema: s}, []byte(json))
	}
	structOf := func(names []string, values ...connector.Value) connector.Value {
		s := &connector.Schema{Type: connector.Struct}
		for i, name := range names {
			s.Fields = append(s.Fields, connector.Field{Name: name, Schema: values[i].Schema()})
		}
		return connector.Lazy(jsonText{s, values}, []byte("{}"))
	}
	source := structOf([]string{"connector", "name", "db", "schema", "table", "commit_lsn", "ts_ms"},
		lazy(text, `"sqlserver"`), lazy(text, `"consorcio"`), lazy(text, `"A\"B\\C"`), lazy(text, `"dbo"`),
		lazy(text, `"Situações\u0000\ud83d\ude00"`), lazy(text, `"0000002a:00000208:0023"`), lazy(number, `1741957641537`))
	event := structOf([]string{"op", "after", "source"}, lazy(text, `"c"`), structOf(nil), source)
	c, err := NewParser().Parse(&connector.Record{Value: event})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != `A"B\C` || c.Table != "Situações\x00😀" || c.Schema != "dbo" || c.Server != "consorcio" {
		t.Errorf("%+v", c)
	}
	if got := string(c.AppendCommittedAt(nil)); got != "2025-03-14T13:07:21.537Z" {
		t.Errorf("committed at %s", got)
	}
}

func TestOperationsAreReadBackByTheirNames(t *testing.T) {
	for _, op := range []Operation{Insert, Update, Delete, Snapshot} {
		if got, ok := ParseOperation(op.String()); !ok || got != op {
			t.Errorf("%s: %s, %v", op, got, ok)
		}
	}
	for _, name := range []string{"", "tombstone", "invalid", "Insert"} {
		if _, ok := ParseOperation(name); ok {
			t.Errorf("%q is taken for an operation of a row", name)
		}
	}
}
