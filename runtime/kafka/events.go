package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// logEvery bounds how often the same kind of passing trouble is logged: librdkafka repeats itself on every retry.
const logEvery = time.Minute

// event serves what comes out of the client beside messages and rebalances; an error fails Poll.
func (s *Source) event(ctx context.Context, ev ck.Event) error {
	switch e := ev.(type) {
	case *ck.Message:
		if err, ok := errors.AsType[ck.Error](e.TopicPartition.Error); ok {
			s.miss(err, e.TopicPartition.Topic)
			return s.trouble(ctx, err)
		}
		return e.TopicPartition.Error
	case ck.Error:
		s.miss(e, nil)
		return s.trouble(ctx, e)
	case ck.OAuthBearerTokenRefresh:
		if _, err := giveToken(ctx, s.token, s.c); err != nil {
			// Not an end: the present token may be good for a while, and the client asks again in 10 s.
			s.note(ck.ErrAuthentication, err)
		}
	}
	return nil
}

// trouble decides which errors of the client end Poll.
func (s *Source) trouble(ctx context.Context, e ck.Error) error {
	group := s.set["group.id"]
	switch code := e.Code(); {
	case e.IsFatal():
		err := error(e)
		if fencing(code) {
			err = fmt.Errorf("%w: %w", ErrFenced, e)
		}
		s.failure = fmt.Errorf("member of group %s cannot go on: %w", group, err)
		return s.failure
	case code == ck.ErrAutoOffsetReset || code == ck.ErrOffsetOutOfRange || code == ck.ErrLogTruncation:
		return s.outOfRange(ctx, e)
	case code == ck.ErrAuthentication && rejectedCredentials(e):
		return s.rejected(ctx, e)
	case unauthorized(code):
		return fmt.Errorf("the cluster refused group %s (%s): %w", group, s.set.explain(), e)
	case code == ck.ErrInconsistentGroupProtocol:
		return fmt.Errorf("group %s has members with another protocol or partition.assignment.strategy (a Kafka Connect worker?); stop them first: %w", group, e)
	case code == ck.ErrInvalidSessionTimeout || code == ck.ErrInvalidGroupID || code == ck.ErrUnsupportedAssignor || code == ck.ErrUnsupportedVersion:
		return fmt.Errorf("the cluster refused the settings of group %s: %w", group, e)
	case code == ck.ErrMaxPollExceeded:
		s.note(code, fmt.Errorf("Poll was not called for max.poll.interval.ms; the group takes the partitions back: %w", e))
	case code == ck.ErrUnknownTopicOrPart || code == ck.ErrUnknownTopic:
		s.note(code, fmt.Errorf("group %s waits for a topic that does not exist: %w", group, e))
	case lostConnection(code):
		return s.disconnected(ctx, e)
	default:
		s.note(code, s.hint(e))
	}
	return nil
}

// tokenPatience is for how long brokers may refuse SASL OAUTHBEARER tokens before that ends Poll. A token may end before the
// broker looks at it, when the process or its machine was halted; the client logs in with the next one within
// reconnect.backoff.max.ms (10 s).
const tokenPatience = 30 * time.Second

// rejected ends Poll for credentials that the cluster does not accept: passwords at once, tokens when newer ones are refused too.
func (s *Source) rejected(ctx context.Context, e ck.Error) error {
	err := fmt.Errorf("the cluster refused the credentials (%s): %w", s.set.explain(), e)
	if s.set["sasl.mechanism"] != "OAUTHBEARER" {
		return err
	}
	now := time.Now()
	s.mu.Lock()
	if s.tokenRefused.IsZero() {
		s.tokenRefused = now
	}
	lasted := now.Sub(s.tokenRefused)
	s.mu.Unlock()
	if lasted >= tokenPatience {
		return err
	}
	if s.token != nil {
		if _, failed := giveToken(ctx, s.token, s.c); failed != nil {
			err = failed
		}
	}
	s.note(ck.ErrAuthentication, err)
	return nil
}

// disconnected tells why there is no connection. Where certificates are the cause and their files have been replaced since, the
// client is to be opened anew: librdkafka reads them once.
func (s *Source) disconnected(ctx context.Context, e ck.Error) error {
	if now := time.Now(); now.Sub(s.diagnosed) >= diagnoseEvery {
		s.diagnosis = s.set.tlsTrouble(ctx)
		s.diagnosed = time.Now()
	}
	if keys := s.set.replaced(s.files); len(keys) > 0 && (s.diagnosis != nil || e.Code() == ck.ErrSsl || s.refused) {
		return connector.Retryable(fmt.Errorf("the files of %s have been replaced; the client of group %s is opened anew with them", strings.Join(keys, ", "), s.set["group.id"]))
	}
	if s.diagnosis != nil {
		s.refused = true
		s.note(ck.ErrSsl, fmt.Errorf("no connection (%s): %w", s.set.explain(), s.diagnosis))
		return nil
	}
	s.note(e.Code(), s.hint(e))
	return nil
}

