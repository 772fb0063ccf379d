package observe

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"go.yaml.in/yaml/v4"
)

const scope = `namespace="streaming",service="stepconnect-headless"`

// situation is a set of series that raises one alert, and a like one that raises none. Series are without the labels
// of the scope; values are in promtool's notation, a sample a minute.
type situation struct {
	raised, calm map[string]string
	at           string // when the alert must be there; and never in the calm series
	labels       string // of the alert, besides alertname and severity
	severity     string
}

var situations = map[string]situation{
	"StepconnectWorkerDown": {map[string]string{`up{pod="w-0"}`: "0x20", `up{pod="w-1"}`: "1x20"}, map[string]string{`up{pod="w-0"}`: "0x3 1x20"}, "6m",
		`pod: w-0, namespace: streaming, service: stepconnect-headless`, "warning"},
	"StepconnectAllWorkersDown":  {map[string]string{`up{pod="w-0"}`: "0x20", `up{pod="w-1"}`: "0x20"}, map[string]string{`up{pod="w-0"}`: "0x20", `up{pod="w-1"}`: "1x20"}, "6m", "", "critical"},
	"StepconnectConnectorFailed": {map[string]string{`kafka_connect_connector_metrics_status{connector="c",status="failed"}`: "1x20"}, map[string]string{`kafka_connect_connector_metrics_status{connector="c",status="failed"}`: "0x5 1 0x20", `kafka_connect_connector_metrics_status{connector="c",status="paused"}`: "1x20"}, "3m", "connector: c", "critical"},
	"StepconnectTaskFailed":      {map[string]string{`kafka_connect_connector_task_metrics_status{connector="c",task="1",status="failed"}`: "0x2 1x20"}, map[string]string{`kafka_connect_connector_task_metrics_status{connector="c",task="1",status="failed"}`: "0x5 1 0x20", `kafka_connect_connector_task_metrics_status{connector="c",task="1",status="running"}`: "1x20"}, "6m", `connector: c, task: "1"`, "critical"},
	"StepconnectLagGrows": {map[string]string{`stepconnect_partition_lag_records{connector="c",task="0",topic="t",partition="0"}`: "1000+200x60", `stepconnect_partition_lag_records{connector="c",task="1",topic="t",partition="1"}`: "10x60"},
		map[string]string{`stepconnect_partition_lag_records{connector="c",task="0",topic="t",partition="0"}`: "50000-500x60", `stepconnect_partition_lag_records{connector="d",task="0",topic="t",partition="0"}`: "0+10x60"}, "40m", "connector: c", "warning"},
	"StepconnectOldestUnsettled": {map[string]string{`stepconnect_partition_oldest_unsettled_age_seconds{connector="c",task="0",topic="t",partition="3"}`: "0+60x20"}, map[string]string{`stepconnect_partition_oldest_unsettled_age_seconds{connector="c",task="0",topic="t",partition="3"}`: "0+60x8 0x20"}, "12m", "connector: c, topic: t", "critical"},
	"StepconnectRecordsLost":     {map[string]string{`stepconnect_task_records_lost_total{connector="c",task="0"}`: "0x5 1x20"}, map[string]string{`stepconnect_task_records_lost_total{connector="c",task="0"}`: "7x20"}, "7m", "connector: c", "critical"},
	"StepconnectDeadLetters":     {map[string]string{`stepconnect_task_records_dead_lettered_total{connector="c",task="0"}`: "0x5 2x20"}, map[string]string{`stepconnect_task_records_dead_lettered_total{connector="c",task="0"}`: "7x20"}, "7m", "connector: c", "warning"},
	"StepconnectDeadLettersFail": {map[string]string{`kafka_connect_task_error_metrics_deadletterqueue_produce_failures{connector="c",task="0"}`: "0+1x20"}, map[string]string{`kafka_connect_task_error_metrics_deadletterqueue_produce_failures{connector="c",task="0"}`: "7x20"}, "10m", "connector: c", "critical"},
	"StepconnectCommitsFail":     {map[string]string{`stepconnect_task_offset_commit_failures_total{connector="c",task="0"}`: "0+2x20"}, map[string]string{`stepconnect_task_offset_commit_failures_total{connector="c",task="0"}`: "0x5 1x20"}, "15m", "connector: c", "warning"},
	"StepconnectThrottled":       {map[string]string{`stepconnect_stepfunctions_throttled_calls_total{connector="c",task="0",call="StartExecution"}`: "0+120x40"}, map[string]string{`stepconnect_stepfunctions_throttled_calls_total{connector="c",task="0",call="StartExecution"}`: "0+30x40"}, "25m", "connector: c", "warning"},
	"StepconnectPermissionDenied": {map[string]string{`stepconnect_stepfunctions_call_errors_total{connector="c",task="0",domain="clientes",reason="permission"}`: "0+2x20"},
		map[string]string{`stepconnect_stepfunctions_call_errors_total{connector="c",task="0",domain="clientes",reason="permission"}`: "4x20", `stepconnect_stepfunctions_call_errors_total{connector="c",task="0",domain="clientes",reason="throttled"}`: "0+2x20"}, "10m", "connector: c, domain: clientes", "critical"},
	"StepconnectKafkaTrouble":        {map[string]string{`stepconnect_task_kafka_client_trouble{connector="c",task="0"}`: "1x20"}, map[string]string{`stepconnect_task_kafka_client_trouble{connector="c",task="0"}`: "1x3 0x20"}, "6m", `connector: c, task: "0"`, "critical"},
	"StepconnectSchemaRegistryFails": {map[string]string{`stepconnect_schema_registry_calls_total{answer="4xx"}`: "0+3x20"}, map[string]string{`stepconnect_schema_registry_calls_total{answer="2xx"}`: "0+3x20", `stepconnect_schema_registry_calls_total{answer="none"}`: "1x20"}, "10m", "", "warning"},
	"StepconnectExecutionsFail":      {map[string]string{`stepconnect_stepfunctions_unsuccessful_executions{connector="c",task="0",domain="pedidos",status="FAILED"}`: "0x5 3x20"}, map[string]string{`stepconnect_stepfunctions_unsuccessful_executions{connector="c",task="0",domain="pedidos",status="FAILED"}`: "9x10 7x10"}, "8m", "connector: c, domain: pedidos", "warning"},
	"StepconnectExpressFails":        {map[string]string{`stepconnect_stepfunctions_call_errors_total{connector="c",task="0",domain="pedidos",reason="execution_failed"}`: "0+1x30"}, map[string]string{`stepconnect_stepfunctions_call_errors_total{connector="c",task="0",domain="pedidos",reason="execution_failed"}`: "0x5 1x40"}, "20m", "connector: c, domain: pedidos", "warning"},
}

