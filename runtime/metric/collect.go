package metric

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// workerFamily is a metric of the worker, or of the connectors that it has.
type workerFamily struct {
	*family
	show func(m *Metrics, put func(v float64, labels ...string))
}

// connectorStates are those that a connector's status shows.
var connectorStates = []string{"running", "paused", "stopped", "failed", "unassigned", "restarting"}

// workerFamilies are declared once. m.mu and m.Worker.mu are held when they are shown.
var workerFamilies = slices.Concat(workerMetrics(), connectorMetrics(), clusterMetrics())

func workerNumber(kind Kind, group, name, help string, v func(m *Metrics) float64) workerFamily {
	return workerFamily{declare(Family{kafka + group + "_" + name, help, kind, nil}), func(m *Metrics, put func(float64, ...string)) { put(v(m)) }}
}

func workerMetrics() []workerFamily {
	const group = "connect_worker_metrics"
	out := []workerFamily{
		workerNumber(Gauge, group, "connector_count", "Connectors that this worker answers for.", func(m *Metrics) float64 { return float64(len(m.owned)) }),
		workerNumber(Gauge, group, "task_count", "Tasks on this worker.", func(m *Metrics) float64 { return float64(len(m.tasks)) }),
	}
	for what, of := range map[string]func(m *Metrics) *Startups{
		"connector": func(m *Metrics) *Startups { return &m.Worker.Connectors },
		"task":      func(m *Metrics) *Startups { return &m.Worker.Tasks },
	} {
		out = append(out,
			workerNumber(Counter, group, what+"_startup_attempts_total", "Starts of a "+what+" on this worker.", func(m *Metrics) float64 {
				return float64(of(m).Succeeded.Load() + of(m).Failed.Load())
			}),
			workerNumber(Counter, group, what+"_startup_success_total", "Starts of a "+what+" on this worker that succeeded.", func(m *Metrics) float64 { return float64(of(m).Succeeded.Load()) }),
			workerNumber(Counter, group, what+"_startup_failure_total", "Starts of a "+what+" on this worker that failed.", func(m *Metrics) float64 { return float64(of(m).Failed.Load()) }),
			workerNumber(Gauge, group, what+"_startup_success_percentage", "Part of the starts of a "+what+" that succeeded, from 0 to 1.", func(m *Metrics) float64 {
				ok, _ := of(m).rate()
				return ok
			}),
			workerNumber(Gauge, group, what+"_startup_failure_percentage", "Part of the starts of a "+what+" that failed, from 0 to 1.", func(m *Metrics) float64 {
				_, bad := of(m).rate()
				return bad
			}))
	}
	return append(out,
		workerFamily{declare(Family{kafka + "app_info", "The program and its worker.", Info, []string{"version", "commit_id", "worker_id"}}), func(m *Metrics, put func(float64, ...string)) {
			b := m.Worker.build
			put(1, b.Version, b.Commit, b.WorkerID)
		}},
		workerNumber(Gauge, "app_info", "start_time_ms", "When the worker started, in ms since 1970.", func(m *Metrics) float64 { return float64(m.Worker.build.Started.UnixMilli()) }),
		workerFamily{declare(Family{namespace + "connector_files", "Files of connector.files.dir by state; on the leader only.", Gauge, []string{"state"}}), func(m *Metrics, put func(float64, ...string)) {
			if m.Worker.files == nil {
				return
			}
			for state, n := range m.Worker.files() {
				put(float64(n), state)
			}
		}},
		workerFamily{declare(Family{namespace + "build_info", "The program: its version, commit and Go.", Info, []string{"version", "revision", "goversion"}}), func(m *Metrics, put func(float64, ...string)) {
			b := m.Worker.build
			put(1, b.Version, b.Commit, b.Go)
		}})
}