// rejectedCredentials tells a broker that said no from one that went away while it was asked, from a
// token that could not be fetched, and from a log-in too soon after the last (unauthorized): those pass.
func rejectedCredentials(e ck.Error) bool {
	text := strings.ToLower(e.Error())
	for _, passes := range []string{"transport", "disconnect", "timed out", "connection", "failed to acquire", "token expired", "current sasl state"} {
		if strings.Contains(text, passes) {
			return false
		}
	}
	return true
}

// hint adds to trouble with connections what to look at: brokers close the connection on a wrong
// password or protocol without a word.
func (s *Source) hint(e ck.Error) error {
	switch e.Code() {
	case ck.ErrTransport, ck.ErrAllBrokersDown, ck.ErrResolve, ck.ErrSsl, ck.ErrAuthentication:
		check := "bootstrap.servers and security.protocol"
		if s.set.sasl() {
			check = "bootstrap.servers, security.protocol and the SASL credentials"
		}
		return fmt.Errorf("no connection (%s); if it lasts, check %s: %w", s.set.explain(), check, e)
	}
	return e
}

// note keeps trouble for Problem and logs it, not more often than logEvery for each kind.
func (s *Source) note(code ck.ErrorCode, err error) {
	now := time.Now()
	s.mu.Lock()
	s.problem = Problem{Err: err, Last: now}
	s.mu.Unlock()
	if last, ok := s.logged[code]; ok && now.Sub(last) < logEvery {
		return
	}
	s.logged[code] = now
	s.log.Warn("kafka client: "+err.Error(), "group", s.set["group.id"])
}

// miss keeps the topic that an error tells is not there. The client tells it once for each change, and in an event without a
// topic its name stands in the text: "Subscribed topic not available: t: Broker: ...".
func (s *Source) miss(e ck.Error, topic *string) {
	if e.Code() != ck.ErrUnknownTopicOrPart && e.Code() != ck.ErrUnknownTopic {
		return
	}
	name := ""
	if topic != nil {
		name = *topic
	} else if _, rest, ok := strings.Cut(e.String(), "topic not available: "); ok {
		name, _, _ = strings.Cut(rest, ":") // no topic's name holds a colon
	}
	if name == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing == nil {
		s.missing = map[string]bool{}
	}
	s.missing[name] = true
}

// missingWait bounds the question for one topic.
const missingWait = 5 * time.Second

// Missing gives the subscribed topics that do not exist, sorted. It asks the brokers only about those that were missing
// before.
func (s *Source) Missing(ctx context.Context) ([]string, error) {
	if err := s.calls.enter(); err != nil {
		return nil, err
	}
	defer s.calls.leave()
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.missing))
	s.mu.Unlock()
	still := []string{}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := s.c.GetMetadata(&name, false, int(missingWait/time.Millisecond))
		if err != nil {
			return nil, fmt.Errorf("whether topic %s exists: %w", name, err)
		}
		if t, ok := m.Topics[name]; ok && t.Error.Code() == ck.ErrNoError && len(t.Partitions) > 0 {
			s.mu.Lock()
			delete(s.missing, name)
			s.mu.Unlock()
			continue
		}
		still = append(still, name)
	}
	return still, nil
}

// well records a sign of life of the cluster.
func (s *Source) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.tokenRefused = Problem{}, time.Time{}
}

// Problem gives the latest trouble since the last message, assignment or confirmed commit: brokers
// that cannot be reached, a topic that does not exist, tokens that cannot be had.
func (s *Source) Problem() Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

// Trouble is Problem's error.
func (s *Source) Trouble() error { return s.Problem().Err }

// outOfRange finds the partition whose position has left the log: the library drops its name from
// the event. Messages before the event were given out, so the positions are those that failed.
func (s *Source) outOfRange(ctx context.Context, e ck.Error) error {
	if remade, err := s.lookForRemade(ctx); err == nil && remade {
		return nil // of the next Poll: the position belongs to a topic that is gone
	}
	positions, err := s.positions()
	if err != nil {
		return err
	}
	parts := make([]task.Partition, len(positions))
	for i, p := range positions {
		parts[i] = p.Partition
	}
	ctx, cancel := context.WithTimeout(ctx, s.assignWait())
	defer cancel()
	ranges, err := listRanges(ctx, s.admin, parts, ck.IsolationLevelReadUncommitted)
	if err != nil {
		return fmt.Errorf("a partition of group %s is out of range (%w), and its bounds are unknown: %w", s.set["group.id"], e, err)
	}
	for _, p := range positions {
		r := ranges[p.Partition]
		if (p.Offset < r.Low || p.Offset > r.High) && !s.reported[p.Partition] {
			s.reported[p.Partition] = true
			return &task.OutOfRangeError{Partition: p.Partition, Offset: p.Offset, Low: r.Low, High: r.High}
		}
	}
	// Not to be passed over in silence: the client has stopped to fetch that partition.
	return fmt.Errorf("the client of group %s stopped reading a partition of %s: %w", s.set["group.id"], names(parts), e)
}
