// Package cluster runs workers of one cluster as processes on a real Kafka broker, and kills, pauses and stops them.
package cluster

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// session is short, so that the tests are.
const session = 6 * time.Second

// TestMain lets more tests run at a time than there are cores: they wait for sessions to end, most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// cluster is some workers of one group. Its connectors are named after it: the clusters share a broker, on which a connector's
// name is its consumer group's.
type cluster struct {
	t         *testing.T
	bootstrap string
	group     string
	kafka     *kgo.Client
	workers   []*worker.Process
	props     []map[string]string
}

func start(t *testing.T, n int) *cluster {
	t.Helper()
	return startOn(t, stack.Kafka(t), n)
}

func startOn(t *testing.T, bootstrap string, n int) *cluster {
	t.Helper()
	return startWith(t, bootstrap, n, nil)
}

// startWith starts workers whose properties are changed; "" takes one out.
func startWith(t *testing.T, bootstrap string, n int, change map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, bootstrap: bootstrap, group: stack.Name(t)}
	c.connect()
	for range n {
		props := worker.Distributed(t, c.bootstrap, c.group)
		props["session.timeout.ms"], props["heartbeat.interval.ms"] = fmt.Sprint(session.Milliseconds()), "500"
		props["consumer.session.timeout.ms"], props["consumer.heartbeat.interval.ms"] = fmt.Sprint(session.Milliseconds()), "500"
		maps.Copy(props, change)
		maps.DeleteFunc(props, func(_, v string) bool { return v == "" })
		c.props = append(c.props, props)
		c.workers = append(c.workers, worker.Launch(t, props))
	}
	for _, w := range c.workers {
		w.Await(t)
	}
	return c
}

// connect makes the client that the test itself uses.
func (c *cluster) connect() {
	c.t.Helper()
	var err error
	if c.kafka, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(c.bootstrap, ",")...)); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.kafka.Close)
}

func (c *cluster) topic(name string, partitions int32) string {
	c.t.Helper()
	name = c.group + "-" + name
	if _, err := kadm.NewClient(c.kafka).CreateTopic(c.t.Context(), partitions, 1, nil, name); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// produce writes n numbered lines, dealt round the partitions.
func (c *cluster) produce(topic string, partitions, from, n int) {
	c.t.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: topic, Value: fmt.Append(nil, from+i), Partition: int32(i % partitions)})
	}
	manual, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.bootstrap, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer manual.Close()
	if err := manual.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// do calls a worker and demands a status.
func (c *cluster) do(w *worker.Process, method, path, body string, want int) []byte {
	c.t.Helper()
	res, err := w.Do(c.t.Context(), method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if res.StatusCode != want {
		c.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, res.Body)
	}
	return res.Body
}

type status struct {
	Connector struct {
		State  string
		Worker string `json:"worker_id"`
	}
	Tasks []struct {
		ID     int
		State  string
		Worker string `json:"worker_id"`
	}
}

