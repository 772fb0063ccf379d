package debezium

import (
	"errors"
	"slices"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

// hide leaves out the column "cpf", replaces "nome" and fails at "ruim".
func hide(dst []byte, column string, v connector.Value) ([]byte, bool, error) {
	switch column {
	case "cpf":
		return append(dst, "never seen"...), false, nil
	case "nome":
		return append(dst, `"*"`...), true, nil
	case "ruim":
		return dst, false, errors.New("unreadable")
	}
	out, err := AppendValue(dst, v, nil)
	return out, true, err
}

func TestAnEditDecidesAboutEveryColumnThatWasCarried(t *testing.T) {
	before := connector.NewValue(nil, object("cpf", "1", "nome", "a", "id", connector.Number("7"), "foto", Placeholder))
	after := connector.NewValue(nil, object("cpf", "2", "nome", "b", "id", connector.Number("7"), "foto", Placeholder))
	got, out, err := AppendRow([]byte("kept"), before, nil, hide)
	if err != nil || string(got) != `kept{"nome":"*","id":7}` || !slices.Equal(out, []string{"foto"}) {
		t.Errorf("%s, %v, %v", got, out, err)
	}
	// The hidden values differ, so the columns count as changed.
	got, _, err = AppendChanged(nil, before, after, nil, hide)
	if err != nil || string(got) != `{"nome":"*"}` {
		t.Errorf("%s, %v", got, err)
	}
	whole, err := AppendWhole(nil, before, hide)
	if err != nil || string(whole) != `{"nome":"*","id":7,"foto":"`+Placeholder+`"}` {
		t.Errorf("%s, %v", whole, err)
	}
	if whole, err = AppendWhole([]byte("x"), connector.Value{}, hide); err != nil || string(whole) != "xnull" {
		t.Errorf("%s, %v", whole, err)
	}
	bad := connector.NewValue(nil, object("id", "1", "ruim", "x"))
	if got, _, err := AppendRow([]byte("kept"), bad, nil, hide); err == nil || err.Error() != "column ruim: unreadable" || string(got) != "kept" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := AppendWhole([]byte("kept"), bad, hide); err == nil || string(got) != "kept" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestChangedColumnsAreThoseOfWhichBothValuesAreKnownAndDiffer(t *testing.T) {
	row := func(pairs ...any) connector.Value { return connector.NewValue(nil, object(pairs...)) }
	for name, tc := range map[string]struct {
		before, after connector.Value
		want          []string
		unknown       bool
	}{
		"values and NULLs":      {row("a", "1", "b", nil, "c", "x"), row("a", "2", "b", "y", "c", "x"), []string{"a", "b"}, false},
		"nothing":               {row("a", "1"), row("a", "1"), nil, false},
		"another order":         {row("a", "1", "b", "2"), row("b", "3", "a", "1"), []string{"b"}, false},
		"a column that is new":  {row("a", "1"), row("a", "1", "b", "2"), []string{"b"}, false},
		"a column that is gone": {row("a", "1", "b", "2"), row("a", "1"), nil, false},
		"not carried after":     {row("a", "1", "b", "2"), row("a", Placeholder, "b", "3"), []string{"b"}, false},
		"not carried before":    {row("a", Placeholder), row("a", "1"), nil, false},
		"no former row":         {connector.Value{}, row("a", "1"), nil, true},
		"no row after":          {row("a", "1"), connector.Value{}, nil, true},
		"digits of a number":    {row("a", connector.Number("1.50")), row("a", connector.Number("1.5")), []string{"a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok, err := ChangedColumns(tc.before, tc.after, nil)
			if err != nil || ok == tc.unknown || !slices.Equal(got, tc.want) {
				t.Errorf("%v, %v, %v", got, ok, err)
			}
		})
	}
}
