package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAMemberReadsWhatWasWritten(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	when := time.UnixMilli(1764000000123)
	for _, r := range []*kgo.Record{
		{Key: []byte("a"), Value: []byte("1"), Timestamp: when, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "null"}, {Key: "h", Value: []byte{}}}},
		{Key: nil, Value: nil, Timestamp: when},
		{Key: []byte{}, Value: []byte{}, Timestamp: when},
	} {
		r.Topic = "pedidos"
		if err := p.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	g := &recorder{}
	got := poll(t, open(t, member(c), g, "pedidos"), func(got []task.Message) bool { return len(got) == 3 })
	part := task.Partition{Topic: "pedidos"}
	want := []task.Message{
		{Partition: part, Offset: 0, Key: []byte("a"), Value: []byte("1"), Timestamp: when.UnixMilli(), TimestampType: "CreateTime",
			Headers: []connector.RawHeader{{Key: "h", Value: []byte("v")}, {Key: "null"}, {Key: "h", Value: []byte{}}}},
		{Partition: part, Offset: 1, Timestamp: when.UnixMilli(), TimestampType: "CreateTime"},
		{Partition: part, Offset: 2, Key: []byte{}, Value: []byte{}, Timestamp: when.UnixMilli(), TimestampType: "CreateTime"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	a := g.last(part)
	if a.TopicID == "" {
		t.Error("no topic id")
	}
	a.TopicID = ""
	if d := cmp.Diff(task.Assignment{Partition: part, Committed: -1, Low: 0, High: 3}, a); d != "" {
		t.Error(d)
	}
}

func TestTransactionsThatWereAbortedAreNotRead(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: "pedidos", Value: fmt.Append(nil, commit)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := p.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, member(c, "isolation.level", "read_uncommitted"), &recorder{}, "pedidos")
	got := poll(t, s, func(got []task.Message) bool { return len(got) > 0 })
	if len(got) != 1 || string(got[0].Value) != "true" {
		t.Errorf("got %+v", got)
	}
}

func TestOffsetsAndMetadataSurviveAMember(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			c := cluster(t, kfake.SeedTopics(2, "pedidos"))
			produce(t, c, "pedidos", 0, "a", "b", "c")
			g := &recorder{}
			s := open(t, member(c, "group.protocol", protocol), g, "pedidos")
			poll(t, s, func(got []task.Message) bool { return len(got) == 3 })
			if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 2, "v1:AAEC"), at("pedidos", 1, 0, "")}); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(t.Context(), []task.Position{at("clientes", 0, 2, "")}); !Fenced(err) {
				t.Errorf("a commit of a partition that is not held: %v", err)
			}
			if err := closeSource(s); err != nil {
				t.Fatal(err)
			}
			if g.holds() != 0 || !strings.HasSuffix(g.log(), "R2") {
				t.Errorf("after Close: %s", g.log())
			}
			g = &recorder{}
			got := poll(t, open(t, member(c, "group.protocol", protocol), g, "pedidos"), func(got []task.Message) bool { return len(got) > 0 })
			if got[0].Offset != 2 {
				t.Errorf("went on at %d", got[0].Offset)
			}
			a := g.last(task.Partition{Topic: "pedidos"})
			if a.Committed != 2 || a.Metadata != "v1:AAEC" || a.Low != 0 || a.High != 3 {
				t.Errorf("%+v", a)
			}
			if b := g.last(task.Partition{Topic: "pedidos", ID: 1}); b.Committed != 0 || b.Metadata != "" {
				t.Errorf("%+v", b)
			}
		})
	}
}

