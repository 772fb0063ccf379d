package runtime

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Metrics shows the counts of a worker's tasks under Kafka Connect's names in Prometheus form
// (kafka_connect_<group>_<attribute>), and what plugins count under stepconnect_. A task keeps its counts
// over restarts, failed ones included.
type Metrics struct {
	reg prometheus.Registerer

	mu    sync.Mutex // guards the fields below
	tasks map[TaskID]*task.Metrics
	vecs  map[string]*pluginVec
}

// NewMetrics makes the metrics and registers them with reg; nil keeps them to itself.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{reg: reg, tasks: map[TaskID]*task.Metrics{}, vecs: map[string]*pluginVec{}}
	if reg == nil {
		m.reg = prometheus.NewRegistry()
	}
	return m, m.reg.Register(taskCollector{m})
}

// collect registers what another part of the worker counts; a metric is never a reason to fail.
func (m *Metrics) collect(c prometheus.Collector) { _ = m.reg.Register(c) }

// task gives the counts of a task, which live until forget.
func (m *Metrics) task(id TaskID) *task.Metrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tasks[id]
	if !ok {
		t = new(task.Metrics)
		m.tasks[id] = t
	}
	return t
}

// forget drops a task that does not run here any more, with what its plugins counted.
func (m *Metrics) forget(id TaskID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tasks, id)
	for _, v := range m.vecs {
		if v == nil {
			continue
		}
		v.drop(prometheus.Labels{"connector": id.Connector, "task": strconv.Itoa(id.Task)})
	}
}

// series is one number of a task.
type series struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*task.Metrics) int64
}

func taskSeries() []series {
	one := func(kind prometheus.ValueType, name, help string, value func(*task.Metrics) int64) series {
		return series{prometheus.NewDesc("kafka_connect_"+name, help, []string{"connector", "task"}, nil), kind, value}
	}
	const c, g = prometheus.CounterValue, prometheus.GaugeValue
	return []series{
		one(c, "sink_task_metrics_sink_record_read_total", "Records consumed, before transforms.", func(t *task.Metrics) int64 { return t.Read.Load() }),
		one(c, "sink_task_metrics_sink_record_send_total", "Records that the sink has acknowledged.", func(t *task.Metrics) int64 { return t.Delivered.Load() }),
		one(g, "sink_task_metrics_partition_count", "Partitions assigned.", func(t *task.Metrics) int64 { return t.Partitions.Load() }),
		one(g, "sink_task_metrics_sink_record_active_count", "Records held: consumed and not settled.", func(t *task.Metrics) int64 { return t.Pending.Load() }),
		one(c, "sink_task_metrics_offset_commit_completion_total", "Offset commits that succeeded.", func(t *task.Metrics) int64 { return t.Commits.Load() }),
		one(c, "task_error_metrics_total_record_failures", "Failed attempts of converters, transforms and deliveries.", func(t *task.Metrics) int64 { return t.Failures.Load() }),
		one(c, "task_error_metrics_total_record_errors", "Records given up.", func(t *task.Metrics) int64 { return t.Errors.Load() }),
		one(c, "task_error_metrics_total_records_skipped", "Records that errors.tolerance=all went on without.", func(t *task.Metrics) int64 { return t.Skipped.Load() + t.DeadLettered.Load() }),
		one(c, "task_error_metrics_total_retries", "Tries after the first.", func(t *task.Metrics) int64 { return t.Retries.Load() }),
		one(c, "task_error_metrics_total_errors_logged", "Errors logged by errors.log.enable.", func(t *task.Metrics) int64 { return t.Logged.Load() }),
		one(c, "task_error_metrics_deadletterqueue_produce_requests", "Writes to the dead letter queue.", func(t *task.Metrics) int64 { return t.DLQRequests.Load() }),
		one(c, "task_error_metrics_deadletterqueue_produce_failures", "Failed writes to the dead letter queue.", func(t *task.Metrics) int64 { return t.DLQFailures.Load() }),
		one(g, "task_error_metrics_last_error_timestamp", "Time of the last error, in ms since 1970; 0 for none.", func(t *task.Metrics) int64 { return t.LastError.Load() }),
		one(c, "sink_task_metrics_offset_commit_failure_total", "Offset commits that failed.", func(t *task.Metrics) int64 { return t.CommitErrors.Load() }),
		one(c, "sink_task_metrics_records_filtered_total", "Records left out on purpose.", func(t *task.Metrics) int64 { return t.Filtered.Load() }),
		one(c, "sink_task_metrics_records_lost_total", "Records dropped without a dead letter queue: lost.", func(t *task.Metrics) int64 { return t.Skipped.Load() }),
		one(c, "sink_task_metrics_put_batch_total", "Sink calls that ended.", func(t *task.Metrics) int64 { return t.Batches.Load() }),
		one(g, "sink_task_metrics_put_batch_in_flight", "Sink calls under way.", func(t *task.Metrics) int64 { return t.InFlight.Load() }),
		one(g, "sink_task_metrics_pending_bytes", "Bytes of keys and values held.", func(t *task.Metrics) int64 { return t.PendingBytes.Load() }),
	}
}

