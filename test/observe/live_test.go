package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/consorcio"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// live is a distributed worker, with this in its environment too, on the embedded stack.
func live(t *testing.T, env ...string) (*worker.Process, *embedded.Stack) {
	t.Helper()
	var topics []broker.Topic
	for _, name := range consorcio.Topics() {
		topics = append(topics, broker.Topic{Name: name, Partitions: 2})
	}
	s, err := embedded.Start(t.Context(), embedded.Options{
		Kafka: broker.Options{Topics: topics}, States: states.Options{Machines: []states.Machine{{Name: "Clientes"}, {Name: "Pedidos"}, {Name: "Produtos"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	props := worker.Distributed(t, s.Kafka.Bootstrap(), "observed")
	for _, role := range []string{"key", "value"} {
		props[role+".converter"] = "io.confluent.connect.avro.AvroConverter"
		props[role+".converter.schema.registry.url"] = s.Registry.URL()
	}
	p := worker.StartOf(t, "./cmd/stepconnect", env, props)
	config := map[string]string{
		"connector.class": "StepFunctionsSink", "tasks.max": "2", "topics": strings.Join(consorcio.Topics(), ","), "batch.max.records": "20",
		"domains": "clientes,pedidos,produtos", "aws.region": "sa-east-1", "aws.endpoint": s.States.URL(),
		"errors.tolerance": "all", "errors.log.enable": "true", "errors.deadletterqueue.topic.name": "dlq", "errors.deadletterqueue.topic.replication.factor": "1",
		"transforms": "copy", "transforms.copy.type": "org.apache.kafka.connect.transforms.InsertHeader", "transforms.copy.header": "h", "transforms.copy.value.literal": "v",
	}
	for _, m := range s.States.Machines() {
		domain := strings.ToLower(m.Name)
		config["domain."+domain+".topics"], config["domain."+domain+".state.machine.arn"] = domain+"-alteracoes", m.ARN
	}
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := p.Do(t.Context(), http.MethodPut, "/connectors/consorcio/config", string(body)); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("create the connector: %v, %d %s", err, res.StatusCode, res.Body)
	}
	return p, s
}

// source is a company with a producer of its events.
func source(t *testing.T, s *embedded.Stack) (*consorcio.Company, *broker.Producer) {
	t.Helper()
	company, err := consorcio.New(1, func(subject, schema string) (int, error) {
		r, err := s.Registry.Register(subject, registry.Schema{Text: schema})
		return r.ID, err
	})
	if err != nil {
		t.Fatal(err)
	}
	producer, err := broker.NewProducer(s.Kafka.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	return company, producer
}

// load lets the company work until the test ends.
func load(t *testing.T, s *embedded.Stack) {
	t.Helper()
	company, producer := source(t, s)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer producer.Close()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			events, err := company.Transaction()
			if err != nil {
				t.Error(err)
				return
			}
			for _, e := range events {
				if _, err := producer.Send(ctx, broker.Record{Topic: e.Topic, Key: e.Key, Value: e.Value}); err != nil {
					return
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// exceptions are the metrics of docs/METRICS.md whose names are Kafka Connect's and against Prometheus' conventions.
func exceptions(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(b), "### Names that Prometheus would not give")
	if !found {
		t.Fatal("docs/METRICS.md lists no exceptions")
	}
	list, _, _ = strings.Cut(list, "\n## ")
	out := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^- `([a-z0-9_]+)`").FindAllStringSubmatch(list, -1) {
		out[m[1]] = true
	}
	return out
}

func TestALiveWorkerFillsEveryPanelAndNamesItsMetricsWell(t *testing.T) {
	promtool := stack.Promtool(t)
	p, s := live(t)
	load(t, s)
	target, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	prometheus := stack.PrivatePrometheus(t, fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n"+
		"  - job_name: stepconnect\n    static_configs:\n      - targets: [%q]\n        labels: {namespace: streaming, service: stepconnect-headless, pod: stepconnect-0}\n", rulesFile(t), target.Host))

	panels := 0
	for _, q := range queries(t) {
		panels++
		worker.Eventually(t, 60*time.Second, q.panel+" shows "+q.expr, func() bool { return filled(t, prometheus, q.expr) })
	}
	if panels < 40 {
		t.Errorf("%d queries are fewer than the dashboards have", panels)
	}
	t.Logf("%d queries of the dashboards give numbers", panels)

	if raised := get(t, prometheus+"/api/v1/alerts"); !strings.Contains(raised, `"alerts":[]`) {
		t.Errorf("a healthy worker raises %s", raised)
	}

	res, err := p.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = bytes.NewReader(append(res.Body, '\n'))
	out, _ := check.CombinedOutput() // its status is that of its complaints, which are judged below
	listed := exceptions(t)
	complaints := 0
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		complaints++
		if !listed[name] {
			t.Errorf("promtool check metrics: %s", line)
		}
	}
	t.Logf("promtool check metrics: %d complaints, all about Kafka Connect's names", complaints)
}

// rulesFile is the chart's alerts, for Prometheus to evaluate beside the panels.
func rulesFile(t *testing.T) string {
	t.Helper()
	text, _ := readAlerts(t)
	path := filepath.Join(t.TempDir(), "alerts.yaml")
	write(t, path, text)
	return path
}

// query is one of a panel.
type query struct{ panel, expr string }

// queries are those of all dashboards of the chart, with Grafana's variables filled in.
func queries(t *testing.T) []query {
	t.Helper()
	files, err := filepath.Glob("../../charts/stepconnect/files/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards (%v)", err)
	}
	var out []query
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Title, UID string
			Templating struct {
				List []struct {
					Name, Type string
					Query      any
				}
			}
			Panels []struct {
				ID          int
				Title, Type string
				Description string
				Targets     []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var ids []int
		for _, p := range board.Panels {
			if slices.Contains(ids, p.ID) {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids = append(ids, p.ID)
			if p.Type == "row" {
				continue
			}
			if len(p.Targets) == 0 || p.Description == "" {
				t.Errorf("%s: panel %s has no query or no description", file, p.Title)
			}
			for _, target := range p.Targets {
				expr := strings.NewReplacer("$__rate_interval", "15s", "$connector", ".*").Replace(target.Expr)
				if strings.Contains(expr, "$") {
					t.Errorf("%s: panel %s asks with an unknown variable: %s", file, p.Title, target.Expr)
				}
				out = append(out, query{board.Title + " / " + p.Title, expr})
			}
		}
	}
	return out
}

// filled tells whether a query gives at least one number.
func filled(t *testing.T, prometheus, expr string) bool {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal([]byte(get(t, prometheus+"/api/v1/query?query="+url.QueryEscape(expr))), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s: %s", expr, answer.Error)
	}
	return slices.ContainsFunc(answer.Data.Result, func(r struct{ Value [2]any }) bool {
		var v float64
		_, err := fmt.Sscan(fmt.Sprint(r.Value[1]), &v)
		return err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
	})
}

func get(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