// TestAClosedMemberHasLeft: the group is empty as soon as the request to leave has arrived, not
// after the session timeout.
func TestAClosedMemberHasLeft(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"))
	a := admin(t, client(c))
	g := &recorder{}
	s := open(t, member(c, "session.timeout.ms", "200000"), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 2 })
	d, err := a.DescribeGroup(t.Context(), "connect-test")
	if err != nil || d.State != "Stable" || len(d.Members) != 1 || len(d.Members[0].Partitions) != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	if err := closeSource(s); err != nil {
		t.Fatal(err)
	}
	emptied(t, a)
	if _, err := s.Poll(t.Context(), nil, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Poll after Close: %v", err)
	}
	for name, err := range map[string]error{"Commit": s.Commit(t.Context(), []task.Position{at("pedidos", 0, 1, "")}), "Close": s.Close(t.Context()),
		"Pause": s.Pause(nil), "Resubscribe": s.Resubscribe(nil)} {
		if !errors.Is(err, ErrClosed) && !Fenced(err) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// Each member commits what it received when partitions are taken from it, from another goroutine as
// a task does, while its Poll is inside Revoked.
func TestTwoMembersShareTheTopicWithNothingLostOrTwice(t *testing.T) {
	const perPartition, partitions = 200, 4
	c := cluster(t, kfake.SeedTopics(partitions, "pedidos"))
	type counted struct {
		*runner
		g *recorder
	}
	var mu sync.Mutex // guards seen
	seen := map[task.Partition][]int64{}
	start := func() counted {
		g := &recorder{}
		s := open(t, member(c), g, "pedidos")
		r := &runner{Source: s, stop: make(chan struct{}), done: make(chan error, 1)}
		g.onRevoke = func(ctx context.Context, gone []task.Partition) {
			var list []task.Position
			mu.Lock()
			for _, p := range gone {
				if n := len(seen[p]); n > 0 {
					list = append(list, task.Position{Partition: p, Offset: seen[p][n-1] + 1, Metadata: "handed over"})
				}
			}
			mu.Unlock()
			if len(list) == 0 {
				return
			}
			done := make(chan error)
			go func() { done <- s.Commit(ctx, list) }()
			if err := <-done; err != nil {
				t.Errorf("commit inside Revoked: %v", err)
			}
		}
		go func() {
			for {
				select {
				case <-r.stop:
					r.done <- closeSource(s)
					return
				default:
				}
				batch, err := s.Poll(context.WithoutCancel(t.Context()), nil, 50)
				if err != nil {
					r.done <- err
					return
				}
				mu.Lock()
				for _, m := range batch {
					seen[m.Partition] = append(seen[m.Partition], m.Offset)
				}
				mu.Unlock()
			}
		}()
		t.Cleanup(func() { r.end(t) })
		return counted{r, g}
	}
	write := func(from, to int) {
		for p := range partitions {
			values := make([]string, 0, to-from)
			for i := from; i < to; i++ {
				values = append(values, fmt.Sprint(i))
			}
			produce(t, c, "pedidos", int32(p), values...)
		}
	}
	count := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range seen {
			n += len(s)
		}
		return n
	}
	first := start()
	write(0, perPartition/3)
	eventually(t, "first third read", func() bool { return count() == partitions*(perPartition/3) })
	second := start()
	write(perPartition/3, perPartition/2)
	eventually(t, "two members", func() bool { return first.g.holds() == partitions/2 && second.g.holds() == partitions/2 })
	write(perPartition/2, perPartition)
	eventually(t, "all read", func() bool { return count() >= partitions*perPartition })
	first.end(t)
	eventually(t, "one member", func() bool { return second.g.holds() == partitions })
	for p, offsets := range seen {
		for i, o := range offsets {
			if int64(i) != o {
				t.Fatalf("%v: offset %d came as number %d of %d", p, o, i, len(offsets))
			}
		}
	}
	if !strings.Contains(first.g.log(), "R2") || strings.Contains(first.g.log()+second.g.log(), "L") {
		t.Errorf("first %s, second %s", first.g.log(), second.g.log())
	}
}

func TestAPausedPartitionIsNotFetchedAndAnAssignmentResumesIt(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"), kfake.SeedTopics(1, "clientes"))
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 2 })
	paused := []task.Partition{{Topic: "pedidos"}}
	if err := s.Pause(append(paused, task.Partition{Topic: "clientes"})); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "pedidos", 0, "a")
	produce(t, c, "pedidos", 1, "b")
	if got := poll(t, s, func(got []task.Message) bool { return len(got) > 0 }); len(got) != 1 || got[0].ID != 1 {
		t.Fatalf("got %+v", got)
	}
	if err := s.Resume(paused); err != nil {
		t.Fatal(err)
	}
	if got := poll(t, s, func(got []task.Message) bool { return len(got) > 0 }); got[0].ID != 0 {
		t.Fatalf("got %+v", got)
	}
	at, err := s.positions()
	if d := cmp.Diff([]task.Position{{Partition: task.Partition{Topic: "pedidos"}, Offset: 1}, {Partition: task.Partition{Topic: "pedidos", ID: 1}, Offset: 1}}, at); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if err := s.Pause(paused); err != nil {
		t.Fatal(err)
	}
	if err := s.Resubscribe([]string{"clientes"}); err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	if err := s.Resubscribe([]string{"clientes", "pedidos"}); err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 3 })
	produce(t, c, "pedidos", 0, "c")
	poll(t, s, func(got []task.Message) bool {
		return slices.ContainsFunc(got, func(m task.Message) bool { return string(m.Value) == "c" })
	})
}

