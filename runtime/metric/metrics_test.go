package metric

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/histogram"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trial is a worker's metrics with a registry of their own.
type trial struct {
	*Metrics
	reg *prometheus.Registry
}

func newTrial(t *testing.T) trial {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg)
	must(t, err)
	return trial{m, reg}
}

// gathered gives every number by name and labels in Prometheus' text form.
func (m trial) gathered(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := m.reg.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, s := range f.Metric {
			key := f.GetName() + labelText(s)
			switch {
			case s.Histogram != nil:
				got[key+" count"], got[key+" sum"] = float64(s.Histogram.GetSampleCount()), s.Histogram.GetSampleSum()
			case s.Summary != nil:
				for _, q := range s.Summary.Quantile {
					got[key+" "+formatBound(q.GetQuantile())] = q.GetValue()
				}
			default:
				got[key] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
			}
		}
	}
	return got
}

func labelText(s *dto.Metric) string {
	var parts []string
	for _, l := range s.Label {
		parts = append(parts, l.GetName()+"="+l.GetValue())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func expect(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v (there: %v), want %v", name, g, ok, v)
		}
	}
}

func TestATaskIsShownUnderKafkaConnectsNamesAndOurs(t *testing.T) {
	m := newTrial(t)
	one := m.Task(ID{"c", 0})
	one.Read.Add(4)
	one.Skipped.Add(1)
	one.DeadLettered.Add(2)
	one.DLQRequests.Add(3)
	one.Retries[task.OpPut].Add(5)
	one.Retries[task.OpDeadLetter].Add(7)
	one.Rebalances[task.PartitionsLost].Add(1)
	one.Stages[task.Deliver].Took(20 * time.Millisecond)
	one.Stages[task.Deliver].Took(40 * time.Millisecond)
	one.BatchRecords.Observe(histogram.Counts, 10)
	one.State("failed")
	one.Made(TaskInfo{Connector: PluginClass{"Sink", "1"}, Transforms: []AliasedClass{{"x", PluginClass{"Route", "2"}}}})
	one.Holds([]Partition{{Topic: "t", ID: 3, Lag: 9, Unsettled: 2, Paused: true}, {Topic: "t", ID: 4, Lag: -1}})
	if m.Task(ID{"c", 0}) != one {
		t.Error("a task's counts are lost between its incarnations")
	}
	got := m.gathered(t)
	expect(t, got, map[string]float64{
		"kafka_connect_sink_task_metrics_sink_record_read_total{connector=c,task=0}":                                               4,
		"kafka_connect_task_error_metrics_deadletterqueue_produce_requests{connector=c,task=0}":                                    3,
		"kafka_connect_task_error_metrics_total_records_skipped{connector=c,task=0}":                                               3,
		"kafka_connect_task_error_metrics_total_retries{connector=c,task=0}":                                                       5,
		"kafka_connect_connector_task_metrics_status{connector=c,status=failed,task=0}":                                            1,
		"kafka_connect_connector_task_metrics_status{connector=c,status=running,task=0}":                                           0,
		"kafka_connect_connector_transform_metrics_info{connector=c,task=0,transform=x,transform_class=Route,transform_version=2}": 1,
		"kafka_connect_sink_task_metrics_put_batch_max_time_ms{connector=c,task=0}":                                                40,
		"kafka_connect_sink_task_metrics_put_batch_avg_time_ms{connector=c,task=0}":                                                30,
		"kafka_connect_connector_task_metrics_batch_size_max{connector=c,task=0}":                                                  10,
		"kafka_connect_connect_worker_metrics_connector_failed_task_count{connector=c}":                                            1,
		"kafka_connect_connect_worker_metrics_connector_running_task_count{connector=c}":                                           0,
		"stepconnect_task_records_lost_total{connector=c,task=0}":                                                                  1,
		"stepconnect_task_retries_total{connector=c,operation=dead_letter,task=0}":                                                 7,
		"stepconnect_task_rebalances_total{connector=c,event=lost,task=0}":                                                         1,
		"stepconnect_task_stage_duration_seconds{connector=c,stage=deliver,task=0} count":                                          2,
		"stepconnect_task_stage_duration_seconds{connector=c,stage=deliver,task=0} sum":                                            0.06,
		"stepconnect_task_stage_duration_recent_seconds{connector=c,stage=deliver,task=0} 0.5":                                     0.025,
		"stepconnect_partition_lag_records{connector=c,partition=3,task=0,topic=t}":                                                9,
		"stepconnect_partition_fetching_paused{connector=c,partition=3,task=0,topic=t}":                                            1,
	})
	if v, known := got["stepconnect_partition_lag_records{connector=c,partition=4,task=0,topic=t}"]; known {
		t.Errorf("an unknown lag is shown as %v", v)
	}
}

