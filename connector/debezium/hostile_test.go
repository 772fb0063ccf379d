package debezium

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/json"
)

// envelopeOf is the Avro schema of events whose rows have these fields.
func envelopeOf(fields ...string) string {
	return `{"type":"record","name":"Envelope","fields":[
		{"name":"before","type":["null",{"type":"record","name":"Value","fields":[` + strings.Join(fields, ",") + `]}],"default":null},
		{"name":"after","type":["null","Value"],"default":null},
		{"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"connector","type":"string"},{"name":"name","type":"string"},
			{"name":"ts_ms","type":"long"},{"name":"db","type":"string"},{"name":"schema","type":"string"},{"name":"table","type":"string"},{"name":"commit_lsn","type":["null","string"]}]}},
		{"name":"op","type":"string"}]}`
}

func number(v int64) []byte { return binary.AppendVarint(nil, v) }

func text(s string) []byte { return append(number(int64(len(s))), s...) }

// insert is the datum of an insert of a row.
func insert(op string, row []byte) []byte {
	b := append([]byte{0, 2}, row...)
	for _, s := range []string{"sqlserver", "consorcio"} {
		b = append(b, text(s)...)
	}
	b = append(b, number(1741957641537)...)
	for _, s := range []string{"ConsorcioDB", "dbo", "Clientes"} {
		b = append(b, text(s)...)
	}
	b = append(append(b, 2), text("0000002a:00000208:0023")...)
	return append(b, text(op)...)
}

// delivered takes a datum the way of a record to its row's JSON: converter's check, envelope, row.
func delivered(t *testing.T, schema string, datum []byte) (row []byte, err error) {
	t.Helper()
	p, err := avro.Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	p = p.Under("value")
	if err := p.Check(datum); err != nil {
		return nil, err
	}
	v, err := p.Value(datum)
	if err != nil {
		return nil, err
	}
	c, err := NewParser().Parse(&connector.Record{Value: v})
	if err != nil {
		return nil, err
	}
	row, _, err = AppendRow(nil, c.After, nil, nil)
	return row, err
}

