package runtime

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"pgregory.net/rapid"
)

// council is the in-memory twin of the workers' group and of the logs that its leader writes: the first member leads.
type council struct {
	t      *testing.T
	broker *broker
	config *store.MemoryLog
	status *store.MemoryLog
	plans  *store.MemoryLog

	mu      sync.Mutex // guards all below
	members []*seat
	terms   int64
	changed chan struct{}
	nonces  map[string]string   // what the worker at a URL answers
	serving map[string]*citizen // by URL
	// fail, when it is set, decides what becomes of an append: written tells whether it happens anyhow.
	fail func(topic string) (written bool, err error)
}

// seat is one worker's membership.
type seat struct {
	*council
	id    string // client id
	url   string
	nonce string
	term  int64
}

func newCouncil(t *testing.T) *council {
	c := &council{t: t, broker: newBroker(), changed: make(chan struct{})}
	for _, l := range []**store.MemoryLog{&c.config, &c.status, &c.plans} {
		var err error
		if *l, err = store.OpenMemoryLog(""); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *council) nonceAt(_ context.Context, url string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nonce, ok := c.nonces[url]; ok {
		return nonce, nil
	}
	return "", errors.New("nobody answers")
}

// ask is the REST API of the worker at a URL, for what workers ask each other.
func (c *council) ask(ctx context.Context, url, path string, into any) error {
	c.mu.Lock()
	w := c.serving[url]
	c.mu.Unlock()
	if w == nil {
		return errors.New("nobody answers")
	}
	name, _ := strings.CutSuffix(strings.TrimPrefix(path, "/connectors/"), "/waiting?scope=worker")
	answer, err := w.WaitingHere(ctx, name)
	if err != nil {
		return err
	}
	*into.(*Waiting) = answer
	return nil
}

func (c *council) touch() {
	if len(c.members) > 0 && c.members[0].term == 0 {
		c.terms++
		c.members[0].term = c.terms
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Run implements Membership.
func (s *seat) Run(ctx context.Context) error {
	s.mu.Lock()
	s.members = append(s.members, s)
	s.touch()
	s.mu.Unlock()
	<-ctx.Done()
	s.drop()
	return nil
}

// drop takes the seat away, as a session timeout does.
func (s *seat) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = 0
	s.members = slices.DeleteFunc(s.members, func(o *seat) bool { return o == s })
	s.touch()
}

func (s *seat) Office() (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term, s.term > 0
}

func (s *seat) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *seat) Append(ctx context.Context, term int64, topic string, entries ...store.Entry) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == 0 || s.term != term {
		return 0, store.ErrFenced
	}
	log := s.config
	if topic == "plans" {
		log = s.plans
	}
	if s.fail != nil {
		if written, err := s.fail(topic); err != nil {
			if written {
				if _, err := log.Append(ctx, entries...); err != nil {
					return 0, err
				}
			}
			return 0, err
		}
	}
	return log.Append(ctx, entries...)
}

func (s *seat) Members(context.Context) ([]Peer, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var peers []Peer
	for i, m := range s.members {
		p := Peer{ClientID: m.id, Host: "/10.0.0.1"}
		if i == 0 {
			p.Topics = []string{"plans"}
		}
		peers = append(peers, p)
	}
	return peers, true, nil
}

// citizen is a running worker of a council.
type citizen struct {
	*Herder
	seat *seat
	sink *probe
	stop context.CancelFunc
	done chan error
	logs *lockedBuffer
}

