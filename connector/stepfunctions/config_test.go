package stepfunctions

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func TestTheDefaultsAreThoseOfTheDesign(t *testing.T) {
	v, err := Connector{}.Config().Parse(settingsFor(nil))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSettings(v, "consorcio")
	if err != nil {
		t.Fatal(err)
	}
	d := s.domains[0]
	if d.kind != unresolved || d.rule.tables != nil || slices.Contains(d.rule.operations[2:], false) {
		t.Errorf("%+v", d)
	}
	if s.maxRecords != 0 || s.maxBytes != 200000 || s.oversizeFails || s.nameByChange || s.noHostPrefix ||
		s.requestTimeout != 30*time.Second || s.slowRetry != 10*time.Second || s.sweepInterval != time.Minute ||
		s.rateLimit != 0 || s.claims != nil || s.input.columns != nil || s.input.changedFields || d.role != (roleSettings{}) ||
		s.input.format != formatChange || s.input.before != beforeAlways || s.input.values != (connector.Format{}) {
		t.Errorf("%+v", s)
	}
}

func TestTheExampleOfTheDesignIsValid(t *testing.T) {
	raw := map[string]string{
		"connector.class": "StepFunctionsSink", "tasks.max": "6",
		"topics":  "clientes-alteracoes,pedidos-alteracoes,produtos-alteracoes",
		"domains": "clientes,pedidos,produtos",
	}
	for _, d := range []string{"clientes", "pedidos", "produtos"} {
		raw["domain."+d+".topics"] = d + "-alteracoes"
		raw["domain."+d+".state.machine.arn"] = testARN + d
		raw["domain."+d+".operations"] = "insert,update,delete,snapshot"
	}
	if _, err := (Connector{}).Config().Parse(raw); err != nil {
		t.Error(err)
	}
}

