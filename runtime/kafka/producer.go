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
	set   settings
	token TokenFunc
	log   *slog.Logger
	calls gate

	mu      sync.Mutex // guards the two below
	handle  *producerHandle
	closing bool           // handle is the last one
	retired sync.WaitGroup // handles that have been replaced and are not freed yet
}

// producerHandle is one client of the library. It is freed when nobody is inside it.
type producerHandle struct {
	p     *ck.Producer
	files map[string]string // the certificate files as they were when the client opened
	calls sync.WaitGroup
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
	p := &Producer{set: set, token: cfg.Token, log: orDiscard(cfg.Log)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handle, err = p.open(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// open makes a client; the caller holds mu.
func (p *Producer) open(ctx context.Context) (*producerHandle, error) {
	m := p.set.configMap()
	(*m)["go.delivery.report.fields"] = "none"
	(*m)["go.events.channel.size"] = 1000
	(*m)["go.produce.channel.size"] = 0
	used := p.set.certificates()
	client, err := ck.NewProducer(m)
	if err != nil {
		return nil, p.set.openError("producer", err)
	}
	h := &producerHandle{p: client, files: used.files}
	serving := context.WithoutCancel(ctx)
	h.own.Go(func() { p.serve(serving, client, used) })
	if lines := client.Logs(); lines != nil {
		h.own.Go(func() { forwardLogs(lines, p.log) })
	}
	return h, nil
}

// use gives the present handle, a new one where certificate files have been replaced; the caller is inside it until
// calls.Done.
func (p *Producer) use(ctx context.Context) *producerHandle {
	p.mu.Lock()
	defer p.mu.Unlock()
	if keys := p.set.replaced(p.handle.files); len(keys) > 0 && !p.closing {
		p.exchange(ctx, keys)
	}
	p.handle.calls.Add(1)
	return p.handle
}

// exchange opens a new client with the files that have been replaced; the caller holds mu.
func (p *Producer) exchange(ctx context.Context, keys []string) {
	h, err := p.open(ctx)
	if err != nil { // as while one of two files has been replaced; it is tried again
		p.log.Warn("the producer cannot be opened with the new files", "keys", keys, "error", err)
		return
	}
	p.retired.Go(p.handle.free)
	p.handle = h
}

// giveUp takes a client out of use that has no connection with the files that it has read. The messages that wait in it fail, so
// that their senders send them again. It reports whether there is a new client.
func (p *Producer) giveUp(ctx context.Context, old *ck.Producer, keys []string) bool {
	p.mu.Lock()
	if p.handle.p == old && !p.closing {
		p.exchange(ctx, keys)
	}
	gone := p.handle.p != old
	p.mu.Unlock()
	if !gone {
		return false
	}
	if err := old.Purge(ck.PurgeQueue | ck.PurgeInFlight); err != nil {
		p.log.Warn("cannot give up the messages of a producer without a connection", "error", err)
	}
	return true
}

// free waits for those who are inside. Nobody comes any more.
func (h *producerHandle) free() {
	h.calls.Wait()
	h.p.Close()
	h.own.Wait()
}

// serve handles events that belong to no message, until their channel is closed.
func (p *Producer) serve(ctx context.Context, client *ck.Producer, used certificates) {
	logged := map[ck.ErrorCode]time.Time{}
	var look <-chan time.Time
	if len(used.files) > 0 {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case ev, open := <-client.Events():
			if !open {
				return
			}
			switch e := ev.(type) {
			case ck.OAuthBearerTokenRefresh:
				if _, err := giveToken(ctx, p.token, client); err != nil {
					p.log.Warn("kafka producer: " + err.Error())
				}
			case ck.Error:
				used.note(e.Code())
				if now := time.Now(); now.Sub(logged[e.Code()]) >= logEvery {
					logged[e.Code()] = now
					p.log.Warn("kafka producer: "+e.Error(), "with", p.set.explain())
				}
			}
		case <-look:
			if keys := used.replaced(); len(keys) > 0 && p.giveUp(ctx, client, keys) {
				look = nil
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
	h := p.use(ctx)
	defer h.calls.Done()
	report := make(chan ck.Event, 1) // room for a report that nobody waits for any more
	if err := h.p.Produce(outgoing(m), report); err != nil {
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
	p.mu.Lock()
	p.closing = true
	h := p.handle
	p.mu.Unlock()
	left := h.p.Len()
	for left > 0 && ctx.Err() == nil {
		left = h.p.Flush(timeoutMillis(ctx, pollWait))
	}
	var err error
	if left > 0 {
		err = fmt.Errorf("close kafka producer: %d messages were not acknowledged: %w", left, ctx.Err())
		// Only so do the calls that still wait get a report.
		err = errors.Join(err, h.p.Purge(ck.PurgeQueue|ck.PurgeInFlight))
		h.p.Flush(int(pollWait / time.Millisecond))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.calls.wg.Wait()
		h.free()
		p.retired.Wait()
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
