package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/runtime/deadletter"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// LetterFilter says which records of a dead letter queue are meant; the zero value means all of the connector's.
type LetterFilter = store.DeadLetterFilter

// LetterRequest asks for an operation on a connector's dead letter queue.
type LetterRequest struct {
	Filter LetterFilter `json:"filter"`
	// All must be set where Filter is empty: nobody replays or drops everything by leaving something out.
	All bool `json:"all"`
}

// LetterOperation is what was asked to be done with records of a dead letter queue, and how far it has come.
type LetterOperation struct {
	ID        string       `json:"id"`
	Action    string       `json:"action"` // replay or drop
	Topic     string       `json:"topic"`  // the queue
	Filter    LetterFilter `json:"filter"`
	Requested time.Time    `json:"requested"`
	Ended     *time.Time   `json:"ended"`
	// State is WAITING (the connector is not running, or no worker has begun), RUNNING, RETRYING, DONE or CANCELLED.
	State    string             `json:"state"`
	WorkerID string             `json:"worker_id,omitempty"`
	Counts   store.LetterCounts `json:"counts"`
	// Remaining is how many offsets of the queue are still to be read.
	Remaining int64  `json:"remaining"`
	Error     string `json:"error,omitempty"`
}

// LetterOperations is the body of GET /connectors/{c}/dlq/replay, newest first.
type LetterOperations struct {
	Operations []LetterOperation `json:"operations"`
}

// queueOf gives a connector's blueprint and the topic of its dead letter queue.
func (h *Herder) queueOf(ctx context.Context, name string) (*blueprint, string, error) {
	cfg, err := known(h.view.get(), name, "Connector %s not found")
	if err != nil {
		return nil, "", err
	}
	b, err := h.worker.draw(ctx, name, cfg)
	if err != nil {
		return nil, "", Conflict("The configuration of connector %s cannot be read: %v", name, err)
	}
	topic := b.values.String("errors.deadletterqueue.topic.name")
	if topic == "" {
		return nil, "", Conflict("Connector %s has no dead letter queue: errors.deadletterqueue.topic.name is not set", name)
	}
	return b, topic, nil
}

// queueBounds gives the first and the next offset of each partition of a queue.
func (h *Herder) queueBounds(ctx context.Context, b *blueprint, topic string) (low, end map[int32]int64, err error) {
	low, end = map[int32]int64{}, map[int32]int64{}
	err = h.worker.withCluster(ctx, b.props, h.log, func(c Cluster) error {
		n, err := c.Partitions(ctx, topic)
		if err != nil {
			return err
		}
		parts := make([]task.Partition, n)
		for i := range parts {
			parts[i] = task.Partition{Topic: topic, ID: int32(i)}
		}
		first, next, err := c.LogBounds(ctx, parts)
		for _, p := range parts {
			low[p.ID], end[p.ID] = first[p], next[p]
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the bounds of dead letter queue %s: %w", topic, err)
	}
	return low, end, nil
}

// ReplayDeadLetters asks for letters to be taken through the connector again; they are as soon as it runs.
func (h *Herder) ReplayDeadLetters(ctx context.Context, name string, r LetterRequest) (LetterOperation, error) {
	return h.operate(ctx, name, store.ReplayLetters, r)
}

// DropDeadLetters says that letters are dealt with. They stay in the topic until its retention removes them.
func (h *Herder) DropDeadLetters(ctx context.Context, name string, r LetterRequest) (LetterOperation, error) {
	return h.operate(ctx, name, store.DropLetters, r)
}

func (h *Herder) operate(ctx context.Context, name string, action store.DeadLetterAction, r LetterRequest) (LetterOperation, error) {
	if _, err := h.authority(); err != nil {
		return LetterOperation{}, err
	}
	if r.Filter == (LetterFilter{}) != r.All {
		return LetterOperation{}, BadRequest("Name the records by a filter, or all of them by \"all\": true, and not both")
	}
	b, topic, err := h.queueOf(ctx, name)
	if err != nil {
		return LetterOperation{}, err
	}
	low, end, err := h.queueBounds(ctx, b, topic)
	if err != nil {
		return LetterOperation{}, err
	}
	op := store.DeadLetterOperation{ID: letterID(), Action: action, Topic: topic, Filter: r.Filter, Requested: time.Now().UnixMilli()}
	for _, p := range slices.Sorted(maps.Keys(end)) {
		op.Bounds = append(op.Bounds, store.LetterBound{Partition: p, Below: end[p]})
	}
	if action == store.DropLetters {
		op.Outcome, op.Ended = store.LettersDone, op.Requested
	}
	_, s, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		if _, err := known(s, name, "Connector %s not found"); err != nil {
			return nil, err
		}
		if open, busy := s.ActiveLetters(name); busy {
			return nil, Conflict("Replay %s of connector %s has not ended yet; wait for it, or cancel it with DELETE", open.ID, name)
		}
		ops := deadletter.Prune(append(slices.Clone(s.DeadLetters[name]), op), low)
		if len(ops) > deadletter.MaxKept {
			return nil, Conflict("Connector %s has had %d operations by filter on records that are still in %s: replay or drop what is left without a filter, and these can be forgotten", name, deadletter.MaxKept, topic)
		}
		return []store.Entry{store.DeadLetterEntry(name, ops)}, nil
	})
	if err != nil {
		return LetterOperation{}, err
	}
	h.log.Info("dead letters: operation requested", "connector", name, "action", action, "id", op.ID, "topic", topic)
	return shownOperation(s, name, &op), nil
}

