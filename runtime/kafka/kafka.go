// Package kafka is the host's one door to Apache Kafka: it implements the seams of runtime/task
// (Source, Producer) and the administration of topics and groups on librdkafka, and translates the
// Java client properties of a Kafka Connect worker file to librdkafka's.
//
// What librdkafka cannot be trusted with is decided here and not configurable: offsets are never
// stored or reset by the client (invariant 1), transactions that were aborted are never read, and
// a commit counts as confirmed only while the member is known to hold what it commits.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
)

// ErrFenced is in the chain of every error which says that this member does not, or not any more,
// belong to its group's present generation.
var ErrFenced = errors.New("not a member of the group's present generation")

// ErrClosed is returned by every method of a client that is closed or closing.
var ErrClosed = errors.New("kafka client is closed")

// ErrGroupActive is in the chain of errors about offsets that cannot be changed while the group has members.
var ErrGroupActive = errors.New("the consumer group still has members")

// Fenced reports whether err says that this member lost its membership (ErrFenced).
func Fenced(err error) bool { return errors.Is(err, ErrFenced) }

// refusedClient says whether an event means that the cluster will not have this client as it is configured.
func refusedClient(e ck.Error) bool {
	return unauthorized(e.Code()) || e.Code() == ck.ErrAuthentication && rejectedCredentials(e)
}

func codeOf(err error) ck.ErrorCode {
	if e, ok := errors.AsType[ck.Error](err); ok {
		return e.Code()
	}
	return ck.ErrNoError
}

// passing says of which errors the same request may succeed later with nobody doing anything.
func passing(code ck.ErrorCode) bool {
	switch code {
	case ck.ErrTransport, ck.ErrAllBrokersDown, ck.ErrResolve, ck.ErrTimedOut, ck.ErrTimedOutQueue, ck.ErrMsgTimedOut,
		ck.ErrQueueFull, ck.ErrWaitCoord, ck.ErrWaitCache, ck.ErrInProgress, ck.ErrPrevInProgress, ck.ErrRetry, ck.ErrDestroyBroker,
		ck.ErrPurgeQueue, ck.ErrPurgeInflight, ck.ErrIsrInsuff, ck.ErrNodeUpdate, ck.ErrUnknownBroker,
		ck.ErrLeaderNotAvailable, ck.ErrNotLeaderForPartition, ck.ErrRequestTimedOut, ck.ErrBrokerNotAvailable,
		ck.ErrReplicaNotAvailable, ck.ErrNetworkException, ck.ErrCoordinatorLoadInProgress, ck.ErrCoordinatorNotAvailable,
		ck.ErrNotCoordinator, ck.ErrNotEnoughReplicas, ck.ErrNotEnoughReplicasAfterAppend, ck.ErrRebalanceInProgress,
		ck.ErrNotController, ck.ErrKafkaStorageError, ck.ErrFencedLeaderEpoch, ck.ErrUnknownLeaderEpoch, ck.ErrOffsetNotAvailable,
		ck.ErrUnstableOffsetCommit, ck.ErrThrottlingQuotaExceeded, ck.ErrConcurrentTransactions, ck.ErrFetchSessionIDNotFound,
		ck.ErrUnknownTopicID, ck.ErrInconsistentTopicID, ck.ErrRebootstrapRequired:
		return true
	}
	return false
}

// fencing says which broker answers mean that the member is not in the group's present generation.
func fencing(code ck.ErrorCode) bool {
	switch code {
	case ck.ErrIllegalGeneration, ck.ErrUnknownMemberID, ck.ErrFencedInstanceID, ck.ErrFencedMemberEpoch,
		ck.ErrStaleMemberEpoch, ck.ErrAssignmentLost, ck.ErrFenced, ck.ErrFatal:
		return true
	}
	return false
}

// unauthorized says which errors an operator has to act on: the cluster knows the client and says no. ILLEGAL_SASL_STATE
// is none of them: brokers answer so where a connection was to log in again within a second of the last time (KIP-368).
func unauthorized(code ck.ErrorCode) bool {
	switch code {
	case ck.ErrTopicAuthorizationFailed, ck.ErrGroupAuthorizationFailed, ck.ErrClusterAuthorizationFailed,
		ck.ErrTransactionalIDAuthorizationFailed, ck.ErrSaslAuthenticationFailed, ck.ErrUnsupportedSaslMechanism:
		return true
	}
	return false
}

// classify maps an error of the client to the host's classes: fenced, passing, or neither.
func classify(err error) error {
	switch code := codeOf(err); {
	case err == nil:
		return nil
	case fencing(code):
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case passing(code):
		return connector.Retryable(err)
	}
	return err
}

// gate counts the calls that are inside the C library, because freeing a client under one of them
// ends the process.
type gate struct {
	mu     sync.Mutex // guards closed, and its order with Add
	closed bool
	wg     sync.WaitGroup
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.wg.Add(1)
	return nil
}

func (g *gate) leave() { g.wg.Done() }

// shut lets nobody in any more and reports whether it was open.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := !g.closed
	g.closed = true
	return was
}

// await runs a C call that no context can interrupt on a goroutine of its own, and returns its
// result or, earlier, ctx's error. The gate keeps the client alive until the call has returned.
func await[T any](ctx context.Context, g *gate, call func() (T, error)) (T, error) {
	var zero T
	if err := g.enter(); err != nil {
		return zero, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer g.leave()
		v, err := call()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}
