package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAFencedInstanceEndsTheMember(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	g := &recorder{}
	s := open(t, member(c, "group.instance.id", "c-0"), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	g2 := &recorder{}
	run(t, open(t, member(c, "group.instance.id", "c-0"), g2, "pedidos"))
	eventually(t, "the newer one has it", func() bool { return g2.holds() == 1 })
	err := pollError(t, s)
	if !Fenced(err) {
		t.Errorf("not fenced: %v", err)
	}
	if again := pollError(t, s); again.Error() != err.Error() {
		t.Errorf("and then: %v", again)
	}
	if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "")}); !Fenced(err) {
		t.Errorf("commit: %v", err)
	}
	if err := closeSource(s); err != nil {
		t.Error(err)
	}
	if g.holds() != 0 {
		t.Errorf("still holds: %s", g.log())
	}
}

// TestAMemberThatWasForgottenConfirmsNothing: the coordinator dropped the only member, so the group
// is empty and would take offsets from anybody.
func TestAMemberThatWasForgottenConfirmsNothing(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	a := admin(t, client(c))
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "mine")}); err != nil {
		t.Fatal(err)
	}
	kick(t, c, a)
	// Nobody polls: every commit from here on meets a group without this member.
	defer c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorLoadInProgress, Count: -1}).Remove()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "zombie")}); !Fenced(err) {
			t.Fatalf("confirmed after the member was dropped: %v", err)
		}
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 0 })
	if g.log() != "A1 L1" {
		t.Error(g.log())
	}
}

func kick(t *testing.T, c *kfake.Cluster, a *Admin) {
	t.Helper()
	d, err := a.DescribeGroup(t.Context(), "connect-test")
	if err != nil || len(d.Members) != 1 {
		t.Fatal(d, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "connect-test"
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = d.Members[0].ID
	req.Members = append(req.Members, m)
	if _, err := req.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
}

func TestCommitErrorsAreClassified(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	for _, tc := range []struct {
		err    *kerr.Error
		fenced bool
		class  connector.Class
	}{
		{kerr.OffsetMetadataTooLarge, false, connector.ClassFatal},
		{kerr.GroupAuthorizationFailed, false, connector.ClassFatal},
		{kerr.RebalanceInProgress, false, connector.ClassRetryable},
		{kerr.IllegalGeneration, true, connector.ClassFatal},
	} {
		t.Run(tc.err.Message, func(t *testing.T) {
			defer c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: tc.err, Count: -1}).Remove()
			err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "")})
			if err == nil {
				t.Fatal("no error")
			}
			if class, _ := connector.Classify(err); class != tc.class || Fenced(err) != tc.fenced {
				t.Errorf("class %v, fenced %v: %v", class, Fenced(err), err)
			}
		})
	}
	if err := s.Commit(t.Context(), nil); err == nil {
		t.Error("a commit of nothing was confirmed")
	}
}

func TestACommitEndsWithItsContextAndUnansweredOnesAreFew(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	release := make(chan struct{})
	c.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	commit := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return s.Commit(ctx, []task.Position{at("pedidos", 0, 0, "")})
	}
	for range unansweredCommits + 2 {
		if err := commit(); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	if n := len(s.commits); n != unansweredCommits {
		t.Errorf("%d commits hold threads", n)
	}
	close(release)
	eventually(t, "all answered", func() bool { return len(s.commits) == 0 })
	if err := s.Commit(t.Context(), []task.Position{at("pedidos", 0, 0, "")}); err != nil {
		t.Error(err)
	}
}

func TestCloseWithBrokersDown(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	var lines strings.Builder
	log := slog.New(slog.NewTextHandler(&lines, nil))
	g := &recorder{}
	s, err := OpenSource(t.Context(), SourceConfig{Properties: member(c), Topics: []string{"pedidos"}, Group: g, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	c.Close()
	poll(t, s, func([]task.Message) bool { return s.Problem().Err != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %v", time.Since(began))
	if g.holds() != 0 {
		t.Error(g.log())
	}
	if n := strings.Count(lines.String(), "level=WARN"); n == 0 || n > 4 {
		t.Errorf("%d lines:\n%s", n, lines.String())
	}
}

func TestCloseDoesNotWaitForBrokersToAnswerACommit(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "pedidos"))
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	g := &recorder{}
	s := open(t, member(c), g, "pedidos")
	poll(t, s, func([]task.Message) bool { return g.holds() == 1 })
	c.Close()
	poll(t, s, func([]task.Message) bool { return s.Problem().Err != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, []task.Position{at("pedidos", 0, 1, "")}); err == nil {
		t.Fatal("committed without brokers")
	}
	began := time.Now()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closed in %v", took)
	}
	if g.holds() != 0 {
		t.Error(g.log())
	}
	cluster(t, kfake.SeedTopics(1, "pedidos"), kfake.Ports(must[int](t)(strconv.Atoi(port))))
	eventually(t, "the client is freed when brokers are back", s.c.IsClosed)
}