func TestAPartitionThatIsPausedWhileItIsAssignedIsNotFetched(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"))
	produce(t, c, "pedidos", 0, "a")
	produce(t, c, "pedidos", 1, "b")
	parts := []task.Partition{{Topic: "pedidos"}}
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	g.onAssign = func([]task.Assignment) {
		if err := s.Pause(parts); err != nil {
			t.Error(err)
		}
	}
	first := poll(t, s, func(got []task.Message) bool { return len(got) > 0 })
	after := time.Now()
	more := poll(t, s, func([]task.Message) bool { return time.Since(after) > 300*time.Millisecond })
	if len(first) != 1 || first[0].ID != 1 || len(more) > 0 {
		t.Fatalf("got %+v and %+v, want the message of partition 1 alone", first, more)
	}
	if err := s.Resume(parts); err != nil {
		t.Fatal(err)
	}
	if got := poll(t, s, func(got []task.Message) bool { return len(got) > 0 }); got[0].ID != 0 {
		t.Fatalf("got %+v", got)
	}
}

// TestAResumedPartitionIsFetchedAtOnce is about the client's threads: with nothing to fetch they sleep for up to a second.
func TestAResumedPartitionIsFetchedAtOnce(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	g := &recorder{}
	props := member(c)
	props["fetch.wait.max.ms"] = "10" // the broker's last answer before a pause comes soon
	s := open(t, props, g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	parts := []task.Partition{{Topic: "pedidos"}}
	const times = 8
	var took time.Duration
	for i := range times {
		if err := s.Pause(parts); err != nil {
			t.Fatal(err)
		}
		produce(t, c, "pedidos", 0, strconv.Itoa(i))
		paused := time.Now()
		poll(t, s, func([]task.Message) bool { return time.Since(paused) > 100*time.Millisecond })
		began := time.Now()
		if err := s.Resume(parts); err != nil {
			t.Fatal(err)
		}
		poll(t, s, func(got []task.Message) bool { return len(got) > 0 })
		took += time.Since(began)
	}
	if took > times*250*time.Millisecond {
		t.Errorf("a resumed partition waits %s for its messages, on average of %d", took/times, times)
	}
}

func TestASubscriptionToNothingWaits(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	g := &recorder{}
	s := open(t, member(c), g)
	for range 2 {
		if got, err := s.Poll(t.Context(), nil, 1); len(got) > 0 || err != nil {
			t.Fatal(got, err)
		}
	}
	if err := s.Resubscribe([]string{"pedidos"}); err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	if err := s.Resubscribe(nil); err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 0 })
}

