package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// MemoryLog is the Log of standalone mode. Its entries end with the process, except, where a file is given, for replay
// epochs and adoptions (without them a worker that is started again would mistake the executions of a deliberate
// replay for those of the first delivery) and for operations on dead letters (which go on, and are not done twice).
type MemoryLog struct {
	path string // "" keeps nothing

	mu      sync.Mutex // guards the fields below
	entries []Entry    // ascending by offset
	next    int64
	live    int           // entries left by the last compaction
	grown   chan struct{} // closed and replaced by each Append
}

// OpenMemoryLog makes a log that keeps what isKept in the file at path, or nowhere when path is
// empty, and begins with what the file holds. It fails on a file that it did not write.
func OpenMemoryLog(path string) (*MemoryLog, error) {
	l := &MemoryLog{path: path, grown: make(chan struct{})}
	if path == "" {
		return l, nil
	}
	kept, err := readReplayFile(path)
	if err != nil {
		return nil, err
	}
	for _, e := range kept {
		e.Offset = l.next
		l.entries = append(l.entries, e)
		l.next++
	}
	return l, nil
}

// Append implements Log. It copies the entries' bytes.
func (l *MemoryLog) Append(ctx context.Context, entries ...Entry) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	grown := l.entries // readers hold slices that end before what is appended
	next := l.next
	for _, e := range entries {
		e = Entry{Key: slices.Clone(e.Key), Value: slices.Clone(e.Value), Offset: next}
		grown = append(grown, e)
		next++
	}
	if l.path != "" && slices.ContainsFunc(entries, isKept) {
		if err := writeReplayFile(l.path, latest(grown, isKept)); err != nil {
			return 0, err
		}
	}
	l.entries, l.next = grown, next
	l.compact()
	close(l.grown)
	l.grown = make(chan struct{})
	return next - 1, nil
}

// Read implements Log.
func (l *MemoryLog) Read(ctx context.Context, from int64) ([]Entry, int64, error) {
	for {
		l.mu.Lock()
		entries, next, grown := l.entries, l.next, l.grown
		l.mu.Unlock()
		if from > next {
			return nil, from, fmt.Errorf("offset %d is past the end %d of the log", from, next)
		}
		if from < next {
			i, _ := slices.BinarySearchFunc(entries, from, func(e Entry, o int64) int { return int(e.Offset - o) })
			return entries[i:len(entries):len(entries)], next, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, from, ctx.Err()
		}
	}
}

// End implements Log.
func (l *MemoryLog) End(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, nil
}

// compact drops entries that a later one of the same key replaces once they are the greater part,
// so that a worker which runs for years does not keep every status it ever had.
func (l *MemoryLog) compact() {
	if len(l.entries) < 2*l.live+1000 {
		return
	}
	l.entries = latest(l.entries, func(Entry) bool { return true })
	l.live = len(l.entries)
}

// latest gives the last entry of each key that want accepts, without tombstones, in order.
func latest(entries []Entry, want func(Entry) bool) []Entry {
	seen := make(map[string]bool)
	var kept []Entry
	for _, e := range slices.Backward(entries) {
		if !want(e) || seen[string(e.Key)] {
			continue
		}
		seen[string(e.Key)] = true
		if e.Value != nil {
			kept = append(kept, e)
		}
	}
	slices.Reverse(kept)
	return kept
}

// isKept tells what outlives the process.
func isKept(e Entry) bool {
	return slices.ContainsFunc([]string{prefixReplay, prefixAdopted, prefixDeadLetters}, func(p string) bool { return strings.HasPrefix(string(e.Key), p) })
}
