package metric

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stepconnect/stepconnect/internal/histogram"
)

// Kind is what a metric's number means.
type Kind uint8

// The kinds.
const (
	Gauge Kind = iota
	Counter
	// Histogram is shown twice: as a histogram, and under its name with _recent before the unit as a summary of the last
	// minute, because CloudWatch's agent takes no histograms.
	Histogram
	// Info is always 1: what it says is in its labels.
	Info
)

// String is the kind's name in docs/METRICS.md.
func (k Kind) String() string { return [...]string{"gauge", "counter", "histogram", "info"}[k] }

// Family declares a metric.
type Family struct {
	Name, Help string
	Kind       Kind
	Labels     []string
}

// valueType is Prometheus' type of a single number.
func (f *Family) valueType() prometheus.ValueType {
	if f.Kind == Counter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

// recentName is the name of a histogram's summary: _recent goes before the unit.
func recentName(name string) string {
	for _, unit := range []string{"_seconds", "_bytes"} {
		if base, ok := strings.CutSuffix(name, unit); ok {
			return base + "_recent" + unit
		}
	}
	return name + "_recent"
}

// unitOf gives the buckets of a histogram by the unit that its name ends in, and how many of their steps make one unit.
func unitOf(name string) (b histogram.Bounds, per float64) {
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return histogram.Durations, 1e9
	case strings.HasSuffix(name, "_bytes"):
		return histogram.Bytes, 1
	}
	return histogram.Counts, 1
}

// family is a declared metric as Prometheus takes it.
type family struct {
	Family
	desc, recent *prometheus.Desc
	bounds       histogram.Bounds
	per          float64
}

func declare(f Family) *family {
	made := &family{Family: f, desc: prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)}
	if f.Kind == Histogram {
		made.bounds, made.per = unitOf(f.Name)
		made.recent = prometheus.NewDesc(recentName(f.Name), f.Help+" Over the last minute.", f.Labels, nil)
	}
	return made
}

// number shows one number of the family.
func (f *family) number(ch chan<- prometheus.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(f.desc, f.valueType(), v, labels...)
}

// quantiles are those of the summaries.
var quantiles = []float64{0.5, 0.9, 0.99}

// histogram shows a histogram of the family and its summary.
func (f *family) histogram(ch chan<- prometheus.Metric, r *recent, labels ...string) {
	all, window := r.of.Snapshot(), r.window()
	f.cumulative(ch, f.desc, all, labels)
	values := make(map[float64]float64, len(quantiles))
	for _, q := range quantiles {
		v, _ := window.Quantile(f.bounds, q)
		values[q] = v / f.per
	}
	ch <- prometheus.MustNewConstSummary(f.recent, uint64(all.Count()), float64(all.Sum)/f.per, values, labels...)
}

func (f *family) cumulative(ch chan<- prometheus.Metric, desc *prometheus.Desc, s histogram.Snapshot, labels []string) {
	buckets := make(map[float64]uint64, len(f.bounds))
	for i, n := range s.Cumulative(f.bounds) {
		buckets[float64(f.bounds[i])/f.per] = n
	}
	ch <- prometheus.MustNewConstHistogram(desc, uint64(s.Count()), float64(s.Sum)/f.per, buckets, labels...)
}

// byName sorts declarations for the reference.
func byName(families []Family) []Family {
	slices.SortFunc(families, func(a, b Family) int { return cmp.Compare(a.Name, b.Name) })
	return families
}
