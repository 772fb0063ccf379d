package stepfunctions

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

func TestAStateMachineIsNamedByItsARNOrThatOfAVersionOrAlias(t *testing.T) {
	for text, want := range map[string]stateMachineARN{
		testARN + "Clientes":      {testARN + "Clientes", "sa-east-1", "000000000000", testARN + "Clientes"},
		testARN + "Clientes:7":    {testARN + "Clientes:7", "sa-east-1", "000000000000", testARN + "Clientes"},
		testARN + "Clientes:PROD": {testARN + "Clientes:PROD", "sa-east-1", "000000000000", testARN + "Clientes"},
		"arn:aws-us-gov:states:us-gov-west-1:123456789012:stateMachine:a": {"arn:aws-us-gov:states:us-gov-west-1:123456789012:stateMachine:a", "us-gov-west-1", "123456789012", "arn:aws-us-gov:states:us-gov-west-1:123456789012:stateMachine:a"},
	} {
		if got, err := parseARN(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"":         "no ARN",
		"Clientes": "no ARN",
		"arn:aws:lambda:sa-east-1:000000000000:function:x":                    "no ARN of a state machine",
		"arn:aws:states:sa-east-1:000000000000:express:Clientes:run:1":        "ARN of an execution",
		"arn:aws:states:sa-east-1:000000000000:execution:Clientes:run":        "ARN of an execution",
		"arn:aws:states:sa-east-1:000000000000:activity:a":                    "ARN of a activity",
		testARN + "Clientes/map":                                              "Distributed Map",
		testARN + "Clientes:1:2":                                              "more parts",
		testARN + "Clientes:":                                                 "version or alias is empty",
		testARN:                                                               "name is empty",
		"arn:aws:states::000000000000:stateMachine:a":                         "region is empty",
		"arn:aws:states:sa-east-1:1234:stateMachine:a":                        "12 digits",
		"arn:aws:states:sa-east-1:000000000000:stateMachine:Clientes * todos": "wildcard",
	} {
		if _, err := parseARN(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v does not say %q", text, err, says)
		}
	}
}

// routed gives where changes go: a domain, or a reason in parentheses.
func routed(t *testing.T, pairs ...string) func(topic, table, op string) string {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, append([]string{"execution.type", "standard"}, pairs...)...))
	return func(topic, table, op string) string {
		r := change(table, op, "1", 7)
		if schema, name, ok := strings.Cut(table, "."); ok {
			c := parse(t, r)
			c.Schema, c.Table = schema, name
			return show(s.router.route(topic, c))
		}
		return show(s.router.route(topic, parse(t, r)))
	}
}

func show(d decision) string {
	if d.domain == nil {
		return "(" + filterReasonNames[d.reason] + ")"
	}
	return d.domain.name
}

func TestAChangeGoesToTheFirstDomainThatTakesItsTopicTableAndOperation(t *testing.T) {
	arn := testARN + "X"
	route := routed(t,
		"domains", "exclusoes,clientes,vendas,resto",
		"domain.exclusoes.topics", "clientes-alteracoes", "domain.exclusoes.operations", "delete", "domain.exclusoes.state.machine.arn", arn,
		"domain.clientes.topics", "clientes-alteracoes", "domain.clientes.operations", "insert,update",
		"domain.vendas.topics", "vendas", "domain.vendas.tables", "DBO.pedido*, consorciodb.dbo.Produto?", "domain.vendas.state.machine.arn", arn,
		"domain.resto.tables", "audit.*", "domain.resto.state.machine.arn", arn,
	)
	for _, tc := range []struct{ topic, table, op, want string }{
		{"clientes-alteracoes", "Clientes", "d", "exclusoes"},
		{"clientes-alteracoes", "Clientes", "c", "clientes"},
		{"clientes-alteracoes", "Clientes", "u", "clientes"},
		{"clientes-alteracoes", "Clientes", "r", "(operation)"},
		{"vendas", "Pedidos", "c", "vendas"},
		{"vendas", "PEDIDOS_ITENS", "r", "vendas"},
		{"vendas", "Produtos", "u", "vendas"},
		{"vendas", "ProdutosVelhos", "u", "(table)"},
		{"vendas", "outro.Pedidos", "u", "(table)"},
		{"outro", "Pedidos", "c", "(table)"},
		{"outro", "Audit.Tudo", "c", "resto"},
	} {
		for range 2 { // decided, and remembered
			if got := route(tc.topic, tc.table, tc.op); got != tc.want {
				t.Errorf("%s %s %s goes to %s, want %s", tc.topic, tc.table, tc.op, got, tc.want)
			}
		}
	}
}

func TestTheDefaultDomainTakesWhatNoOtherTakes(t *testing.T) {
	route := routed(t, "domains", "resto,clientes", "default.domain", "resto",
		"domain.resto.state.machine.arn", testARN+"Resto", "domain.resto.operations", "insert,update")
	for _, tc := range []struct{ topic, table, op, want string }{
		{"clientes-alteracoes", "Clientes", "d", "clientes"},
		{"pedidos-alteracoes", "Pedidos", "c", "resto"},
		{"pedidos-alteracoes", "Pedidos", "d", "(operation)"},
	} {
		if got := route(tc.topic, tc.table, tc.op); got != tc.want {
			t.Errorf("%s %s goes to %s, want %s", tc.topic, tc.op, got, tc.want)
		}
	}
	if got := routed(t)("pedidos-alteracoes", "Pedidos", "c"); got != "(topic)" {
		t.Errorf("without a default: %s", got)
	}
}

func TestRoutesAreRememberedWithinABoundAndSafely(t *testing.T) {
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "standard"))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1200 {
				c := debezium.Change{Operation: debezium.Update, Database: "d", Schema: "s", Table: strings.Repeat("t", i%1500)}
				if d := s.router.route("clientes-alteracoes", &c); d.domain == nil || d.domain.name != "clientes" {
					t.Errorf("table %d: %s", i, show(d))
				}
			}
		})
	}
	all.Wait()
	if n := len(*s.router.cache.Load()); n > maxRoutes {
		t.Errorf("%d routes are kept", n)
	}
}

func TestFilteredRecordsAreInNoCallAndCountedByReason(t *testing.T) {
	task := newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(nil, "execution.type", "standard", "domain.clientes.operations", "insert,delete"))
	calls, err := s.Cut([]*connector.Record{
		change("Clientes", "d", "1", 1), tombstone("Clientes", "1", 2), change("Clientes", "u", "2", 3), change("Pedidos", "c", "3", 4),
	})
	if err != nil || len(calls) != 1 || calls[0].Records[0].Origin.Offset != 1 {
		t.Fatalf("%v, %v", calls, err)
	}
	for _, reason := range []string{"tombstone", "operation", "topic"} {
		if n := task.metrics.Value("stepfunctions_filtered_records_total", "reason", reason); n != 1 {
			t.Errorf("%s: %v filtered, want 1", reason, n)
		}
	}
	if !slices.IsSortedFunc(calls[0].Records, func(a, b *connector.Record) int { return int(a.Origin.Offset - b.Origin.Offset) }) {
		t.Error("out of order")
	}
}
