package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// stages tells what a worker is doing while it starts, in the words of Kafka Connect's requests that time out.
type stages struct {
	mu    sync.Mutex // guards the fields below
	what  string     // "" when there is nothing to tell
	since time.Time
	cause string // why it lasts
}

// enter begins a stage, "" for none.
func (s *stages) enter(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what, s.since, s.cause = what, time.Now(), ""
}

// trouble says why the present stage lasts.
func (s *stages) trouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cause = err.Error()
}

// String is a sentence about the present stage, "" for none.
func (s *stages) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.what == "" {
		return ""
	}
	text := fmt.Sprintf("The worker is currently %s, which began at %s.", s.what, s.since.UTC().Format(time.RFC3339Nano))
	if s.cause != "" {
		text += " It has failed so far: " + s.cause
	}
	return text
}

// Starting says what the worker is doing before it is ready, for GET /health and for requests that time out meanwhile;
// err, unless it is nil, is why it lasts.
func (h *Herder) Starting(what string, err error) {
	if err != nil {
		h.stages.trouble(err)
		return
	}
	h.stages.enter(what)
}

// Stage is a sentence about what keeps the worker from being ready, "" when it is.
func (h *Herder) Stage() string { return h.stages.String() }

// Started waits until this worker knows the cluster's state: before that it could only answer that there is nothing.
func (h *Herder) Started(ctx context.Context) error {
	return h.view.await(ctx, func() bool { return h.view.caughtUp })
}
