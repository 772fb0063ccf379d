package deadletter

import (
	"fmt"
	"strings"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// State says what has become of a letter.
type State string

// The states.
const (
	Open     State = "open"     // nothing was done about it
	Replayed State = "replayed" // a replay has taken it through the connector; had it failed, there is a newer letter of it
	Dropped  State = "dropped"
	Running  State = "replaying" // the operation that is under way is about it
	Unplaced State = "unplaced"  // its error context is missing: it can be dropped, not replayed
)

// Match tells whether a letter of a connector's queue is one that the filter means.
func Match(f *store.DeadLetterFilter, l *Letter) bool {
	at := &l.Origin
	switch {
	case f.Topic != "" && at.Topic != f.Topic,
		f.Partition != nil && (!l.Placed() || at.ID != *f.Partition),
		f.OffsetMin != nil && (!l.Placed() || at.Offset < *f.OffsetMin),
		f.OffsetMax != nil && (!l.Placed() || at.Offset > *f.OffsetMax),
		f.Stage != "" && l.Stage != f.Stage,
		f.Exception != "" && l.Exception != f.Exception && !strings.HasSuffix(l.Exception, "."+f.Exception),
		f.Since != nil && at.Timestamp < f.Since.UnixMilli(),
		f.Until != nil && (at.Timestamp < 0 || at.Timestamp > f.Until.UnixMilli()),
		f.Letter != "" && f.Letter != l.Name():
		return false
	}
	return true
}

// Name is the letter's place in the queue, "partition:offset".
func (l *Letter) Name() string { return fmt.Sprintf("%d:%d", l.Partition, l.Offset) }

// Mine tells whether a letter is of a connector: several may share a queue. One without an error context is anybody's.
func (l *Letter) Mine(connector string) bool { return !l.Placed() || l.Connector == connector }

// Concerns tells whether an operation takes the letter: it was there when the operation was asked for, matches, and can be
// replayed if that is what is asked.
func Concerns(op *store.DeadLetterOperation, l *Letter) bool {
	return InBounds(op, l) && Match(&op.Filter, l) && (l.Placed() || op.Action == store.DropLetters)
}

// InBounds tells whether the letter was in the queue when the operation was asked for.
func InBounds(op *store.DeadLetterOperation, l *Letter) bool {
	for _, b := range op.Bounds {
		if b.Partition == l.Partition {
			return l.Offset < b.Below
		}
	}
	return false
}

// StateOf tells what has become of a letter: the first operation that took it has dealt with it. It is a function of the
// letter and the operations alone, so nothing has to be kept for each letter. A cancelled replay has dealt with those
// below where it stopped: its bounds were brought down to there.
func StateOf(ops []store.DeadLetterOperation, l *Letter) State {
	for i := range ops {
		op := &ops[i]
		if !Concerns(op, l) {
			continue
		}
		switch {
		case op.Outcome == "":
			return Running
		case op.Action == store.DropLetters:
			return Dropped
		}
		return Replayed
	}
	if !l.Placed() {
		return Unplaced
	}
	return Open
}

// MaxKept is how many operations are kept for a connector.
const MaxKept = 200

// Prune leaves out the operations that say nothing any more: those whose letters a later one without a filter has dealt
// with too, and those whose letters are gone from the queue (low gives the first offset of each partition).
func Prune(ops []store.DeadLetterOperation, low map[int32]int64) []store.DeadLetterOperation {
	var kept []store.DeadLetterOperation
	for i := range ops {
		op := &ops[i]
		covered := op.Outcome != "" && goneBelow(op, low)
		for j := i + 1; j < len(ops) && !covered && op.Outcome != ""; j++ {
			covered = covers(&ops[j], op)
		}
		if !covered {
			kept = append(kept, *op)
		}
	}
	return kept
}

// covers tells whether a later operation has dealt with all that an earlier one has.
func covers(later, op *store.DeadLetterOperation) bool {
	if later.Outcome == "" || later.Filter != (store.DeadLetterFilter{}) || later.Topic != op.Topic ||
		later.Action != store.DropLetters && op.Action == store.DropLetters {
		return false
	}
	for _, b := range op.Bounds {
		if !InBounds(later, &Letter{Partition: b.Partition, Offset: b.Below - 1}) && b.Below > 0 {
			return false
		}
	}
	return true
}

func goneBelow(op *store.DeadLetterOperation, low map[int32]int64) bool {
	for _, b := range op.Bounds {
		if first, known := low[b.Partition]; !known || b.Below > first {
			return false
		}
	}
	return true
}
