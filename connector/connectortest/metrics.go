package connectortest

import (
	"strings"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
)

// Metrics counts in memory, for tests to look at.
type Metrics struct {
	mu     sync.Mutex // guards values
	values map[string]float64
}

// NewMetrics makes an empty Metrics.
func NewMetrics() *Metrics { return &Metrics{values: map[string]float64{}} }

// Counter gives the counter of that name and labels.
func (m *Metrics) Counter(name, _ string, labels ...string) connector.Counter {
	return series{m, id(name, labels)}
}

// Gauge gives the gauge of that name and labels.
func (m *Metrics) Gauge(name, _ string, labels ...string) connector.Gauge {
	return series{m, id(name, labels)}
}

// Histogram gives the histogram of that name and labels; its Value is the sum of what was observed.
func (m *Metrics) Histogram(name, _ string, labels ...string) connector.Histogram {
	return series{m, id(name, labels)}
}

// Value gives what the series of that name and labels stands at.
func (m *Metrics) Value(name string, labels ...string) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[id(name, labels)]
}

func id(name string, labels []string) string { return name + "|" + strings.Join(labels, "|") }

type series struct {
	of *Metrics
	id string
}

func (s series) Add(n float64) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.values[s.id] += n
}

func (s series) Observe(v float64) { s.Add(v) }

func (s series) Set(v float64) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.values[s.id] = v
}