func connectorMetrics() []workerFamily {
	out := []workerFamily{
		{declare(Family{kafka + "connector_metrics_status", "State of the connector: 1 for the one that it has, 0 for the others. Shown by the worker that answers for it.", Gauge, []string{"connector", "status"}}),
			func(m *Metrics, put func(float64, ...string)) {
				for name, c := range m.owned {
					for _, s := range connectorStates {
						put(truth(c.state == s), name, s)
					}
				}
			}},
		{declare(Family{kafka + "connector_metrics_info", "Class and version of the connector. Shown by the worker that answers for it.", Info, []string{"connector", "connector_type", "connector_class", "connector_version"}}),
			func(m *Metrics, put func(float64, ...string)) {
				for name, c := range m.owned {
					put(1, name, "sink", c.Class, c.Version)
				}
			}},
	}
	count := func(what, help string, counts func(state string) bool) workerFamily {
		return workerFamily{declare(Family{kafka + "connect_worker_metrics_connector_" + what + "_task_count", help, Gauge, []string{"connector"}}),
			func(m *Metrics, put func(float64, ...string)) {
				n := map[string]int{}
				for id, t := range m.tasks {
					t.mu.Lock()
					hit := counts(t.state)
					t.mu.Unlock()
					if hit {
						n[id.Connector]++
					} else {
						n[id.Connector] += 0
					}
				}
				for name, k := range n {
					put(float64(k), name)
				}
			}}
	}
	out = append(out, count("total", "Tasks of the connector on this worker.", func(string) bool { return true }))
	for _, s := range append(slices.Clone(taskStates), "destroyed") {
		out = append(out, count(s, "Tasks of the connector on this worker that are "+s+".", func(state string) bool { return state == s }))
	}
	return out
}

// clusterMetrics exist in distributed mode only.
func clusterMetrics() []workerFamily {
	const group = "connect_worker_rebalance_metrics"
	number := func(kind Kind, group, name, help string, v func(w *Worker) float64) workerFamily {
		return workerFamily{declare(Family{kafka + group + "_" + name, help, kind, nil}), func(m *Metrics, put func(float64, ...string)) {
			if m.Worker.cluster != nil {
				put(v(&m.Worker))
			}
		}}
	}
	return []workerFamily{
		{declare(Family{kafka + group + "_info", "Protocol of the cluster and URL of its leader.", Info, []string{"connect_protocol", "leader_name"}}), func(m *Metrics, put func(float64, ...string)) {
			if c := m.Worker.cluster; c != nil {
				put(1, "sessioned", c.LeaderURL)
			}
		}},
		number(Gauge, group, "epoch", "Generation of the plan that this worker follows.", func(w *Worker) float64 { return float64(w.cluster.Generation) }),
		number(Counter, group, "completed_rebalances_total", "Plans that this worker has taken over.", func(w *Worker) float64 { return float64(w.completed) }),
		number(Gauge, group, "rebalancing", "1 while this worker takes over a plan.", func(w *Worker) float64 { return truth(w.rebalancing) }),
		number(Gauge, group, "rebalance_max_time_ms", "Longest taking over of a plan in the last minute, in ms.", func(w *Worker) float64 { return float64(w.rebalances.max()) / 1e6 }),
		number(Gauge, group, "rebalance_avg_time_ms", "Average taking over of a plan in the last minute, in ms.", func(w *Worker) float64 { return w.rebalances.window().Average() / 1e6 }),
		number(Gauge, group, "time_since_last_rebalance_ms", "Since this worker has taken over a plan, in ms; +Inf before the first.", func(w *Worker) float64 {
			if w.last.IsZero() {
				return math.Inf(1)
			}
			return float64(time.Since(w.last).Milliseconds())
		}),
		{declare(Family{kafka + "connect_coordinator_metrics_assigned_connectors", "Connectors that the plan gives this worker.", Gauge, nil}), func(m *Metrics, put func(float64, ...string)) {
			if m.Worker.cluster != nil {
				put(float64(len(m.owned)))
			}
		}},
		{declare(Family{kafka + "connect_coordinator_metrics_assigned_tasks", "Tasks that the plan gives this worker.", Gauge, nil}), func(m *Metrics, put func(float64, ...string)) {
			if m.Worker.cluster != nil {
				put(float64(len(m.tasks)))
			}
		}},
	}
}

// collector reads everything when it is scraped. It describes nothing beforehand, since plugins bring what they have.
type collector struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Worker.mu.Lock()
	m.Worker.rebalances.of = &m.Worker.rebalanced
	for i := range workerFamilies {
		f := &workerFamilies[i]
		f.show(m, func(v float64, labels ...string) { f.number(ch, v, labels...) })
	}
	m.Worker.mu.Unlock()
	now := time.Now()
	for id, t := range m.tasks {
		t.collect(ch, id, now)
	}
	for _, f := range m.plugins {
		f.collect(ch)
	}
}

func (t *Task) collect(ch chan<- prometheus.Metric, id ID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &reading{Task: t, now: t.counts(now)}
	base := []string{id.Connector, strconv.Itoa(id.Task)}
	for i := range taskFamilies {
		f := &taskFamilies[i]
		if f.hist != nil {
			f.hist(t, func(h *recent, labels ...string) { f.histogram(ch, h, append(slices.Clone(base), labels...)...) })
			continue
		}
		f.show(r, func(v float64, labels ...string) { f.number(ch, v, append(slices.Clone(base), labels...)...) })
	}
}
