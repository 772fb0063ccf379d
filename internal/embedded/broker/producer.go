package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record to write. A nil key or value is null.
type Record struct {
	Topic string
	// Placement is Partition(n); the zero value goes by the key, as Java's clients do.
	Placement Placement
	Key       []byte
	Value     []byte
	Headers   []Header
	// Time is the record's timestamp; zero is the time of writing.
	Time time.Time
}

// Header is a record header.
type Header struct {
	Key   string
	Value []byte
}

// Placement says which partition a record goes to.
type Placement struct {
	explicit  bool
	partition int32
}

// Partition places a record on partition n whatever its key.
func Partition(n int32) Placement { return Placement{true, n} }

// Offset is where a record was written.
type Offset struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Producer writes records, idempotently: each once and in order within its partition.
type Producer struct {
	client *kgo.Client
}

// NewProducer makes a producer for the brokers of bootstrap ("host:port" each). opts are added to its
// own, for SASL or TLS; kgo.TransactionalID makes Transaction possible. Close it.
func NewProducer(bootstrap []string, opts ...kgo.Opt) (*Producer, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap...),
		kgo.RecordPartitioner(placing{kgo.StickyKeyPartitioner(nil)}),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	return &Producer{client: client}, nil
}

// Send writes the records in their order and returns when all are written: where each is, or the first
// error.
func (p *Producer) Send(ctx context.Context, records ...Record) ([]Offset, error) {
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Time, Partition: byKey}
		if r.Placement.explicit {
			batch[i].Partition = r.Placement.partition
		}
		for _, h := range r.Headers {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	if err := p.client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	written := make([]Offset, len(batch))
	for i, r := range batch { // the client fills in the records it was given
		written[i] = Offset{r.Topic, r.Partition, r.Offset}
	}
	return written, nil
}

// Transaction writes the records in a transaction of their own, and commits or aborts it.
func (p *Producer) Transaction(ctx context.Context, commit bool, records ...Record) ([]Offset, error) {
	if err := p.client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	written, err := p.Send(ctx, records...)
	if endErr := p.client.EndTransaction(ctx, kgo.TransactionEndTry(commit && err == nil)); err == nil && endErr != nil {
		err = fmt.Errorf("end transaction: %w", endErr)
	}
	return written, err
}

// Close releases the connections.
func (p *Producer) Close() { p.client.Close() }

// byKey marks a record without a partition of its own.
const byKey = -1

// placing partitions by the record's own partition where it has one, else by key.
type placing struct{ byKey kgo.Partitioner }

func (p placing) ForTopic(topic string) kgo.TopicPartitioner {
	return placingTopic{p.byKey.ForTopic(topic)}
}

type placingTopic struct{ byKey kgo.TopicPartitioner }

func (p placingTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != byKey || p.byKey.RequiresConsistency(r)
}

func (p placingTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition != byKey {
		return int(r.Partition) // out of range is refused by the client
	}
	return p.byKey.Partition(r, n)
}