func (c *council) join(name string, settings ...string) *citizen {
	c.t.Helper()
	raw := map[string]string{
		"bootstrap.servers": "broker:9092", "group.id": "workers", "offset.flush.interval.ms": "1000",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"config.storage.topic": "config", "status.storage.topic": "status", "offset.storage.topic": "offset",
	}
	for i := 0; i < len(settings); i += 2 {
		raw[settings[i]] = settings[i+1]
	}
	cfg, providers, err := ParseWorkerConfig(c.t.Context(), raw, true, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	w := &citizen{sink: &probe{}, done: make(chan error, 1), logs: &lockedBuffer{}}
	plugins, err := NewPlugins(testPlugins(w.sink))
	if err != nil {
		c.t.Fatal(err)
	}
	metrics, err := metric.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	w.seat = &seat{council: c, id: "http://" + name + ":8083#n-" + name, url: "http://" + name + ":8083", nonce: "n-" + name}
	w.Herder = NewHerder(HerderOptions{
		WorkerID: name + ":8083", Config: cfg, Providers: providers, Plugins: plugins, Clients: c.broker.clients(),
		ConfigLog: c.config, StatusLog: c.status, Metrics: metrics, Levels: NewLevels(slog.LevelInfo), Handler: slog.NewTextHandler(w.logs, nil),
		Cluster: &ClusterOptions{
			Membership: w.seat, PlanLog: c.plans, PlanTopic: "plans", ConfigTopic: "config", StatusTopic: "status", Group: raw["group.id"],
			URL: w.seat.url, Nonce: w.seat.nonce, Session: 10 * time.Second, Delay: cfg.Values.Duration("scheduled.rebalance.max.delay.ms"),
			NonceAt: c.nonceAt, Ask: c.ask,
			GroupMembers: func(ctx context.Context, group string) (int, error) {
				return cluster{b: c.broker}.GroupMembers(ctx, group)
			},
		},
	})
	c.mu.Lock()
	if c.serving == nil {
		c.serving = map[string]*citizen{}
	}
	c.serving[w.seat.url] = w
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	w.stop = cancel
	go func() { w.done <- w.Run(ctx) }()
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Log(w.logs.String())
		}
		if err := w.end(); err != nil {
			c.t.Errorf("%s ended with %v", w.opts.WorkerID, err)
		}
	})
	return w
}

func (w *citizen) end() error {
	w.stop()
	err := <-w.done
	w.done <- err
	w.seat.mu.Lock()
	delete(w.seat.serving, w.seat.url)
	w.seat.mu.Unlock()
	return err
}

func (w *citizen) ready(t *testing.T) *citizen {
	t.Helper()
	eventually(t, w.opts.WorkerID+" is ready", func() bool { return w.Health(t.Context()).Status == "healthy" })
	return w
}

// places gives the workers of a connector's running tasks.
func (w *citizen) places(name string) []string {
	st, err := w.Status(context.Background(), name)
	if err != nil {
		return nil
	}
	var out []string
	for _, task := range st.Tasks {
		if task.State == "RUNNING" {
			out = append(out, strings.TrimSuffix(task.WorkerID, ":8083"))
		}
	}
	return out
}

func (w *citizen) makes(t *testing.T, name string, cfg map[string]*string) error {
	t.Helper()
	_, err := w.Create(t.Context(), CreateRequest{Name: name, Config: cfg})
	return err
}

func TestTheLeaderWritesAndTheOthersSayWhoItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 4)
		a := c.join("a").ready(t)
		b := c.join("b").ready(t)
		var elsewhere *Elsewhere
		if err := b.makes(t, "c", probeConfig("t")); !errors.As(err, &elsewhere) || elsewhere.URL != "http://a:8083" {
			t.Fatal(err)
		}
		if err := a.makes(t, "c", probeConfig("t", "tasks.max", "4")); err != nil {
			t.Fatal(err)
		}
		for _, w := range []*citizen{a, b} {
			eventually(t, "two tasks run on each worker", func() bool {
				p := w.places("c")
				slices.Sort(p)
				return slices.Equal(p, []string{"a", "a", "b", "b"})
			})
		}
		for n, at := range b.places("c") {
			err := b.RestartTask(t.Context(), "c", n)
			if at == "b" && err != nil || at == "a" && (!errors.As(err, &elsewhere) || elsewhere.URL != "http://a:8083") {
				t.Errorf("restart of task %d on %s: %v", n, at, err)
			}
		}
		for _, err := range []error{b.Pause(t.Context(), "c"), b.Resume(t.Context(), "c"), b.Stop(t.Context(), "c"), b.Delete(t.Context(), "c"),
			second(b.Restart(t.Context(), "c", true, false)), second(b.ResetOffsets(t.Context(), "c")), second(b.SetLogger(t.Context(), "root", "WARN", true))} {
			if !errors.As(err, &elsewhere) {
				t.Error(err)
			}
		}
		if err := a.Stop(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "no task is left", func() bool { st, err := b.Status(t.Context(), "c"); return err == nil && len(st.Tasks) == 0 })
		if err := a.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the status is gone", func() bool { _, err := b.Status(t.Context(), "c"); return err != nil })
	})
}

