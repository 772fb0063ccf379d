package connector

import (
	"errors"
	"fmt"
	"time"
)

// Class is what the host does after an error.
type Class uint8

// The classes. What nobody classified is Fatal: the record is not settled and the task stops.
const (
	ClassFatal     Class = iota // the task fails; nothing of what the error covers is settled
	ClassRetryable              // the same call is made again, later
	ClassRejected               // will never be deliverable: errors.tolerance and the dead letter queue decide
)

type classified struct {
	err   error
	class Class
	after time.Duration
	slow  bool // the destination asks to slow down, and nothing is wrong
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// Retryable marks err as one that may pass by itself: the host tries the same call again with back-off.
func Retryable(err error) error { return &classified{err: err, class: ClassRetryable} }

// RetryAfter is Retryable with the least wait that the destination asked for.
func RetryAfter(err error, d time.Duration) error {
	return &classified{err: err, class: ClassRetryable, after: d}
}

// Throttled is RetryAfter for a destination that asks to slow down. Nothing is wrong with the call, so the host does
// not count it as a failed attempt.
func Throttled(err error, d time.Duration) error {
	return &classified{err: err, class: ClassRetryable, after: d, slow: true}
}

// IsThrottled reports whether err was marked by Throttled.
func IsThrottled(err error) bool {
	var c *classified
	return errors.As(err, &c) && c.slow
}

// Rejected marks err as final for its records: they can never be delivered as they are.
func Rejected(err error) error { return &classified{err: err, class: ClassRejected} }

// Classify gives the class of err and the least wait before a retry (0 when none was asked for).
func Classify(err error) (Class, time.Duration) {
	var c *classified
	if errors.As(err, &c) {
		return c.class, c.after
	}
	return ClassFatal, 0
}

// PartialError says which records of a batch were not delivered; all others were.
type PartialError struct {
	// Failed maps the index of a record in the batch to its error, classified like any other.
	Failed map[int]error
}

// Error names how many records failed and one of the causes.
func (e *PartialError) Error() string {
	first := -1
	for i := range e.Failed {
		if first < 0 || i < first {
			first = i
		}
	}
	if first < 0 {
		return "no record failed"
	}
	return fmt.Sprintf("%d of the batch's records failed, record %d with: %v", len(e.Failed), first, e.Failed[first])
}
