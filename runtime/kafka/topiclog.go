package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// readAtOnce bounds how many entries one Read gives.
const readAtOnce = 2000

// TopicLogConfig says which topic a TopicLog is and how it is reached.
type TopicLogConfig struct {
	Properties map[string]string // librdkafka's names; bootstrap.servers is required
	Token      TokenFunc         // see SourceConfig.Token
	Topic      string
	Partitions int // how many the topic has
	// Admin finds the topic's end. It is the caller's to close.
	Admin *Admin
	// Producer appends; nil for a log that is written by transactions (Membership.Append) alone.
	Producer *Producer
	Log      *slog.Logger // nil means none
}

// TopicLog is a store.Log over a compacted topic, read from its beginning, read_committed.
//
// Positions are sums of the partitions' next offsets as this log has read them: with one partition
// they are Kafka's offsets, with several they grow with each entry and mean nothing to another
// process. A log has one reader: its first Read is from 0, each later one from where the last ended.
type TopicLog struct {
	cfg   TopicLogConfig
	set   settings
	log   *slog.Logger
	calls gate
	logs  sync.WaitGroup

	// Of Read's goroutine, and of Close after it.
	c            *ck.Consumer
	certificates certificates
	warned       map[ck.ErrorCode]time.Time

	mu    sync.Mutex // guards the fields below
	read  bool       // the cluster has let the topic be read, if only its end
	next  []int64    // of each partition
	moved chan struct{}
}

var _ store.Log = (*TopicLog)(nil)

