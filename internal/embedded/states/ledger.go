package states

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts what the log holds; reading it costs little.
type Stats struct {
	// Calls counts arrivals, Open those not answered yet.
	Calls int `json:"calls"`
	Open  int `json:"open"`
	// Outcomes counts answered calls by outcome.
	Outcomes map[string]int `json:"outcomes"`
	// Executions counts executions that came into being, also where the answer was an error or a reset.
	Executions int `json:"executions"`
	// Changes counts the distinct changes in them, Repeats how often one was in a further execution.
	Changes int `json:"changes"`
	Repeats int `json:"repeats"`
	// Gone counts calls whose client left before its answer.
	Gone int `json:"gone"`
}

// ledger is the log of calls.
type ledger struct {
	tick atomic.Int64 // last event
	file io.Writer    // or nil

	mu     sync.Mutex // guards the five below
	calls  []Call     // by Seq
	stats  Stats
	held   map[Position]struct{} // changes of executions
	words  map[string]string     // one copy of what every call repeats
	notify chan struct{}         // closed when stats change; nil when nobody waits

	fileMu  sync.Mutex // guards fileErr and keeps lines whole; never taken together with mu
	fileErr error
}

func newLedger(file io.Writer) *ledger {
	return &ledger{file: file, stats: Stats{Outcomes: map[string]int{}}, held: map[Position]struct{}{}, words: map[string]string{}}
}

// next is the reading of the counter for a new event.
func (l *ledger) next() int64 { return l.tick.Add(1) }

// arrive enters a call and returns its place in the log.
func (l *ledger) arrive(c *Call) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Seq = l.next()
	c.Target, c.AccessKey, c.Region = l.word(c.Target), l.word(c.AccessKey), l.word(c.Region)
	l.calls = append(l.calls, *c)
	l.stats.Calls++
	l.stats.Open++
	return len(l.calls) - 1
}

// word is the one copy of a text that comes with every call; a header would stay in memory with it.
func (l *ledger) word(s string) string {
	known, ok := l.words[s]
	if !ok {
		known = strings.Clone(s)
		l.words[known] = known
	}
	return known
}

// update replaces what is known of an open call; without the input where that is not kept.
func (l *ledger) update(at int, c *Call, keepInput bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Machine = l.word(c.Machine)
	l.calls[at] = *c
	if !keepInput {
		l.calls[at].Input = ""
	}
}

// end enters the outcome of a call. It comes before the answer is written: a client that has its answer
// finds the call closed.
func (l *ledger) end(at int, c *Call, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Answered = now
	if c.End == 0 {
		c.End = l.next()
	}
	l.calls[at] = *c
	l.stats.Open--
	l.stats.Outcomes[c.Outcome]++
	if c.Effect != 0 {
		l.stats.Executions++
		for _, change := range c.Changes {
			if _, known := l.held[change.Position]; known {
				l.stats.Repeats++
			} else {
				l.held[change.Position] = struct{}{}
				l.stats.Changes++
			}
		}
	}
	l.tell()
}

// tell wakes who waits; mu is held.
func (l *ledger) tell() {
	if l.notify != nil {
		close(l.notify)
		l.notify = nil
	}
}

// leave notes that the client went away before it was answered: for it the call is over.
func (l *ledger) leave(at int, c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.End != 0 {
		return
	}
	c.Gone, c.End = true, l.next()
	l.calls[at].Gone, l.calls[at].End = true, c.End
	l.stats.Gone++
	l.tell()
}

// gone notes that the answer did not reach the client.
func (l *ledger) gone(at int, c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.Gone {
		c.Gone, l.calls[at].Gone = true, true
		l.stats.Gone++
		l.tell()
	}
}

// write appends a closed call to the file. It keeps the first error for err and writes no more.
func (l *ledger) write(c Call) {
	if l.file == nil {
		return
	}
	line, err := json.Marshal(c)
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	if err == nil && l.fileErr == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if l.fileErr == nil {
		l.fileErr = err
	}
}

func (l *ledger) err() error {
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	return l.fileErr
}

// since copies the calls after the first n.
func (l *ledger) since(n int) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls[min(n, len(l.calls)):])
}

func (l *ledger) count() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Outcomes = maps.Clone(l.stats.Outcomes)
	return s
}

// changed is closed when a call ends or loses its client.
func (l *ledger) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.notify == nil {
		l.notify = make(chan struct{})
	}
	return l.notify
}

// wait returns when cond holds of the stats, or ctx is done.
func (l *ledger) wait(ctx context.Context, cond func(Stats) bool) (Stats, error) {
	for {
		news := l.changed()
		s := l.count()
		if cond(s) {
			return s, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}
