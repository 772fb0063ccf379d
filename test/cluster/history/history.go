// Package history judges what clients of a replicated object were told: whether some order of their calls, each at one
// moment between its start and its answer, explains every answer. It is the check of linearizability (Herlihy and
// Wing, 1990), for histories that are read once from front to back.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Op is one call of a client, of a model with states S.
type Op[S comparable] struct {
	// Call and Return are when the call began and was answered, by one clock. Open means that its outcome is
	// not known: it may take effect at any time after Call, or never.
	Call, Return int64
	Open         bool
	// Optional is of an effect that a call may have besides its own, between Call and Return or not at all: that of a
	// first attempt whose answer was lost.
	Optional bool
	// Step gives the state after the call; ok is false where the answer that the client got contradicts s.
	Step func(s S) (after S, ok bool)
	// Text is for people.
	Text string
}

// Check gives nil when the history is linearizable from the state initial, and else an error that names the first
// answer which no order explains. ends are the states in which the object may be after it.
func Check[S comparable](initial S, ops []Op[S]) (ends []S, err error) {
	type event struct {
		at     int64
		answer bool
		op     int
	}
	var events []event
	for i, op := range ops {
		events = append(events, event{op.Call, false, i})
		if !op.Open {
			events = append(events, event{op.Return, true, i})
		}
	}
	// Of events at one moment the calls come first: calls that touch may have been concurrent.
	slices.SortStableFunc(events, func(a, b event) int {
		if a.at == b.at && a.answer != b.answer {
			if b.answer {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	worlds := []world[S]{{state: initial}}
	for _, e := range events {
		if !e.answer {
			for i := range worlds {
				worlds[i].waiting = append(slices.Clone(worlds[i].waiting), e.op)
			}
			continue
		}
		if ops[e.op].Optional {
			worlds = without(closure(worlds, ops), e.op)
			continue
		}
		next := answered(worlds, ops, e.op)
		if len(next) == 0 {
			return nil, contradiction(worlds, ops, e.op)
		}
		worlds = next
	}
	for _, w := range closure(worlds, ops) {
		if !slices.Contains(ends, w.state) {
			ends = append(ends, w.state)
		}
	}
	return ends, nil
}

// world is one explanation of all answers so far: the state that it leads to, and the calls that have not taken effect
// in it yet, in order of their numbers.
type world[S comparable] struct {
	state   S
	waiting []int
}

// answered gives the worlds in which op has taken effect.
func answered[S comparable](worlds []world[S], ops []Op[S], op int) []world[S] {
	return slices.DeleteFunc(closure(worlds, ops), func(w world[S]) bool { return slices.Contains(w.waiting, op) })
}

// without gives the worlds in which op cannot take effect any more.
func without[S comparable](worlds []world[S], op int) []world[S] {
	for i := range worlds {
		worlds[i].waiting = slices.DeleteFunc(slices.Clone(worlds[i].waiting), func(o int) bool { return o == op })
	}
	return worlds
}

// closure gives all worlds that can be reached by letting waiting calls take effect.
func closure[S comparable](worlds []world[S], ops []Op[S]) []world[S] {
	var out []world[S]
	add := func(w world[S]) {
		if !slices.ContainsFunc(out, func(o world[S]) bool { return explains(o, w, ops) }) {
			out = append(out, w)
		}
	}
	slices.SortStableFunc(worlds, func(a, b world[S]) int { return cmp.Compare(len(b.waiting), len(a.waiting)) })
	for _, w := range worlds {
		add(w)
	}
	for i := 0; i < len(out); i++ {
		w := out[i]
		for j, op := range w.waiting {
			if state, ok := ops[op].Step(w.state); ok {
				add(world[S]{state, slices.Delete(slices.Clone(w.waiting), j, j+1)})
			}
		}
	}
	return out
}

// explains tells whether a makes b needless: it has the same state, and what waits in it besides need not happen. It can do
// all that b can.
func explains[S comparable](a, b world[S], ops []Op[S]) bool {
	if a.state != b.state {
		return false
	}
	for _, op := range b.waiting {
		if !slices.Contains(a.waiting, op) {
			return false
		}
	}
	return !slices.ContainsFunc(a.waiting, func(op int) bool { return !ops[op].Open && !ops[op].Optional && !slices.Contains(b.waiting, op) })
}

func contradiction[S comparable](worlds []world[S], ops []Op[S], op int) error {
	var states []string
	for _, w := range worlds {
		states = append(states, fmt.Sprintf("%+v", w.state))
	}
	slices.Sort(states)
	from := max(0, op-12)
	var before []string
	for _, o := range ops[from : op+1] {
		before = append(before, fmt.Sprintf("  [%d, %d] %s", o.Call, o.Return, o.Text))
	}
	return fmt.Errorf("no order of the calls explains the answer to %q: before it the state was one of %s; the calls until then end with\n%s",
		ops[op].Text, strings.Join(slices.Compact(states), " or "), strings.Join(before, "\n"))
}
