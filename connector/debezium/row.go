package debezium

import (
	"bytes"
	"fmt"
	"slices"

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

// AppendRow appends a row's JSON object to dst, or null for a null row. Columns that Debezium
// did not carry are left out and named in unavailable, which is nil when there are none. dst
// comes back with its former content when err is set.
func AppendRow(dst []byte, row connector.Value, f *connector.Format) (out []byte, unavailable []string, err error) {
	if row.IsNull() {
		return append(dst, "null"...), nil, nil
	}
	if raw, _, lazy := row.Wire(); lazy && !mayHoldPlaceholder(raw) {
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
	return appendColumns(dst, cols, f, nil)
}

// AppendChanged is AppendRow for the columns of before whose value differs from after's, and
// for those that after does not have. A null after means that all differ.
func AppendChanged(dst []byte, before, after connector.Value, f *connector.Format) (out []byte, unavailable []string, err error) {
	if before.IsNull() || after.IsNull() {
		return AppendRow(dst, before, f)
	}
	cols, err := columnsOf(before)
	if err != nil {
		return dst, nil, err
	}
	now, err := columnsOf(after)
	if err != nil {
		return dst, nil, err
	}
	// Values are compared as their JSON text: equal values have equal texts, and the images may
	// be of two schemas.
	var a, b []byte
	same := func(i int, c column) (bool, error) {
		if i >= len(now) || now[i].name != c.name {
			if i = slices.IndexFunc(now, func(n column) bool { return n.name == c.name }); i < 0 {
				return false, nil
			}
		}
		var err error
		if a, err = appendValue(a[:0], c.value, f); err != nil {
			return false, err
		}
		if b, err = appendValue(b[:0], now[i].value, f); err != nil {
			return false, err
		}
		return bytes.Equal(a, b), nil
	}
	return appendColumns(dst, cols, f, same)
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
	values, err := row.AppendFields(nil)
	if err != nil {
		return nil, err
	}
	cols := make([]column, len(values))
	for i, f := range row.Schema().Fields {
		cols[i] = column{f.Name, values[i]}
	}
	return cols, nil
}

func appendColumns(dst []byte, cols []column, f *connector.Format, skip func(int, column) (bool, error)) ([]byte, []string, error) {
	var unavailable []string
	start := len(dst)
	out := append(dst, '{')
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
		if len(out) > start+1 {
			out = append(out, ',')
		}
		out = jsontext.AppendString(out, c.name)
		out = append(out, ':')
		if out, err = appendValue(out, c.value, f); err != nil {
			return dst, nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return append(out, '}'), unavailable, nil
}

func appendValue(dst []byte, v connector.Value, f *connector.Format) ([]byte, error) {
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