func TestHostileEventsAreRefusedByTheFieldsPathOrReadInBounds(t *testing.T) {
	wide := func(n int) (fields []string) {
		for i := range n {
			fields = append(fields, fmt.Sprintf(`{"name":"c%d","type":["null","int"]}`, i))
		}
		return fields
	}
	column := func(typ string) string { return envelopeOf(`{"name":"x","type":` + typ + `}`) }
	tree := column(`["null",{"type":"record","name":"T","fields":[{"name":"t","type":["null","T"]}]}]`)
	lists := column(`{"type":"array","items":"string"}`)
	big := strings.Repeat("x", 10<<20)
	for name, tc := range map[string]struct {
		schema string
		datum  []byte
		most   uint64 // bytes allocated, beside the schema's
		says   string // "" for a row that is delivered
	}{
		"a value of 10 MB":                      {column(`"string"`), insert("c", text(big)), 64 << 20, ""},
		"an op of 10 MB":                        {column(`"string"`), insert(big, text("x")), 64 << 20, `value.op is "` + big[:60] + `…": expected c, u, d or r`},
		"a row of 2,000 columns":                {envelopeOf(wide(2000)...), insert("c", bytes.Repeat([]byte{2, 4}, 2000)), 16 << 20, ""},
		"the last of 2,000 columns is cut off":  {envelopeOf(wide(2000)...), append([]byte{0, 2}, bytes.Repeat([]byte{2, 4}, 1999)...), 16 << 20, "value.after.c1999: data ends inside a number"},
		"a column of another branch":            {envelopeOf(wide(2000)...), insert("c", append(bytes.Repeat([]byte{2, 4}, 1000), bytes.Repeat([]byte{8, 4}, 1000)...)), 16 << 20, "value.after.c1000: branch 4 of a union that has none such"},
		"a tree of 100 levels":                  {tree, insert("c", append(bytes.Repeat([]byte{2}, 100), 0)), 16 << 20, ""},
		"a tree of a million levels":            {tree, insert("c", append(bytes.Repeat([]byte{2}, 1_000_000), 0)), 16 << 20, ".t.t.t.t.t: nested deeper than 128"},
		"2^62 elements of a column":             {lists, append([]byte{0, 2}, number(1<<62)...), 1 << 20, "value.after.x[0]: data ends inside a number"},
		"2^62 entries of a map":                 {column(`{"type":"map","values":"int"}`), append([]byte{0, 2}, number(1<<62)...), 1 << 20, "value.after.x[0].key: data ends inside a number"},
		"a text of 2^62 bytes":                  {column(`"string"`), append([]byte{0, 2}, number(1<<62)...), 1 << 20, "value.after.x: length 4611686018427387904 is more than the 0 bytes that are left"},
		"the index of a union is cut off":       {column(`["null","string"]`), []byte{0, 2, 0x80}, 1 << 20, "value.after.x: data ends inside a number"},
		"the index of after's union is cut off": {column(`"string"`), []byte{0}, 1 << 20, "value.after: data ends inside a number"},
		"an event of one byte":                  {column(`"string"`), []byte{4}, 1 << 20, "value.before: branch 2 of a union that has none such"},
		"an event of no bytes":                  {column(`"string"`), []byte{}, 1 << 20, "value.before: data ends inside a number"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			row, err := delivered(t, tc.schema, tc.datum)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > tc.most {
				t.Errorf("%d bytes allocated, want at most %d", n, tc.most)
			}
			if tc.says == "" {
				if err != nil || len(row) < 3 {
					t.Errorf("%.60s, %v: want the row", row, err)
				}
				return
			}
			if class, _ := connector.Classify(err); err == nil || class != connector.ClassRejected || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("class %v, error %.500v: want a rejection with %.200q", class, err, tc.says)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// Debezium keeps the order of columns; what else writes to the topic may not.
func TestChangedColumnsOfWideRowsInAnotherOrderAreFoundInLinearTime(t *testing.T) {
	const columns = 200_000 // in quadratic time: 20,000,000,000 comparisons of names
	var before, after []any
	for i := range columns {
		before = append(before, fmt.Sprintf("c%06d", i), connector.Number("1"))
		after = append(after, fmt.Sprintf("c%06d", columns-1-i), connector.Number("1"))
	}
	now := object(after...)
	now.Entries[0].Value = connector.Number("2")
	began := time.Now()
	names, ok, err := ChangedColumns(connector.NewValue(nil, object(before...)), connector.NewValue(nil, now), nil)
	if err != nil || !ok || len(names) != 1 || names[0] != fmt.Sprintf("c%06d", columns-1) {
		t.Errorf("%d names, %v, %v", len(names), ok, err)
	}
	// Linear time takes a fraction of a second, quadratic time more than a minute.
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// FuzzEnvelope holds that any JSON is either a change with rows that can be written, or refused by what is wrong.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"op":"c","before":null,"after":{"id":1},"source":{"connector":"sqlserver","name":"a","db":"b","schema":"c","table":"d","ts_ms":1,"commit_lsn":"x"}}`))
	f.Add([]byte(`{"op":"u","before":{"a":"__debezium_unavailable_value"},"after":{"a":[1]},"source":{"connector":"postgresql","name":"a","db":"b","schema":"c","table":"d","ts_ms":1,"lsn":-1,"snapshot":"last"}}`))
	f.Add([]byte(`{"op":{"op":"c"},"after":[],"source":[]}`))
	f.Add([]byte(`{"op":"c","op":"d","source":null,"before":1}`))
	f.Add([]byte(`{"ddl":"","ts_ms":1e400}`))
	plugin := json.Plugin()
	cfg, err := plugin.Config.Parse(map[string]string{"converter.type": "value", "schemas.enable": "false"})
	if err != nil {
		f.Fatal(err)
	}
	c, err := plugin.New(cfg, false)
	if err != nil {
		f.Fatal(err)
	}
	p := NewParser()
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := c.Convert(t.Context(), "t", nil, data)
		if err != nil {
			return
		}
		change, err := p.Parse(&connector.Record{Value: v})
		if err != nil {
			if class, _ := connector.Classify(err); class != connector.ClassRejected || !strings.Contains(err.Error(), "value") || len(err.Error()) > 1000 {
				t.Fatalf("class %v: %.2000v", class, err)
			}
			return
		}
		for _, row := range []connector.Value{change.Before, change.After} {
			if _, _, err := AppendRow(nil, row, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := AppendChanged(nil, change.Before, change.After, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
}
