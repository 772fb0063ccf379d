package metric

import (
	"time"

	"github.com/stepconnect/stepconnect/internal/histogram"
)

// Rates, averages and quantiles are of the last minute or a little more, as Kafka Connect's are of its last two windows of 30 s.
const (
	sampleInterval = 5 * time.Second
	samples        = 12
)

// recent follows a histogram over the last minute.
type recent struct {
	of    *histogram.Histogram
	snaps [samples]histogram.Snapshot
	maxes [samples]int64
	n     int // samples taken so far
}

// sample begins a new slice of the minute.
func (r *recent) sample() {
	i := r.n % samples
	r.snaps[i], r.maxes[i] = r.of.Snapshot(), r.of.TakeMax()
	r.n++
}

// window gives what was counted in the last minute.
func (r *recent) window() histogram.Snapshot {
	var oldest histogram.Snapshot
	if r.n >= samples {
		oldest = r.snaps[r.n%samples]
	}
	return r.of.Snapshot().Since(oldest)
}

// max gives the highest value of the last minute.
func (r *recent) max() int64 {
	most := r.of.Max()
	for i := range min(r.n, samples) {
		most = max(most, r.maxes[i])
	}
	return most
}

// counts are the numbers of a task that Kafka Connect shows rates and averages of.
type counts struct {
	at                                time.Time
	read, sent, committed, notCommits int64
	active                            int64
	running, paused                   bool
}

// trend follows counts over the last minute.
type trend struct {
	since counts // where the task began
	slots [samples]counts
	n     int
}

func (t *trend) sample(c counts) {
	t.slots[t.n%samples] = c
	t.n++
}

// oldest is where the last minute began.
func (t *trend) oldest() counts {
	if t.n < samples {
		return t.since
	}
	return t.slots[t.n%samples]
}

// rate of a count a second, up to now.
func (t *trend) rate(now counts, of func(counts) int64) float64 {
	from := t.oldest()
	d := now.at.Sub(from.at).Seconds()
	if d <= 0 {
		return 0
	}
	return float64(of(now)-of(from)) / d
}

// over gives the average and the maximum of a number over the samples and now.
func (t *trend) over(now counts, of func(counts) float64) (avg, most float64) {
	most = of(now)
	sum, n := most, 1.0
	for i := range min(t.n, samples) {
		v := of(t.slots[i])
		sum, n, most = sum+v, n+1, max(most, v)
	}
	return sum / n, most
}