func TestATopicThatComesLaterIsReadThen(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "clientes"))
	g := &recorder{}
	s := open(t, member(c, "topic.metadata.refresh.interval.ms", "200"), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return s.Problem().Err != nil })
	if err := s.Problem().Err; !strings.Contains(err.Error(), "pedidos") {
		t.Errorf("the problem does not name the topic: %v", err)
	}
	if _, err := admin(t, client(c)).CreateTopic(t.Context(), TopicSpec{Name: "pedidos", Partitions: 1, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	if err := s.Problem().Err; err != nil {
		t.Errorf("still a problem: %v", err)
	}
}

func TestMissingTopicsAreKnownUntilTheyAreThere(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "clientes"))
	g := &recorder{}
	topics := []string{"clientes", "pedidos", "produtos"}
	s := open(t, member(c), g, topics...)
	missing := func(want string) func([]task.Message) bool {
		return func([]task.Message) bool {
			got, err := s.Missing(t.Context())
			return err == nil && strings.Join(got, " ") == want
		}
	}
	poll(t, s, missing("pedidos produtos"))
	if _, err := admin(t, client(c)).CreateTopic(t.Context(), TopicSpec{Name: "pedidos", Partitions: 1, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	poll(t, s, missing("produtos"))
	if err := s.Resubscribe(topics); err != nil {
		t.Fatal(err)
	}
	// Long before the client's own refresh, which is every five minutes.
	poll(t, s, func([]task.Message) bool { return g.holds() == 2 })
}

func TestStartWithoutACommittedOffset(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	produce(t, c, "pedidos", 0, "a", "b", "c")
	for name, tc := range map[string]struct {
		startAt string
		chosen  map[task.Partition]int64
		first   int64
		fails   string
	}{
		"earliest":                     {startAt: "earliest", first: 0},
		"latest":                       {startAt: "latest", first: 3},
		"none":                         {startAt: "none", fails: "auto.offset.reset=none"},
		"the task's choice goes first": {startAt: "none", chosen: map[task.Partition]int64{{Topic: "pedidos"}: 2}, first: 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := &recorder{at: tc.chosen}
			s, err := OpenSource(t.Context(), SourceConfig{Properties: member(c, "group.id", "g-"+strings.ReplaceAll(name, " ", "-")), Topics: []string{"pedidos"}, Group: g, StartAt: tc.startAt})
			if err != nil {
				t.Fatal(err)
			}
			defer shut(t, s)
			if tc.fails != "" {
				if err := pollError(t, s); !strings.Contains(err.Error(), tc.fails) || !strings.Contains(err.Error(), "pedidos-0") {
					t.Error(err)
				}
				return
			}
			poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
			at, err := s.positions()
			if err != nil || len(at) != 1 || at[0].Offset != tc.first {
				t.Errorf("%+v, %v", at, err)
			}
		})
	}
}

func TestAnOffsetOutsideTheLogIsAnErrorWithTheRange(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"))
	produce(t, c, "pedidos", 0, "a", "b", "c", "d")
	produce(t, c, "pedidos", 1, "a")
	trim := func(to int64) {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "pedidos", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: to}}}}
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if _, err := req.RequestWith(t.Context(), cl); err != nil {
			t.Fatal(err)
		}
	}
	trim(2)
	want := func(err error, offset, low, high int64) {
		t.Helper()
		o, ok := errors.AsType[*task.OutOfRangeError](err)
		if !ok {
			t.Fatalf("%v", err)
		}
		if d := cmp.Diff(task.OutOfRangeError{Partition: task.Partition{Topic: "pedidos"}, Offset: offset, Low: low, High: high}, *o); d != "" {
			t.Error(d)
		}
	}
	t.Run("at the start, and the other partition goes on", func(t *testing.T) {
		g := &recorder{at: map[task.Partition]int64{{Topic: "pedidos"}: 1}}
		s := open(t, member(c, "group.id", "start"), g, "pedidos")
		want(pollError(t, s), 1, 2, 4)
		poll(t, s, func([]task.Message) bool {
			at, err := s.positions()
			return err == nil && len(at) == 2 && at[1].Offset == 1
		})
	})
	t.Run("past the end", func(t *testing.T) {
		g := &recorder{at: map[task.Partition]int64{{Topic: "pedidos"}: 9}}
		want(pollError(t, open(t, member(c, "group.id", "end"), g, "pedidos")), 9, 2, 4)
	})
	t.Run("while it was paused", func(t *testing.T) {
		g := &recorder{at: map[task.Partition]int64{{Topic: "pedidos"}: 4}}
		s := open(t, member(c, "group.id", "paused"), g, "pedidos")
		poll(t, s, func([]task.Message) bool { return g.holds() == 2 })
		held := []task.Partition{{Topic: "pedidos"}}
		if err := s.Pause(held); err != nil {
			t.Fatal(err)
		}
		produce(t, c, "pedidos", 0, "e", "f")
		trim(6)
		if err := s.Resume(held); err != nil {
			t.Fatal(err)
		}
		err := pollError(t, s)
		o, ok := errors.AsType[*task.OutOfRangeError](err)
		if !ok || o.Low != 6 || o.High != 6 || o.Offset < 4 || o.Offset >= 6 {
			t.Error(err)
		}
	})
}

