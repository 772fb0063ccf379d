// Package histogram counts values by size. Observing is a few atomic additions and allocates nothing, so that
// it can stand on the record path; who reads pays.
package histogram

import (
	"slices"
	"sync/atomic"
	"time"
)

// most is the most bounds that a histogram has.
const most = 18

// Bounds are upper limits of buckets, ascending; what exceeds the last one has a bucket of its own.
type Bounds []int64

// The bounds of the three units.
var (
	// Durations are in nanoseconds, from a millisecond to an hour.
	Durations = Bounds{
		1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8, 1e9, 2.5e9, 5e9, 1e10, 3e10, 6e10, 3e11, 9e11, 3.6e12,
	}
	// Counts are of records.
	Counts = Bounds{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}
	// Bytes end above what an input of Step Functions can hold.
	Bytes = Bounds{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20, 16 << 20}
)

// Histogram counts values by Bounds, the same ones on every call. The zero value is ready. It is safe for
// concurrent use.
type Histogram struct {
	counts [most + 1]atomic.Int64
	sum    atomic.Int64
	max    atomic.Int64 // since TakeMax
}

// Observe counts v.
func (h *Histogram) Observe(b Bounds, v int64) {
	i := 0
	for i < len(b) && v > b[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
	for {
		m := h.max.Load()
		if v <= m || h.max.CompareAndSwap(m, v) {
			return
		}
	}
}

// Took counts a duration by Durations.
func (h *Histogram) Took(d time.Duration) { h.Observe(Durations, int64(max(d, 0))) }

// TakeMax gives the highest value since it was last called, and begins anew.
func (h *Histogram) TakeMax() int64 { return h.max.Swap(0) }

// Max gives the highest value since TakeMax.
func (h *Histogram) Max() int64 { return h.max.Load() }

// Snapshot is what a Histogram held at one moment.
type Snapshot struct {
	Counts [most + 1]int64 // by bucket, not cumulative
	Sum    int64
}

// Snapshot reads the counts.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	s.Sum = h.sum.Load()
	return s
}

// Since gives what was counted after an earlier snapshot.
func (s Snapshot) Since(earlier Snapshot) Snapshot {
	for i := range s.Counts {
		s.Counts[i] -= earlier.Counts[i]
	}
	s.Sum -= earlier.Sum
	return s
}

// Count gives how many values there are.
func (s Snapshot) Count() (n int64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Average gives the mean; 0 of nothing.
func (s Snapshot) Average() float64 {
	n := s.Count()
	if n == 0 {
		return 0
	}
	return float64(s.Sum) / float64(n)
}

// Cumulative gives for each bound how many values are not above it, as Prometheus writes buckets.
func (s Snapshot) Cumulative(b Bounds) []uint64 {
	out := make([]uint64, len(b))
	var n int64
	for i := range b {
		n += s.Counts[i]
		out[i] = uint64(n)
	}
	return out
}

// Quantile estimates the value below which the part q of all values lies, from 0 to 1: linear inside a
// bucket, as histogram_quantile of Prometheus is. What exceeds the last bound counts as that bound. ok is false for nothing.
func (s Snapshot) Quantile(b Bounds, q float64) (v float64, ok bool) {
	n := s.Count()
	if n == 0 {
		return 0, false
	}
	rank, below := q*float64(n), 0.0
	for i, c := range s.Counts[:len(b)] {
		if here := float64(c); here > 0 && below+here >= rank {
			low := int64(0)
			if i > 0 {
				low = b[i-1]
			}
			return float64(low) + float64(b[i]-low)*max(0, rank-below)/here, true
		}
		below += float64(c)
	}
	return float64(b[len(b)-1]), true
}

// Valid reports whether bounds fit and ascend.
func (b Bounds) Valid() bool { return len(b) > 0 && len(b) <= most && slices.IsSorted(b) }