func second[T any](_ T, err error) error { return err }

func TestTasksOfAWorkerThatIsGoneMoveAndComeBackWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 4)
		a, b := c.join("a").ready(t), c.join("b").ready(t)
		if err := a.makes(t, "c", probeConfig("t", "tasks.max", "2")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one task each", func() bool { p := b.places("c"); slices.Sort(p); return slices.Equal(p, []string{"a", "b"}) })
		if err := a.end(); err != nil {
			t.Error(err)
		}
		if plan := a.view.getPlan(); plan.Leader != "b:8083" || len(plan.Members) != 1 { // as the one that left has read it
			t.Errorf("a worker ended before the others had planned without it: %+v", plan)
		}
		eventually(t, "both tasks with b", func() bool { return slices.Equal(b.places("c"), []string{"b", "b"}) })
		if err := b.makes(t, "d", probeConfig("t")); err != nil {
			t.Error("the new leader must write: ", err)
		}
		c.join("a").ready(t)
		eventually(t, "a has a task again", func() bool { return slices.Contains(b.places("c"), "a") })
	})
}

func TestScheduledRebalanceMaxDelayKeepsTheTasksOfALeaverForItsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 4)
		delay := []string{"scheduled.rebalance.max.delay.ms", "30000"}
		a, b := c.join("a", delay...).ready(t), c.join("b", delay...).ready(t)
		if err := a.makes(t, "c", probeConfig("t", "tasks.max", "2")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "one task each", func() bool { return slices.Contains(a.places("c"), "b") && slices.Contains(a.places("c"), "a") })
		b.seat.drop()
		began := time.Now()
		eventually(t, "the delay is over", func() bool { return len(a.view.getPlan().Members) == 1 })
		if waited := time.Since(began); waited < 30*time.Second || waited > 32*time.Second {
			t.Errorf("planned without it after %v", waited)
		}
	})
}

func TestAWriteWhoseOutcomeIsOpenIsResolvedByReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 1)
		a := c.join("a").ready(t)
		var attempts int
		c.mu.Lock()
		c.fail = func(topic string) (bool, error) {
			if topic != "config" {
				return false, nil
			}
			attempts++
			end, err := c.config.End(t.Context())
			if err != nil {
				return false, err
			}
			return true, &store.UnsettledError{Offset: end + 1, Err: errors.New("fenced")}
		}
		c.mu.Unlock()
		if err := a.makes(t, "c", probeConfig("t")); err != nil || attempts != 1 {
			t.Error("what was read back counts: ", err)
		}
		// A transaction that was taken back leaves offsets without entries.
		gap := a.view.version() + 1000
		c.mu.Lock()
		c.fail = func(string) (bool, error) {
			return false, &store.UnsettledError{Offset: gap, Err: errors.New("fenced")}
		}
		c.mu.Unlock()
		done := make(chan error)
		go func() {
			_, err := a.appendConfig(t.Context(), a.view.getTerm(), []store.Entry{store.LoggerEntry("x", "INFO")})
			done <- err
		}()
		synctest.Wait()
		a.view.advance(&a.view.config, gap+1)
		if err := <-done; !errors.Is(err, store.ErrFenced) {
			t.Error(err)
		}
		c.mu.Lock()
		c.fail = nil
		c.mu.Unlock()
	})
}

