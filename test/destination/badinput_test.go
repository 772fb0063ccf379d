package destination

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestAMigratedDatabaseIsMigratedAgainWithoutLosingARow(t *testing.T) {
	db := open(t)
	db.apply(t, "pedidos", insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1}))
	db.migrate(t)
	db.migrate(t)
	if a := db.apply(t, "pedidos", update("Pedidos", pedido("1", "7", "12.00"), at{2, 2})); a.Applied != 1 {
		t.Errorf("%+v, want 1 applied", a)
	}
	if got := value[string](t, db, "SELECT valor_total::text FROM consorcio_api.totais_cliente WHERE cliente_id = 7"); got != "12.00" {
		t.Errorf("valor_total = %s", got)
	}
}

// TestTheNewestPostgreSQLTakesTheMigrationsToo, again and again, and does with every domain's changes what the machine's own does.
func TestTheNewestPostgreSQLTakesTheMigrationsToo(t *testing.T) {
	db := openAt(t, stack.PrivatePostgres18(t).Addr())
	if got := value[int](t, db, "SELECT current_setting('server_version_num')::int / 10000"); got != 18 {
		t.Fatalf("PostgreSQL %d", got)
	}
	db.migrate(t)
	for _, step := range []struct {
		domain  string
		changes []change
		want    answer
	}{
		{"clientes", []change{insert("Clientes", cliente("1"), at{1, 1}), update("Clientes", cliente("1").with("nome", "N"), at{2, 2}, "observacoes")}, answer{Changes: 2, Keys: 1, Applied: 1}},
		{"clientes", []change{insert("Clientes", cliente("1"), at{1, 1})}, answer{Changes: 1, Keys: 1, Stale: 1}},
		{"pedidos", []change{insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1}), remove("Pedidos", "2", at{2, 2})}, answer{Changes: 2, Keys: 2, Applied: 2}},
		{"produtos", []change{snapshot("Produtos", produto("P1"), at{1, 1})}, answer{Changes: 1, Keys: 1, Applied: 1}},
	} {
		got := db.apply(t, step.domain, step.changes...)
		got.Events = nil
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.domain, diff)
		}
	}
	db.migrate(t)
	const shown = "SELECT (SELECT nome || ' ' || observacoes FROM consorcio_api.clientes) || ', ' || (SELECT valor_total FROM consorcio_api.totais_cliente) || ', ' || (SELECT count(*) FROM consorcio.outbox) || ', ' || (SELECT count(checksum) FROM consorcio.content_checksums)"
	if got, want := value[string](t, db, shown), "N prefere a tarde, 10.00, 2, 3"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestValuesArriveExactly(t *testing.T) {
	large := bytes.Repeat([]byte{0x00, 0xff, 0x89, 'P'}, 5<<18) // 5 MB
	db := open(t)
	deep := "1" + strings.Repeat("0", 27) + "." + strings.Repeat("9", 10)
	for name, test := range map[string]struct {
		table, column string
		value         any
		expression    string // of the column, as text; default column::text
		want          string
	}{
		"an emoji and combining letters":              {"Clientes", "nome", "Zoë 👩‍👩‍👧 e\u0301 ß \"aspas\" \\ fim", "", "Zoë 👩‍👩‍👧 e\u0301 ß \"aspas\" \\ fim"},
		"a decimal with 38 digits":                    {"Produtos", "valor_bem", deep, "", deep},
		"a negative decimal with 38 digits":           {"Produtos", "valor_bem", "-" + deep, "", "-" + deep},
		"a decimal wider than the source declares":    {"Pedidos", "valor", "12345678901234567890123.4567", "", "12345678901234567890123.4567"},
		"the smallest fraction":                       {"Produtos", "valor_bem", "0.0000000001", "", "0.0000000001"},
		"zero with its scale":                         {"Produtos", "valor_bem", "0.0000000000", "", "0.0000000000"},
		"the largest bigint":                          {"Pedidos", "numero", "9223372036854775807", "", "9223372036854775807"},
		"a bigint that a double cannot hold":          {"Pedidos", "cliente_id", "9007199254740993", "", "9007199254740993"},
		"a double of 17 digits in two parts":          {"Clientes", "score", map[string]any{"hi": 0.1, "lo": 5.55111512312578e-17}, "", "0.10000000000000006"},
		"a real":                                      {"Clientes", "peso_risco", 0.1, "", "0.1"},
		"a date of the year 0001":                     {"Clientes", "data_nascimento", "0001-01-01", "", "0001-01-01"},
		"a date of the year 9999":                     {"Clientes", "data_nascimento", "9999-12-31", "", "9999-12-31"},
		"a date in isostring mode":                    {"Clientes", "data_nascimento", "2017-09-15Z", "", "2017-09-15"},
		"the first datetime2":                         {"Clientes", "criado_em", "0001-01-01T00:00:00Z", "", "0001-01-01T00:00:00.0000000"},
		"the last datetime2":                          {"Clientes", "criado_em", "9999-12-31T23:59:59.9999999Z", "", "9999-12-31T23:59:59.9999999"},
		"seven digits as nanoseconds":                 {"Clientes", "criado_em", "2019-07-09T02:28:57.123456700", "", "2019-07-09T02:28:57.1234567"},
		"seven digits of a time":                      {"Produtos", "abre_as", "08:30:00.1234567Z", "", "08:30:00.1234567"},
		"a timestamp of the year 0001":                {"Pedidos", "data_pedido", "0001-01-01T00:00:00.000", "", "0001-01-01 00:00:00"},
		"a timestamp of the year 9999":                {"Pedidos", "data_pedido", "9999-12-31T23:59:59.997", "", "9999-12-31 23:59:59.997"},
		"six digits of a timestamp":                   {"Produtos", "revisado_em", "2025-02-28T23:59:59.999999Z", "", "2025-02-28 23:59:59.999999"},
		"a datetimeoffset with its own offset":        {"Clientes", "atualizado_em", "2025-03-14T10:07:21.5370001-03:00", "", "2025-03-14T10:07:21.5370001-03:00"},
		"a binary of no bytes, which is not null":     {"Produtos", "foto", "", "encode(foto, 'hex')", ""},
		"a binary of 5 MB":                            {"Produtos", "foto", base64.StdEncoding.EncodeToString(large), "encode(sha256(foto), 'hex')", fmt.Sprintf("%x", sha256.Sum256(large))},
		"an empty text, which is not null":            {"Clientes", "observacoes", "", "", ""},
		"a column that the destination does not have": {"Clientes", "nova_coluna", map[string]any{"a": "1"}, "extra::text", `{"nova_coluna": {"a": "1"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			db.empty(t)
			r := map[string]row{"Clientes": cliente("1"), "Pedidos": pedido("1", "7", "10.00"), "Produtos": produto("P1")}[test.table]
			table := strings.ToLower(test.table)
			if a := db.apply(t, table, insert(test.table, r.with(test.column, test.value), at{1, 1})); a.Applied != 1 {
				t.Fatalf("%+v", a)
			}
			if test.expression == "" {
				test.expression = test.column + "::text"
			}
			if got := value[string](t, db, "SELECT "+test.expression+" FROM consorcio."+table); got != test.want {
				t.Errorf("%s = %q, want %q", test.column, got, test.want)
			}
		})
	}
}

func TestAChangeThatCannotBeARowIsRefusedAndKeptAndTheOthersAreApplied(t *testing.T) {
	db := open(t)
	good := insert("Clientes", cliente("1"), at{1, 1})
	withoutKey := insert("Clientes", cliente("2"), at{1, 2})
	withoutKey["key"] = nil
	withoutPosition := insert("Clientes", cliente("2"), at{1, 2})
	withoutPosition["position"] = map[string]any{"epoch": 0, "commit_lsn": nil}
	claimed := insert("Clientes", cliente("2"), at{1, 2})
	claimed["claims"] = []any{map[string]any{"column": "nome", "bucket": "b", "key": "k", "sha256": "00", "bytes": 1}}
	for name, test := range map[string]struct {
		change       change
		error, cause string
	}{
		"a null in a required column":          {insert("Clientes", cliente("2").with("nome", nil), at{1, 2}), "RequiredValueMissing", "column nome: is required and has no value"},
		"a decimal that no database holds":     {insert("Clientes", cliente("2").with("renda_mensal", "1e200000"), at{1, 2}), "ValueOutOfRange", "overflow"},
		"an integer that no bigint holds":      {insert("Clientes", cliente("2").with("pontuacao", "9223372036854775808"), at{1, 2}), "ValueOutOfRange", "out of range"},
		"a text where a number belongs":        {insert("Clientes", cliente("2").with("renda_mensal", "muito"), at{1, 2}), "InvalidValue", "muito"},
		"a seventh digit where six are kept":   {insert("Clientes", cliente("2").with("ultimo_acesso", "2025-01-01T00:00:00.0000001"), at{1, 2}), "DateTimeOutOfRange", "column ultimo_acesso"},
		"the 30th of February":                 {insert("Clientes", cliente("2").with("data_nascimento", "2025-02-30"), at{1, 2}), "DateTimeOutOfRange", "2025-02-30"},
		"a datetime2 without a time":           {insert("Clientes", cliente("2").with("criado_em", "2025-02-03"), at{1, 2}), "InvalidValue", "datetime2_7"},
		"base64 that is none":                  {insert("Clientes", cliente("2").with("versao", "§§"), at{1, 2}), "InvalidValue", "column versao"},
		"a NUL, which PostgreSQL cannot keep":  {insert("Clientes", cliente("2").with("nome", `a\`+"\x00b"), at{1, 2}), "UntranslatableCharacter", ""},
		"a change without a key":               {withoutKey, "RequiredValueMissing", "no key"},
		"a change without a position":          {withoutPosition, "RequiredValueMissing", "no position"},
		"an unavailable column without a rank": {update("Clientes", cliente("2"), at{1, 2}, "email"), "ColumnNotSupported", "column email"},
		"a claim for a small column":           {claimed, "ColumnNotSupported", "nome"},
	} {
		t.Run(name, func(t *testing.T) {
			db.empty(t)
			a := db.apply(t, "clientes", good, test.change, insert("Clientes", cliente("3"), at{1, 3}))
			if len(a.Refused) != 1 || a.Refused[0].Index != 1 || a.Refused[0].Error != test.error || !strings.Contains(a.Refused[0].Cause, test.cause) {
				t.Errorf("refused %+v, want index 1 with %s: …%s…", a.Refused, test.error, test.cause)
			}
			if a.Applied != 2 {
				t.Errorf("%+v, want the two others applied", a)
			}
			got := value[string](t, db, "SELECT error FROM consorcio.rejections WHERE kafka_offset = 2 AND resolved_at IS NULL")
			if got != test.error {
				t.Errorf("rejections holds %s, want %s", got, test.error)
			}
		})
	}
}

func TestARefusedChangeThatIsRepairedIsResolved(t *testing.T) {
	db := open(t)
	bad := insert("Clientes", cliente("2").with("nome", nil), at{1, 2})
	db.apply(t, "clientes", bad)
	db.apply(t, "clientes", bad)
	if got := value[int](t, db, "SELECT times FROM consorcio.rejections WHERE resolved_at IS NULL"); got != 2 {
		t.Errorf("times = %d, want 2", got)
	}
	// Replayed from the dead letter queue with its own coordinates, after a later change of the row.
	db.apply(t, "clientes", update("Clientes", cliente("2").with("nome", "later"), at{5, 9}))
	if a := db.apply(t, "clientes", insert("Clientes", cliente("2").with("nome", "repaired"), at{1, 2})); a.Stale != 1 {
		t.Errorf("%+v, want 1 stale", a)
	}
	if got := value[int](t, db, "SELECT count(*) FROM consorcio.rejections WHERE resolved_at IS NULL"); got != 0 {
		t.Errorf("%d rejections are open, want none", got)
	}
	if got := value[string](t, db, "SELECT nome FROM consorcio_api.clientes"); got != "later" {
		t.Errorf("nome = %q, want the later change's", got)
	}
}

func TestWhatTheStateMachineRefusedIsKeptAndNotApplied(t *testing.T) {
	db := open(t)
	changes, err := json.Marshal([]change{insert("Clientes", cliente("1"), at{1, 1}), insert("Clientes", cliente("2"), at{1, 2})})
	if err != nil {
		t.Fatal(err)
	}
	a := db.applyText(t, "clientes", string(changes), `[{"index": 1, "error": "InvalidTaxNumber", "cause": "check digits"}]`)
	if diff := cmp.Diff([]refusal{{1, "InvalidTaxNumber", "check digits"}}, a.Refused); diff != "" {
		t.Error(diff)
	}
	if got := value[string](t, db, "SELECT string_agg(id::text, ',') FROM consorcio_api.clientes"); got != "1" {
		t.Errorf("clients %s, want only 1", got)
	}
}

// TestHistories gives each awkward history of rows its stated outcome.
func TestHistories(t *testing.T) {
	db := open(t)
	foto := base64.StdEncoding.EncodeToString([]byte("nova foto"))
	claim := update("Produtos", produto("P1"), at{3, 3}, "foto")
	delete(claim, "unavailable")
	claim["claims"] = []any{map[string]any{"column": "foto", "bucket": "b", "key": "sha256/00", "sha256": "00", "bytes": 5 << 20}}
	incremental := snapshot("Clientes", cliente("1").with("nome", "read late"), at{5, 50})
	for name, test := range map[string]struct {
		domain  string
		batches [][]change
		query   string
		want    string
	}{
		"a delete that comes before its insert stays a delete": {
			"clientes", [][]change{{remove("Clientes", "1", at{2, 2})}, {insert("Clientes", cliente("1"), at{1, 1})}},
			"SELECT count(*)::text FROM consorcio_api.clientes", "0"},
		"a row that is made again after its delete is there": {
			"clientes", [][]change{{insert("Clientes", cliente("1"), at{1, 1}), remove("Clientes", "1", at{2, 2})}, {insert("Clientes", cliente("1").with("nome", "again"), at{3, 3})}},
			"SELECT nome FROM consorcio_api.clientes", "again"},
		"two clients swap CPFs in one transaction": {
			"clientes", [][]change{
				{insert("Clientes", cliente("1").with("cpf_cnpj", "111"), at{1, 1}), insert("Clientes", cliente("2").with("cpf_cnpj", "222"), at{1, 2})},
				{update("Clientes", cliente("1").with("cpf_cnpj", "222"), at{2, 3}), update("Clientes", cliente("2").with("cpf_cnpj", "111"), at{2, 4})}},
			"SELECT string_agg(id || '=' || cpf_cnpj, ' ' ORDER BY id) FROM consorcio_api.clientes", "1=222 2=111"},
		"a primary key that changes twice in one transaction": {
			"clientes", [][]change{
				{insert("Clientes", cliente("1"), at{1, 1})},
				{insert("Clientes", cliente("3"), at{2, 7}), remove("Clientes", "2", at{2, 6}), insert("Clientes", cliente("2"), at{2, 5}), remove("Clientes", "1", at{2, 4})}},
			"SELECT string_agg(id::text, ' ') FROM consorcio_api.clientes", "3"},
		"a snapshot does not overwrite changes that are newer": {
			"clientes", [][]change{{update("Clientes", cliente("1").with("nome", "live"), at{9, 60})}, {incremental}},
			"SELECT nome FROM consorcio_api.clientes", "live"},
		"a snapshot overwrites what is older": {
			"clientes", [][]change{{update("Clientes", cliente("1").with("nome", "live"), at{5, 40})}, {incremental}},
			"SELECT nome FROM consorcio_api.clientes", "read late"},
		"a snapshot does not bring back what was deleted since": {
			"clientes", [][]change{{remove("Clientes", "1", at{6, 51})}, {incremental}},
			"SELECT count(*)::text FROM consorcio_api.clientes", "0"},
		"an order comes before its client": {
			"pedidos", [][]change{{insert("Pedidos", pedido("1", "404", "10.00"), at{1, 1})}},
			"SELECT what || ' ' || value FROM consorcio.violations WHERE what LIKE '%cliente_id%'", "pedidos.cliente_id missing 404"},
		"an unavailable column in the same batch as the change that set it": {
			"produtos", [][]change{{insert("Produtos", produto("P1"), at{1, 1}), update("Produtos", produto("P1").with("foto", foto), at{2, 2}), update("Produtos", produto("P1").with("nome", "N"), at{3, 3}, "foto", "descricao")}},
			"SELECT nome || ' ' || convert_from(foto, 'UTF8') FROM consorcio_api.produtos", "N nova foto"},
		"an unavailable column after the change that set it": {
			"produtos", [][]change{{update("Produtos", produto("P1").with("foto", foto), at{2, 2})}, {update("Produtos", produto("P1").with("nome", "N"), at{3, 3}, "foto")}},
			"SELECT nome || ' ' || convert_from(foto, 'UTF8') FROM consorcio_api.produtos", "N nova foto"},
		"an unavailable column before the change that set it": {
			"produtos", [][]change{{update("Produtos", produto("P1").with("nome", "N"), at{3, 3}, "foto")}, {update("Produtos", produto("P1").with("foto", foto), at{2, 2})}},
			"SELECT nome || ' ' || convert_from(foto, 'UTF8') FROM consorcio_api.produtos", "N nova foto"},
		"an unavailable column whose value never came is known to be unknown": {
			"produtos", [][]change{{update("Produtos", produto("P1"), at{3, 3}, "foto")}},
			"SELECT \"table\" || ' ' || id FROM consorcio.unknown_values", "produtos P1"},
		"a binary that was too large leaves its pointer": {
			"produtos", [][]change{{insert("Produtos", produto("P1"), at{1, 1})}, {claim}},
			"SELECT (foto IS NULL) || ' ' || (foto_claim ->> 'key') FROM consorcio_api.produtos", "true sha256/00"},
		"a pointer goes when the value comes": {
			"produtos", [][]change{{claim}, {update("Produtos", produto("P1").with("foto", foto), at{4, 4})}},
			"SELECT convert_from(foto, 'UTF8') || ' ' || (foto_claim IS NULL) FROM consorcio_api.produtos", "nova foto true"},
		"a deleted row keeps no personal data": {
			"clientes", [][]change{{insert("Clientes", cliente("1"), at{1, 1})}, {remove("Clientes", "1", at{2, 2})}},
			"SELECT (nome IS NULL AND cpf_cnpj IS NULL AND email IS NULL AND observacoes IS NULL)::text FROM consorcio.clientes", "true"},
		"instalments come to what is left, to the cent": {
			"pedidos", [][]change{{insert("Pedidos", pedido("1", "7", "100.00").with("valor_entrada", "0.00").with("parcelas", 3), at{1, 1})}},
			"SELECT string_agg(valor::text || ' ' || vencimento, ', ' ORDER BY parcela) FROM consorcio_api.parcelas", "33.33 2025-04-10, 33.33 2025-05-10, 33.34 2025-06-10"},
	} {
		t.Run(name, func(t *testing.T) {
			db.empty(t)
			for _, batch := range test.batches {
				if a := db.apply(t, test.domain, batch...); len(a.Refused) > 0 {
					t.Fatalf("refused: %+v", a.Refused)
				}
			}
			if got := value[string](t, db, test.query); got != test.want {
				t.Errorf("%s = %q, want %q", test.query, got, test.want)
			}
		})
	}
}
