package debezium

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/stepconnect/stepconnect/connector"
)

// AppendChanged is AppendRow for the columns of before whose value differs from after's, and
// for those that after does not have. A null after means that all differ. What edit writes has no part in it.
func AppendChanged(dst []byte, before, after connector.Value, f *connector.Format, edit Edit) (out []byte, unavailable []string, err error) {
	if before.IsNull() || after.IsNull() {
		return AppendRow(dst, before, f, edit)
	}
	cols, err := columnsOf(before)
	if err != nil {
		return dst, nil, err
	}
	now, err := columnsOf(after)
	if err != nil {
		return dst, nil, err
	}
	c := comparison{other: now, format: f}
	return appendColumns(dst, cols, f, edit, c.same)
}

// ChangedColumns names the columns of after whose value differs from before's, and those that before
// does not have, in after's order. Columns that Debezium did not carry in one of the rows are not named. ok is
// false when one of the rows is null: then nothing can be compared.
func ChangedColumns(before, after connector.Value, f *connector.Format) (names []string, ok bool, err error) {
	if before.IsNull() || after.IsNull() {
		return nil, false, nil
	}
	former, err := columnsOf(before)
	if err != nil {
		return nil, false, err
	}
	cols, err := columnsOf(after)
	if err != nil {
		return nil, false, err
	}
	compare := comparison{other: former, format: f}
	for i, c := range cols {
		unknown, err := isPlaceholder(c.value)
		if at := compare.find(i, c.name); err == nil && !unknown && at >= 0 {
			unknown, err = isPlaceholder(former[at].value)
		}
		if err != nil {
			return nil, false, fmt.Errorf("column %s: %w", c.name, err)
		}
		if unknown {
			continue
		}
		same, err := compare.same(i, c)
		if err != nil {
			return nil, false, fmt.Errorf("column %s: %w", c.name, err)
		}
		if !same {
			names = append(names, c.name)
		}
	}
	return names, true, nil
}

// comparison holds a row's columns against those of another image of the row. Values are compared as
// their JSON text: equal values have equal texts, and the images may be of two schemas.
type comparison struct {
	other  []column
	places map[string]int // of other, once a column was not where it is in the first row
	format *connector.Format
	a, b   []byte
}

// find gives the place of a column, whose place in the first row is i, in the other row, or -1.
func (c *comparison) find(i int, name string) int {
	if i < len(c.other) && c.other[i].name == name {
		return i
	}
	if c.places == nil {
		c.places = make(map[string]int, len(c.other))
		for j, o := range slices.Backward(c.other) {
			c.places[o.name] = j
		}
	}
	if at, ok := c.places[name]; ok {
		return at
	}
	return -1
}

func (c *comparison) same(i int, col column) (bool, error) {
	at := c.find(i, col.name)
	if at < 0 {
		return false, nil
	}
	var err error
	if c.a, err = AppendValue(c.a[:0], col.value, c.format); err != nil {
		return false, err
	}
	if c.b, err = AppendValue(c.b[:0], c.other[at].value, c.format); err != nil {
		return false, err
	}
	return bytes.Equal(c.a, c.b), nil
}