// letterID names an operation for ever: its consumer group must not be one of an earlier operation.
func letterID() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return time.Now().UTC().Format("20060102T150405") + "-" + hex.EncodeToString(random[:])
}

// CancelDeadLetters ends the replay that is under way: what it has not come to is open again.
func (h *Herder) CancelDeadLetters(ctx context.Context, name string) (LetterOperation, error) {
	if _, err := h.authority(); err != nil {
		return LetterOperation{}, err
	}
	open, ok := h.view.get().ActiveLetters(name)
	if _, err := known(h.view.get(), name, "Connector %s not found"); err != nil {
		return LetterOperation{}, err
	}
	if !ok {
		return LetterOperation{}, NotFound("No replay of connector %s is under way", name)
	}
	at := map[int32]int64{}
	err := h.onCluster(ctx, name, h.view.get().Connectors[name].Config, func(c Cluster, group string) error {
		committed, err := c.GroupOffsets(ctx, letterGroup(group, open.ID))
		for _, p := range committed {
			at[p.ID] = p.Offset
		}
		return err
	})
	if err != nil {
		return LetterOperation{}, fmt.Errorf("how far replay %s has come: %w", open.ID, err)
	}
	_, s, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		ops := cancelled(s, name, func(p int32) int64 { return at[p] })
		if ops == nil {
			return nil, nil
		}
		return []store.Entry{store.DeadLetterEntry(name, ops)}, nil
	})
	if err != nil {
		return LetterOperation{}, err
	}
	h.log.Info("dead letters: replay cancelled", "connector", name, "id", open.ID)
	for i := range s.DeadLetters[name] {
		if op := &s.DeadLetters[name][i]; op.ID == open.ID {
			return shownOperation(s, name, op), nil
		}
	}
	return LetterOperation{}, NotFound("No replay of connector %s is under way", name)
}

// cancelled gives a connector's operations with the open one ended where it was, nil when none is open.
func cancelled(s store.State, name string, at func(partition int32) int64) []store.DeadLetterOperation {
	ops := slices.Clone(s.DeadLetters[name])
	for i := range ops {
		op := &ops[i]
		if op.Outcome != "" {
			continue
		}
		op.Outcome, op.Ended = store.LettersCancelled, time.Now().UnixMilli()
		op.Bounds = slices.Clone(op.Bounds)
		for j := range op.Bounds {
			op.Bounds[j].Below = min(op.Bounds[j].Below, at(op.Bounds[j].Partition))
		}
		if p := s.LetterProgress[name]; p.ID == op.ID {
			op.Counts = p.Counts
		}
		return ops
	}
	return nil
}

