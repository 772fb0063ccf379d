package task

import "slices"

// tracker knows which of a partition's received messages are settled, and so what may be committed:
// the lowest that is not (invariant 1). Offsets are not dense (transaction markers, compaction), so
// messages are counted by their sequence in the order received; only those offsets matter.
type tracker struct {
	base    uint64       // sequence of offsets[0]
	offsets []int64      // received and not below the position, ascending
	settled []settledRun // above the position, ascending, never adjacent
	next    int64        // where reading goes on: the position when everything is settled
}

// settledRun is a run of settled messages, by sequence, both ends included.
type settledRun struct {
	from, to uint64
	named    bool // at least one was delivered under a name, so the run must survive a crash
}

func newTracker(position int64) *tracker { return &tracker{next: position} }

// received notes a message and gives its sequence.
func (t *tracker) received(offset int64) uint64 {
	t.offsets = append(t.offsets, offset)
	t.next = offset + 1
	return t.base + uint64(len(t.offsets)) - 1
}

// settle marks a message as settled; named says that it was delivered under a name that a
// batch of several records had.
func (t *tracker) settle(seq uint64, named bool) {
	if seq < t.base {
		return
	}
	i, _ := slices.BinarySearchFunc(t.settled, seq, func(r settledRun, seq uint64) int {
		switch {
		case r.to+1 < seq:
			return -1
		case r.from > seq+1:
			return 1
		}
		return 0
	})
	if i == len(t.settled) || t.settled[i].from > seq+1 {
		t.settled = slices.Insert(t.settled, i, settledRun{seq, seq, named})
	} else {
		r := &t.settled[i]
		r.from, r.to, r.named = min(r.from, seq), max(r.to, seq), r.named || named
		if i+1 < len(t.settled) && t.settled[i+1].from == r.to+1 {
			r.to, r.named = t.settled[i+1].to, r.named || t.settled[i+1].named
			t.settled = slices.Delete(t.settled, i+1, i+2)
		}
	}
	if r := t.settled[0]; r.from == t.base {
		t.offsets = t.offsets[r.to-t.base+1:]
		t.base = r.to + 1
		t.settled = slices.Delete(t.settled, 0, 1)
	}
}

// position is what may be committed: everything below it is settled.
func (t *tracker) position() int64 {
	if len(t.offsets) > 0 {
		return t.offsets[0]
	}
	return t.next
}

// span is how far reading has gone past the position, in offsets.
func (t *tracker) span() int64 { return t.next - t.position() }

// unsettled counts the received messages that are not settled.
func (t *tracker) unsettled() int {
	n := len(t.offsets)
	for _, r := range t.settled {
		n -= int(r.to - r.from + 1)
	}
	return n
}

// settledAbove gives the offset ranges above the position, both ends included. Those in must hold deliveries under
// names and would be started again under other names if they were forgotten; of those in may, what is forgotten
// is delivered once more, under the same names or, where nothing has a name, as at least once allows.
func (t *tracker) settledAbove() (must, may []offsetRange) {
	for _, r := range t.settled {
		o := offsetRange{t.offsets[r.from-t.base], t.offsets[r.to-t.base]}
		if r.named {
			must = append(must, o)
		} else {
			may = append(may, o)
		}
	}
	return must, may
}

// offsetRange is a range of offsets, both ends included.
type offsetRange struct{ from, to int64 }