// OpenTopicLog makes a log; no connection is awaited. Brokers that are down or restart are never
// an error of a log: its calls wait.
func OpenTopicLog(ctx context.Context, cfg TopicLogConfig) (*TopicLog, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	set, err := newSettings(cfg.Properties)
	if err != nil {
		return nil, err
	}
	set["group.id"] = "unused-" + cfg.Topic // the library demands one; partitions are assigned by hand and nothing is committed
	set["enable.auto.commit"] = "false"
	set["enable.auto.offset.store"] = "false"
	set["auto.offset.reset"] = "error"
	set["isolation.level"] = "read_committed"
	set["enable.partition.eof"] = "true"
	set["allow.auto.create.topics"] = "false"
	// The end of a transaction is seen with the fetch after it, and who has forwarded a write waits for it.
	set.preset("fetch.wait.max.ms", "100")
	set.preset("fetch.queue.backoff.ms", "10")
	set.preset("fetch.error.backoff.ms", "100")
	set.preset("reconnect.backoff.max.ms", "1000")
	l := &TopicLog{cfg: cfg, set: set, log: orDiscard(cfg.Log), warned: map[ck.ErrorCode]time.Time{},
		next: make([]int64, cfg.Partitions), moved: make(chan struct{})}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open makes a client that reads on where the log has got to.
func (l *TopicLog) open() error {
	certificates := l.set.certificates()
	c, err := ck.NewConsumer(l.set.configMap())
	if err != nil {
		return l.set.openError("reader of topic "+l.cfg.Topic, err)
	}
	all := make([]ck.TopicPartition, l.cfg.Partitions)
	l.mu.Lock()
	for i := range all {
		all[i] = ck.TopicPartition{Topic: &l.cfg.Topic, Partition: int32(i), Offset: ck.OffsetBeginning}
		if l.next[i] > 0 {
			all[i].Offset = ck.Offset(l.next[i])
		}
	}
	l.mu.Unlock()
	if err := c.Assign(all); err != nil {
		return errors.Join(l.set.openError("reader of topic "+l.cfg.Topic, err), c.Close())
	}
	if lines := c.Logs(); lines != nil {
		l.logs.Go(func() { forwardLogs(lines, l.log) })
	}
	l.c, l.certificates = c, certificates
	return nil
}

// renew opens a new client where certificate files have been replaced.
func (l *TopicLog) renew() {
	keys := l.certificates.replaced()
	if len(keys) == 0 {
		return
	}
	old := l.c
	if err := l.open(); err != nil { // as while one of two files has been replaced; it is tried again
		l.log.Warn("the reader of an internal topic cannot be opened with the new files", "topic", l.cfg.Topic, "keys", keys, "error", err)
		return
	}
	if err := old.Close(); err != nil {
		l.log.Debug("close the reader of an internal topic", "topic", l.cfg.Topic, "error", err)
	}
}

// position is the sum of the partitions' next offsets; the caller holds mu.
func (l *TopicLog) position() (sum int64) {
	for _, n := range l.next {
		sum += n
	}
	return sum
}

// Read implements store.Log. An error other than ctx's means that the log can not be read on by this process: the
// topic was truncated or made anew, or the cluster refuses the client from the start. A client that it has let read before
// goes on asking: passwords and permissions are changed and put right while workers run.
func (l *TopicLog) Read(ctx context.Context, from int64) ([]store.Entry, int64, error) {
	if err := l.calls.enter(); err != nil {
		return nil, from, err
	}
	defer l.calls.leave()
	l.mu.Lock()
	at := l.position()
	l.mu.Unlock()
	if from != at && from != 0 {
		return nil, from, fmt.Errorf("topic %s is read from %d, and its reader is at %d", l.cfg.Topic, from, at)
	}
	var entries []store.Entry
	for to := at; ctx.Err() == nil; {
		l.renew()
		if len(entries) >= readAtOnce {
			return entries, to, nil
		}
		wait := pollWait
		if to > at {
			wait = 0
		}
		switch e := l.c.Poll(int(wait / time.Millisecond)).(type) {
		case nil:
			if to > at {
				return entries, to, nil
			}
		case *ck.Message:
			if err, ok := errors.AsType[ck.Error](e.TopicPartition.Error); ok {
				if err := l.trouble(err); err != nil {
					return nil, from, err
				}
				continue
			}
			to = l.pass(e.TopicPartition.Partition, int64(e.TopicPartition.Offset)+1)
			entries = append(entries, store.Entry{Key: e.Key, Value: e.Value, Offset: to - 1})
		case ck.PartitionEOF:
			to = l.pass(e.Partition, int64(e.Offset))
		case ck.OAuthBearerTokenRefresh:
			if _, err := giveToken(ctx, l.cfg.Token, l.c); err != nil {
				l.warn(ck.ErrAuthentication, err)
			}
		case ck.Error:
			if err := l.trouble(e); err != nil {
				return nil, from, err
			}
		}
	}
	return nil, from, ctx.Err()
}

// pass moves a partition's position and gives the log's.
func (l *TopicLog) pass(partition int32, next int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = true
	if next > l.next[partition] {
		l.next[partition] = next
		close(l.moved)
		l.moved = make(chan struct{})
	}
	return l.position()
}

func (l *TopicLog) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read
}

// trouble decides which errors of the client end the reading.
func (l *TopicLog) trouble(e ck.Error) error {
	switch code := e.Code(); {
	case e.IsFatal():
		return fmt.Errorf("reader of topic %s cannot go on: %w", l.cfg.Topic, e)
	case code == ck.ErrAutoOffsetReset || code == ck.ErrOffsetOutOfRange || code == ck.ErrLogTruncation:
		return fmt.Errorf("topic %s was truncated or made anew while it was read; check it and start the worker again: %w", l.cfg.Topic, e)
	case refusedClient(e) && !l.begun():
		return fmt.Errorf("the cluster refused to let topic %s be read (%s): %w", l.cfg.Topic, l.set.explain(), e)
	default:
		l.certificates.note(code)
		l.warn(code, e)
	}
	return nil
}

func (l *TopicLog) warn(code ck.ErrorCode, err error) {
	now := time.Now()
	if last, ok := l.warned[code]; ok && now.Sub(last) < logEvery {
		return
	}
	l.warned[code] = now
	l.log.Warn("internal topic cannot be read now; trying again ("+l.set.explain()+"): "+err.Error(), "topic", l.cfg.Topic)
}

