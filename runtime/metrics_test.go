package runtime

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}

func TestTasksAreCountedUnderKafkaConnectsNames(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg)
	must(t, err)
	id := TaskID{"c", 0}
	m.task(id).Read.Add(4)
	if m.task(id).Read.Load() != 4 {
		t.Error("a task keeps its counts over restarts")
	}
	m.task(id).DLQRequests.Add(1)
	m.plugin(id).Counter("executions_total", "Executions.", "domain", "clientes").Add(2)
	m.plugin(id).Gauge("rate", "Rate.").Set(7)
	// The same name with other labels cannot be registered; it must not fail the task.
	m.plugin(id).Counter("rate", "Rate.", "x", "y").Add(1)
	m.plugin(id).Counter("executions_total", "Executions.").Add(1)
	got := gathered(t, reg)
	for name, want := range map[string]float64{
		"kafka_connect_sink_task_metrics_sink_record_read_total connector=c task=0":            4,
		"kafka_connect_task_error_metrics_deadletterqueue_produce_requests connector=c task=0": 1,
		"stepconnect_executions_total connector=c domain=clientes task=0":                      2,
		"stepconnect_rate connector=c task=0":                                                  7,
	} {
		if got[name] != want {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	m.forget(id)
	if got := gathered(t, reg); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
