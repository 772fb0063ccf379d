package states

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Report is what a log says about delivery. Lists are in order of the log.
type Report struct {
	Calls      int `json:"calls"`
	Executions int `json:"executions"`
	// Changes counts the distinct changes in executions, Expected those that had to be there.
	Changes  int `json:"changes"`
	Expected int `json:"expected"`
	// Missing were expected and are in no execution; Unexpected the other way round.
	Missing    []Position `json:"missing,omitempty"`
	Unexpected []Position `json:"unexpected,omitempty"`
	// Duplicates are changes in more than one execution.
	Duplicates []Duplicate `json:"duplicates,omitempty"`
	// Unsucceeded are changes whose executions all FAILED or TIMED_OUT, as far as the calls tell: of
	// StartSyncExecution always, of StartExecution where it closed at once.
	Unsucceeded []Position `json:"unsucceeded,omitempty"`
	// Backwards are changes that first appeared after a later one of the same key.
	Backwards []Backward `json:"backwards,omitempty"`
	// Overlaps are pairs of calls that were open at the same time and held the same key.
	Overlaps []Overlap `json:"overlaps,omitempty"`
	// Unread are calls (Seq) that started an execution in whose input no change was found.
	Unread []int64 `json:"unread,omitempty"`
}

// Duplicate is a change with the executions that hold it.
type Duplicate struct {
	Change     Change   `json:"change"`
	Executions []string `json:"executions"`
}

// Backward is a change that came after a later one of its key.
type Backward struct {
	Change    Change `json:"change"`
	After     int64  `json:"after"` // the highest offset of the key before it
	Execution string `json:"execution"`
}

// Overlap is a pair of calls, by Seq.
type Overlap struct {
	Change Change `json:"change"` // the first of the key in the second call
	First  int64  `json:"first"`
	Second int64  `json:"second"`
}

// OK says that nothing was found.
func (r Report) OK() bool { return r.Err() == nil }

// Err names what was found, each with its first example, or is nil.
func (r Report) Err() error {
	var found []string
	found = describeAll(found, "missing", r.Missing)
	found = describeAll(found, "unexpected", r.Unexpected)
	found = describeAll(found, "in more than one execution", r.Duplicates)
	found = describeAll(found, "without success", r.Unsucceeded)
	found = describeAll(found, "out of order", r.Backwards)
	found = describeAll(found, "open at the same time", r.Overlaps)
	found = describeAll(found, "unreadable", r.Unread)
	if found == nil {
		return nil
	}
	return errors.New(strings.Join(found, "; "))
}

func describeAll[T any](found []string, what string, list []T) []string {
	if len(list) == 0 {
		return found
	}
	return append(found, fmt.Sprintf("%d %s, first: %+v", len(list), what, list[0]))
}

// keyID names what is kept in order: the key within its partition; without a key, the partition.
type keyID struct {
	topic     string
	partition int32
	key       string
}

func (c Change) id() keyID { return keyID{c.Topic, c.Partition, c.Key} }

// Verify says what a log tells about the delivery of the expected changes; nil expects none in
// particular. An execution is told by its coming into being, not by its name: one name twice is two.
func Verify(log []Call, expected []Position) Report {
	starts := slices.DeleteFunc(slices.Clone(log), func(c Call) bool { return c.Effect == 0 })
	slices.SortFunc(starts, func(a, b Call) int { return cmp.Compare(a.Effect, b.Effect) })
	r := Report{Calls: len(log), Executions: len(starts), Expected: len(expected), Overlaps: overlaps(log)}
	first := r.appearances(starts)
	r.Changes = len(first)
	if expected != nil {
		r.compare(starts, first, expected)
	}
	return r
}

// appearance is what is known of one change.
type appearance struct {
	executions []string
	succeeded  bool
}

// appearances walks the executions in the order they came into being.
func (r *Report) appearances(starts []Call) map[Position]*appearance {
	seen := map[Position]*appearance{}
	highest := map[keyID]int64{}
	for _, c := range starts {
		if len(c.Changes) == 0 {
			r.Unread = append(r.Unread, c.Seq)
		}
		for _, change := range c.Changes {
			a := seen[change.Position]
			if a == nil {
				a = &appearance{}
				seen[change.Position] = a
				if last, known := highest[change.id()]; known && change.Offset < last {
					r.Backwards = append(r.Backwards, Backward{change, last, c.Execution})
				} else {
					highest[change.id()] = change.Offset
				}
			}
			a.executions = append(a.executions, c.Execution)
			a.succeeded = a.succeeded || c.Status != Failed && c.Status != TimedOut
		}
	}
	listed := map[Position]bool{}
	for _, c := range starts {
		for _, change := range c.Changes {
			a := seen[change.Position]
			if listed[change.Position] || len(a.executions) == 1 && a.succeeded {
				continue
			}
			listed[change.Position] = true
			if len(a.executions) > 1 {
				r.Duplicates = append(r.Duplicates, Duplicate{change, a.executions})
			}
			if !a.succeeded {
				r.Unsucceeded = append(r.Unsucceeded, change.Position)
			}
		}
	}
	return seen
}

// compare finds what is missing and what is too much.
func (r *Report) compare(starts []Call, seen map[Position]*appearance, expected []Position) {
	wanted := make(map[Position]bool, len(expected))
	for _, p := range expected {
		if !wanted[p] && seen[p] == nil {
			r.Missing = append(r.Missing, p)
		}
		wanted[p] = true
	}
	for _, c := range starts {
		for _, change := range c.Changes {
			if !wanted[change.Position] {
				r.Unexpected = append(r.Unexpected, change.Position)
				wanted[change.Position] = true // once
			}
		}
	}
}

// overlaps finds the pairs of calls that held one key at the same time, whatever became of them.
func overlaps(log []Call) []Overlap {
	calls := slices.Clone(log)
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Seq, b.Seq) })
	open := map[keyID][]Call{} // calls that may still be open, by key
	var found []Overlap
	for _, c := range calls {
		done := map[keyID]bool{}
		for _, change := range c.Changes {
			id := change.id()
			if done[id] {
				continue
			}
			done[id] = true
			still := slices.DeleteFunc(open[id], func(o Call) bool { return o.End != 0 && o.End < c.Seq })
			for _, o := range still {
				found = append(found, Overlap{change, o.Seq, c.Seq})
			}
			open[id] = append(still, Call{Seq: c.Seq, End: c.End})
		}
	}
	return found
}
