package store

import (
	"errors"
	"fmt"
	"time"
)

// DeadLetterAction is what an operation does with the records that it matches.
type DeadLetterAction string

// The actions.
const (
	ReplayLetters DeadLetterAction = "replay" // they go through the connector again
	DropLetters   DeadLetterAction = "drop"   // they count as dealt with
)

// DeadLetterOutcome says how an operation has ended; "" while it has not.
type DeadLetterOutcome string

// The outcomes.
const (
	LettersDone      DeadLetterOutcome = "DONE"
	LettersCancelled DeadLetterOutcome = "CANCELLED"
)

// DeadLetterFilter says which records of a dead letter queue an operation is about. Each field that is set
// must hold; none means all of the connector's. Offsets and times include their bounds.
type DeadLetterFilter struct {
	Topic     string `json:"topic,omitempty"` // where the record was consumed first, as are partition and offset
	Partition *int32 `json:"partition,omitempty"`
	OffsetMin *int64 `json:"offset_min,omitempty"`
	OffsetMax *int64 `json:"offset_max,omitempty"`
	Stage     string `json:"stage,omitempty"`           // VALUE_CONVERTER, TASK_PUT …
	Exception string `json:"exception_class,omitempty"` // whole, or its last part
	// Since and Until bound the record's timestamp.
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Letter names single records of the queue itself by "partition:offset".
	Letter string `json:"letter,omitempty"`
}

// LetterBound is the end of an operation in one partition of the queue: records from Below on came later and
// are not its concern.
type LetterBound struct {
	Partition int32 `json:"partition"`
	Below     int64 `json:"below"`
}

// DeadLetterOperation is what somebody asked to be done with records of a dead letter queue. Which records
// are still open follows from the operations alone: see runtime/deadletter.
type DeadLetterOperation struct {
	ID        string            `json:"id"`
	Action    DeadLetterAction  `json:"action"`
	Topic     string            `json:"topic"` // the queue
	Filter    DeadLetterFilter  `json:"filter"`
	Bounds    []LetterBound     `json:"bounds"`
	Requested int64             `json:"requested"` // milliseconds since 1970, as is Ended
	Outcome   DeadLetterOutcome `json:"outcome,omitempty"`
	Ended     int64             `json:"ended,omitempty"`
	Counts    LetterCounts      `json:"counts"` // once it has ended
}

// LetterCounts is what became of the records that an operation has matched.
type LetterCounts struct {
	Replayed int64 `json:"replayed"` // delivered, or filtered by the connector
	Failed   int64 `json:"failed"`   // refused again, and written to the queue again
	Passed   int64 `json:"passed"`   // read and not matched
	// Unplaced match but for their place: their error context headers are missing, so nobody knows where they came from.
	Unplaced int64 `json:"unplaced"`
}

// DeadLetterProgress is what a worker says about the operation that it runs.
type DeadLetterProgress struct {
	ID       string       `json:"id"`
	State    string       `json:"state"` // RUNNING RETRYING DONE
	WorkerID string       `json:"worker_id"`
	Counts   LetterCounts `json:"counts"`
	Next     []LetterNext `json:"next"`
	Error    string       `json:"error,omitempty"` // what keeps or has failed it
}

// LetterNext is how far an operation has come in one partition of the queue.
type LetterNext struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// ActiveLetters gives the operation of a connector that has not ended. There is at most one.
func (s State) ActiveLetters(connector string) (DeadLetterOperation, bool) {
	for _, op := range s.DeadLetters[connector] {
		if op.Outcome == "" {
			return op, true
		}
	}
	return DeadLetterOperation{}, false
}

// DeadLetterEntry sets the operations on a connector's dead letter queue, oldest first.
func DeadLetterEntry(connector string, ops []DeadLetterOperation) Entry {
	return entry(prefixDeadLetters+connector, deadLettersJSON{Operations: ops})
}

// DeadLetterProgressEntry sets what a worker says of a connector's operation.
func DeadLetterProgressEntry(connector string, p DeadLetterProgress) Entry {
	return entry(DeadLetterProgressKey(connector), p)
}

// DeadLetterProgressKey is the key of that in the status log.
func DeadLetterProgressKey(connector string) string { return prefixLetterStatus + connector }

type deadLettersJSON struct {
	Operations []DeadLetterOperation `json:"operations"`
}

func (j *deadLettersJSON) value() ([]DeadLetterOperation, error) {
	open := 0
	for _, op := range j.Operations {
		switch {
		case op.ID == "" || op.Topic == "":
			return nil, errors.New("an operation on dead letters has no id or no topic")
		case op.Action != ReplayLetters && op.Action != DropLetters:
			return nil, fmt.Errorf("%q is no action on dead letters", clip(string(op.Action)))
		case op.Outcome != "" && op.Outcome != LettersDone && op.Outcome != LettersCancelled:
			return nil, fmt.Errorf("%q is no outcome of an operation on dead letters", clip(string(op.Outcome)))
		case op.Outcome == "":
			open++
		}
		for _, b := range op.Bounds {
			if b.Partition < 0 || b.Below < 0 {
				return nil, fmt.Errorf("operation %s is bounded by offset %d in partition %d", clip(op.ID), b.Below, b.Partition)
			}
		}
	}
	if open > 1 {
		return nil, fmt.Errorf("%d operations on dead letters are open at once", open)
	}
	return j.Operations, nil
}

func (p *DeadLetterProgress) value() (DeadLetterProgress, error) {
	switch p.State {
	case "RUNNING", "RETRYING", "DONE":
	default:
		return DeadLetterProgress{}, fmt.Errorf("%q is no state of an operation on dead letters", clip(p.State))
	}
	if p.ID == "" {
		return DeadLetterProgress{}, errors.New(`the value has no "id"`)
	}
	return *p, nil
}