func TestNothingIsLeftOfWhatIsGone(t *testing.T) {
	m := newTrial(t)
	before := len(m.gathered(t))
	for n := range 3 {
		id := ID{"gone", n}
		m.Task(id).Holds([]Partition{{Topic: "t", ID: int32(n)}})
		m.Plugin(id).Counter("executions_total", "Executions.", "domain", "clientes").Add(1)
		m.Plugin(id).Histogram("took_seconds", "Took.").Observe(1)
	}
	m.Connector("gone", "running", PluginClass{"Sink", "1"})
	if len(m.gathered(t)) < before+300 {
		t.Error("the connector's series are not there")
	}
	for n := range 3 {
		m.Forget(ID{"gone", n})
	}
	m.ForgetConnector("gone")
	for name := range m.gathered(t) {
		if strings.Contains(name, "connector=gone") {
			t.Errorf("left: %s", name)
		}
	}
}

func TestSeriesAreBoundedByWhatIsAssigned(t *testing.T) {
	m := newTrial(t)
	one := m.Task(ID{"c", 0})
	counted := func() int {
		families, err := m.reg.Gather()
		must(t, err)
		n := 0
		for _, f := range families {
			n += len(f.Metric)
		}
		return n
	}
	one.Holds([]Partition{{Topic: "t"}})
	before := counted()
	for k := range 1000 {
		one.Read.Add(1)
		one.Stages[task.Deliver].Took(time.Duration(k) * time.Millisecond)
		one.BatchBytes.Observe(histogram.Bytes, int64(k)<<10)
		one.Holds([]Partition{{Topic: "t", ID: int32(k)}}) // partitions come and go
	}
	if after := counted(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	if before > 120 {
		t.Errorf("a task has %d series", before)
	}
}

func TestPluginsCountAndNeverFail(t *testing.T) {
	m := newTrial(t)
	p := m.Plugin(ID{"c", 0})
	p.Counter("executions_total", "Executions.", "domain", "clientes").Add(2)
	p.Counter("executions_total", "Executions.", "domain", "clientes").Add(0.5)
	p.Gauge("budget", "Budget.").Set(7)
	h := p.Histogram("latency_seconds", "Latency.")
	h.Observe(0.25)
	// The same name with other labels or of another kind cannot be shown; it must not fail the task.
	p.Counter("budget", "Budget.").Add(1)
	p.Counter("executions_total", "Executions.").Add(1)
	p.Histogram("budget", "Budget.").Observe(1)
	m.Shared().Counter("calls_total", "Calls.", "answer", "no\xffutf8").Add(1)
	expect(t, m.gathered(t), map[string]float64{
		"stepconnect_executions_total{connector=c,domain=clientes,task=0}": 2.5,
		"stepconnect_budget{connector=c,task=0}":                           7,
		"stepconnect_latency_seconds{connector=c,task=0} sum":              0.25,
		"stepconnect_calls_total{answer=no\uFFFDutf8}":                     1,
	})
	if n := testing.AllocsPerRun(100, func() { h.Observe(1) }); n != 0 {
		t.Errorf("observing makes %v allocations", n)
	}
}

func TestRatesAndMaximaAreOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTrial(t)
		one := m.Task(ID{"c", 0})
		one.State("running")
		one.Stages[task.Deliver].Took(time.Second)
		step := func(n int) {
			for range n {
				time.Sleep(sampleInterval)
				one.Read.Add(50)
				m.sample(time.Now())
			}
		}
		step(4)
		expect(t, m.gathered(t), map[string]float64{
			"kafka_connect_sink_task_metrics_sink_record_read_rate{connector=c,task=0}":             10,
			"kafka_connect_sink_task_metrics_put_batch_max_time_ms{connector=c,task=0}":             1000,
			"kafka_connect_connector_task_metrics_running_ratio{connector=c,task=0}":                1,
			"stepconnect_task_stage_duration_recent_seconds{connector=c,stage=deliver,task=0} 0.99": 0.995,
		})
		one.State("paused")
		step(samples + 1)
		expect(t, m.gathered(t), map[string]float64{
			"kafka_connect_sink_task_metrics_sink_record_read_rate{connector=c,task=0}":             10,
			"kafka_connect_sink_task_metrics_put_batch_max_time_ms{connector=c,task=0}":             0,
			"kafka_connect_connector_task_metrics_running_ratio{connector=c,task=0}":                0,
			"kafka_connect_connector_task_metrics_pause_ratio{connector=c,task=0}":                  1,
			"stepconnect_task_stage_duration_recent_seconds{connector=c,stage=deliver,task=0} 0.99": 0,
			"stepconnect_task_stage_duration_seconds{connector=c,stage=deliver,task=0} sum":         1,
		})
	})
}

