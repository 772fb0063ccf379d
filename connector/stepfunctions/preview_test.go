package stepfunctions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

func preview(t *testing.T, raw map[string]string, tc connector.TaskContext, r *connector.Record) Preview {
	t.Helper()
	cfg, err := Connector{}.Config().Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Connector{}.Preview(t.Context(), cfg, tc, r)
	if err != nil {
		t.Fatal(err)
	}
	return got.(Preview)
}

func TestAPreviewIsExactlyWhatADeliveryDoesAndCallsNothing(t *testing.T) {
	for name, pairs := range map[string][]string{
		"standard":         {"execution.type", "standard"},
		"named by change":  {"execution.type", "standard", "execution.name", "change"},
		"hidden columns":   {"execution.type", "standard", "columns.mask", "Clientes.nome"},
		"flat":             {"execution.type", "standard", "input.format", "flat"},
		"a default domain": {"execution.type", "standard", "domain.clientes.topics", "outro", "default.domain", "clientes"},
	} {
		t.Run(name, func(t *testing.T) {
			e, task := newEndpoint(t, "STANDARD"), newTask(t)
			task.ReplayEpoch = func(string, int32, int64) int { return 3 }
			raw := settingsFor(e, pairs...)
			r := change("Clientes", "u", "1", 7)
			got := preview(t, raw, task.TaskContext, r)
			if r.Batch != nil || r.Prepared != nil || len(e.log("StartExecution", "DescribeStateMachine")) != 0 {
				t.Error("the preview left a trace")
			}
			if err := newSink(t, task.TaskContext, raw).Deliver(t.Context(), connectortest.Freeze(r)); err != nil {
				t.Fatal(err)
			}
			c := e.log("StartExecution")[0]
			if got.Decision != DecisionStart || got.Execution != c.name || string(got.Input) != c.input || got.StateMachine != c.machine || got.Domain != "clientes" || got.Call != c.op || got.Type != "standard" {
				t.Errorf("%+v is not %+v", got, c)
			}
			if got.Operation != "update" || got.Table != "ConsorcioDB.dbo.Clientes" || !strings.Contains(got.Reason, "clientes-alteracoes") {
				t.Errorf("%+v", got)
			}
			if text, err := json.Marshal(got); err != nil || !json.Valid(text) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAPreviewSaysWhyNothingStarts(t *testing.T) {
	for name, tc := range map[string]struct {
		record   *connector.Record
		pairs    []string
		decision Decision
		reason   string
	}{
		"a tombstone":            {tombstone("Clientes", "1", 1), nil, DecisionFilter, "tombstone"},
		"another topic":          {change("Pedidos", "u", "1", 1), nil, DecisionFilter, "no domain takes topic pedidos-alteracoes"},
		"another table":          {change("Clientes", "u", "1", 1), []string{"domain.clientes.tables", "dbo.Outra"}, DecisionFilter, "none of them table ConsorcioDB.dbo.Clientes"},
		"another operation":      {change("Clientes", "d", "1", 1), []string{"domain.clientes.operations", "insert"}, DecisionFilter, "none of them operation delete"},
		"no event":               {change("Clientes", "x", "1", 1), nil, DecisionReject, "expected c, u, d or r"},
		"a change too large":     {quotes(100_000, 1), nil, DecisionReject, "262144"},
		"a change that ends all": {quotes(100_000, 1), []string{"oversize.policy", "fail"}, DecisionFail, "262144"},
	} {
		t.Run(name, func(t *testing.T) {
			got := preview(t, settingsFor(nil, tc.pairs...), connector.TaskContext{Connector: "c"}, tc.record)
			if got.Decision != tc.decision || !strings.Contains(got.Reason, tc.reason) || got.Execution != "" || got.Input != nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAPreviewShowsClaimsRoleAndUnknownTypes(t *testing.T) {
	got := preview(t, settingsFor(nil, "oversize.policy", "s3", "oversize.s3.bucket", "b", "domain.clientes.role.arn", "arn:aws:iam::000000000000:role/r"),
		connector.TaskContext{Connector: "c"}, large(1, map[string]int{"foto": 280_000}, "foto"))
	if got.Type != "auto" || got.Call != "" || got.Role != "arn:aws:iam::000000000000:role/r" || got.InputBytes > maxInput || len(got.Claims) != 1 {
		t.Fatalf("%+v", got)
	}
	if c := got.Claims[0]; c.Row != "after" || c.Column != "foto" || c.Bytes != 280_002 || !strings.HasPrefix(c.Object, "s3://b/claims/") {
		t.Errorf("%+v", c)
	}
}