// said is how far the worker says that a connector's operation has come.
func said(s store.State, name string) func(partition int32) int64 {
	return func(partition int32) int64 {
		for _, n := range s.LetterProgress[name].Next {
			if n.Partition == partition {
				return n.Offset
			}
		}
		return 0
	}
}

// DeadLetterOperations tells of a connector's operations on its dead letter queue.
func (h *Herder) DeadLetterOperations(_ context.Context, name string) (LetterOperations, error) {
	s := h.view.get()
	if _, err := known(s, name, "Connector %s not found"); err != nil {
		return LetterOperations{}, err
	}
	all := LetterOperations{Operations: []LetterOperation{}}
	ops := s.DeadLetters[name]
	for i := range slices.Backward(ops) {
		all.Operations = append(all.Operations, shownOperation(s, name, &ops[i]))
	}
	return all, nil
}

func shownOperation(s store.State, name string, op *store.DeadLetterOperation) LetterOperation {
	o := LetterOperation{
		ID: op.ID, Action: string(op.Action), Topic: op.Topic, Filter: op.Filter, Requested: time.UnixMilli(op.Requested).UTC(),
		State: string(op.Outcome), Counts: op.Counts,
	}
	if op.Outcome != "" {
		ended := time.UnixMilli(op.Ended).UTC()
		o.Ended = &ended
		return o
	}
	o.State = "WAITING"
	p := s.LetterProgress[name]
	if p.ID == op.ID {
		o.State, o.WorkerID, o.Counts, o.Error = p.State, p.WorkerID, p.Counts, p.Error
	}
	if t := s.Target(name).State; t != store.Started {
		o.State, o.Error = "WAITING", fmt.Sprintf("the connector's state is %s; resume it", t)
	}
	for _, b := range op.Bounds {
		at := int64(0)
		if p.ID == op.ID {
			at = said(s, name)(b.Partition)
		}
		o.Remaining += max(0, b.Below-at)
	}
	return o
}

// tendLetters ends operations whose worker has said that they are done, as long as this worker may write.
func (h *Herder) tendLetters(ctx context.Context) {
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for ctx.Err() == nil {
		moved := h.view.changed()
		if err := h.endLetters(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("the end of a replay of dead letters could not be written; trying again", "error", err)
			again.Reset(time.Second)
			moved = nil // not at once
		}
		select {
		case <-moved:
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

func (h *Herder) endLetters(ctx context.Context) error {
	s := h.view.get()
	for name, p := range s.LetterProgress {
		if op, open := s.ActiveLetters(name); !open || p.State != "DONE" || p.ID != op.ID {
			continue
		}
		var elsewhere *Elsewhere
		if _, err := h.authority(); errors.As(err, &elsewhere) {
			return nil // the leader does it
		}
		if err := h.endLetter(ctx, name, p); err != nil && !errors.As(err, &elsewhere) {
			return err
		}
	}
	return nil
}

func (h *Herder) endLetter(ctx context.Context, name string, p store.DeadLetterProgress) error {
	ended := false
	_, s, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		ops := slices.Clone(s.DeadLetters[name])
		at := slices.IndexFunc(ops, func(op store.DeadLetterOperation) bool { return op.ID == p.ID && op.Outcome == "" })
		if ended = at >= 0; !ended {
			return nil, nil
		}
		ops[at].Outcome, ops[at].Ended, ops[at].Counts = store.LettersDone, time.Now().UnixMilli(), p.Counts
		return []store.Entry{store.DeadLetterEntry(name, ops)}, nil
	})
	if err != nil || !ended {
		return err
	}
	h.log.Info("dead letters: replay done", "connector", name, "id", p.ID, "replayed", p.Counts.Replayed, "failed", p.Counts.Failed)
	if c, ok := s.Connectors[name]; ok {
		err = h.onCluster(ctx, name, c.Config, func(c Cluster, group string) error { return c.DeleteGroup(ctx, letterGroup(group, p.ID)) })
		if err != nil {
			h.log.Warn("the consumer group of a replay that is done could not be deleted; the brokers forget it by themselves", "connector", name, "id", p.ID, "error", err)
		}
	}
	return nil
}
