package connectortest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// memory is the smallest sink that passes: a list of offsets.
type memory struct {
	mu      sync.Mutex
	offsets []int64
	refuse  map[int64]bool
	stalled chan struct{} // nil while the list answers
}

func (m *memory) Deliver(ctx context.Context, batch []*connector.Record) error {
	m.mu.Lock()
	stalled := m.stalled
	m.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return connector.Retryable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := map[int]error{}
	for i, r := range batch {
		if m.refuse[r.Origin.Offset] {
			failed[i] = connector.Rejected(errors.New("refused"))
			continue
		}
		if !slices.Contains(m.offsets, r.Origin.Offset) {
			m.offsets = append(m.offsets, r.Origin.Offset)
		}
	}
	if len(failed) > 0 {
		return &connector.PartialError{Failed: failed}
	}
	return nil
}

func (m *memory) Close(context.Context) error { return nil }

func TestASinkThatKeepsTheContractPasses(t *testing.T) {
	connectortest.Run(t, func(*testing.T) connectortest.Subject {
		m := &memory{refuse: map[int64]bool{}}
		return connectortest.Subject{
			New: func(*testing.T, connector.TaskContext) connector.Sink { return m },
			Record: func(key string, offset int64) *connector.Record {
				return &connector.Record{Topic: "t", Origin: connector.Origin{Topic: "t", Offset: offset, Key: []byte(key)}}
			},
			Delivered: func() []int64 {
				m.mu.Lock()
				defer m.mu.Unlock()
				return slices.Clone(m.offsets)
			},
			Refuse: func(offset int64) { m.refuse[offset] = true },
			Stall: func() func() {
				stalled := make(chan struct{})
				m.mu.Lock()
				defer m.mu.Unlock()
				m.stalled = stalled
				return sync.OnceFunc(func() { close(stalled) })
			},
		}
	})
}
