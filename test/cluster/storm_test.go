package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/cluster/history"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const stormPartitions = 3

// storm is a cluster whose connectors clients change while its workers and brokers die and come back.
type storm struct {
	t       *testing.T
	cluster *cluster
	kafka   *stack.KafkaCluster
	dir     string
	topics  []string
	procs   []*seat
	records []*record
	session time.Duration // of the workers
	pace    time.Duration // between two calls of a client
	began   time.Time

	versions  atomic.Int64
	disrupted atomic.Int64 // when something was last killed, stopped or started again: nanoseconds since began
	mu        sync.Mutex   // guards the two below
	counts    map[string]int
	produced  map[string]int // lines, of each topic
}

// seat is the place of one worker: its processes have one address, one after the other.
type seat struct {
	index int
	props map[string]string
	proc  atomic.Pointer[worker.Process]
}

func (s *seat) now() *worker.Process { return s.proc.Load() }

// bound is how long a connector may run nowhere after the last disruption.
func (s *storm) bound() time.Duration { return s.session + 15*time.Second }

func (s *storm) count(c call, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[fmt.Sprintf("%s %d", c.name, status)]++
}

func (s *storm) file(n int) string { return filepath.Join(s.dir, fmt.Sprintf("out-%02d.txt", n)) }

func (s *storm) disrupt(what string, args ...any) {
	s.disrupted.Store(int64(time.Since(s.began)))
	s.t.Logf("%7.1fs %s", time.Since(s.began).Seconds(), fmt.Sprintf(what, args...))
}

// TestEveryAcknowledgedWriteSurvivesAStorm is the proof of the cluster: sixty connectors, eight clients, ten minutes in
// the long run.
func TestEveryAcknowledgedWriteSurvivesAStorm(t *testing.T) {
	t.Parallel()
	s := newStorm(t, scale.N(9, 60))
	clients, stopClients := context.WithCancel(t.Context())
	defer stopClients()
	var calling, watching sync.WaitGroup
	for i := range 8 {
		calling.Go(func() { s.client(clients, uint64(i)) })
	}
	watched, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	m := newMonitor(s)
	producing, stopProducing := context.WithCancel(t.Context())
	defer stopProducing()
	var writing sync.WaitGroup
	writing.Go(func() { s.produce(producing) })
	watching.Go(func() { m.run(watched) })

	if scale.Long() {
		s.rage(10 * time.Minute)
	} else {
		s.gust()
	}
	stopClients()
	calling.Wait()
	s.judge()
	s.settle(m)
	stopProducing()
	writing.Wait()
	s.reckon()
	stopWatching()
	watching.Wait()
	m.report()
}

func newStorm(t *testing.T, connectors int) *storm {
	kafka := stack.PrivateKafka(t, 3)
	s := &storm{t: t, kafka: kafka, dir: t.TempDir(), session: session, pace: scale.D(300*time.Millisecond, 700*time.Millisecond), counts: map[string]int{}, produced: map[string]int{}}
	change := map[string]string{"offset.flush.interval.ms": "1000"}
	for _, kind := range []string{"config", "offset", "status"} {
		change[kind+".storage.replication.factor"] = "3"
	}
	if scale.Long() { // the defaults
		s.session = 10 * time.Second
		for _, k := range []string{"session.timeout.ms", "heartbeat.interval.ms", "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"} {
			change[k] = ""
		}
	}
	s.cluster = startWith(t, kafka.Bootstrap(), 3, change)
	for i, w := range s.cluster.workers {
		p := &seat{index: i, props: s.cluster.props[i]}
		p.proc.Store(w)
		s.procs = append(s.procs, p)
	}
	admin := kadm.NewClient(s.cluster.kafka)
	for i := range min(6, connectors) {
		topic := fmt.Sprintf("%s-in-%d", s.cluster.group, i)
		if _, err := admin.CreateTopic(t.Context(), stormPartitions, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, topic); err != nil {
			t.Fatal(err)
		}
		s.topics = append(s.topics, topic)
	}
	for range connectors {
		s.records = append(s.records, &record{})
	}
	s.began = time.Now()
	return s
}

// produce writes numbered lines to every partition until ctx ends.
func (s *storm) produce(ctx context.Context) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.cluster.bootstrap, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer client.Close()
	for n := 0; ctx.Err() == nil; n++ {
		for _, topic := range s.topics {
			for p := range int32(stormPartitions) {
				r := &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%d/%d", p, n)}
				client.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
					if err != nil {
						s.t.Errorf("producing to %s: %v", topic, err)
						return
					}
					s.mu.Lock()
					defer s.mu.Unlock()
					s.produced[topic]++
				})
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	if err := client.Flush(context.WithoutCancel(ctx)); err != nil {
		s.t.Error(err)
	}
}

// The disruptions.

func (s *storm) kill(p *seat) {
	p.now().Kill()
	s.disrupt("worker %d was killed", p.index)
}

func (s *storm) restart(p *seat) {
	w := worker.Launch(s.t, p.props)
	p.proc.Store(w)
	s.disrupt("worker %d was started again at its address", p.index)
	w.Await(s.t)
}

func (s *storm) freeze(p *seat, d time.Duration) {
	if err := p.now().Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	s.disrupt("worker %d was stopped for %v", p.index, d)
	s.pass(d)
	if err := p.now().Signal(syscall.SIGCONT); err != nil {
		s.t.Fatal(err)
	}
	s.disrupt("worker %d goes on", p.index)
}

func (s *storm) leave(p *seat) {
	if err := p.now().Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	s.disrupt("worker %d was told to end", p.index)
	if err := p.now().Ended(s.t, 30*time.Second); err != nil {
		s.t.Errorf("worker %d ended with %v", p.index, err)
	}
}

