package store

import (
	"context"
	"errors"
	"fmt"
)

// Log is an ordered, compacted record of entries: a Kafka topic with one partition, or MemoryLog.
// It is safe for concurrent use.
type Log interface {
	// Append writes entries in order, all of them or none, and gives the offset of the last. When it
	// returns nil they are durable and every reader will see them. An error leaves open whether they
	// were written; ErrFenced says that they were not and that this worker may not write.
	Append(ctx context.Context, entries ...Entry) (int64, error)
	// Read gives the entries from offset from on, in order, and the offset to read next, which is above
	// that of every entry given. It waits until there is at least one entry, or progress past
	// offsets that hold none. Bytes of the entries must not be changed.
	Read(ctx context.Context, from int64) (entries []Entry, next int64, err error)
	// End is the offset after the last entry that is readable now.
	End(ctx context.Context) (int64, error)
}

// UnsettledError is returned by Append when entries were sent and nobody has said whether they count: who has read
// past Offset knows, by whether there was an entry at it.
type UnsettledError struct {
	Offset int64 // of the last entry
	Err    error
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("whether the write at offset %d counts is not known: %v", e.Offset, e.Err)
}

// Unwrap gives the cause.
func (e *UnsettledError) Unwrap() error { return e.Err }

// ErrFenced is returned by Append when another worker has taken over writing.
var ErrFenced = errors.New("another worker leads now")
