package task

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestThePositionIsTheLowestOffsetThatIsNotSettled(t *testing.T) {
	tr := newTracker(10)
	if tr.position() != 10 {
		t.Fatalf("nothing received: position %d, want the start", tr.position())
	}
	var seqs []uint64
	for _, o := range []int64{10, 11, 15, 16, 20} { // compaction left holes
		seqs = append(seqs, tr.received(o))
	}
	for _, step := range []struct {
		settle uint64
		want   int64
	}{{seqs[1], 10}, {seqs[3], 10}, {seqs[0], 15}, {seqs[2], 20}, {seqs[4], 21}} {
		tr.settle(step.settle, false)
		if tr.position() != step.want {
			t.Fatalf("position %d, want %d", tr.position(), step.want)
		}
	}
	if tr.unsettled() != 0 || tr.span() != 0 {
		t.Fatalf("unsettled %d, span %d", tr.unsettled(), tr.span())
	}
}

func TestTrackerAgreesWithASetInAnyOrderOfSettling(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		tr := newTracker(0)
		next, open, named := int64(0), map[uint64]int64{}, map[int64]bool{}
		for range 200 {
			if rng.IntN(2) == 0 || len(open) == 0 {
				next += 1 + int64(rng.IntN(3)*rng.IntN(2))
				open[tr.received(next)] = next
			} else {
				seqs := make([]uint64, 0, len(open))
				for s := range open {
					seqs = append(seqs, s)
				}
				slices.Sort(seqs)
				s := seqs[rng.IntN(len(seqs))]
				if rng.IntN(2) == 0 {
					named[open[s]] = true
				}
				tr.settle(s, named[open[s]])
				delete(open, s)
			}
			want := next + 1
			if next == 0 {
				want = 0
			}
			for _, o := range open {
				want = min(want, o)
			}
			if tr.position() != want || tr.unsettled() != len(open) {
				t.Fatalf("seed %d: position %d unsettled %d, want %d and %d", seed, tr.position(), tr.unsettled(), want, len(open))
			}
			must, may := tr.settledAbove()
			for _, r := range append(slices.Clone(must), may...) {
				for s, o := range open {
					if r.from <= o && o <= r.to {
						t.Fatalf("seed %d: range %v holds the open offset %d (sequence %d)", seed, r, o, s)
					}
				}
			}
			for o := range named {
				if o < tr.position() {
					continue
				}
				if !slices.ContainsFunc(must, func(r offsetRange) bool { return r.from <= o && o <= r.to }) {
					t.Fatalf("seed %d: offset %d was delivered under a name and is in no range", seed, o)
				}
			}
		}
	}
}
