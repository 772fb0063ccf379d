package task

import (
	"context"
	"fmt"
	"time"
)

// pollMax is how many messages one poll takes at most.
const pollMax = 500

// reader owns the Source: Poll and Close run on its goroutine, and so do the group's callbacks, which
// hand each rebalance to the loop and wait for its answer.
type reader struct {
	loop *loop
}

// groupEvent is a rebalance on its way to the loop.
type groupEvent struct {
	added  []Assignment
	gone   []Partition
	lost   bool
	joined bool // an assignment, perhaps of nothing
	answer chan groupAnswer
}

type groupAnswer struct {
	positions []Position
	err       error
}

// run reads until stop ends, then leaves the group in order; abort cuts that short.
func (r *reader) run(stop, abort context.Context) error {
	source, err := r.loop.cfg.OpenSource(stop, r)
	if err != nil {
		return fmt.Errorf("cannot join the consumer group: %w", err)
	}
	r.loop.source.Store(&source)
	err = r.poll(stop, source)
	if cerr := source.Close(abort); err == nil {
		err = cerr
	}
	return err
}

func (r *reader) poll(stop context.Context, source Source) error {
	var buf []Message // what the last poll left empty
	for stop.Err() == nil {
		if buf == nil {
			select {
			case buf = <-r.loop.spare:
			default:
				buf = make([]Message, 0, pollMax)
			}
		}
		began := time.Now()
		msgs, err := source.Poll(stop, buf[:0], pollMax)
		if len(msgs) > 0 {
			r.loop.cfg.Metrics.Stages[Poll].Took(time.Since(began))
			buf = nil
			select {
			case r.loop.messages <- msgs:
			case <-r.loop.ended:
				return nil
			}
		}
		if err != nil && stop.Err() == nil {
			if !r.goesOn(err) {
				return err
			}
		}
	}
	return nil
}

// goesOn asks the loop whether polling makes sense after an error.
func (r *reader) goesOn(err error) bool {
	e := readError{err: err, goesOn: make(chan bool, 1)}
	select {
	case r.loop.readErr <- e:
		return <-e.goesOn
	case <-r.loop.ended:
		return false
	}
}

// Assigned implements Group.
func (r *reader) Assigned(_ context.Context, added []Assignment) ([]Position, error) {
	a := r.ask(groupEvent{added: added, joined: true})
	return a.positions, a.err
}

// Revoked implements Group.
func (r *reader) Revoked(_ context.Context, gone []Partition) {
	r.ask(groupEvent{gone: gone})
}

// Lost implements Group.
func (r *reader) Lost(gone []Partition) {
	r.ask(groupEvent{gone: gone, lost: true})
}

func (r *reader) ask(e groupEvent) groupAnswer {
	e.answer = make(chan groupAnswer, 1)
	select {
	case r.loop.group <- e:
	case <-r.loop.ended:
		return groupAnswer{err: ErrEnded}
	}
	select {
	case a := <-e.answer:
		return a
	case <-r.loop.ended:
		return groupAnswer{err: ErrEnded}
	}
}