func TestAWorkerIsAdmittedOrToldWhyNot(t *testing.T) {
	me := &ClusterOptions{Group: "workers", PlanTopic: "plans", ConfigTopic: "config", StatusTopic: "status", URL: "http://127.0.0.1:8083", Nonce: "me"}
	for _, tt := range []struct {
		name  string
		peers []Peer
		wait  bool
		err   string
	}{
		{"nobody there", nil, false, ""},
		{"workers of the cluster", []Peer{{ClientID: "http://127.0.0.1:8084#x", Topics: []string{"plans"}}}, false, ""},
		{"its own former process", []Peer{{ClientID: "http://127.0.0.1:8083#x"}}, true, ""},
		{"a cluster with another config topic", []Peer{{ClientID: "http://h:8083#x", Topics: []string{"other-members"}}}, false, "another cluster of workers with another config.storage.topic"},
		{"consumers of a connector", []Peer{{ClientID: "connector-consumer-c-0", Topics: []string{"orders"}}}, false, "name another group.id"},
		{"a program without partitions", []Peer{{ClientID: "rdkafka", Host: "/10.0.0.9"}}, false, "no worker of this kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wait, err := admission(tt.peers, me)
			if (wait != nil) != tt.wait || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v %v", wait, err)
			}
		})
	}
	both := []Peer{{ClientID: me.ClientID(), Host: "/10.0.0.1"}, {ClientID: "http://h:8083#x", Host: "/10.0.0.2"}}
	if err := reachable(both, me); err == nil || !strings.Contains(err.Error(), "rest.advertised.host.name") {
		t.Error(err)
	}
	both[1].Host = "/10.0.0.1"
	if err := reachable(both, me); err != nil {
		t.Error(err)
	}
	if err := foreign(ClusterPlan{Group: "other"}, me); err == nil || !strings.Contains(err.Error(), "group.id other") {
		t.Error(err)
	}
	if err := foreign(ClusterPlan{Group: "workers", StatusTopic: "elsewhere"}, me); err == nil || !strings.Contains(err.Error(), "status.storage.topic") {
		t.Error(err)
	}
}

func TestAWorkerWhoseAddressAnotherProcessHasEndsWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		ghost := &seat{council: c, id: "http://a:8083#ghost"}
		c.mu.Lock()
		c.members = append(c.members, ghost)
		c.mu.Unlock()
		a := c.join("a")
		time.Sleep(8 * time.Second)
		if a.Health(t.Context()).Status == "healthy" {
			t.Error("it joined beside its former process")
		}
		ghost.drop() // the session of the dead process is over
		a.ready(t)

		b := c.join("b")
		other := &seat{council: c, id: "http://c:8083#other"}
		c.mu.Lock()
		c.members = append(c.members, other)
		c.nonces = map[string]string{"http://c:8083": "other"}
		c.mu.Unlock()
		b.ready(t)
		w := c.join("c")
		if err := <-w.done; err == nil || !strings.Contains(err.Error(), "is another process") {
			t.Error(err)
		}
		w.done <- nil // for the clean-up
		if strings.Contains(w.logs.String(), "worker is ready") {
			t.Error("it was ready beside the other")
		}
	})
}

func TestWhatASlowWorkerSaysOfATaskThatHasMovedIsContradicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 1)
		a := c.join("a").ready(t)
		if err := a.makes(t, "c", probeConfig("t")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it runs", func() bool { return slices.Equal(a.places("c"), []string{"a"}) })
		for _, e := range []store.Entry{
			store.TaskStatusEntry(store.TaskKey{Connector: "c"}, store.Status{State: "UNASSIGNED", WorkerID: "old:8083", Generation: -1}),
			store.ConnectorStatusEntry("c", store.Status{State: "UNASSIGNED", WorkerID: "old:8083", Generation: -1}),
			store.Tombstone(store.TaskStatusKey(store.TaskKey{Connector: "c"})),
		} {
			if _, err := c.status.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the owner's word stands", func() bool {
				st, err := a.Status(t.Context(), "c")
				return err == nil && st.Connector.WorkerID == "a:8083" && slices.Equal(a.places("c"), []string{"a"})
			})
		}
	})
}