// taskCollector reads the tasks' counts when it is scraped.
type taskCollector struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (c taskCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range taskSeries() {
		ch <- s.desc
	}
}

// Collect implements prometheus.Collector.
func (c taskCollector) Collect(ch chan<- prometheus.Metric) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, s := range taskSeries() {
		for id, t := range c.m.tasks {
			ch <- prometheus.MustNewConstMetric(s.desc, s.kind, float64(s.value(t)), id.Connector, strconv.Itoa(id.Task))
		}
	}
}

// pluginVec is one metric of plugins, over all tasks.
type pluginVec struct {
	counter *prometheus.CounterVec
	gauge   *prometheus.GaugeVec
}

func (v *pluginVec) drop(l prometheus.Labels) {
	if v.counter != nil {
		v.counter.DeletePartialMatch(l)
	}
	if v.gauge != nil {
		v.gauge.DeletePartialMatch(l)
	}
}

// plugin gives the metrics of one task's plugins.
func (m *Metrics) plugin(id TaskID) connector.Metrics { return pluginMetrics{m, id} }

type pluginMetrics struct {
	m  *Metrics
	id TaskID
}

// nothing counts what cannot be registered: a metric is never a reason to fail a task.
type nothing struct{}

func (nothing) Add(float64) {}
func (nothing) Set(float64) {}

// Counter implements connector.Metrics.
func (p pluginMetrics) Counter(name, help string, labels ...string) connector.Counter {
	names, values := p.labels(labels)
	v := p.m.vec("counter "+name, func() (*pluginVec, prometheus.Collector) {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "stepconnect", Name: name, Help: help}, names)
		return &pluginVec{counter: c}, c
	})
	if v == nil || v.counter == nil {
		return nothing{}
	}
	c, err := v.counter.GetMetricWithLabelValues(values...)
	if err != nil {
		return nothing{}
	}
	return c
}

// Gauge implements connector.Metrics.
func (p pluginMetrics) Gauge(name, help string, labels ...string) connector.Gauge {
	names, values := p.labels(labels)
	v := p.m.vec("gauge "+name, func() (*pluginVec, prometheus.Collector) {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "stepconnect", Name: name, Help: help}, names)
		return &pluginVec{gauge: g}, g
	})
	if v == nil || v.gauge == nil {
		return nothing{}
	}
	g, err := v.gauge.GetMetricWithLabelValues(values...)
	if err != nil {
		return nothing{}
	}
	return g
}

func (p pluginMetrics) labels(pairs []string) (names, values []string) {
	names, values = []string{"connector", "task"}, []string{p.id.Connector, strconv.Itoa(p.id.Task)}
	for i := 0; i+1 < len(pairs); i += 2 {
		names, values = append(names, pairs[i]), append(values, pairs[i+1])
	}
	return names, values
}

// vec gives the metric of that name, made and registered on first use; nil when that is not possible.
func (m *Metrics) vec(key string, create func() (*pluginVec, prometheus.Collector)) *pluginVec {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.vecs[key]
	if !ok {
		var c prometheus.Collector
		v, c = create()
		if m.reg.Register(c) != nil {
			v = nil
		}
		m.vecs[key] = v
	}
	return v
}
