package destination

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// input makes an execution input.
func input(domain string, changes ...change) map[string]any {
	return map[string]any{"domain": domain, "changes": changes}
}

func clientes(changes ...change) map[string]any { return input("clientes", changes...) }
func pedidos(changes ...change) map[string]any  { return input("pedidos", changes...) }
func produtos(changes ...change) map[string]any { return input("produtos", changes...) }

func many(n int) []change {
	var changes []change
	for i := range n {
		changes = append(changes, insert("Pedidos", pedido(fmt.Sprint(i+1), "7", "10.00"), at{1, i + 1}))
	}
	return changes
}

// scenario is one execution of a machine, with what it must come to.
type scenario struct {
	name, machine, kind string
	input               any
	before              func(a *account)
	status, errorName   string
	failed              []refusal
	events, parked      int
	query, want         string // of the database afterwards
}

func scenarios() []scenario {
	order := insert("Pedidos", pedido("1", "7", "10.00"), at{1, 1})
	refused := insert("Pedidos", pedido("2", "7", "10.00").with("numero", nil), at{1, 2})
	stubborn := insert("Pedidos", pedido("3", "7", "10.00").with("status", "refuse-me"), at{1, 3})
	failing := func(resource string, n int, name string) func(*account) {
		return func(a *account) { a.failing(resource, n, name) }
	}
	bad := func(i int, column string, value any) change {
		return insert("Clientes", cliente(fmt.Sprint(i)).with(column, value), at{1, i})
	}
	return []scenario{
		{name: "clients are applied", machine: "clientes", kind: "STANDARD", input: clientes(bad(1, "score", 0.10000000000000006), bad(2, "score", nil), bad(3, "score", 3),
			bad(4, "score", math.MaxFloat64), bad(5, "score", -math.MaxFloat64), bad(6, "score", 5e-324)), status: "SUCCEEDED",
			query: "SELECT string_agg(coalesce(score::text, '∅'), ' ' ORDER BY id) FROM consorcio_api.clientes", want: "0.10000000000000006 ∅ 3 1.7976931348623157e+308 -1.7976931348623157e+308 5e-324"},
		{name: "one client is applied", machine: "clientes", kind: "EXPRESS", input: clientes(bad(1, "nome", "Zoë 👩‍👩‍👧")), status: "SUCCEEDED",
			query: "SELECT nome FROM consorcio_api.clientes", want: "Zoë 👩‍👩‍👧"},
		{name: "what the company does not accept of a client is refused and the rest applied", machine: "clientes", kind: "EXPRESS", status: "SUCCEEDED",
			input: clientes(bad(0, "cpf_cnpj", "529.982.247-26"), bad(1, "cpf_cnpj", "52998224725"), bad(2, "cpf_cnpj", "11111111111"), bad(3, "cpf_cnpj", "11.222.333/0001-81"),
				bad(4, "cpf_cnpj", "11.222.333/0001-80"), bad(5, "cpf_cnpj", "12.ABC.345/01DE-35"), bad(6, "cpf_cnpj", "12.ABC.345/01DE-36"), bad(7, "cpf_cnpj", "123"), bad(8, "cpf_cnpj", ""),
				bad(9, "nome", "  "), bad(10, "nome", nil), bad(11, "email", "jose"), bad(12, "email", "jose@exemplo"), bad(13, "email", nil), bad(14, "email", ""), bad(15, "guid_externo", nil),
				remove("Clientes", "99", at{1, 16})),
			failed: []refusal{
				{0, "InvalidTaxNumber", "cpf_cnpj is neither a CPF nor a CNPJ with right check digits"}, {2, "InvalidTaxNumber", "cpf_cnpj is neither a CPF nor a CNPJ with right check digits"},
				{4, "InvalidTaxNumber", "cpf_cnpj is neither a CPF nor a CNPJ with right check digits"}, {6, "InvalidTaxNumber", "cpf_cnpj is neither a CPF nor a CNPJ with right check digits"},
				{7, "InvalidTaxNumber", "cpf_cnpj is neither a CPF nor a CNPJ with right check digits"}, {8, "RequiredFieldMissing", "cpf_cnpj is empty"}, {9, "RequiredFieldMissing", "nome is empty"},
				{10, "RequiredFieldMissing", "nome is empty"}, {11, "InvalidEmail", "email has not the form of an address"}, {12, "InvalidEmail", "email has not the form of an address"},
				{15, "RequiredValueMissing", "column guid_externo: is required and has no value"}},
			query: "SELECT string_agg(id::text, ' ' ORDER BY id) || ' / ' || (SELECT count(*) FROM consorcio.rejections) FROM consorcio_api.clientes", want: "1 3 5 13 14 / 11"},
		{name: "a database that wakes up is waited for", machine: "clientes", kind: "STANDARD", input: clientes(bad(1, "nome", "A")), before: failing("executeStatement", 6, "RdsData.DatabaseResumingException"), status: "SUCCEEDED",
			query: "SELECT nome FROM consorcio_api.clientes", want: "A"},
		{name: "Standard: clients that no retry could apply are parked", machine: "clientes", kind: "STANDARD", input: clientes(bad(1, "nome", "A")), before: failing("executeStatement", 99, "RdsData.StatementTimeoutException"), status: "FAILED", errorName: "Parked", parked: 1},
		{name: "Express: clients that no retry could apply stay with the caller", machine: "clientes", kind: "EXPRESS", input: clientes(bad(1, "nome", "A")), before: failing("executeStatement", 99, "RdsData.StatementTimeoutException"), status: "FAILED", errorName: "RdsData.StatementTimeoutException"},
		{name: "what no retry can heal is not retried", machine: "clientes", kind: "EXPRESS", input: clientes(bad(1, "nome", "A")), before: failing("executeStatement", 1, "RdsData.AccessDeniedException"), status: "FAILED", errorName: "RdsData.AccessDeniedException"},

		{name: "orders are applied and published", machine: "pedidos", kind: "EXPRESS", input: pedidos(many(23)...), status: "SUCCEEDED", events: 23,
			query: "SELECT count(*) FILTER (WHERE published_at IS NOT NULL) || ' of ' || count(*) FROM consorcio.outbox", want: "23 of 23"},
		{name: "one order is applied and published", machine: "pedidos", kind: "STANDARD", input: pedidos(order), status: "SUCCEEDED", events: 1,
			query: "SELECT valor_total::text FROM consorcio_api.totais_cliente", want: "10.00"},
		{name: "orders of a snapshot notify nobody", machine: "pedidos", kind: "STANDARD", input: pedidos(snapshot("Pedidos", pedido("1", "7", "10.00"), at{1, 1})), status: "SUCCEEDED"},
		{name: "an order that is refused is named", machine: "pedidos", kind: "EXPRESS", input: pedidos(order, refused), status: "SUCCEEDED", events: 1,
			failed: []refusal{{1, "RequiredValueMissing", "column numero: is required and has no value"}}},
		{name: "an entry that EventBridge refuses stays in the outbox, the others do not", machine: "pedidos", kind: "EXPRESS", input: pedidos(order, stubborn), status: "SUCCEEDED", events: 1,
			query: "SELECT detail::jsonb #>> '{row,status}' FROM consorcio.outbox WHERE published_at IS NULL", want: "refuse-me"},
		{name: "while EventBridge is away orders are applied and wait in the outbox", machine: "pedidos", kind: "EXPRESS", input: pedidos(order), before: failing("putEvents", 99, "EventBridge.InternalException"), status: "SUCCEEDED",
			query: "SELECT count(*)::text FROM consorcio.outbox WHERE published_at IS NULL", want: "1"},
		{name: "a notification that could not be marked is published again", machine: "pedidos", kind: "EXPRESS", input: pedidos(order), events: 1, status: "SUCCEEDED",
			before: func(a *account) {
				a.after("executeStatement", 1)
				a.failing("executeStatement", 99, "RdsData.InternalServerErrorException")
			},
			query: "SELECT count(*)::text FROM consorcio.outbox WHERE published_at IS NULL", want: "1"},
		{name: "Standard: orders that no retry could apply are parked, however often SQS fails", machine: "pedidos", kind: "STANDARD", input: pedidos(order), status: "FAILED", errorName: "Parked", parked: 1,
			before: func(a *account) {
				a.failing("executeStatement", 99, "States.Timeout")
				a.failing("sendMessage", 5, "SQS.SdkClientException")
			}},
		{name: "Express: orders that no retry could apply stay with the caller", machine: "pedidos", kind: "EXPRESS", input: pedidos(order), before: failing("executeStatement", 99, "States.Timeout"), status: "FAILED", errorName: "States.Timeout"},

		{name: "products are applied and published", machine: "produtos", kind: "STANDARD", status: "SUCCEEDED", events: 2,
			input: produtos(insert("Produtos", produto("P1"), at{1, 1}), update("Produtos", produto("P1").with("disponivel", false), at{2, 2}, "foto")),
			query: "SELECT disponivel || ' ' || octet_length(foto) FROM consorcio_api.produtos", want: "false 9"},
		{name: "products of a snapshot notify nobody", machine: "produtos", kind: "EXPRESS", input: produtos(snapshot("Produtos", produto("P1"), at{1, 1})), status: "SUCCEEDED"},
		{name: "while EventBridge is away products are applied and wait in the outbox", machine: "produtos", kind: "EXPRESS", input: produtos(insert("Produtos", produto("P1"), at{1, 1})), before: failing("putEvents", 99, "EventBridge.InternalException"), status: "SUCCEEDED",
			query: "SELECT count(*)::text FROM consorcio.outbox WHERE published_at IS NULL", want: "1"},
		{name: "Standard: products that no retry could apply are parked", machine: "produtos", kind: "STANDARD", input: produtos(remove("Produtos", "P1", at{1, 1})), before: failing("executeStatement", 99, "RdsData.DatabaseErrorException"), status: "FAILED", errorName: "Parked", parked: 1},
		{name: "Express: products that no retry could apply stay with the caller", machine: "produtos", kind: "EXPRESS", input: produtos(remove("Produtos", "P1", at{1, 1})), before: failing("executeStatement", 99, "RdsData.DatabaseErrorException"), status: "FAILED", errorName: "RdsData.DatabaseErrorException"},
	}
}

