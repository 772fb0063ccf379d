package kafka

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/google/go-cmp/cmp"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func admin(t testing.TB, props map[string]string) *Admin {
	t.Helper()
	a, err := OpenAdmin(t.Context(), AdminConfig{Properties: props})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return a
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAdminOfTopics(t *testing.T) {
	c := cluster(t, kfake.ClusterID("consorcio"), kfake.SeedTopics(2, "pedidos"))
	a := admin(t, client(c))
	ctx := t.Context()
	if id := must[string](t)(a.ClusterID(ctx)); id != "consorcio" {
		t.Error(id)
	}
	spec := TopicSpec{Name: "dlq", Partitions: 3, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "compact"}}
	if !must[bool](t)(a.CreateTopic(ctx, spec)) {
		t.Error("not created")
	}
	if must[bool](t)(a.CreateTopic(ctx, spec)) {
		t.Error("created twice")
	}
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.PolicyViolation})
	if _, err := a.CreateTopic(ctx, TopicSpec{Name: "forbidden", Partitions: 1, ReplicationFactor: 1}); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Error(err)
	}
	f.Remove()
	if d := cmp.Diff([]string{"dlq", "pedidos"}, must[[]string](t)(a.Topics(ctx))); d != "" {
		t.Error(d)
	}
	for topic, n := range map[string]int{"dlq": 3, "nothing": 0} {
		if got := must[int](t)(a.Partitions(ctx, topic)); got != n {
			t.Errorf("%s has %d partitions", topic, got)
		}
	}
	ids := must[map[string]string](t)(a.TopicIDs(ctx, []string{"dlq", "pedidos", "nothing"}))
	if len(ids) != 2 || ids["dlq"] == "" || ids["dlq"] == ids["pedidos"] {
		t.Error(ids)
	}
	if p := must[map[string]string](t)(a.DescribeTopicConfig(ctx, "dlq"))["cleanup.policy"]; p != "compact" {
		t.Error(p)
	}
	produce(t, c, "pedidos", 1, "a", "b")
	parts := []task.Partition{{Topic: "pedidos"}, {Topic: "pedidos", ID: 1}}
	if d := cmp.Diff(map[task.Partition]Range{parts[0]: {}, parts[1]: {0, 2}}, must[map[task.Partition]Range](t)(a.Offsets(ctx, parts))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[task.Partition]int64{parts[0]: 0, parts[1]: 2}, must[map[task.Partition]int64](t)(a.EndOffsets(ctx, parts))); d != "" {
		t.Error(d)
	}
	if _, err := a.EndOffsets(ctx, []task.Partition{{Topic: "nothing"}}); err == nil || !strings.Contains(err.Error(), "nothing-0") {
		t.Error(err)
	}
}