// alert is what this package reads of a rules file.
type alert struct {
	Alert       string
	Expr        string
	Annotations map[string]string
	Labels      map[string]string
}

func readAlerts(t *testing.T) (text string, alerts []alert) {
	t.Helper()
	b, err := os.ReadFile("../../charts/stepconnect/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(string(b), "$SCOPE", scope)
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		alerts = append(alerts, g.Rules...)
	}
	return text, alerts
}

func TestEachAlertIsRaisedByWhatItMeansAndByNothingElse(t *testing.T) {
	promtool := stack.Promtool(t)
	text, alerts := readAlerts(t)
	dir := t.TempDir()
	rules := filepath.Join(dir, "alerts.yaml")
	write(t, rules, text)
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", rules).CombinedOutput(); err != nil {
		t.Fatalf("promtool check rules: %v\n%s", err, out)
	}
	var tests strings.Builder
	tests.WriteString("rule_files: [alerts.yaml]\nevaluation_interval: 1m\ntests:\n")
	for _, a := range alerts {
		s, ok := situations[a.Alert]
		if !ok {
			t.Errorf("no test raises %s", a.Alert)
			continue
		}
		if a.Labels["severity"] != s.severity {
			t.Errorf("%s has the severity %s", a.Alert, a.Labels["severity"])
		}
		series(&tests, s.raised)
		fmt.Fprintf(&tests, "    promql_expr_test: []\n    alert_rule_test:\n      - {alertname: %s, eval_time: %s, exp_alerts: [{exp_labels: {severity: %s%s}}]}\n", a.Alert, s.at, s.severity, more(s.labels))
		series(&tests, s.calm)
		tests.WriteString("    alert_rule_test:\n")
		last := 19 // where most series end
		if at, err := time.ParseDuration(s.at); err != nil || at > 19*time.Minute {
			last = 39
		}
		for minute := 1; minute <= last; minute += 2 {
			fmt.Fprintf(&tests, "      - {alertname: %s, eval_time: %dm, exp_alerts: []}\n", a.Alert, minute)
		}
	}
	if len(alerts) != len(situations) {
		t.Errorf("%d alerts and %d situations", len(alerts), len(situations))
	}
	// promtool compares annotations too; what a person reads is looked at below.
	stripped := filepath.Join(dir, "stripped")
	if err := os.Mkdir(stripped, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(stripped, "alerts.yaml"), withoutAnnotations(t, text))
	write(t, filepath.Join(stripped, "tests.yaml"), tests.String())
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join(stripped, "tests.yaml")).CombinedOutput()
	if err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
	for _, a := range alerts {
		if s := a.Annotations["summary"]; !strings.HasSuffix(s, ".") {
			t.Errorf("%s: its summary %q is no sentence", a.Alert, s)
		}
	}
}

func more(labels string) string {
	if labels == "" {
		return ""
	}
	return ", " + labels
}

// series writes the input of one test, in the scope.
func series(b *strings.Builder, values map[string]string) {
	b.WriteString("  - interval: 1m\n    input_series:\n")
	for name, v := range values {
		fmt.Fprintf(b, "      - {series: '%s,%s}', values: '%s'}\n", strings.TrimSuffix(name, "}"), scope, v)
	}
}

func withoutAnnotations(t *testing.T, text string) string {
	t.Helper()
	var file map[string]any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file["groups"].([]any) {
		for _, r := range g.(map[string]any)["rules"].([]any) {
			delete(r.(map[string]any), "annotations")
		}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	if err := e.Encode(file); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
