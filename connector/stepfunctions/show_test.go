package stepfunctions

import (
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

func shownAs(t *testing.T, r *connector.Record, pairs ...string) string {
	t.Helper()
	cfg, err := Connector{}.Config().Parse(settingsFor(nil, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Connector{}.Show(cfg, r)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(out)
}

func TestARecordIsShownAsExecutionsWouldHaveIt(t *testing.T) {
	good := change("Clientes", "u", "1", 7)
	if got := shownAs(t, good); !strings.Contains(got, `"operation":"update"`) || !strings.Contains(got, `"nome":"Maria"`) {
		t.Errorf("without policies: %s", got)
	}
	got := shownAs(t, good, "columns.mask", "Clientes.nome")
	if strings.Contains(got, "Maria") || !strings.Contains(got, `"nome":"********"`) {
		t.Errorf("masked: %s", got)
	}
	none := &connector.Record{Topic: "clientes-alteracoes", Value: connector.NewValue(&connector.Schema{Type: connector.String}, "cpf 123")}
	if got := shownAs(t, none); got != `{"topic":"clientes-alteracoes","key":null,"value":"cpf 123"}` {
		t.Errorf("no change, and nothing is hidden: %s", got)
	}
	if got := shownAs(t, none, "columns.mask", "Clientes.nome"); !strings.HasPrefix(got, "error: not shown, since columns.* hide columns") || strings.Contains(got, "123") {
		t.Errorf("no change, and columns are hidden: %s", got)
	}
}