func (c *cluster) status(w *worker.Process, name string) (s status) {
	res, err := w.Get(c.t.Context(), "/connectors/"+name+"/status")
	if err != nil || res.StatusCode != http.StatusOK {
		return s
	}
	if err := json.Unmarshal(res.Body, &s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// running tells whether all tasks of a connector run, on workers that ok accepts.
func (s status) running(n int, ok func(worker string) bool) bool {
	if s.Connector.State != "RUNNING" || !ok(s.Connector.Worker) || len(s.Tasks) != n {
		return false
	}
	return !slices.ContainsFunc(s.Tasks, func(t struct {
		ID     int
		State  string
		Worker string `json:"worker_id"`
	}) bool {
		return t.State != "RUNNING" || !ok(t.Worker)
	})
}

func anywhere(string) bool { return true }

func id(w *worker.Process) string { return strings.TrimPrefix(w.URL, "http://") }

func not(w *worker.Process) func(string) bool {
	return func(worker string) bool { return worker != id(w) }
}

// leader gives the index of the worker that leads, by the newest plan.
func (c *cluster) leader() int {
	c.t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.bootstrap, ",")...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(c.group+"-configs-members"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer reader.Close()
	ends, err := kadm.NewClient(c.kafka).ListCommittedOffsets(c.t.Context(), c.group+"-configs-members")
	if err != nil {
		c.t.Fatal(err)
	}
	end, _ := ends.Lookup(c.group+"-configs-members", 0)
	var plan struct{ Leader string }
	// A transaction that was taken back may stand at the end: then nothing comes any more.
	for next := int64(0); next < end.Offset-1; {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
		records := reader.PollFetches(ctx).Records()
		cancel()
		if len(records) == 0 && plan.Leader != "" {
			break
		}
		for _, r := range records {
			if err := json.Unmarshal(r.Value, &plan); err != nil {
				c.t.Fatal(err)
			}
			next = r.Offset + 1
		}
	}
	i := slices.IndexFunc(c.workers, func(w *worker.Process) bool { return id(w) == plan.Leader })
	if i < 0 {
		c.t.Fatalf("the leader %q is none of ours", plan.Leader)
	}
	return i
}

// sink is the configuration of a FileStreamSink.
func (c *cluster) sink(topic string, tasks int) (config, file string) {
	file = filepath.Join(c.t.TempDir(), "out.txt")
	b, err := json.Marshal(map[string]string{"connector.class": "FileStreamSink", "topics": topic, "tasks.max": fmt.Sprint(tasks), "file": file})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b), file
}

// lines counts each line of a file.
func lines(file string) map[string]int {
	b, _ := os.ReadFile(file)
	count := map[string]int{}
	for line := range strings.FieldsSeq(string(b)) {
		count[line]++
	}
	return count
}

func (c *cluster) delivered(file string, n int, within time.Duration) map[string]int {
	c.t.Helper()
	worker.Eventually(c.t, within, fmt.Sprintf("%d different lines in the file", n), func() bool { return len(lines(file)) == n })
	return lines(file)
}

func TestThreeWorkersServeEveryWriteThroughAnyOfThem(t *testing.T) {
	t.Parallel()
	c := start(t, 3)
	topic := c.topic("in", 3)
	config, file := c.sink(topic, 3)
	a, b, d := c.workers[0], c.workers[1], c.workers[2]

	c.do(a, "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	c.do(a, "GET", "/connectors/"+c.group+"/status", "", 200)
	for _, w := range c.workers { // the others read it a moment later
		worker.Eventually(t, 5*time.Second, "every worker tells the status", func() bool {
			res, err := w.Get(t.Context(), "/connectors/"+c.group+"/status")
			return err == nil && res.StatusCode == 200
		})
	}
	worker.Eventually(t, 20*time.Second, "three tasks run on three workers", func() bool {
		s, seen := c.status(b, c.group), map[string]bool{}
		for _, task := range s.Tasks {
			seen[task.Worker] = true
		}
		return s.running(3, anywhere) && len(seen) == 3
	})
	c.produce(topic, 3, 0, 300)
	c.delivered(file, 300, 20*time.Second)

	c.do(b, "PUT", "/connectors/"+c.group+"/pause", "", 202)
	worker.Eventually(t, 10*time.Second, "paused everywhere", func() bool {
		s := c.status(d, c.group)
		return s.Connector.State == "PAUSED" && len(s.Tasks) == 3 && s.Tasks[0].State == "PAUSED" && s.Tasks[1].State == "PAUSED" && s.Tasks[2].State == "PAUSED"
	})
	c.do(d, "PUT", "/connectors/"+c.group+"/resume", "", 202)
	worker.Eventually(t, 10*time.Second, "resumed", func() bool { return c.status(a, c.group).running(3, anywhere) })
	for i, w := range c.workers {
		c.do(w, "POST", fmt.Sprintf("/connectors/%s/tasks/%d/restart", c.group, i), "", 204)
		c.do(w, "POST", "/connectors/"+c.group+"/restart", "", 204)
		c.do(w, "POST", "/connectors/"+c.group+"/restart?includeTasks=true", "", 202)
	}
	worker.Eventually(t, 20*time.Second, "running after restarts", func() bool { return c.status(a, c.group).running(3, anywhere) })

	c.do(a, "PUT", "/connectors/"+c.group+"/stop", "", 204)
	c.do(b, "PATCH", "/connectors/"+c.group+"/offsets", `{"offsets":[{"partition":{"kafka_topic":"`+topic+`","kafka_partition":0},"offset":{"kafka_offset":50}}]}`, 200)
	c.do(d, "DELETE", "/connectors/"+c.group+"/offsets", "", 200)
	c.do(d, "PUT", "/admin/loggers/root?scope=cluster", `{"level":"DEBUG"}`, 204)
	worker.Eventually(t, 10*time.Second, "the level has reached all workers", func() bool {
		return !slices.ContainsFunc(c.workers, func(w *worker.Process) bool {
			res, err := w.Get(t.Context(), "/admin/loggers/root")
			return err != nil || !strings.Contains(string(res.Body), "DEBUG")
		})
	})
	c.do(b, "DELETE", "/connectors/"+c.group, "", 204)
	for _, w := range c.workers {
		worker.Eventually(t, 5*time.Second, "gone everywhere", func() bool {
			res, err := w.Get(t.Context(), "/connectors/"+c.group)
			return err == nil && res.StatusCode == 404
		})
	}
}

func TestTasksMoveWhenWorkersAreKilledAndNoAcknowledgedWriteIsLost(t *testing.T) {
	t.Parallel()
	c := start(t, 3)
	topic := c.topic("in", 3)
	config, file := c.sink(topic, 3)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	worker.Eventually(t, 20*time.Second, "all run", func() bool { return c.status(c.workers[0], c.group).running(3, anywhere) })

	// A client goes on writing to whichever worker answers, while the leader and then a follower die.
	var mu sync.Mutex // guards the two below
	var alive []*worker.Process
	var acknowledged []string
	alive = append(alive, c.workers...)
	done := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			mu.Lock()
			w := alive[i%len(alive)]
			mu.Unlock()
			name := fmt.Sprintf("w%d", i)
			res, err := w.Do(t.Context(), "POST", "/connectors", fmt.Sprintf(`{"name":%q,"config":{"connector.class":"FileStreamSink","topics":"none-%s","file":"/dev/null"},"initial_state":"STOPPED"}`, name, topic))
			if err == nil && res.StatusCode == 201 {
				mu.Lock()
				acknowledged = append(acknowledged, name)
				mu.Unlock()
			}
		}
	})
	kill := func(i int) {
		t.Helper()
		victim := c.workers[i]
		mu.Lock()
		before := len(acknowledged)
		mu.Unlock()
		worker.Eventually(t, 30*time.Second, "writes are acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acknowledged) >= before+10
		})
		mu.Lock()
		alive = slices.DeleteFunc(alive, func(w *worker.Process) bool { return w == victim })
		rest := slices.Clone(alive)
		mu.Unlock()
		victim.Kill()
		began := time.Now()
		worker.Eventually(t, 30*time.Second, "its tasks run elsewhere", func() bool { return c.status(rest[0], c.group).running(3, not(victim)) })
		t.Logf("kill -9 to running elsewhere: %v", time.Since(began).Round(100*time.Millisecond))
		if _, err := rest[0].Get(t.Context(), "/connectors"); err != nil {
			t.Fatal(err)
		}
	}
	first := c.leader()
	kill(first)
	c.produce(topic, 3, 0, 300)
	c.delivered(file, 300, 30*time.Second)
	second := slices.IndexFunc(c.workers, func(w *worker.Process) bool {
		return w != c.workers[first] && w != c.workers[c.leader()]
	})
	kill(second)
	c.produce(topic, 3, 300, 300)
	c.delivered(file, 600, 30*time.Second)
	close(done)
	client.Wait()

	var names []string
	last := alive[0]
	if err := json.Unmarshal(c.do(last, "GET", "/connectors", "", 200), &names); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes were acknowledged", len(acknowledged))
	for _, name := range acknowledged {
		if !slices.Contains(names, name) {
			t.Errorf("the acknowledged connector %s is lost", name)
		}
	}
	// A worker that comes back under its old address takes its share again.
	back := worker.Start(t, c.props[first])
	worker.Eventually(t, 30*time.Second, "it has tasks again", func() bool {
		s := c.status(back, c.group)
		return s.running(3, anywhere) && !s.running(3, not(back))
	})
}

