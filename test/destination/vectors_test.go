package destination

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inputs are the golden inputs that the sink writes of events made by Debezium's own classes.
const inputs = "../../connector/stepfunctions/testdata/inputs"

func TestInputsOfDebeziumsOwnEventsBecomeRowsValueByValue(t *testing.T) {
	files, err := filepath.Glob(inputs + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	db := open(t)
	ours := regexp.MustCompile(`^(clientes|pedidos|produtos)-`)
	compared := 0
	for _, file := range files {
		name := filepath.Base(file)
		if !ours.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			db.empty(t)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var in struct {
				Changes []struct {
					Operation string
					Table     string
					Key       struct{ ID json.RawMessage }
					After     map[string]json.RawMessage
				}
			}
			if err := json.Unmarshal(text, &in); err != nil {
				t.Fatal(err)
			}
			var raw struct{ Changes json.RawMessage }
			if err := json.Unmarshal(text, &raw); err != nil {
				t.Fatal(err)
			}
			// The golden files route every table to one domain.
			domain := strings.ToLower(in.Changes[0].Table)
			if a := db.applyText(t, domain, string(raw.Changes), "[]"); len(a.Refused) > 0 || a.Applied != a.Keys {
				t.Fatalf("%+v", a)
			}
			for _, c := range in.Changes {
				id := strings.Trim(string(c.Key.ID), `"`)
				if got := value[bool](t, db, "SELECT deleted FROM consorcio."+domain+" WHERE id::text = $1", id); got != (c.Operation == "delete") {
					t.Errorf("row %s: deleted is %t", id, got)
				}
				for column, want := range c.After {
					got := value[string](t, db, fmt.Sprintf("SELECT coalesce(%s, 'null') FROM consorcio.%s WHERE id::text = $1", shown(t, db, domain, column), domain), id)
					var text string
					if json.Unmarshal(want, &text) != nil || string(want) == "null" {
						text = string(want)
					}
					if digits := strings.TrimSuffix(text, "00"); got != text && got != digits && got != strings.TrimRight(text, "0") && got != strings.TrimSuffix(text, ".000") {
						t.Errorf("%s of row %s is %q, want %q", column, id, got, text)
					}
					compared++
				}
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d values were compared", compared)
	}
}

// shown is an expression that gives a column as an input shows it, less trailing zeros of a time.
func shown(t *testing.T, db *database, table, column string) string {
	t.Helper()
	switch value[string](t, db, "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = ('consorcio.' || $1)::regclass AND attname = $2", table, column) {
	case "bytea":
		return "replace(encode(" + column + ", 'base64'), E'\\n', '')"
	case "timestamp without time zone":
		return "replace(" + column + "::text, ' ', 'T')"
	}
	return column + "::text"
}