func TestStateMachines(t *testing.T) {
	db := open(t)
	a := newAccount(t, db)
	m := &machines{in: interpret(t, a.task(t)), arns: map[string]string{}}
	paths := map[string][]execution{}
	for _, s := range scenarios() {
		t.Run(s.machine+": "+s.name, func(t *testing.T) {
			db.empty(t)
			a.reset()
			if s.before != nil {
				s.before(a)
			}
			end := m.run(t, s.machine, s.kind, s.input)
			paths[s.machine] = append(paths[s.machine], end)
			if end.Status != s.status || end.Error != s.errorName {
				t.Fatalf("ended %s, want %s %s", end, s.status, s.errorName)
			}
			if s.status == "SUCCEEDED" {
				var output struct {
					Failed []refusal      `json:"failed"`
					Counts map[string]int `json:"counts"`
				}
				if err := json.Unmarshal([]byte(end.Output), &output); err != nil {
					t.Fatalf("output %s: %v", end.Output, err)
				}
				if diff := cmp.Diff(s.failed, output.Failed, cmp.Transformer("empty", func(r []refusal) []refusal { return slices.Concat([]refusal{}, r) })); diff != "" {
					t.Error(diff)
				}
				if output.Counts["changes"] != len(s.input.(map[string]any)["changes"].([]change)) {
					t.Errorf("counts %v", output.Counts)
				}
			}
			if len(a.events) != s.events || len(a.parked) != s.parked {
				t.Errorf("%d notifications and %d parked, want %d and %d", len(a.events), len(a.parked), s.events, s.parked)
			}
			for _, text := range a.parked {
				var again, first any
				original, _ := json.Marshal(s.input)
				if json.Unmarshal([]byte(text), &again) != nil || json.Unmarshal(original, &first) != nil || !cmp.Equal(first, again) {
					t.Errorf("parked is not the input: %s", text)
				}
			}
			if s.query != "" {
				if got := value[string](t, db, s.query); got != s.want {
					t.Errorf("%s = %q, want %q", s.query, got, s.want)
				}
			}
		})
	}
	t.Run("outbox-publisher: what was left is published in order, once", func(t *testing.T) { publishesWhatWasLeft(t, db, a, m, paths) })
	t.Run("a batch as large as an input can be stays within the limits of every state", func(t *testing.T) {
		db.empty(t)
		a.reset()
		// batch.max.bytes is 200,000 by default, measured as a JSON string literal.
		changes := many(210)
		text, err := json.Marshal(changes)
		if err != nil {
			t.Fatal(err)
		}
		if literal := len(text) + strings.Count(string(text), `"`); literal < 190_000 || literal > 215_000 {
			t.Fatalf("%d bytes as a literal", literal)
		}
		if end := m.run(t, "pedidos", "EXPRESS", pedidos(changes...)); end.Status != "SUCCEEDED" {
			t.Fatal(end)
		}
	})
	report(t, paths)
}

