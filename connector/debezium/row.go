package debezium

import (
	"bytes"
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// Placeholder is what Debezium sends, as text or as its UTF-8 bytes, for a large column that
// the log did not carry because the update left it alone (unavailable.value.placeholder).
const Placeholder = "__debezium_unavailable_value"

var (
	placeholderBytes = []byte(Placeholder)
	// The start of the placeholder in base64, which is how JSON carries it in a binary column.
	placeholderBase64 = []byte("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1")
)

// mayHoldPlaceholder is a quick test of wire bytes, Avro's or JSON's; false is certain.
func mayHoldPlaceholder(raw []byte) bool {
	return bytes.Contains(raw, placeholderBytes) || bytes.Contains(raw, placeholderBase64)
}

// Edit writes one column of a row in place of the row's own value: it appends a JSON value for the
// column to dst, or reports that the column is left out; dst then is as it was. v may be null.
type Edit func(dst []byte, column string, v connector.Value) (out []byte, kept bool, err error)

// AppendRow appends a row's JSON object to dst, or null for a null row. Columns that Debezium
// did not carry are left out and named in unavailable, which is nil when there are none. edit writes
// the other columns; nil writes them as f says. dst comes back with its former content when err is set.
func AppendRow(dst []byte, row connector.Value, f *connector.Format, edit Edit) (out []byte, unavailable []string, err error) {
	if row.IsNull() {
		return append(dst, "null"...), nil, nil
	}
	if raw, _, lazy := row.Wire(); edit == nil && lazy && !mayHoldPlaceholder(raw) {
		out, err := row.AppendJSON(dst, f)
		if err != nil {
			return dst, nil, err
		}
		return out, nil, nil
	}
	cols, err := columnsOf(row)
	if err != nil {
		return dst, nil, err
	}
	return appendColumns(dst, cols, f, edit, nil)
}

// AppendRowLiteral is AppendRow of a text that goes into a JSON string literal (jsontext.AppendLiteral).
func AppendRowLiteral(dst []byte, row connector.Value, f *connector.Format, edit Edit) (out []byte, unavailable []string, err error) {
	if raw, _, lazy := row.Wire(); edit == nil && lazy && !mayHoldPlaceholder(raw) {
		out, err := row.AppendLiteral(dst, f)
		if err != nil {
			return dst, nil, err
		}
		return out, nil, nil
	}
	out, unavailable, err = AppendRow(dst, row, f, edit)
	if err != nil {
		return dst, nil, err
	}
	return jsontext.Literalize(out, len(dst)), unavailable, nil
}

// AppendWhole appends a struct or map as a JSON object with every field, placeholders included, written
// by edit.
func AppendWhole(dst []byte, v connector.Value, edit Edit) ([]byte, error) {
	if v.IsNull() {
		return append(dst, "null"...), nil
	}
	cols, err := columnsOf(v)
	if err != nil {
		return dst, err
	}
	w := writer{start: len(dst), out: append(dst, '{'), edit: edit}
	for _, c := range cols {
		if err := w.add(c); err != nil {
			return dst, err
		}
	}
	return append(w.out, '}'), nil
}

type column struct {
	name  string
	value connector.Value
}

func columnsOf(row connector.Value) ([]column, error) {
	row, err := structured(&row)
	if err != nil {
		return nil, err
	}
	if row.Schema() == nil {
		m, err := mapOf(&row)
		if err != nil {
			return nil, err
		}
		cols := make([]column, len(m.Entries))
		for i, e := range m.Entries {
			name, ok := e.Key.(string)
			if !ok {
				return nil, fmt.Errorf("a column's name is %T, expected string", e.Key)
			}
			cols[i] = column{name, connector.NewValue(nil, e.Value)}
		}
		return cols, nil
	}
	fields := row.Schema().Fields
	values, err := row.AppendFields(make([]connector.Value, 0, len(fields)))
	if err != nil {
		return nil, err
	}
	cols := make([]column, len(values))
	for i, f := range fields {
		cols[i] = column{f.Name, values[i]}
	}
	return cols, nil
}

func appendColumns(dst []byte, cols []column, f *connector.Format, edit Edit, skip func(int, column) (bool, error)) ([]byte, []string, error) {
	if edit == nil {
		edit = func(dst []byte, _ string, v connector.Value) ([]byte, bool, error) {
			out, err := AppendValue(dst, v, f)
			return out, true, err
		}
	}
	var unavailable []string
	w := writer{start: len(dst), out: append(dst, '{'), edit: edit}
	for i, c := range cols {
		missing, err := isPlaceholder(c.value)
		if err != nil {
			return dst, nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		if missing {
			unavailable = append(unavailable, c.name)
			continue
		}
		if skip != nil {
			left, err := skip(i, c)
			if err != nil {
				return dst, nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			if left {
				continue
			}
		}
		if err := w.add(c); err != nil {
			return dst, nil, err
		}
	}
	return append(w.out, '}'), unavailable, nil
}

// writer writes the members of a JSON object that begins at start of out.
type writer struct {
	out   []byte
	start int
	edit  Edit
}

func (w *writer) add(c column) error {
	from := len(w.out)
	if from > w.start+1 {
		w.out = append(w.out, ',')
	}
	w.out = jsontext.AppendString(w.out, c.name)
	w.out = append(w.out, ':')
	out, kept, err := w.edit(w.out, c.name, c.value)
	if err != nil {
		return fmt.Errorf("column %s: %w", c.name, err)
	}
	if !kept {
		out = out[:from]
	}
	w.out = out
	return nil
}

// AppendValue appends the JSON text of a column's value, which may be null.
func AppendValue(dst []byte, v connector.Value, f *connector.Format) ([]byte, error) {
	if v.IsNull() {
		return append(dst, "null"...), nil
	}
	return v.AppendJSON(dst, f)
}

// isPlaceholder decodes only what can be the placeholder by its size and type.
func isPlaceholder(v connector.Value) (bool, error) {
	if raw, _, lazy := v.Wire(); lazy && !mayHoldPlaceholder(raw) {
		return false, nil
	}
	n, err := v.Native()
	if err != nil {
		return false, err
	}
	switch n := n.(type) {
	case string:
		return n == Placeholder, nil
	case []byte:
		return string(n) == Placeholder, nil
	}
	return false, nil
}