func TestTheLeaderRepairsWhatForeignRecordsHaveHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		c.broker.create("t", 1)
		a := c.join("a").ready(t)
		if err := a.makes(t, "c", probeConfig("t", "password.x", "geheim")); err != nil {
			t.Fatal(err)
		}
		if err := a.Pause(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		want := a.view.get().Connectors["c"].Config
		for _, key := range []string{store.ConnectorKey("c"), store.TargetKey("c")} {
			if _, err := c.config.Append(t.Context(), store.Entry{Key: []byte(key), Value: []byte("{trunc")}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it is there again, and paused", func() bool {
			s := a.view.get()
			return cmp.Equal(s.Connectors["c"].Config, want) && s.Target("c").State == store.Paused
		})
		if strings.Contains(a.logs.String(), "geheim") {
			t.Error("a secret is in the log")
		}
		if err := a.Delete(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.config.Append(t.Context(), store.Entry{Key: []byte(store.ConnectorKey("c")), Value: []byte("{trunc")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, ok := a.view.get().Connectors["c"]; ok {
			t.Error("a deleted connector came back")
		}
	})
}

func TestPlansAreReadBackAsTheyWereMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a:1", "b:1", "c:2", "d:3"}), 1, 4, rapid.ID).Draw(t, "members")
		counts := rapid.MapOfN(rapid.SampledFrom([]string{"c1", "c-2", "ção/%"}), rapid.IntRange(0, 9), 0, 3).Draw(t, "tasks")
		want := ClusterPlan{Generation: 7, Config: 12, Group: "g", StatusTopic: "s", Leader: members[0], Members: map[string]string{}, Assignment: Plan(counts, members, Assignment{})}
		for _, m := range members {
			want.Members[m] = "http://" + m
		}
		e, err := planEntry(want)
		if err != nil {
			t.Fatal(err)
		}
		e.Offset = 7
		got, err := readPlan(e)
		if err != nil || !cmp.Equal(want, got) || !got.says(want) {
			t.Fatal(cmp.Diff(want, got), err)
		}
	})
}

func FuzzReadPlan(f *testing.F) {
	e, err := planEntry(ClusterPlan{Members: map[string]string{"a:1": "http://a:1"}, Assignment: Plan(map[string]int{"c": 2}, []string{"a:1"}, Assignment{})})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Value)
	f.Add([]byte(`{"version":1,"connectors":{"c":{"owner":3,"tasks":[-1]}}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := readPlan(store.Entry{Key: []byte(planKey), Value: value})
		if err != nil {
			return
		}
		for id, w := range p.Tasks {
			if _, ok := p.Members[w]; !ok {
				t.Fatalf("task %v is with %q, which is no member", id, w)
			}
		}
	})
}

func TestAPlanThatIsOlderThanTheStateRunsNothingThatIsGone(t *testing.T) {
	s := store.State{Connectors: map[string]store.Connector{"c": {Config: map[string]*string{"tasks.max": text("1")}}, "stopped": {Config: map[string]*string{}}},
		Targets: map[string]store.Target{"stopped": {State: store.Stopped}}}
	plan := Plan(map[string]int{"c": 3, "stopped": 2, "deleted": 1}, []string{"a"}, Assignment{})
	d := desire(s, plan, "a")
	if got := slices.Sorted(maps.Keys(d.Connectors)); !slices.Equal(got, []string{"c", "stopped"}) {
		t.Error(got)
	}
	if len(d.Tasks) != 1 || len(d.Plan.Tasks) != 1 {
		t.Errorf("%v %v", d.Tasks, d.Plan.Tasks)
	}
}

func text(s string) *string { return &s }

func TestAPlanThatNamesAnAddressMayMeanTheProcessBefore(t *testing.T) {
	written := ClusterPlan{Leader: "a:1", Members: map[string]string{"a:1": "http://a:1", "old:1": "http://old:1"}, Processes: map[string]string{"a:1": "first"},
		Assignment: Assignment{Connectors: map[string]string{}, Tasks: map[TaskID]string{}}}
	e, err := planEntry(written)
	if err != nil {
		t.Fatal(err)
	}
	p, err := readPlan(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		worker, process string
		want            bool
	}{{"a:1", "first", true}, {"a:1", "second", false}, {"old:1", "any", true}, {"b:1", "first", false}} {
		if p.counts(tt.worker, tt.process) != tt.want {
			t.Errorf("%s as %s: %t", tt.worker, tt.process, !tt.want)
		}
	}
	again := p
	again.Processes = map[string]string{"a:1": "second"}
	if !p.says(written) || p.says(again) {
		t.Error("a process that has come in the place of another one is no news")
	}
}