// End implements store.Log. It asks the brokers until they answer.
func (l *TopicLog) End(ctx context.Context) (int64, error) {
	parts := make([]task.Partition, l.cfg.Partitions)
	for i := range parts {
		parts[i] = task.Partition{Topic: l.cfg.Topic, ID: int32(i)}
	}
	for {
		ends, err := l.cfg.Admin.EndOffsets(ctx, parts)
		if err == nil {
			var sum int64
			for _, end := range ends {
				sum += end
			}
			return sum, nil
		}
		if errors.Is(err, ErrClosed) || unauthorized(codeOf(err)) && !l.begun() {
			return 0, err
		}
		// The admin client does not look for a new leader by itself: after a restart of the broker it would ask under the
		// old leader epoch until its metadata expires.
		if _, err := l.cfg.Admin.metadata(ctx, &l.cfg.Topic); err != nil {
			l.log.Debug("metadata of an internal topic", "topic", l.cfg.Topic, "error", err)
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("end of topic %s: %w", l.cfg.Topic, errors.Join(ctx.Err(), err))
		}
	}
}

// Append implements store.Log, but for this: entries of different keys may be read in another order, and an error
// may leave some of them written. With several partitions it waits until the reader has read them, and the
// position that it gives is this process's own.
func (l *TopicLog) Append(ctx context.Context, entries ...store.Entry) (int64, error) {
	if l.cfg.Producer == nil {
		return 0, fmt.Errorf("topic %s is written by the leader's transactions", l.cfg.Topic)
	}
	written, err := l.cfg.Producer.sendAll(ctx, outgoingEntries(l.cfg.Topic, entries))
	if err != nil {
		return 0, err
	}
	if l.cfg.Partitions == 1 {
		return int64(written[len(written)-1].Offset), nil
	}
	for {
		l.mu.Lock()
		read := true
		for _, w := range written {
			read = read && l.next[w.Partition] > int64(w.Offset)
		}
		at, moved := l.position(), l.moved
		l.mu.Unlock()
		if read {
			return at - 1, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, fmt.Errorf("read back %d entries of topic %s: %w", len(entries), l.cfg.Topic, ctx.Err())
		}
	}
}

// Close frees the client; a Read that is under way ends first. The caller ends its context before.
func (l *TopicLog) Close(ctx context.Context) error {
	if !l.calls.shut() {
		return ErrClosed
	}
	done := make(chan error, 1)
	go func() {
		l.calls.wg.Wait()
		err := l.c.Close()
		l.logs.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close reader of topic %s: %w", l.cfg.Topic, ctx.Err())
	}
}

func outgoingEntries(topic string, entries []store.Entry) []*ck.Message {
	out := make([]*ck.Message, len(entries))
	for i, e := range entries {
		out[i] = &ck.Message{TopicPartition: ck.TopicPartition{Topic: &topic, Partition: ck.PartitionAny}, Key: e.Key, Value: e.Value}
	}
	return out
}

// sendAll writes messages and gives where each was written, once all are durable.
func (p *Producer) sendAll(ctx context.Context, messages []*ck.Message) ([]ck.TopicPartition, error) {
	if err := p.calls.enter(); err != nil {
		return nil, err
	}
	defer p.calls.leave()
	h := p.use(ctx)
	defer h.calls.Done()
	return sendAll(ctx, h.p, messages)
}

func sendAll(ctx context.Context, p *ck.Producer, messages []*ck.Message) ([]ck.TopicPartition, error) {
	reports := make(chan ck.Event, len(messages)) // room for reports that nobody waits for any more
	for i, m := range messages {
		m.Opaque = i
		if err := p.Produce(m, reports); err != nil {
			return nil, produceError(*m.TopicPartition.Topic, err)
		}
	}
	written := make([]ck.TopicPartition, len(messages))
	var failed error
	for range messages {
		select {
		case ev := <-reports:
			sent, ok := ev.(*ck.Message)
			if !ok {
				return nil, fmt.Errorf("unexpected report %v", ev)
			}
			if err := sent.TopicPartition.Error; err != nil && failed == nil {
				failed = produceError(*sent.TopicPartition.Topic, err)
			}
			if i, ok := sent.Opaque.(int); ok {
				written[i] = sent.TopicPartition
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("write %d entries: not acknowledged yet: %w", len(messages), ctx.Err())
		}
	}
	return written, failed
}