func TestAdminOfGroups(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"))
	a := admin(t, client(c))
	ctx := t.Context()
	set := []task.Position{at("pedidos", 0, 5, "meta"), at("pedidos", 1, 7, "")}
	if g := must[Group](t)(a.DescribeGroup(ctx, "nobody")); g.State != "Dead" || len(g.Members) > 0 {
		t.Errorf("%+v", g)
	}
	if got := must[[]task.Position](t)(a.GroupOffsets(ctx, "nobody")); len(got) != 0 {
		t.Error(got)
	}
	for name, err := range map[string]error{
		"delete nobody":           a.DeleteGroup(ctx, "nobody"),
		"alter":                   a.AlterGroupOffsets(ctx, "connect-test", set),
		"delete nobody's offsets": a.DeleteGroupOffsets(ctx, "nobody", []task.Partition{{Topic: "pedidos"}}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := cmp.Diff(set, must[[]task.Position](t)(a.GroupOffsets(ctx, "connect-test"))); d != "" {
		t.Error(d)
	}
	if err := a.DeleteGroupOffsets(ctx, "connect-test", []task.Partition{{Topic: "pedidos", ID: 1}}); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(set[:1], must[[]task.Position](t)(a.GroupOffsets(ctx, "connect-test"))); d != "" {
		t.Error(d)
	}
	rec := &recorder{}
	s := open(t, member(c, "client.id", "http://w1:8083#ab"), rec, "pedidos")
	poll(t, s, func([]task.Message) bool { return rec.holds() == 2 })
	g := must[Group](t)(a.DescribeGroup(ctx, "connect-test"))
	if len(g.Members) != 1 || g.Members[0].ClientID != "http://w1:8083#ab" || len(g.Members[0].Partitions) != 2 {
		t.Errorf("%+v", g)
	}
	for name, err := range map[string]error{
		"alter":          a.AlterGroupOffsets(ctx, "connect-test", set),
		"delete":         a.DeleteGroup(ctx, "connect-test"),
		"delete offsets": a.DeleteGroupOffsets(ctx, "connect-test", []task.Partition{{Topic: "pedidos"}}),
	} {
		if !errors.Is(err, ErrGroupActive) || !strings.Contains(err.Error(), "connect-test") {
			t.Errorf("%s with a member: %v", name, err)
		}
	}
	if err := closeSource(s); err != nil {
		t.Fatal(err)
	}
	emptied(t, a)
	if err := a.DeleteGroup(ctx, "connect-test"); err != nil {
		t.Error(err)
	}
	if got := must[[]task.Position](t)(a.GroupOffsets(ctx, "connect-test")); len(got) != 0 {
		t.Error(got)
	}
}

func TestAdminCallsEndWithTheirContext(t *testing.T) {
	c := cluster(t)
	props := client(c)
	c.Close()
	a := admin(t, props)
	for name, call := range map[string]func(context.Context) error{
		"Topics":             func(ctx context.Context) error { _, err := a.Topics(ctx); return err },
		"ClusterID":          func(ctx context.Context) error { _, err := a.ClusterID(ctx); return err },
		"GroupOffsets":       func(ctx context.Context) error { _, err := a.GroupOffsets(ctx, "g"); return err },
		"DeleteGroupOffsets": func(ctx context.Context) error { return a.DeleteGroupOffsets(ctx, "g", []task.Partition{{}}) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := call(ctx)
		cancel()
		if class, _ := connector.Classify(err); class != connector.ClassRetryable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := a.Topics(t.Context()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestBothAdminClientsSignInTheSameWay(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := cluster(t, kfake.SeedTopics(1, "pedidos"), kfake.EnableSASL(), kfake.Superuser(mechanism, "connect", "pw"))
			a := admin(t, client(c, "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism, "sasl.username", "connect", "sasl.password", "pw"))
			if err := a.AlterGroupOffsets(t.Context(), "g", []task.Position{at("pedidos", 0, 1, "")}); err != nil {
				t.Fatal(err)
			}
			if err := a.DeleteGroupOffsets(t.Context(), "g", []task.Partition{{Topic: "pedidos"}}); err != nil {
				t.Fatal(err)
			}
			if got := must[[]task.Position](t)(a.GroupOffsets(t.Context(), "g")); len(got) != 0 {
				t.Error(got)
			}
		})
	}
}

func producer(t testing.TB, props map[string]string) *Producer {
	t.Helper()
	p, err := OpenProducer(t.Context(), ProducerConfig{Properties: props})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return p
}

func TestProduceIsDurableWhenItReturns(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "dlq"))
	p := producer(t, client(c, "acks", "1", "enable.idempotence", "false", "retries", "0"))
	sent := task.Outgoing{Topic: "dlq", Key: []byte("k"), Timestamp: 1764000000123,
		Headers: []connector.RawHeader{{Key: "__connect.errors.topic", Value: []byte("pedidos")}, {Key: "null"}, {Key: "empty", Value: []byte{}}}}
	if err := p.Produce(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	got := poll(t, open(t, member(c), &recorder{}, "dlq"), func(got []task.Message) bool { return len(got) == 1 })[0]
	if d := cmp.Diff(sent, task.Outgoing{Topic: got.Topic, Key: got.Key, Value: got.Value, Timestamp: got.Timestamp, Headers: got.Headers}); d != "" {
		t.Error(d)
	}
}

func TestProduceErrorsAreClassified(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "dlq"))
	p := producer(t, client(c, "message.max.bytes", "2000", "topic.metadata.propagation.max.ms", "0"))
	for name, tc := range map[string]struct {
		m     task.Outgoing
		class connector.Class
	}{
		"too large":  {task.Outgoing{Topic: "dlq", Value: make([]byte, 3000), Timestamp: -1}, connector.ClassRejected},
		"no topic":   {task.Outgoing{Topic: "nothing", Value: []byte("x"), Timestamp: -1}, connector.ClassFatal},
		"well":       {task.Outgoing{Topic: "dlq", Timestamp: -1}, 99},
		"not a name": {task.Outgoing{Topic: "", Timestamp: -1}, connector.ClassFatal},
	} {
		t.Run(name, func(t *testing.T) {
			err := p.Produce(t.Context(), tc.m)
			if class, _ := connector.Classify(err); err == nil && tc.class != 99 || err != nil && class != tc.class {
				t.Errorf("class %v: %v", class, err)
			}
		})
	}
}

func TestAProducerClosesInTimeWhenBrokersDoNotAnswer(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "dlq"))
	p := producer(t, client(c))
	arrived, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(arrived)
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	waiting := make(chan error)
	go func() {
		waiting <- p.Produce(context.WithoutCancel(t.Context()), task.Outgoing{Topic: "dlq", Timestamp: -1})
	}()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "not acknowledged") {
		t.Error(err)
	}
	t.Logf("closed in %v", time.Since(began))
	err := <-waiting
	if class, _ := connector.Classify(err); class != connector.ClassRetryable {
		t.Errorf("the call that waited: %v", err)
	}
	if err := p.Produce(t.Context(), task.Outgoing{Topic: "dlq"}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkPoll(b *testing.B) {
	c := cluster(b, kfake.SeedTopics(4, "pedidos"), kfake.SyntheticFetch(kfake.SyntheticBatch{Records: 1000, RecordBytes: 700, Compression: kgo.NoCompression()}))
	g := &recorder{}
	s := open(b, member(c), g, "pedidos")
	ctx := b.Context()
	batch := make([]task.Message, 0, 1000)
	poll(b, s, func(got []task.Message) bool { return len(got) > 0 })
	b.ReportAllocs()
	for n := 0; b.Loop(); n-- {
		if n <= 0 {
			var err error
			if batch, err = s.Poll(ctx, batch[:0], 1000); err != nil {
				b.Fatal(err)
			}
			n = len(batch)
		}
	}
}

// A group's coordinator moves when its broker restarts; see once.
func TestAdminAsksAnewWhatIsNotAnswered(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	a := admin(t, client(c))
	release := make(chan struct{})
	defer close(release)
	var asked atomic.Int32
	c.ControlKey(int16(kmsg.DescribeGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if asked.Add(1) == 1 {
			c.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	began := time.Now()
	if g := must[Group](t)(a.DescribeGroup(t.Context(), "g")); g.State != "Dead" {
		t.Errorf("%+v", g)
	}
	if n := asked.Load(); n < 2 || time.Since(began) > adminTimeout-describeWait {
		t.Errorf("asked %d times, answered after %v", n, time.Since(began))
	}
}

func TestAdminFollowsAGroupToItsNewCoordinator(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "t"))
	a := admin(t, client(c))
	positions := []task.Position{{Partition: task.Partition{Topic: "t"}, Offset: 7}}
	for range 6 {
		was := c.CoordinatorFor("g")
		for range 100 {
			if c.RehashCoordinators(); c.CoordinatorFor("g") != was {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if g, err := a.DescribeGroup(ctx, "g"); err != nil {
			t.Fatalf("%+v, %v", g, err)
		}
		if err := a.AlterGroupOffsets(ctx, "g", positions); err != nil {
			t.Fatal(err)
		}
		if _, err := a.GroupOffsets(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}

// While brokers restart a partition may have no leader; a task that is given the partition then waits.
func TestAPartitionWithoutLeaderIsAskedForAgain(t *testing.T) {
	err := classify(noLeader(ck.NewError(ck.ErrNoent, "Failed to query partition leaders: No leaders found", false)))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable || !passing(codeOf(err)) {
		t.Errorf("%v is not retryable", err)
	}
	if other := ck.NewError(ck.ErrTopicAuthorizationFailed, "", false); codeOf(noLeader(other)) != other.Code() || noLeader(nil) != nil {
		t.Error("another error is changed")
	}
}

// The group of a JVM Connect cluster that was stopped stays for a while, and its group.id is what a take-over keeps.
func TestAGroupOfAnotherKindIsDescribed(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	worker, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ClientID("connect-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "connect", 10000, 10000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "sessioned"
	join.Protocols = append(join.Protocols, protocol)
	res, err := join.RequestWith(t.Context(), worker)
	if err != nil {
		t.Fatal(err)
	}
	join.MemberID = res.MemberID // the first answer is MEMBER_ID_REQUIRED
	if res, err = join.RequestWith(t.Context(), worker); err != nil || res.ErrorCode != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = "g", res.MemberID, res.Generation
	if _, err := sync.RequestWith(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	if g, err := a.DescribeGroup(t.Context(), "g"); err != nil || g.State != "Stable" || len(g.Members) != 1 || g.Members[0].ClientID != "connect-1" {
		t.Errorf("%+v, %v", g, err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", res.MemberID
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = res.MemberID
	leave.Members = append(leave.Members, m)
	if _, err := leave.RequestWith(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	if g, err := a.DescribeGroup(t.Context(), "g"); err != nil || g.State != "Empty" || len(g.Members) != 0 {
		t.Errorf("%+v, %v", g, err)
	}
}
