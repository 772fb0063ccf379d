package metric

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/histogram"
)

// namespace goes before the names of what is not Kafka Connect's.
const namespace = "stepconnect_"

// pluginFamily is one metric of plugins, over all tasks.
type pluginFamily struct {
	*family
	mu     sync.Mutex // guards series
	series map[string]*pluginSeries
}

// pluginSeries is one series: a number, or a histogram.
type pluginSeries struct {
	labels []string
	bits   atomic.Uint64 // of the number
	dist   histogram.Histogram
	recent recent
	family *family
}

// pluginMetrics gives series whose labels begin with base, names and values in turn.
type pluginMetrics struct {
	m    *Metrics
	base []string
}

// Counter implements connector.Metrics.
func (p pluginMetrics) Counter(name, help string, labels ...string) connector.Counter {
	return p.m.series(Counter, name, help, append(slices.Clone(p.base), labels...))
}

// Gauge implements connector.Metrics.
func (p pluginMetrics) Gauge(name, help string, labels ...string) connector.Gauge {
	return p.m.series(Gauge, name, help, append(slices.Clone(p.base), labels...))
}

// Histogram implements connector.Metrics.
func (p pluginMetrics) Histogram(name, help string, labels ...string) connector.Histogram {
	return p.m.series(Histogram, name, help, append(slices.Clone(p.base), labels...))
}

// series gives a series, made on first use. One whose name has other labels or another kind elsewhere is counted and never
// shown: a metric is no reason to fail a task.
func (m *Metrics) series(kind Kind, name, help string, pairs []string) *pluginSeries {
	names, values := split(pairs)
	m.mu.Lock()
	f, known := m.plugins[name]
	if !known {
		f = &pluginFamily{family: declare(Family{namespace + name, help, kind, names}), series: map[string]*pluginSeries{}}
		m.plugins[name] = f
	}
	m.mu.Unlock()
	s := &pluginSeries{labels: values, family: f.family}
	s.recent.of = &s.dist
	if f.Kind != kind || !slices.Equal(f.Labels, names) {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := strings.Join(values, "\xff")
	if made := f.series[key]; made != nil {
		return made
	}
	f.series[key] = s
	return s
}

func split(pairs []string) (names, values []string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		names, values = append(names, pairs[i]), append(values, strings.ToValidUTF8(pairs[i+1], "\uFFFD"))
	}
	return names, values
}

// Add implements connector.Counter.
func (s *pluginSeries) Add(n float64) {
	for {
		was := s.bits.Load()
		if s.bits.CompareAndSwap(was, math.Float64bits(math.Float64frombits(was)+n)) {
			return
		}
	}
}

// Set implements connector.Gauge.
func (s *pluginSeries) Set(v float64) { s.bits.Store(math.Float64bits(v)) }

// Observe implements connector.Histogram.
func (s *pluginSeries) Observe(v float64) {
	if s.family.bounds != nil {
		s.dist.Observe(s.family.bounds, int64(max(v, 0)*s.family.per))
	}
}

// drop removes the series of a task.
func (f *pluginFamily) drop(connector, task string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.Labels) < 2 || f.Labels[0] != "connector" || f.Labels[1] != "task" {
		return
	}
	for key, s := range f.series {
		if s.labels[0] == connector && s.labels[1] == task {
			delete(f.series, key)
		}
	}
}

func (f *pluginFamily) sample() {
	if f.Kind != Histogram {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.series {
		s.recent.sample()
	}
}

func (f *pluginFamily) collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.series {
		if f.Kind == Histogram {
			f.histogram(ch, &s.recent, s.labels...)
		} else {
			f.number(ch, math.Float64frombits(s.bits.Load()), s.labels...)
		}
	}
}