func (s *storm) broker(i int, end func(*stack.Server), down time.Duration) {
	node := s.kafka.Nodes[i]
	end(node)
	s.disrupt("broker %d is down", i+1)
	s.pass(down)
	if err := node.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.disrupt("broker %d is up", i+1)
}

func stopBroker(n *stack.Server) { n.Stop(30 * time.Second) }
func killBroker(n *stack.Server) { n.Kill() }

// pass lets time pass, as part of what is tried.
func (s *storm) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.t.Context().Done():
	}
}

// leader is the worker that leads now, by the newest plan.
func (s *storm) leader() *seat {
	for i, p := range s.procs {
		s.cluster.workers[i] = p.now()
	}
	return s.procs[s.cluster.leader()]
}

// gust is the short storm: each kind of disruption once.
func (s *storm) gust() {
	s.pass(4 * time.Second) // of calls that nothing disturbs
	leader := s.leader()
	s.kill(leader)
	s.broker(leader.index, stopBroker, 0)
	s.restart(leader)
	other := s.procs[(leader.index+1)%3]
	s.freeze(other, 3*time.Second)
	s.pass(3 * time.Second)
}

// rage disrupts at random for as long as d: some things close together, then a quiet time in which all must heal.
func (s *storm) rage(d time.Duration) {
	seed := rand.Uint64()
	s.t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	s.pass(15 * time.Second)
	for time.Since(s.began) < d {
		for range 1 + rng.IntN(3) {
			p := s.procs[rng.IntN(3)]
			if rng.IntN(2) == 0 {
				p = s.leader()
			}
			switch rng.IntN(6) {
			case 0, 1:
				s.kill(p)
				s.pass(time.Duration(rng.IntN(16)) * time.Second)
				s.restart(p)
			case 2:
				q := s.procs[(p.index+1)%3]
				s.kill(p)
				s.kill(q)
				s.restart(q)
				s.restart(p)
			case 3:
				s.freeze(p, time.Duration(1+rng.IntN(20))*time.Second)
			case 4:
				s.leave(p)
				s.restart(p)
			case 5:
				s.broker(rng.IntN(3), []func(*stack.Server){stopBroker, killBroker}[rng.IntN(2)], time.Duration(rng.IntN(8))*time.Second)
			}
			s.pass(time.Duration(rng.IntN(4)) * time.Second)
		}
		s.pass(s.bound() + 5*time.Second)
	}
}

// judge reads what the cluster holds at last, and asks whether that and all answers can be explained.
func (s *storm) judge() {
	for n, r := range s.records {
		var version int
		var state string
		worker.Eventually(s.t, 30*time.Second, fmt.Sprintf("all workers tell the same about %s", s.name(n)), func() bool {
			seen := map[stored]bool{}
			for _, p := range s.procs {
				v, target, ok := s.read(p.now(), n)
				if !ok {
					return false
				}
				version, state = v, target
				seen[stored{v, target}] = true
			}
			return len(seen) == 1
		})
		now := int64(time.Since(s.began))
		last := stored{version, state}
		r.add(history.Op[stored]{Call: now, Return: now, Text: fmt.Sprintf("read: %+v", last),
			Step: func(s stored) (stored, bool) { return s, s == last }})
		if _, err := history.Check(stored{}, r.ops); err != nil {
			s.t.Errorf("connector %s: %v", s.name(n), err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.counts)) {
		s.t.Logf("%6d x %s", s.counts[k], k)
	}
}

// read gives what a worker tells of a connector; ok is false while it cannot.
func (s *storm) read(w *worker.Process, n int) (version int, target string, ok bool) {
	res, err := w.Get(s.t.Context(), "/connectors/"+s.name(n)+"/config")
	if err == nil && res.StatusCode == http.StatusNotFound {
		return 0, "", true
	}
	var cfg struct{ Version string }
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(res.Body, &cfg) != nil {
		return 0, "", false
	}
	if _, err := fmt.Sscan(cfg.Version, &version); err != nil {
		s.t.Errorf("%s", res.Body)
	}
	target = s.cluster.status(w, s.name(n)).Connector.State
	return version, target, target == "RUNNING" || target == "PAUSED" || target == "STOPPED"
}

// settle lets all connectors run, and waits until each makes progress.
func (s *storm) settle(m *monitor) {
	configure, resume := calls()[2], calls()[6]
	for n := range s.records {
		w := s.procs[n%3].now()
		if status := s.call(s.t.Context(), configure, n, w); status != 200 && status != 201 {
			s.t.Fatalf("PUT config of %s: %d", s.name(n), status)
		}
		if status := s.call(s.t.Context(), resume, n, w); status != 202 {
			s.t.Fatalf("resume of %s: %d", s.name(n), status)
		}
	}
	began := time.Now()
	m.awaitProgress(s.t)
	s.t.Logf("every consumer group has made progress %v after the last was resumed", time.Since(began).Round(100*time.Millisecond))
}

// reckon waits until each connector has delivered every line of its topic, to which nothing is added any more.
func (s *storm) reckon() {
	twice, all := 0, 0
	for n := range s.records {
		topic := s.topics[n%len(s.topics)]
		worker.Eventually(s.t, s.bound(), fmt.Sprintf("%s has delivered every line", s.name(n)), func() bool {
			return len(lines(s.file(n))) >= s.produced[topic]
		})
		for line, count := range lines(s.file(n)) {
			all++
			twice += count - 1
			var p, i int
			if _, err := fmt.Sscanf(line, "%d/%d", &p, &i); err != nil || p >= stormPartitions || i >= s.produced[topic]/stormPartitions {
				s.t.Errorf("%s: nobody wrote line %q", s.name(n), line)
			}
		}
	}
	s.t.Logf("%d lines were delivered, %d of them again", all, twice)
}