func publishesWhatWasLeft(t *testing.T, db *database, a *account, m *machines, paths map[string][]execution) {
	run := func(want string) {
		t.Helper()
		end := m.run(t, "outbox-publisher", "STANDARD", map[string]any{})
		paths["outbox-publisher"] = append(paths["outbox-publisher"], end)
		if end.Status != want {
			t.Fatal(end)
		}
	}
	left := func(n int) {
		t.Helper()
		if got := value[int](t, db, "SELECT count(*) FROM consorcio.outbox WHERE published_at IS NULL"); got != n {
			t.Fatalf("%d notifications are unpublished, want %d", got, n)
		}
	}
	db.empty(t)
	a.reset()
	db.apply(t, "pedidos", many(75)...)
	run("SUCCEEDED")
	left(0)
	if len(a.events) != 75 {
		t.Errorf("%d were published, want 75", len(a.events))
	}
	run("SUCCEEDED") // with nothing to do

	db.empty(t)
	db.apply(t, "pedidos", many(1)...)
	a.reset()
	a.failing("putEvents", 99, "EventBridge.InternalException")
	run("SUCCEEDED") // tries it for all its rounds
	left(1)
	a.reset()
	a.after("executeStatement", 1)
	a.failing("executeStatement", 99, "RdsData.InternalServerErrorException")
	run("SUCCEEDED")
	left(1)
	a.reset()
	a.failing("executeStatement", 99, "RdsData.InternalServerErrorException")
	run("FAILED")
	a.reset()
	run("SUCCEEDED")
	left(0)
}