// measured is a plugin with all kinds of metrics.
type measured struct{ connector.Connector }

func (measured) Measure(m connector.Metrics) { m.Counter("things_total", "Things.", "kind", "any") }

func TestTheReferenceHoldsWhatIsShown(t *testing.T) {
	m := newTrial(t)
	p := connector.Plugins{Sinks: []connector.Connector{measured{}}}
	measured{}.Measure(m.Plugin(ID{"c", 0}))
	m.Task(ID{"c", 0}).Made(TaskInfo{Transforms: []AliasedClass{{}}, Predicates: []AliasedClass{{}}})
	m.Task(ID{"c", 0}).Holds([]Partition{{Topic: "t"}})
	m.Connector("c", "running", PluginClass{})
	m.Worker.Follows(Cluster{LeaderURL: "http://a", Generation: 1})
	m.Worker.Files(func() map[string]int { return map[string]int{"applied": 1} })
	declared, err := Families(p)
	must(t, err)
	left := map[string]bool{}
	for _, f := range declared {
		left[f.Name] = true
	}
	families, err := m.reg.Gather()
	must(t, err)
	for _, f := range families {
		if !left[f.GetName()] && !strings.Contains(f.GetName(), "_recent") {
			t.Errorf("%s is shown and not declared", f.GetName())
		}
		delete(left, f.GetName())
	}
	for name := range left {
		t.Errorf("%s is declared and not shown", name)
	}
}

func TestNamesFollowPrometheusButForKafkaConnectsOwn(t *testing.T) {
	m := newTrial(t)
	m.Task(ID{"c", 0}).Holds([]Partition{{Topic: "t"}})
	m.Worker.Follows(Cluster{})
	families, err := m.reg.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	declared, err := Families(connector.Plugins{})
	must(t, err)
	listed := map[string]bool{}
	for _, f := range declared {
		listed[f.Name] = against(f) != ""
	}
	for _, p := range problems {
		if !listed[p.Metric] {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func BenchmarkScrapeOfATask(b *testing.B) {
	reg := prometheus.NewRegistry()
	m, err := New(reg)
	if err != nil {
		b.Fatal(err)
	}
	m.Task(ID{"c", 0}).Holds(make([]Partition, 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reg.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
