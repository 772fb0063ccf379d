package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// ProducerConfig says where a Producer writes and as whom.
type ProducerConfig struct {
	Properties map[string]string // librdkafka's names; bootstrap.servers is required
	Token      TokenFunc         // see SourceConfig.Token
	Log        *slog.Logger      // nil means none
}

// Producer writes messages durably: idempotent, acknowledged by all in-sync replicas. It is safe
// for concurrent use; concurrent calls share requests.
type Producer struct {
	p     *ck.Producer
	set   settings
	token TokenFunc
	log   *slog.Logger
	calls gate
	own   sync.WaitGroup // the goroutines that serve events and logs
}

// OpenProducer makes a producer; no connection is awaited. Its events are served until Close, with
// the values but not the end of ctx.
func OpenProducer(ctx context.Context, cfg ProducerConfig) (*Producer, error) {
	set, err := newSettings(cfg.Properties)
	if err != nil {
		return nil, err
	}
	set["enable.idempotence"] = "true"
	set["acks"] = "all"
	delete(set, "retries") // any but librdkafka's default is less than "until delivery.timeout.ms"
	set.preset("linger.ms", "5")
	set.preset("partitioner", "murmur2_random") // the Java client's, so that a key keeps its partition
	set.preset("queue.buffering.max.messages", "10000")
	set.preset("queue.buffering.max.kbytes", "32768")
	m := set.configMap()
	(*m)["go.delivery.report.fields"] = "none"
	(*m)["go.events.channel.size"] = 1000
	(*m)["go.produce.channel.size"] = 0
	client, err := ck.NewProducer(m)
	if err != nil {
		return nil, set.openError("producer", err)
	}
	p := &Producer{p: client, set: set, token: cfg.Token, log: orDiscard(cfg.Log)}
	serving := context.WithoutCancel(ctx)
	p.own.Go(func() { p.serve(serving) })
	if lines := client.Logs(); lines != nil {
		p.own.Go(func() { forwardLogs(lines, p.log) })
	}
	return p, nil
}

// serve handles events that belong to no message, until Close closes their channel.
func (p *Producer) serve(ctx context.Context) {
	logged := map[ck.ErrorCode]time.Time{}
	for ev := range p.p.Events() {
		switch e := ev.(type) {
		case ck.OAuthBearerTokenRefresh:
			if _, err := giveToken(ctx, p.token, p.p); err != nil {
				p.log.Warn("kafka producer: " + err.Error())
			}
		case ck.Error:
			if now := time.Now(); now.Sub(logged[e.Code()]) >= logEvery {
				logged[e.Code()] = now
				p.log.Warn("kafka producer: "+e.Error(), "with", p.set.explain())
			}
		}
	}
}

// Produce returns when the message is durable on all in-sync replicas. Errors are
// connector.Retryable when the same message may go through later, connector.Rejected when its size
// or form is refused, and unclassified when an operator has to act (authorization, a missing topic).
// When ctx ends first its error is returned, and the message may still arrive.
func (p *Producer) Produce(ctx context.Context, m task.Outgoing) error {
	if err := p.calls.enter(); err != nil {
		return err
	}
	defer p.calls.leave()
	report := make(chan ck.Event, 1) // room for a report that nobody waits for any more
	if err := p.p.Produce(outgoing(m), report); err != nil {
		return produceError(m.Topic, err)
	}
	select {
	case ev := <-report:
		if sent, ok := ev.(*ck.Message); ok {
			return produceError(m.Topic, sent.TopicPartition.Error)
		}
		return fmt.Errorf("write to topic %s: unexpected report %v", m.Topic, ev)
	case <-ctx.Done():
		return fmt.Errorf("write to topic %s: not acknowledged yet: %w", m.Topic, ctx.Err())
	}
}

func outgoing(m task.Outgoing) *ck.Message {
	out := &ck.Message{
		TopicPartition: ck.TopicPartition{Topic: &m.Topic, Partition: ck.PartitionAny},
		Key:            m.Key, Value: m.Value,
	}
	if m.Timestamp >= 0 {
		out.Timestamp = time.UnixMilli(m.Timestamp)
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, ck.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

func produceError(topic string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write to topic %s: %w", topic, err)
	switch code := codeOf(err); {
	case code == ck.ErrMsgSizeTooLarge:
		return connector.Rejected(fmt.Errorf("%w: the limits are max.message.bytes of the topic and max.request.size of the producer", err))
	case code == ck.ErrInvalidMsgSize, code == ck.ErrRecordListTooLarge, code == ck.ErrInvalidRecord:
		return connector.Rejected(err)
	case passing(code):
		return connector.Retryable(err)
	}
	return err
}

// Close waits for what is under way as long as ctx allows, gives up the rest (their Produce calls
// fail) and frees the client. A second Close returns ErrClosed.
func (p *Producer) Close(ctx context.Context) error {
	if !p.calls.shut() {
		return ErrClosed
	}
	left := p.p.Len()
	for left > 0 && ctx.Err() == nil {
		left = p.p.Flush(timeoutMillis(ctx, pollWait))
	}
	var err error
	if left > 0 {
		err = fmt.Errorf("close kafka producer: %d messages were not acknowledged: %w", left, ctx.Err())
		// Only so do the calls that still wait get a report.
		err = errors.Join(err, p.p.Purge(ck.PurgeQueue|ck.PurgeInFlight))
		p.p.Flush(int(pollWait / time.Millisecond))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.calls.wg.Wait()
		p.p.Close()
		p.own.Wait()
	}()
	select {
	case <-done:
		return err
	case <-afterGrace(ctx):
		return errors.Join(err, fmt.Errorf("close kafka producer: its client is left to end by itself: %w", ctx.Err()))
	}
}

// afterGrace is done a second after ctx: purged calls need a moment to return.
func afterGrace(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, func() { close(done) }) })
	return done
}
