package debezium

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

const goldenFile = "testdata/cases.txt"

// TestGolden reads an insert of SQL Server (event) after the changes of each case: "< source.table=7" sets a part of the
// event to a JSON value, "< -source.table" takes it out, "< value=" and "< key=" set the whole of a part of the record.
func TestGolden(t *testing.T) {
	convertertest.Golden(t, goldenFile, func(t *testing.T, c *convertertest.Case) []string {
		r := edited(t, c.Input)
		change, err := NewParser().Parse(r)
		if err != nil {
			if class, _ := connector.Classify(err); class != connector.ClassRejected {
				t.Errorf("class %v: want a rejection", class)
			}
			return []string{"error: " + err.Error()}
		}
		rows := []string{}
		for _, row := range []struct {
			name  string
			value connector.Value
		}{{"before", change.Before}, {"after", change.After}} {
			text, unavailable, err := AppendRow(nil, row.value, nil, nil)
			if err != nil {
				return []string{"error in " + row.name + ": " + err.Error()}
			}
			rows = append(rows, fmt.Sprintf("%s: %s%s", row.name, text, strings.Join(append([]string{""}, unavailable...), " without ")))
		}
		return append([]string{fmt.Sprintf("%v of %s.%s.%s at %+v, snapshot %v", change.Operation, change.Database, change.Schema, change.Table, change.Position, change.Snapshot)}, rows...)
	})
}

func TestEveryErrorTextOccursInACase(t *testing.T) {
	convertertest.RequireEveryErrorText(t, map[string]string{
		"a column's name is %T": "TestAColumnWhoseNameIsNoTextIsRefused",
		"column %s: %w":         "TestAColumnThatCannotBeReadIsNamed",
	}, goldenFile)
}

func edited(t *testing.T, lines []string) *connector.Record {
	t.Helper()
	var whole []string
	r := event(func(envelope, source map[string]any) {
		for _, line := range lines {
			path, text, set := strings.Cut(strings.TrimPrefix(line, "< "), "=")
			path, taken := strings.CutPrefix(path, "-")
			of := envelope
			if field, ok := strings.CutPrefix(path, "source."); ok {
				of, path = source, field
			}
			switch {
			case path == "value" || path == "key":
				whole = append(whole, path+"="+text)
			case taken:
				delete(of, path)
			case set:
				of[path] = native(t, text)
			default:
				t.Fatalf("no change of an event: %s", line)
			}
		}
	})
	for _, line := range whole {
		path, text, _ := strings.Cut(line, "=")
		v := connector.NewValue(nil, native(t, text))
		if path == "key" {
			r.Key = v
		} else {
			r.Value = v
		}
	}
	return r
}

// native gives JSON text as the JsonConverter gives it without schemas, with members in the order of their names.
func native(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return nativeOf(v)
}

func nativeOf(v any) any {
	switch v := v.(type) {
	case json.Number:
		return connector.Number(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = nativeOf(e)
		}
		return list
	case map[string]any:
		m := &connector.MapValue{}
		for name, e := range v {
			m.Entries = append(m.Entries, connector.Entry{Key: name, Value: nativeOf(e)})
		}
		slices.SortFunc(m.Entries, func(a, b connector.Entry) int { return strings.Compare(a.Key.(string), b.Key.(string)) })
		return m
	}
	return v
}

func TestAColumnWhoseNameIsNoTextIsRefused(t *testing.T) {
	_, _, err := AppendRow(nil, connector.NewValue(nil, object(int32(7), "x")), nil, nil)
	if err == nil || err.Error() != "a column's name is int32, expected string" {
		t.Errorf("%v", err)
	}
}

func TestAColumnThatCannotBeReadIsNamed(t *testing.T) {
	decimal := &connector.Schema{Type: connector.Bytes, Name: connector.NameDecimal, Params: map[string]string{"scale": "2"}}
	s := &connector.Schema{Type: connector.Struct, Fields: []connector.Field{{Name: "valor", Schema: decimal}}}
	row := connector.NewValue(s, &connector.StructValue{Schema: s, Values: []any{[]byte{}}})
	kept := func(dst []byte, _ string, v connector.Value) ([]byte, bool, error) {
		out, err := AppendValue(dst, v, nil)
		return out, true, err
	}
	_, _, err := AppendRow([]byte("kept"), row, nil, kept)
	if err == nil || !strings.HasPrefix(err.Error(), "column valor: ") {
		t.Errorf("AppendRow: %v", err)
	}
	if _, err := AppendWhole(nil, row, kept); err == nil || !strings.HasPrefix(err.Error(), "column valor: ") {
		t.Errorf("AppendWhole: %v", err)
	}
	if _, _, err := AppendChanged(nil, row, row, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "column valor: ") {
		t.Errorf("AppendChanged: %v", err)
	}
}
