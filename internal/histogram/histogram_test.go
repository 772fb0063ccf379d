package histogram

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValuesAreCountedByTheirBuckets(t *testing.T) {
	var h Histogram
	for _, v := range []int64{0, 1, 2, 3, 5000, 5001} {
		h.Observe(Counts, v)
	}
	s := h.Snapshot()
	if got, want := s.Cumulative(Counts), []uint64{2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5}; !cmp.Equal(got, want) {
		t.Errorf("cumulative %v, want %v", got, want)
	}
	if s.Count() != 6 || s.Sum != 10007 || h.Max() != 5001 {
		t.Errorf("count %d, sum %d, max %d", s.Count(), s.Sum, h.Max())
	}
	if h.TakeMax() != 5001 || h.Max() != 0 {
		t.Error("the maximum does not begin anew")
	}
	h.Observe(Counts, 7)
	if d := h.Snapshot().Since(s); d.Count() != 1 || d.Sum != 7 || d.Average() != 7 {
		t.Errorf("since the first snapshot: %+v", d)
	}
}

func TestQuantilesAreLinearInsideABucket(t *testing.T) {
	var h Histogram
	for range 100 {
		h.Took(7 * time.Millisecond) // between 5 and 10 ms
	}
	for q, want := range map[float64]float64{0: 5e6, 0.5: 7.5e6, 0.99: 9.95e6, 1: 1e7} {
		if got, ok := h.Snapshot().Quantile(Durations, q); !ok || got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if _, ok := (Snapshot{}).Quantile(Durations, 0.5); ok {
		t.Error("nothing has a quantile")
	}
	h.Took(5 * time.Hour)
	if got, _ := h.Snapshot().Quantile(Durations, 1); got != 3.6e12 {
		t.Errorf("above the last bound: %v", got)
	}
}

func TestTheBoundsOfTheUnitsAreValid(t *testing.T) {
	for name, b := range map[string]Bounds{"durations": Durations, "counts": Counts, "bytes": Bytes} {
		if !b.Valid() {
			t.Errorf("%s: %v", name, b)
		}
	}
}

func TestObservingAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Took(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTook(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Took(30 * time.Millisecond)
	}
}
