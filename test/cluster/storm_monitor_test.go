package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// monitor asks the cluster what should run, and Kafka what does, and compares.
type monitor struct {
	s     *storm
	admin *kadm.Client

	mu       sync.Mutex // guards the fields below
	well     map[string]time.Duration
	worst    map[string]time.Duration
	told     map[string]bool
	progress map[string]int64 // what each connector's group had committed, of all partitions together
	polls    int
}

func newMonitor(s *storm) *monitor {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.cluster.bootstrap, ",")...), kgo.RetryTimeout(5*time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return &monitor{s: s, admin: kadm.NewClient(client), well: map[string]time.Duration{}, worst: map[string]time.Duration{}, told: map[string]bool{}, progress: map[string]int64{}}
}

func (m *monitor) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.look(ctx)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// should is what the cluster says of a connector.
type should struct {
	tasks   int
	running bool
}

// look compares once.
func (m *monitor) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	want, ok := m.wanted(ctx)
	var groups []string
	for n := range m.s.records {
		groups = append(groups, "connect-"+m.s.name(n))
	}
	described, err := m.admin.DescribeGroups(ctx, groups...)
	if !ok || err != nil {
		return // a worker or a broker that is away: what follows is judged after it
	}
	committed := m.admin.FetchManyOffsets(ctx, groups...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.polls++
	disrupted := time.Duration(m.s.disrupted.Load())
	for n := range m.s.records {
		name := m.s.name(n)
		w, exists := want[name]
		touched := m.s.records[n].last()
		members := map[string]int{}
		for _, member := range described["connect-"+name].Members {
			members[member.ClientID]++
		}
		for task := range m.s.tasks(n) {
			have := members[fmt.Sprintf("connector-consumer-%s-%d", name, task)]
			id := fmt.Sprintf("%s-%d", name, task)
			m.judge("runs nowhere: "+id, !exists || task >= w.tasks || have > 0, disrupted)
			// A member that is told to leave while the group is rebalancing stays in it for a session: the broker reads
			// its word when the join that went before it on the connection is answered.
			m.judge("runs twice: "+id, have < 2, max(disrupted, touched))
			m.judge("runs without having to: "+id, exists && task < w.tasks || have == 0, max(disrupted, touched))
		}
		sum := int64(0)
		committed["connect-"+name].Fetched.Each(func(o kadm.OffsetResponse) { sum += o.At })
		was := m.progress[name]
		m.judge("makes no progress: "+name, !w.running || sum > was, disrupted)
		m.progress[name] = max(sum, was)
	}
}

// judge notes whether something is well; it may be bad for the bound after the last disruption, not longer.
func (m *monitor) judge(what string, well bool, disrupted time.Duration) {
	now := time.Since(m.s.began)
	if _, known := m.well[what]; well || !known {
		m.well[what] = now
		return
	}
	bad := now - max(m.well[what], disrupted)
	m.worst[what] = max(m.worst[what], bad)
	if bad > m.s.bound() && !m.told[what] {
		m.told[what] = true
		m.s.t.Errorf("%7.1fs %s for %v, %v after the last disruption", now.Seconds(), what, (now - m.well[what]).Round(time.Second), (now - disrupted).Round(time.Second))
	}
}

// wanted asks whichever worker answers what should run.
func (m *monitor) wanted(ctx context.Context) (map[string]should, bool) {
	for _, p := range m.s.procs {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		res, err := p.now().Get(asking, "/connectors?expand=info&expand=status")
		cancel()
		if err != nil || res.StatusCode != http.StatusOK {
			continue
		}
		var all map[string]struct {
			Info   struct{ Tasks []any }
			Status status
		}
		if err := json.Unmarshal(res.Body, &all); err != nil {
			m.s.t.Error(err)
			return nil, false
		}
		want := map[string]should{}
		for name, c := range all {
			want[name] = should{len(c.Info.Tasks), c.Status.Connector.State == "RUNNING" && len(c.Info.Tasks) > 0}
		}
		return want, true
	}
	return nil, false
}

// awaitProgress waits until each group has committed more than it had at the call.
func (m *monitor) awaitProgress(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	before := map[string]int64{}
	for n := range m.s.records {
		before[m.s.name(n)] = m.progress[m.s.name(n)]
	}
	m.mu.Unlock()
	worker.Eventually(t, m.s.bound()+5*time.Second, "every consumer group makes progress", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for name, sum := range before {
			if m.progress[name] <= sum {
				return false
			}
		}
		return true
	})
}

// report tells the worst of each kind.
func (m *monitor) report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	worst := map[string]time.Duration{}
	for what, d := range m.worst {
		kind, _, _ := strings.Cut(what, ":")
		worst[kind] = max(worst[kind], d)
	}
	var text []string
	for kind, d := range worst {
		text = append(text, fmt.Sprintf("%s %v", kind, d.Round(100*time.Millisecond)))
	}
	slices.Sort(text)
	m.s.t.Logf("looked %d times; the longest that a connector or task, since it was last well or something was disrupted: %s", m.polls, strings.Join(text, ", "))
	if m.polls < 5 {
		m.s.t.Errorf("looked %d times only", m.polls)
	}
}
