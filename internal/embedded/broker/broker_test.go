package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "clientes-alteracoes"

func start(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	if o.Topics == nil {
		o.Topics = []broker.Topic{{Name: topic, Partitions: 6}}
	}
	b, err := broker.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func producer(t *testing.T, b *broker.Broker, opts ...kgo.Opt) *broker.Producer {
	t.Helper()
	p, err := broker.NewProducer(b.Addrs(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// consume reads n records of the topic.
func consume(t *testing.T, b *broker.Broker, n int) []*kgo.Record {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		got = append(got, f.Records()...)
	}
	return got
}

func TestRecordsGoWhereTheyArePlacedAndKeepEverything(t *testing.T) {
	b := start(t, broker.Options{Brokers: 3})
	if len(b.Addrs()) != 3 || b.Bootstrap() != strings.Join(b.Addrs(), ",") || !strings.HasPrefix(b.Bootstrap(), "127.0.0.1:") {
		t.Fatalf("addresses %s", b.Bootstrap())
	}
	at := time.UnixMilli(1_795_491_912_123)
	written, err := producer(t, b).Send(t.Context(),
		broker.Record{Topic: topic, Placement: broker.Partition(4), Key: []byte("k"), Value: []byte("v"), Time: at,
			Headers: []broker.Header{{Key: "__debezium.newkey", Value: []byte("x")}}},
		broker.Record{Topic: topic, Placement: broker.Partition(4), Key: []byte("k")}, // a tombstone
		broker.Record{Topic: topic, Placement: broker.Partition(0), Value: []byte{}},
	)
	want := []broker.Offset{{Topic: topic, Partition: 4}, {Topic: topic, Partition: 4, Offset: 1}, {Topic: topic}}
	if err != nil || !slices.Equal(written, want) {
		t.Fatalf("written %v, want %v; %v", written, want, err)
	}
	for _, r := range consume(t, b, 3) {
		switch {
		case r.Partition == 0:
			if r.Key != nil || r.Value == nil {
				t.Errorf("a null key and an empty value became %v and %v", r.Key, r.Value)
			}
		case r.Offset == 0:
			if !r.Timestamp.Equal(at) || len(r.Headers) != 1 || string(r.Headers[0].Value) != "x" || string(r.Value) != "v" {
				t.Errorf("record %+v", r)
			}
		case r.Value != nil:
			t.Errorf("a tombstone became %q", r.Value)
		}
	}
}

func TestKeysGoToThePartitionOfJavasDefault(t *testing.T) {
	// org.apache.kafka.common.utils.UtilsTest.testMurmur2, masked and modulo 6.
	murmur2 := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	}
	b := start(t, broker.Options{})
	p := producer(t, b)
	for key, hash := range murmur2 {
		written, err := p.Send(t.Context(), broker.Record{Topic: topic, Key: []byte(key)})
		if want := hash & 0x7fffffff % 6; err != nil || written[0].Partition != want {
			t.Errorf("key %q went to %v, want partition %d; %v", key, written, want, err)
		}
	}
}

func TestRecordsKeepTheirOrderInBulk(t *testing.T) {
	b := start(t, broker.Options{})
	var batch []broker.Record
	for i := range 20_000 {
		batch = append(batch, broker.Record{Topic: topic, Key: fmt.Append(nil, i%97), Value: strconv.AppendInt(nil, int64(i), 10)})
	}
	if _, err := producer(t, b).Send(t.Context(), batch...); err != nil {
		t.Fatal(err)
	}
	last := map[int32]int{}
	for _, r := range consume(t, b, len(batch)) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil || n < last[r.Partition] {
			t.Fatalf("partition %d: %d after %d, %v", r.Partition, n, last[r.Partition], err)
		}
		last[r.Partition] = n
	}
}

func TestAbortedTransactionsLeaveHolesInTheOffsets(t *testing.T) {
	b := start(t, broker.Options{})
	p := producer(t, b, kgo.TransactionalID("t"))
	one := func(v string) broker.Record {
		return broker.Record{Topic: topic, Placement: broker.Partition(1), Value: []byte(v)}
	}
	for i, commit := range []bool{true, false, true} {
		if _, err := p.Transaction(t.Context(), commit, one(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	got := consume(t, b, 2)
	if got[0].Offset != 0 || got[1].Offset != 4 || string(got[1].Value) != "2" {
		t.Fatalf("offsets %d and %d, want 0 and 4", got[0].Offset, got[1].Offset)
	}
}

func TestADataDirAndAPortOutliveTheCluster(t *testing.T) {
	dir := t.TempDir()
	b := start(t, broker.Options{DataDir: dir})
	if _, err := producer(t, b).Send(t.Context(), broker.Record{Topic: topic, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(b.Addrs()[0], ":")
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	id := b.Cluster.TopicInfo(topic).TopicID
	b.Close()
	b.Close()

	again := start(t, broker.Options{DataDir: dir, Ports: []int{n}, Topics: []broker.Topic{{Name: topic, Partitions: 6}, {Name: "outro", Partitions: 1}}})
	if again.Addrs()[0] != "127.0.0.1:"+port || again.Cluster.TopicInfo(topic).TopicID != id || again.Cluster.TopicInfo("outro") == nil {
		t.Fatalf("after the restart: %v, %v", again.Addrs(), again.Cluster.TopicInfo(topic))
	}
	if got := consume(t, again, 1); string(got[0].Value) != "v" {
		t.Fatalf("got %q", got[0].Value)
	}
}

func TestErrorsReachTheSender(t *testing.T) {
	b := start(t, broker.Options{})
	p := producer(t, b)
	if _, err := p.Send(t.Context(), broker.Record{Topic: topic, Placement: broker.Partition(6)}); err == nil {
		t.Error("a partition that does not exist was taken")
	}
	b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge})
	if _, err := p.Send(t.Context(), broker.Record{Topic: topic, Value: []byte("v")}); err == nil || !strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
		t.Errorf("the broker's error: %v", err)
	}
	_, port, _ := strings.Cut(b.Addrs()[0], ":")
	taken, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Start(broker.Options{Ports: []int{taken}}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
}