func TestATaskThatCannotTakePartitionsStaysAMember(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(2, "pedidos"))
	produce(t, c, "pedidos", 0, "a")
	g := &recorder{refuse: errors.New("no room")}
	s := open(t, member(c), g, "pedidos")
	if err := pollError(t, s); !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "connect-test") {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := s.Poll(t.Context(), nil, 10); err != nil || len(got) > 0 {
			t.Fatalf("reads %v, %v", got, err)
		}
	}
	// It is still the group's: what it may know of its partitions can be committed.
	if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "")}); err != nil {
		t.Error(err)
	}
	if err := closeSource(s); err != nil {
		t.Error(err)
	}
	if g.log() != "A2 R2" {
		t.Error(g.log())
	}
}

func TestPassingTroubleAtAnAssignmentIsWaitedOut(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	f := c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: 3},
		kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition, Count: 3},
	)
	defer f.Remove()
	g := &recorder{}
	poll(t, open(t, member(c), g, "pedidos"), func([]task.Message) bool { return g.holds() == 1 })
}

func TestARefusedGroupFailsPollWithTheReason(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	defer c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1}).Remove()
	err := pollError(t, open(t, member(c), &recorder{}, "pedidos"))
	if !strings.Contains(err.Error(), "connect-test") || !strings.Contains(err.Error(), "uthorization") {
		t.Error(err)
	}
}

func TestAWrongPasswordIsSaid(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			c := cluster(t, kfake.SeedTopics(1, "pedidos"), kfake.EnableSASL(), kfake.Superuser(mechanism, "connect", "right"))
			security := []string{"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism, "sasl.username", "connect", "sasl.password"}
			g := &recorder{}
			s := open(t, member(c, append(security, "right")...), g, "pedidos")
			poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
			wrong := open(t, member(c, append(security, "geheimnis")...), &recorder{}, "pedidos")
			var text string
			for end := time.Now().Add(patience); text == "" && time.Now().Before(end); {
				if _, err := wrong.Poll(t.Context(), nil, 1); err != nil {
					text = err.Error()
				} else if p := wrong.Problem(); p.Err != nil {
					text = p.Err.Error()
				}
			}
			for _, part := range []string{"sasl.username=connect", "SASL_PLAINTEXT", mechanism} {
				if !strings.Contains(text, part) {
					t.Errorf("%q does not say %s", text, part)
				}
			}
			if strings.Contains(text, "geheimnis") {
				t.Errorf("%q tells the password", text)
			}
		})
	}
}

func TestSourcePropertiesThatCannotBe(t *testing.T) {
	g := &recorder{}
	for name, c := range map[string]struct {
		cfg  SourceConfig
		want string
	}{
		"no group.id":     {SourceConfig{Properties: map[string]string{}, Group: g}, "group.id"},
		"no group":        {SourceConfig{Properties: map[string]string{"group.id": "g"}}, "Group"},
		"native code":     {SourceConfig{Properties: map[string]string{"group.id": "g", "plugin.library.paths": "x"}, Group: g}, "plugin.library.paths"},
		"the host's own":  {SourceConfig{Properties: map[string]string{"group.id": "g", "go.events.channel.enable": "true"}, Group: g}, "go.events.channel.enable"},
		"a wrong start":   {SourceConfig{Properties: map[string]string{"group.id": "g"}, Group: g, StartAt: "now"}, "auto.offset.reset"},
		"twice":           {SourceConfig{Properties: map[string]string{"group.id": "g", "max.partition.fetch.bytes": "5", "fetch.message.max.bytes": "6"}, Group: g}, "set twice"},
		"a secret value":  {SourceConfig{Properties: map[string]string{"group.id": "g", "security.protocol": "ssl", "ssl.key.pem": "geheimnis"}, Group: g}, "ssl.key.pem"},
		"a wrong value":   {SourceConfig{Properties: map[string]string{"group.id": "g", "session.timeout.ms": "soon"}, Group: g}, "session.timeout.ms"},
		"no such setting": {SourceConfig{Properties: map[string]string{"group.id": "g", "sesion.timeout.ms": "1"}, Group: g}, "sesion.timeout.ms"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenSource(t.Context(), c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheimnis") {
				t.Error(err)
			}
		})
	}
}