func TestAWorkerThatIsToldToStopHandsOverAndNothingIsDeliveredTwice(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	topic := c.topic("in", 4)
	config, file := c.sink(topic, 4)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	worker.Eventually(t, 20*time.Second, "all run", func() bool { return c.status(c.workers[0], c.group).running(4, anywhere) })
	c.produce(topic, 4, 0, 400)
	c.delivered(file, 400, 20*time.Second)

	lead := c.leader()
	leaver, stayer := c.workers[lead], c.workers[1-lead]
	began := time.Now()
	if err := leaver.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, 20*time.Second, "its tasks run elsewhere", func() bool { return c.status(stayer, c.group).running(4, not(leaver)) })
	t.Logf("SIGTERM of the leader to running elsewhere: %v", time.Since(began).Round(10*time.Millisecond))
	if err := leaver.Ended(t, 20*time.Second); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	c.produce(topic, 4, 400, 400)
	for line, n := range c.delivered(file, 800, 20*time.Second) {
		if n != 1 {
			t.Errorf("line %s was delivered %d times", line, n)
		}
	}
	c.do(stayer, "PUT", "/connectors/"+c.group+"/pause", "", 202)
}

func TestALeaderThatWasPausedForLongerThanItsSessionIsReplacedAndFollowsAfterwards(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	topic := c.topic("in", 2)
	config, file := c.sink(topic, 2)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	worker.Eventually(t, 20*time.Second, "all run", func() bool { return c.status(c.workers[0], c.group).running(2, anywhere) })
	lead := c.leader()
	paused, other := c.workers[lead], c.workers[1-lead]
	if err := paused.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, 30*time.Second, "the other has all tasks", func() bool { return c.status(other, c.group).running(2, not(paused)) })
	c.do(other, "PUT", "/connectors/"+c.group+"/config", strings.Replace(config, "{", `{"tasks.max.enforce":"true",`, 1), 200)
	if err := paused.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, 30*time.Second, "it has read what was written meanwhile", func() bool {
		res, err := paused.Get(t.Context(), "/connectors/"+c.group+"/config")
		return err == nil && strings.Contains(string(res.Body), "tasks.max.enforce")
	})
	worker.Eventually(t, 30*time.Second, "it takes its share again", func() bool {
		s := c.status(other, c.group)
		return s.running(2, anywhere) && !s.running(2, not(paused))
	})
	c.do(paused, "PUT", "/connectors/"+c.group+"/pause", "", 202)
	c.do(other, "PUT", "/connectors/"+c.group+"/resume", "", 202)
	c.produce(topic, 2, 0, 100)
	c.delivered(file, 100, 30*time.Second)
}
