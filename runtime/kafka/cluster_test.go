package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/twmb/franz-go/pkg/kfake"
)

func ensure(t testing.TB, a *Admin, name string, partitions int) {
	t.Helper()
	_, err := EnsureTopic(t.Context(), a, InternalTopic{TopicSpec: TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: 1}, Key: "x.storage.topic"}, orDiscard(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
}

func openLog(t testing.TB, c *kfake.Cluster, a *Admin, topic string, partitions int) *TopicLog {
	t.Helper()
	p, err := OpenProducer(t.Context(), ProducerConfig{Properties: client(c)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenTopicLog(t.Context(), TopicLogConfig{Properties: client(c), Topic: topic, Partitions: partitions, Admin: a, Producer: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(l.Close(ctx), p.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return l
}

// follower reads a log until the test ends.
type follower struct {
	mu   sync.Mutex // guards the rest
	got  []store.Entry
	next int64
}

func follow(t testing.TB, l *TopicLog) *follower {
	f := &follower{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		from := int64(0)
		for {
			entries, next, err := l.Read(ctx, from)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			f.mu.Lock()
			f.got, f.next = append(f.got, entries...), next
			f.mu.Unlock()
			from = next
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *follower) await(t testing.TB, next int64) []store.Entry {
	t.Helper()
	var got []store.Entry
	eventually(t, fmt.Sprintf("the log is read to %d", next), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		got = f.got
		return f.next >= next
	})
	return got
}

func TestALogOfOnePartitionIsReadFromItsBeginningByKafkasOffsets(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "configs", 1)
	produce(t, c, "configs", 0, "a", "b")
	l := openLog(t, c, a, "configs", 1)
	f := follow(t, l)
	offset, err := l.Append(t.Context(), store.Entry{Key: []byte("x"), Value: []byte("1")}, store.Entry{Key: []byte("x")})
	if err != nil || offset != 3 {
		t.Fatal(offset, err)
	}
	got := f.await(t, 4)
	if len(got) != 4 || got[0].Offset != 0 || got[3].Offset != 3 || got[3].Value != nil || string(got[2].Value) != "1" {
		t.Errorf("%+v", got)
	}
	if end, err := l.End(t.Context()); err != nil || end != 4 {
		t.Error(end, err)
	}
}

func TestALogOfSeveralPartitionsCountsWhatItHasRead(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "status", 5)
	l := openLog(t, c, a, "status", 5)
	f := follow(t, l)
	var last int64
	for i := range 20 {
		at, err := l.Append(t.Context(), store.Entry{Key: fmt.Append(nil, "k", i), Value: []byte("v")}, store.Entry{Key: fmt.Append(nil, "j", i), Value: []byte("w")})
		if err != nil || at < last {
			t.Fatal(at, last, err)
		}
		last = at
		got := f.await(t, at+1)
		if len(got) < 2*(i+1) {
			t.Fatalf("%d entries are readable after append %d", len(got), i)
		}
	}
	if end, err := l.End(t.Context()); err != nil || end != 40 {
		t.Error(end, err)
	}
}

func TestInternalTopicsAreMadeCompactedAndRefusedOtherwise(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	topic := InternalTopic{TopicSpec: TopicSpec{Name: "configs", Partitions: 7, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "delete", "segment.bytes": "1048576"}},
		Key: "config.storage.topic", Purpose: "connector configurations", Single: true}
	for range 2 { // made, then found
		if n, err := EnsureTopic(t.Context(), a, topic, orDiscard(nil), nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if config, err := a.DescribeTopicConfig(t.Context(), "configs"); err != nil || config["cleanup.policy"] != "compact" || config["segment.bytes"] != "1048576" {
		t.Error(config, err)
	}
	for _, spec := range []TopicSpec{{Name: "wide", Partitions: 3, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "compact"}}, {Name: "plain", Partitions: 1, ReplicationFactor: 1}} {
		if _, err := a.CreateTopic(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"wide":  "Topic 'wide' supplied via the 'config.storage.topic' property is required to have a single partition in order to guarantee consistency of connector configurations, but found 3 partitions.",
		"plain": "Topic 'plain' supplied via the 'config.storage.topic' property is required to have 'cleanup.policy=compact' to guarantee consistency and durability of connector configurations, but found the topic currently has 'cleanup.policy=delete'.",
	} {
		other := topic
		other.Name = name
		if _, err := EnsureTopic(t.Context(), a, other, orDiscard(nil), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
	topic.Name, topic.ReplicationFactor = "much", 3
	if _, err := EnsureTopic(t.Context(), a, topic, orDiscard(nil), nil); err == nil || !strings.Contains(err.Error(), "Unable to create topic(s) 'much' named by config.storage.topic") {
		t.Error(err)
	}
}

// workerMember is a Membership that runs until it is stopped.
type workerMember struct {
	*Membership
	stop context.CancelFunc
	done chan error
}

func join(t testing.TB, c *kfake.Cluster, name string, change ...func(*Membership)) *workerMember {
	t.Helper()
	m, err := OpenMembership(MembershipConfig{
		Properties: client(c), Group: "workers", Topic: "members", ClientID: "http://" + name + ":8083#" + name,
		TransactionalID: "workers-leader", Session: 6 * time.Second, Heartbeat: 200 * time.Millisecond, Rebalance: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &workerMember{m, cancel, make(chan error, 1)}
	go func() { w.done <- m.Run(ctx) }()
	t.Cleanup(w.leave)
	return w
}

func (w *workerMember) leave() {
	w.stop()
	err := <-w.done
	w.done <- err
}

func (w *workerMember) leads(t testing.TB) (term int64) {
	t.Helper()
	eventually(t, w.cfg.ClientID+" leads", func() (held bool) { term, held = w.Office(); return held })
	return term
}

func TestTheOwnerOfThePartitionLeadsAndWritesUntilItLeaves(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "members", 1)
	ensure(t, a, "configs", 1)
	first := join(t, c, "a")
	term := first.leads(t)
	l := openLog(t, c, a, "configs", 1)
	f := follow(t, l)
	offset, err := first.Append(t.Context(), term, "configs", store.Entry{Key: []byte("k"), Value: []byte("1")}, store.Entry{Key: []byte("k"), Value: []byte("2")})
	if err != nil || offset != 1 {
		t.Fatal(offset, err)
	}
	// The marker of the transaction is passed too, or the log's end would never be reached.
	end, err := l.End(t.Context())
	if got := f.await(t, end); err != nil || end != 3 || len(got) != 2 {
		t.Error(end, got, err)
	}

	second := join(t, c, "b")
	eventually(t, "both are members", func() bool {
		g, err := a.DescribeGroup(t.Context(), "workers")
		return err == nil && g.State == "Stable" && len(g.Members) == 2
	})
	if _, err := first.Append(t.Context(), term, "configs", store.Entry{Key: []byte("k"), Value: []byte("3")}); err != nil {
		t.Error("a rebalance that leaves the partition must not end the term: ", err)
	}
	if _, held := second.Office(); held {
		t.Error("two lead")
	}
	first.leave()
	if _, err := first.Append(t.Context(), term, "configs", store.Entry{Key: []byte("k")}); !errors.Is(err, store.ErrFenced) {
		t.Error(err)
	}
	if _, err := second.Append(t.Context(), second.leads(t), "configs", store.Entry{Key: []byte("k"), Value: []byte("4")}); err != nil {
		t.Error(err)
	}
	if _, err := second.Append(t.Context(), 99, "configs", store.Entry{Key: []byte("k")}); !errors.Is(err, store.ErrFenced) {
		t.Error("a write of another term went through: ", err)
	}
}

func TestALeaderThatIsFencedGivesUpItsOfficeAndTakesItAnew(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "members", 1)
	ensure(t, a, "configs", 1)
	w := join(t, c, "a")
	term := w.leads(t)
	if _, err := w.Append(t.Context(), term, "configs", store.Entry{Key: []byte("k"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	// A stray producer with the leader's transactional id.
	stray := &stay{Membership: w.Membership}
	p, err := stray.fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	stray.helpers.Wait()
	if _, err := w.Append(t.Context(), term, "configs", store.Entry{Key: []byte("k"), Value: []byte("2")}); !errors.Is(err, store.ErrFenced) {
		t.Error("a fenced write: ", err)
	}
	var again int64
	eventually(t, "it leads anew", func() bool { n, held := w.Office(); again = n; return held && n > term })
	if _, err := w.Append(t.Context(), again, "configs", store.Entry{Key: []byte("k"), Value: []byte("3")}); err != nil {
		t.Error(err)
	}
	l := openLog(t, c, a, "configs", 1)
	f := follow(t, l)
	end, err := l.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, e := range f.await(t, end) {
		values = append(values, string(e.Value))
	}
	if got := strings.Join(values, " "); got != "1 3" {
		t.Errorf("the log holds %s", got)
	}
}

// TestALeaderThatWasStoppedInsideATransactionGivesUpItsOffice is SIGSTOP after the write and before the commit, for longer than
// transaction.timeout.ms and shorter than the session: the coordinator has taken the transaction back, and the member is
// one still. Nothing that was not acknowledged is seen, and the office is taken anew without anybody else's doing.
func TestALeaderThatWasStoppedInsideATransactionGivesUpItsOffice(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "members", 1)
	ensure(t, a, "configs", 1)
	w := join(t, c, "a", func(m *Membership) { m.producer["transaction.timeout.ms"] = "1000" })
	term := w.leads(t)
	entry := func(v string) store.Entry { return store.Entry{Key: []byte("k"), Value: []byte(v)} }
	if _, err := w.Append(t.Context(), term, "configs", entry("1")); err != nil {
		t.Fatal(err)
	}
	w.writing <- struct{}{} // as Append does
	w.mu.Lock()
	o := w.office
	w.mu.Unlock()
	if err := o.p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	offset, err := w.fill(t.Context(), o, "configs", []store.Entry{entry("2")})
	if err != nil {
		t.Fatal(err)
	}
	l := openLog(t, c, a, "configs", 1)
	eventually(t, "the coordinator has taken the transaction back", func() bool {
		end, err := l.End(t.Context())
		return err == nil && end > offset // the last stable offset has passed it
	})
	_, err = w.commit(t.Context(), o, offset)
	<-w.writing
	if open := new(store.UnsettledError); !errors.Is(err, store.ErrFenced) && !errors.As(err, &open) {
		t.Errorf("the commit after the stop: %v", err)
	}
	var again int64
	eventually(t, "it leads anew", func() bool { n, held := w.Office(); again = n; return held && n > term })
	if _, err := w.Append(t.Context(), again, "configs", entry("3")); err != nil {
		t.Error(err)
	}
	end, err := l.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, e := range follow(t, l).await(t, end) {
		values = append(values, string(e.Value))
	}
	if got := strings.Join(values, " "); got != "1 3" {
		t.Errorf("the log holds %s", got)
	}
}

// A member that waits for work is no less a member: the group must not wait for its session when it leaves.
func TestAMemberWithoutThePartitionIsOutOfTheGroupWhenItHasLeft(t *testing.T) {
	c := cluster(t)
	a := admin(t, client(c))
	ensure(t, a, "members", 1)
	first := join(t, c, "a")
	first.leads(t)
	second := join(t, c, "b")
	members := func() (ids []string) {
		g, err := a.DescribeGroup(t.Context(), "workers")
		if err != nil || g.State != "Stable" {
			return nil
		}
		for _, m := range g.Members {
			ids = append(ids, m.ClientID)
		}
		return ids
	}
	eventually(t, "both are members", func() bool { return len(members()) == 2 })
	began := time.Now()
	second.leave()
	eventually(t, "the group has one member", func() bool { return len(members()) == 1 })
	if took := time.Since(began); took >= 5*time.Second { // the session is 6 s
		t.Errorf("the group kept the member for %s", took)
	}
}
