package stepfunctions

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

func TestHiddenColumnsAppearInNoFormatRowOrKey(t *testing.T) {
	p := programs{}
	secrets := []string{"12345678909", "maria.conceicao@example.com.br", "11987654321", "7543.2100", "8123.4567", "segmento"}
	for _, format := range []string{"change", "flat", "envelope"} {
		for _, vector := range []string{"clientes-u", "clientes-d", "clientes-u-to-null", "clientes-u-lob-unavailable", "clientes-r-first"} {
			s := anywhere(t, append(lgpd(), "input.format", format)...)
			text := inputOf(t, s, p.vector(t, "clientes-alteracoes", vector, 7))
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s, %s: %s is in %s", format, vector, secret, text)
				}
			}
			if strings.Contains(text, `"key":{"id":1001`) || strings.Contains(text, "telefone") || strings.Contains(text, "perfil_xml") {
				t.Errorf("%s, %s: %s", format, vector, text)
			}
			if again := inputOf(t, s, p.vector(t, "clientes-alteracoes", vector, 7)); again != text {
				t.Errorf("%s, %s: the second time the input is another", format, vector)
			}
		}
	}
}

// textHash is what columns.hash must give, computed another way.
func textHash(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprint(h, text)
	return hex.EncodeToString(h.Sum(nil))
}

func TestAHashIsOfTheValuesTextWhateverItsForm(t *testing.T) {
	p := programs{}
	want := textHash("segredo", "7543.2100")
	for _, form := range []string{"string", "number"} {
		text := inputOf(t, anywhere(t, append(lgpd(), "value.decimal.format", form, "value.int64.format", form)...), p.vector(t, "clientes-alteracoes", "clientes-u", 7))
		for _, part := range []string{`"renda_mensal":"` + want + `"`, `"key":{"id":"` + textHash("segredo", "1001") + `"}`, `"cpf_cnpj":"` + textHash("segredo", "12345678909") + `"`} {
			if !strings.Contains(text, part) {
				t.Errorf("decimals as %s: no %s in %s", form, part, text)
			}
		}
	}
	other := inputOf(t, anywhere(t, append(lgpd(), "columns.hash.key", "outro")...), p.vector(t, "clientes-alteracoes", "clientes-u", 7))
	if strings.Contains(other, want) {
		t.Error("another key gives the same hash")
	}
}

func TestNullStaysNullAndPlaceholdersAreNoValues(t *testing.T) {
	s := anywhere(t, "columns.mask", "Clientes.nota,Clientes.nome", "columns.exclude", "Clientes.foto", "input.changed.fields", "true")
	r := change("Clientes", "u", "1", 1)
	native, _ := r.Value.Native()
	entries := native.(*connector.MapValue).Entries
	entries[0].Value = object("id", "1", "nota", nil, "nome", "a", "foto", debezium.Placeholder, "grande", debezium.Placeholder)
	entries[1].Value = object("id", "1", "nota", "x", "nome", "b", "foto", debezium.Placeholder, "grande", debezium.Placeholder)
	want := `"before":{"id":"1","nota":null,"nome":"********"},"after":{"id":"1","nota":"********","nome":"********"},"unavailable":["grande"],"changed":["nota","nome"],`
	if got := inputOf(t, s, r); !strings.Contains(got, want) {
		t.Errorf("%s does not hold %s", got, want)
	}
}

func TestAKeyThatIsNoStructIsNotShownUnderAPolicyOfItsTable(t *testing.T) {
	bare := func(table string) *connector.Record {
		r := change(table, "u", "1", 1)
		r.Key = connector.NewValue(nil, "12345678909")
		return r
	}
	s := anywhere(t, "columns.hash", "Clientes.id", "columns.hash.key", "k")
	_, err := s.load(connectortest.Freeze(bare("Clientes")))
	partial, _ := errors.AsType[*connector.PartialError](err)
	if partial == nil || !strings.Contains(partial.Failed[0].Error(), "the record's key is no struct") || strings.Contains(partial.Failed[0].Error(), "12345678909") {
		t.Fatalf("%v", err)
	}
	if class, _ := connector.Classify(partial.Failed[0]); class != connector.ClassRejected {
		t.Errorf("class %v", class)
	}
	if got := inputOf(t, s, bare("Pedidos")); !strings.Contains(got, `"key":"12345678909"`) {
		t.Errorf("another table: %s", got)
	}
}

func TestColumnsMatchByTableAndName(t *testing.T) {
	c := func(table string) *debezium.Change {
		return &debezium.Change{Database: "ConsorcioDB", Schema: "dbo", Table: table}
	}
	p := &columnPolicy{}
	for how, text := range map[treatment]string{excluded: "dbo.Clientes.cpf*", masked: "clientes.CPF", hashed: "Outra.*"} {
		pattern, err := parseColumnPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		p.rules[how] = append(p.rules[how], pattern)
	}
	for range 2 { // decided, then remembered
		for _, tc := range []struct {
			table, column string
			want          treatment
		}{{"Clientes", "cpf", excluded}, {"CLIENTES", "Cpf_cnpj", excluded}, {"Clientes", "nome", shown}, {"Outra", "x", hashed}} {
			if got := p.of(c(tc.table)).of(tc.column); got != tc.want {
				t.Errorf("%s.%s: %v, want %v", tc.table, tc.column, got, tc.want)
			}
		}
	}
	if p.of(c("Pedidos")) != nil {
		t.Error("a table without patterns pays for the policy")
	}
	for _, bad := range []string{"cpf", "a..b", "a.b.c.d.e", "t.[", ""} {
		if _, err := parseColumnPattern(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
