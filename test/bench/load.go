package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stepconnect/stepconnect/internal/embedded/consorcio"
)

const (
	partitions = 6
	distinct   = 4000 // values; keys vary further
	keySpace   = 100_003
	keyPrefix  = 5 // zero byte and schema id
)

// Load is what the broker is filled with: updates of the table Clientes, encoded once.
type Load struct {
	values [][]byte
	prefix []byte // of every key
	// MeanBytes is the mean size of a value.
	MeanBytes int
}

// NewLoad encodes the values; register registers their schemas.
func NewLoad(register func(subject, schema string) (int, error)) (*Load, error) {
	company, err := consorcio.New(42, register)
	if err != nil {
		return nil, err
	}
	l := &Load{}
	total := 0
	for len(l.values) < distinct {
		events, err := company.Transaction()
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if e.Change == nil || e.Change.Domain != "clientes" || e.Change.Operation != "update" || len(e.Value) < 640 {
				continue
			}
			l.values = append(l.values, e.Value)
			l.prefix = e.Key[:keyPrefix]
			total += len(e.Value)
		}
	}
	l.MeanBytes = total / len(l.values)
	return l, nil
}

// record is the n-th record of a topic. Its key is a long, like the table's; keys come back only after keySpace records.
func (l *Load) record(topic string, n int) *kgo.Record {
	key := make([]byte, keyPrefix, keyPrefix+binary.MaxVarintLen64)
	copy(key, l.prefix)
	return &kgo.Record{Topic: topic, Key: binary.AppendVarint(key, int64(n%keySpace)), Value: l.values[n%len(l.values)]}
}

// Writer makes topics, fills them and asks the broker.
type Writer struct {
	client *kgo.Client
	admin  *kadm.Client
}

// NewWriter connects to the broker; Close it.
func NewWriter(bootstrap string) (*Writer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(20_000),
	)
	if err != nil {
		return nil, err
	}
	return &Writer{client: client, admin: kadm.NewClient(client)}, nil
}

// Close releases the connections.
func (w *Writer) Close() { w.admin.Close() }

// Topic makes a topic whose records carry the time when the broker appended them.
func (w *Writer) Topic(ctx context.Context, name string) error {
	appended := "LogAppendTime"
	_, err := w.admin.CreateTopic(ctx, partitions, 1, map[string]*string{"message.timestamp.type": &appended}, name)
	if err != nil {
		return fmt.Errorf("creating topic %s: %w", name, err)
	}
	return nil
}

// Fill writes n records as fast as the broker takes them.
func (w *Writer) Fill(ctx context.Context, l *Load, topic string, n int) error {
	var first firstError
	for i := range n {
		w.client.Produce(ctx, l.record(topic, i), func(_ *kgo.Record, err error) { first.set(err) })
	}
	return errors.Join(w.client.Flush(ctx), first.get())
}

// Place is where a record is in the log.
type Place struct {
	Partition int32
	Offset    int64
}

// Pace writes rate records a second for the duration, and gives when the broker appended each.
func (w *Writer) Pace(ctx context.Context, l *Load, topic string, rate int, d time.Duration) (map[Place]time.Time, error) {
	const step = 5 * time.Millisecond
	var first firstError
	var mu sync.Mutex
	appended := make(map[Place]time.Time)
	tick := time.NewTicker(step)
	defer tick.Stop()
	for n, began := 0, time.Now(); n < int(d.Seconds()*float64(rate)); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); n < due; n++ {
			w.client.Produce(ctx, l.record(topic, n), func(r *kgo.Record, err error) {
				first.set(err)
				mu.Lock()
				defer mu.Unlock()
				appended[Place{r.Partition, r.Offset}] = r.Timestamp
			})
		}
	}
	err := errors.Join(w.client.Flush(ctx), first.get())
	return appended, err
}

// Committed is the sum of a group's committed offsets of a topic.
func (w *Writer) Committed(ctx context.Context, group, topic string) (int, error) {
	offsets, err := w.admin.FetchOffsets(ctx, group)
	if kerr.IsRetriable(err) { // the group's coordinator is not there yet
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	sum := 0
	for p := range int32(partitions) {
		if o, ok := offsets.Lookup(topic, p); ok && o.At > 0 {
			sum += int(o.At)
		}
	}
	return sum, nil
}

type firstError struct {
	mu  sync.Mutex // guards err
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