// report holds what the executions went through against what the files have: every state, and every
// outcome of every Choice.
func report(t *testing.T, paths map[string][]execution) {
	files, err := filepath.Glob("../../configs/statemachines/*.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		machine := strings.TrimSuffix(filepath.Base(file), ".asl.json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition definition
		if err := json.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		definition.steps(want)
		got := map[string]bool{}
		for _, end := range paths[machine] {
			for i, state := range end.Path {
				got[state] = true
				if i+1 < len(end.Path) {
					got[state+" → "+end.Path[i+1]] = true
				}
			}
			for _, state := range end.Inside {
				got[state] = true
			}
		}
		missing := slices.Sorted(maps.Keys(want))
		missing = slices.DeleteFunc(missing, func(s string) bool { return got[s] })
		t.Logf("%-17s %d executions, %d of %d states and outcomes of choices", machine, len(paths[machine]), len(want)-len(missing), len(want))
		if len(missing) > 0 {
			t.Errorf("%s: never executed: %s", machine, strings.Join(missing, ", "))
		}
	}
}

// definition is a state machine, as far as its coverage goes.
type definition struct {
	States map[string]struct {
		Type          string
		Choices       []struct{ Next string }
		Default       string
		ItemProcessor *definition
	}
}

func (d *definition) steps(into map[string]bool) {
	for name, s := range d.States {
		into[name] = true
		for _, c := range s.Choices {
			into[name+" → "+c.Next] = true
		}
		if s.Type == "Choice" {
			into[name+" → "+s.Default] = true
		}
		if s.ItemProcessor != nil {
			s.ItemProcessor.steps(into)
		}
	}
}
