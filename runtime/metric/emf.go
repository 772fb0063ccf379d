package metric

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// EMF turns what Prometheus would scrape into CloudWatch's embedded metric format: what was counted since the last line,
// and what gauges stand at, summed up to few dimensions, because each set of them is a metric that AWS bills. It is not
// safe for concurrent use.
type EMF struct {
	// Namespace of the metrics, and the worker that writes them.
	Namespace, Worker string
	// Cluster is the dimension of the worker's own metrics: its group.id.
	Cluster string
	from    prometheus.Gatherer
	before  map[string]float64 // of counters and buckets, by series
}

// NewEMF reads from g. Counters of this process began at 0, so that the first Lines hold what was counted since it started.
func NewEMF(g prometheus.Gatherer, namespace, worker, cluster string) *EMF {
	return &EMF{Namespace: namespace, Worker: worker, Cluster: cluster, from: g, before: map[string]float64{}}
}

// The limits of the specification.
const (
	emfMetricsOfDirective = 100
	emfValuesOfMetric     = 100
)

// point is what one set of dimension values has in one interval.
type point struct {
	dims   map[string]string
	values map[string]any // float64, or []float64 of a distribution
	units  map[string]string
	order  []string
}

// Lines gives the lines of the interval that ends now, without the line breaks.
func (e *EMF) Lines(now time.Time) ([][]byte, error) {
	families, err := e.from.Gather()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	d := deltas{before: e.before, after: map[string]float64{}}
	points := map[string]*point{}
	for i := range emfMetrics {
		m := &emfMetrics[i]
		if f := byName[m.from]; f != nil {
			m.collect(f, &d, e, points)
		} else if m.from == "" {
			pointOf(points, []string{"Cluster"}, []string{e.Cluster}).put(m, 1)
		}
	}
	e.before = d.after
	var lines [][]byte
	for _, key := range slices.Sorted(maps.Keys(points)) {
		more, err := points[key].lines(e, now)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// deltas remember counters from one interval to the next. One that is new, or that began anew, counts from 0.
type deltas struct{ before, after map[string]float64 }

func (d *deltas) of(series string, v float64) float64 {
	d.after[series] = v
	if was := d.before[series]; v >= was {
		return v - was
	}
	return v
}

func pointOf(points map[string]*point, names, values []string) *point {
	key := strings.Join(names, ",") + "\x00" + strings.Join(values, "\x00")
	p := points[key]
	if p == nil {
		p = &point{dims: map[string]string{}, values: map[string]any{}, units: map[string]string{}}
		for i, n := range names {
			p.dims[n] = dimensionValue(values[i])
		}
		points[key] = p
	}
	return p
}

// dimensionValue gives what CloudWatch takes of a text: printable ASCII, at most 1,024 bytes.
func dimensionValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if strings.TrimSpace(s) == "" {
		return "?"
	}
	return s[:min(len(s), 1024)]
}

// put adds a number to a point.
func (p *point) put(m *emfMetric, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) { // CloudWatch has no such numbers
		return
	}
	was, known := p.values[m.name].(float64)
	switch {
	case !known:
		p.order = append(p.order, m.name)
		p.units[m.name] = m.unit
	case m.highest:
		v = max(was, v)
	default:
		v += was
	}
	p.values[m.name] = v
}

// collect adds a family's series to the points that they belong to.
func (m *emfMetric) collect(f *dto.MetricFamily, d *deltas, e *EMF, points map[string]*point) {
	type merged struct {
		at     *point
		counts map[float64]float64 // by upper bound
	}
	distributions := map[*point]*merged{}
	for _, s := range f.Metric {
		labels := labelsOf(s)
		if !m.takes(labels) {
			continue
		}
		values := make([]string, len(m.dimensions))
		for i, dim := range m.dimensions {
			if values[i] = labels[strings.ToLower(dim)]; dim == "Cluster" {
				values[i] = e.Cluster
			}
		}
		if slices.Contains(values, "") {
			continue
		}
		p := pointOf(points, m.dimensions, values)
		series := seriesKey(f.GetName(), s)
		switch {
		case s.Histogram != nil:
			g := distributions[p]
			if g == nil {
				g = &merged{at: p, counts: map[float64]float64{}}
				distributions[p] = g
			}
			var below float64
			for _, b := range s.Histogram.Bucket {
				n := d.of(series+"|"+formatBound(b.GetUpperBound()), float64(b.GetCumulativeCount()))
				g.counts[b.GetUpperBound()] += n - below
				below = n
			}
			g.counts[math.Inf(1)] += d.of(series+"|all", float64(s.Histogram.GetSampleCount())) - below
		case s.Counter != nil:
			p.put(m, d.of(series, s.Counter.GetValue())*m.factor())
		default:
			p.put(m, s.GetGauge().GetValue()*m.factor())
		}
	}
	for _, g := range distributions {
		if values := representatives(g.counts, m.factor()); len(values) > 0 {
			g.at.order = append(g.at.order, m.name)
			g.at.units[m.name], g.at.values[m.name] = m.unit, values
		}
	}
}

// representatives stand for the values in buckets: so many, evenly spread over all of them, as a metric may have. Inside a
// bucket values are taken to be spread evenly.
func representatives(counts map[float64]float64, factor float64) []float64 {
	bounds := slices.Sorted(maps.Keys(counts))
	var all float64
	for _, b := range bounds {
		all += counts[b]
	}
	n := int(math.Min(all, emfValuesOfMetric))
	values := make([]float64, 0, max(n, 0))
	below, low, at := 0.0, 0.0, 0
	for i := range n {
		rank := (float64(i) + 0.5) / float64(n) * all
		for at < len(bounds)-1 && below+counts[bounds[at]] < rank {
			below += counts[bounds[at]]
			low = bounds[at]
			at++
		}
		part := 1.0
		if here := counts[bounds[at]]; here > 0 {
			part = min(1, (rank-below)/here)
		}
		high := bounds[at]
		if math.IsInf(high, 1) { // what exceeds the last bound counts as that bound
			high = low
		}
		values = append(values, round((low+(high-low)*part)*factor))
	}
	return values
}

// round keeps six significant digits: a bucket tells no more.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	scale := math.Pow(10, 6-math.Ceil(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func labelsOf(s *dto.Metric) map[string]string {
	labels := make(map[string]string, len(s.Label))
	for _, l := range s.Label {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

func seriesKey(name string, s *dto.Metric) string {
	slices.SortFunc(s.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	var b strings.Builder
	b.WriteString(name)
	for _, l := range s.Label {
		b.WriteByte(0)
		b.WriteString(l.GetValue())
	}
	return b.String()
}
