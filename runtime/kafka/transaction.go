package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/store"
)

// transactionWait bounds one transaction, its end included. A request that gives up earlier does not interrupt
// it: an open transaction would hold up every reader of the topic.
const transactionWait = 15 * time.Second

// Append writes entries to a topic of one partition in one transaction of the given term, and gives the offset of the
// last. store.ErrFenced says that the term is over and nothing was written; *store.UnsettledError that
// the outcome is for a reader to find out; any other error that nothing was written.
func (m *Membership) Append(ctx context.Context, term int64, topic string, entries ...store.Entry) (int64, error) {
	select {
	case m.writing <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-m.writing }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionWait)
	defer cancel()
	for backoff := 20 * time.Millisecond; ; backoff *= 2 {
		m.mu.Lock()
		o := m.office
		m.mu.Unlock()
		if o == nil || o.term != term {
			return 0, store.ErrFenced
		}
		offset, err := m.transact(ctx, o, topic, entries)
		if !errors.Is(err, errAgain) {
			return offset, err
		}
		m.log.Debug("transaction of the leader is tried again", "error", err)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return 0, err
		}
	}
}

// errAgain is of a transaction that was aborted for a cause that passes, such as a rebalance of the group.
var errAgain = errors.New("transaction aborted")

// transact is one transaction.
func (m *Membership) transact(ctx context.Context, o *office, topic string, entries []store.Entry) (int64, error) {
	if err := o.p.BeginTransaction(); err != nil {
		o.resign(fmt.Errorf("begin a transaction: %w", err))
		return 0, fmt.Errorf("%w: %w", store.ErrFenced, err)
	}
	offset, err := m.fill(ctx, o, topic, entries)
	if err != nil {
		return 0, m.abort(ctx, o, fmt.Errorf("write to topic %s: %w", topic, err))
	}
	return m.commit(ctx, o, offset)
}

// commit ends a transaction whose entries are written, the last of them at offset.
func (m *Membership) commit(ctx context.Context, o *office, offset int64) (int64, error) {
	for {
		err := o.p.CommitTransaction(ctx)
		var e ck.Error
		switch {
		case err == nil:
			return offset, nil
		case errors.As(err, &e) && e.TxnRequiresAbort():
			return 0, m.abort(ctx, o, err)
		case errors.As(err, &e) && e.IsRetriable() && ctx.Err() == nil:
			continue
		}
		o.resign(fmt.Errorf("commit a transaction: %w", err))
		return 0, &store.UnsettledError{Offset: offset, Err: err}
	}
}

// fill sends the entries and, with them, an offset under the group's generation: the coordinator refuses it of a
// member that is none any more, even if no other leader has been made yet.
func (m *Membership) fill(ctx context.Context, o *office, topic string, entries []store.Entry) (int64, error) {
	messages := outgoingEntries(topic, entries)
	for _, msg := range messages {
		msg.TopicPartition.Partition = 0
	}
	written, err := sendAll(ctx, o.p, messages)
	if err != nil {
		return 0, err
	}
	generation, err := o.member.GetConsumerGroupMetadata()
	if err != nil {
		return 0, err
	}
	offset := int64(written[len(written)-1].Offset)
	at := []ck.TopicPartition{{Topic: &m.cfg.Topic, Partition: 0, Offset: ck.Offset(offset)}}
	return offset, o.p.SendOffsetsToTransaction(ctx, at, generation)
}

// abort takes a transaction back and gives the error of its write.
func (m *Membership) abort(ctx context.Context, o *office, cause error) error {
	// The cause may be that the time is over; taking back needs some of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionWait)
	defer cancel()
	e, known := errors.AsType[ck.Error](cause)
	if !known || !e.IsFatal() && e.Code() != ck.ErrFenced && e.Code() != ck.ErrState {
		err := o.p.AbortTransaction(ctx)
		switch {
		case err == nil && (passing(e.Code()) || fencing(e.Code())):
			return fmt.Errorf("%w: %w", errAgain, cause)
		case err == nil:
			return cause
		}
		cause = errors.Join(cause, err)
	}
	// What was never committed does not count: the next leader takes it back.
	o.resign(cause)
	return fmt.Errorf("%w: %w", store.ErrFenced, cause)
}