// The host parses the plugin's keys together with its own; both read batch.max.*.
func TestTheKeysFitIntoTheHostsDefinition(t *testing.T) {
	noPlugins := func(kind, class string) (*config.Def, error) { return nil, errors.New("no " + kind + " " + class) }
	raw := settingsFor(nil, "name", "consorcio", "batch.max.records", "7", "execution.type", "standard")
	v, err := config.ForSink(Connector{}.Config(), noPlugins, nil).Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Connector{}.NewSink(t.Context(), v, newTask(t).TaskContext)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.(*Sink).settings; got.maxRecords != v.Int("batch.max.records") || got.maxBytes != int(v.Long("batch.max.bytes")) {
		t.Errorf("%+v", got)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAllMistakesAreReportedAtOnceAtTheirKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		pairs []string
		want  map[string]string // key to a part of its error
	}{
		"nothing": {[]string{"domains", "", "domain.clientes.topics", "", "domain.clientes.state.machine.arn", ""}, map[string]string{"domains": "Missing required configuration"}},
		"many at once": {[]string{
			"domains", "clientes,pedidos", "domain.clientes.state.machine.arn", "Clientes", "domain.clientes.operations", "insert,upsert",
			"domain.clientes.tables", "Clientes", "domain.pedidos.operations", ",", "default.domain", "outro", "input.format", "xml", "batch.max.bytes", "300000",
			"batch.max.records", "0", "value.decimal.format", "float", "aws.endpoint", "localhost:4566", "source.epoch.consorcio", "-1",
			"domain.clientes.statemachine", "x", "domain.produtos.topics", "produtos", "oversize.policy", "s4", "columns.mask", "cpf", "outcomes.sweep.interval.ms", "1", "start.rate.limit", "-1",
		}, map[string]string{
			"domain.clientes.state.machine.arn": "no ARN of a state machine",
			"domain.clientes.operations":        "String must be one of",
			"domain.clientes.tables":            "neither schema.table nor",
			"domain.pedidos.operations":         "",
			"domain.pedidos.state.machine.arn":  "Missing required configuration",
			"default.domain":                    `"outro" is not in domains`,
			"input.format":                      "String must be one of",
			"batch.max.bytes":                   "no more than 262144",
			"batch.max.records":                 "at least 1",
			"value.decimal.format":              "String must be one of",
			"aws.endpoint":                      "expected http://",
			"source.epoch.consorcio":            "at least 0",
			"domain.clientes.statemachine":      "Unknown key",
			"domain.produtos.topics":            "Unknown key",
			"oversize.policy":                   "String must be one of",
			"outcomes.sweep.interval.ms":        "at least 2000",
			"columns.mask":                      "cpf is neither table.column nor",
			"start.rate.limit":                  "at least 0",
		}},
		"a domain that hides the next": {[]string{"domains", "clientes,pedidos", "domain.clientes.topics", "", "domain.pedidos.topics", "p", "domain.pedidos.state.machine.arn", testARN + "P"},
			map[string]string{"domain.clientes.topics": "pedidos would never get a change"}},
		"S3 without a bucket": {[]string{"oversize.policy", "s3", "input.format", "envelope", "oversize.s3.kms.key.id", "k"}, map[string]string{
			"oversize.s3.bucket": "needs a bucket", "oversize.policy": "use change or flat", "oversize.s3.kms.key.id": "needs oversize.s3.sse=aws:kms"}},
		"roles": {[]string{"domains", "clientes,pedidos,produtos", "domain.clientes.role.arn", "arn:aws:iam::111111111111:role/r",
			"domain.pedidos.topics", "p", "domain.pedidos.state.machine.arn", testARN + "P", "domain.pedidos.role.arn", "role/r", "domain.pedidos.role.session.name", "a b",
			"domain.produtos.topics", "q", "domain.produtos.state.machine.arn", testARN + "Q", "domain.produtos.external.id", "x"}, map[string]string{
			"domain.clientes.role.arn": "of account 111111111111 and the state machine of account 000000000000", "domain.pedidos.role.arn": "expected arn:<partition>:iam::",
			"domain.pedidos.role.session.name": "expected 2 to 64", "domain.produtos.role.arn": "set domain.produtos.role.arn"}},
		"hashes without a key":     {[]string{"columns.hash", "Clientes.cpf"}, map[string]string{"columns.hash.key": "needs a secret key"}},
		"a domain's name":          {[]string{"domains", "clientes,a.b", "domain.a.b.topics", "x", "domain.a.b.state.machine.arn", testARN + "P"}, map[string]string{"domains": "must be 1 to 64"}},
		"names by change in fives": {[]string{"execution.name", "change", "batch.max.records", "5"}, map[string]string{"batch.max.records": "needs batch.max.records=1"}},
		"skipping without consent": {[]string{"errors.tolerance", "all"}, map[string]string{"errors.tolerance": "errors.skip.without.dlq=true"}},
		"one error, two meanings":  {[]string{"express.errors.reject", "Lambda.*,X"}, map[string]string{"express.errors.reject": "Lambda.* is in express.errors.retry too"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connector{}.Config().Parse(settingsFor(nil, tc.pairs...))
			var list *config.Errors
			if !errors.As(err, &list) {
				t.Fatalf("%v", err)
			}
			got := map[string]string{}
			for _, e := range list.All() {
				got[e.Key] += e.Message
			}
			for key, part := range tc.want {
				if !strings.Contains(got[key], part) {
					t.Errorf("%s: %q does not say %q", key, got[key], part)
				}
				delete(got, key)
			}
			for key, message := range got {
				t.Errorf("%s: unexpected %q", key, message)
			}
		})
	}
}

func TestThePluginIsKnownByItsNames(t *testing.T) {
	info := Connector{}.Info()
	if info.Class != "StepFunctionsSink" || !slices.Contains(info.Aliases, "StepFunctionsSinkConnector") || !slices.Contains(info.Aliases, "io.stepconnect.StepFunctionsSinkConnector") {
		t.Errorf("%+v", info)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	for _, k := range (Connector{}).Config().For(map[string]string{"domains": "<domain>", "source.epoch.<topic.prefix>": "1"}).Keys() {
		if k.Doc == "" || k.Group == "" {
			t.Errorf("%s has no documentation or group", k.Name)
		}
	}
}
