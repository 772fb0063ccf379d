package cluster

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// defaults takes the settings of tests out again: sessions are as long as where nobody has set them. What is left is what
// Kafka's own connect-distributed.properties sets.
var defaults = map[string]string{"session.timeout.ms": "", "heartbeat.interval.ms": "", "consumer.session.timeout.ms": "", "consumer.heartbeat.interval.ms": "", "offset.flush.interval.ms": "10000"}

// timed is a connector with a task for each of its topic's partitions, on a cluster whose workers come and go.
type timed struct {
	*cluster
	topic, file string
	tasks       int
	manual      *kgo.Client
	written     atomic.Int64 // numbers of lines
}

// settled tells whether each task reads one partition, on n workers, and no group is about to change that.
func (c *timed) settled(n int) bool {
	groups, err := kadm.NewClient(c.kafka).DescribeGroups(c.t.Context(), c.group, "connect-"+c.group)
	if err != nil || groups.Error() != nil {
		return false
	}
	workers, tasks := groups[c.group], groups["connect-"+c.group]
	if workers.State != "Stable" || len(workers.Members) != n || tasks.State != "Stable" || len(tasks.Members) != c.tasks {
		return false
	}
	for _, m := range tasks.Members {
		a, ok := m.Assigned.AsConsumer()
		if !ok || len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1 {
			return false
		}
	}
	s, seen := c.status(c.alive(), c.group), map[string]bool{}
	for _, task := range s.Tasks {
		seen[task.Worker] = true
	}
	return s.running(c.tasks, anywhere) && len(seen) == min(n, c.tasks)
}

// alive gives a worker that runs.
func (c *timed) alive() *worker.Process {
	for _, w := range c.workers {
		if w != nil {
			return w
		}
	}
	c.t.Fatal("no worker is left")
	return nil
}

// write adds a line to each partition and gives them.
func (c *timed) write() (lines []string) {
	c.t.Helper()
	var records []*kgo.Record
	for p := range c.tasks {
		lines = append(lines, fmt.Sprintf("%d-%d", c.written.Add(1), p))
		records = append(records, &kgo.Record{Topic: c.topic, Partition: int32(p), Value: []byte(lines[p])})
	}
	if err := c.manual.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	return lines
}

// progress waits until all of the lines are delivered.
func (c *timed) progress(written []string) {
	c.t.Helper()
	worker.Eventually(c.t, time.Minute, "every partition makes progress", func() bool {
		got := lines(c.file)
		for _, line := range written {
			if got[line] == 0 {
				return false
			}
		}
		return true
	})
}

// departure is how long it takes, from the moment that a worker is told to go or killed, until its tasks make progress elsewhere.
type departure struct {
	first time.Duration // a line that was written then is delivered, in each partition
	moved time.Duration // each task has its partition again
	again time.Duration // and a line that was written after that is delivered
	after time.Duration // from the end of its process until a line that was written then is delivered
}

func (d departure) String() string {
	ms := 10 * time.Millisecond
	return fmt.Sprintf("progress in every partition after %v, every task has a partition again after %v, and has delivered of it after %v; what came when the process had ended took %v", d.first.Round(ms), d.moved.Round(ms), d.again.Round(ms), d.after.Round(ms))
}

// leaves measures the departure of the worker i, which end brings about, and starts another one in its place.
func (c *timed) leaves(i int, end func(*worker.Process)) (d departure) {
	c.t.Helper()
	n := len(c.workers)
	worker.Eventually(c.t, time.Minute, "the tasks are spread and nothing moves", func() bool { return c.settled(n) })
	c.progress(c.write())
	began, gone := time.Now(), c.workers[i]
	c.workers[i] = nil
	end(gone)
	c.progress(c.write())
	d.first = time.Since(began)
	worker.Eventually(c.t, time.Minute, "every task has its partition again, elsewhere", func() bool {
		return c.settled(n-1) && c.status(c.alive(), c.group).running(c.tasks, not(gone))
	})
	d.moved = time.Since(began)
	c.progress(c.write())
	d.again = time.Since(began)
	_ = gone.Ended(c.t, 30*time.Second)
	ended := time.Now()
	c.progress(c.write())
	d.after = time.Since(ended)
	c.workers[i] = worker.Start(c.t, c.props[i])
	return d
}

func startTimed(t *testing.T, workers, tasks int) *timed {
	t.Helper()
	// A group whose last member has gone waits for more members when one comes: 3 s, where nobody has set that.
	broker := stack.PrivateKafka(t, 1, stack.WithProperty("group.initial.rebalance.delay.ms", "3000"))
	c := &timed{cluster: startWith(t, broker.Bootstrap(), workers, defaults), tasks: tasks}
	c.topic = c.cluster.topic("in", int32(tasks))
	var err error
	if c.manual, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(c.bootstrap, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.manual.Close)
	var config string
	config, c.file = c.sink(c.topic, tasks)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	return c
}

// victim gives the worker to take away in a round: the one task's, or the leader and followers by turns.
func (c *timed) victim(round int) (i int, who string) {
	c.t.Helper()
	worker.Eventually(c.t, time.Minute, "the tasks are spread and nothing moves", func() bool { return c.settled(len(c.workers)) })
	lead := c.leader()
	if i = (lead + round + 1) % len(c.workers); c.tasks == 1 {
		owner := c.status(c.workers[0], c.group).Tasks[0].Worker
		i = slices.IndexFunc(c.workers, func(w *worker.Process) bool { return id(w) == owner })
	}
	if i == lead {
		return i, "the leader"
	}
	return i, "a follower"
}

// TestTheTasksOfAWorkerThatIsGoneMakeProgressElsewhereInTime kills workers and tells them to stop, with the settings of workers and brokers
// that nobody has changed; of a connector with many tasks, and of one whose only task goes with the worker.
func TestTheTasksOfAWorkerThatIsGoneMakeProgressElsewhereInTime(t *testing.T) {
	for _, tasks := range []int{6, 1} {
		t.Run(fmt.Sprintf("%d tasks", tasks), func(t *testing.T) {
			t.Parallel()
			c := startTimed(t, 3, tasks)
			for round := range scale.N(2, 9) {
				i, who := c.victim(round)
				d := c.leaves(i, func(w *worker.Process) {
					if err := w.Signal(syscall.SIGTERM); err != nil {
						t.Fatal(err)
					}
				})
				t.Logf("SIGTERM of %s: %v", who, d)
				if scale.Long() && max(d.first, d.after) > 3*time.Second {
					t.Errorf("nothing moves for %v after SIGTERM of %s, want less than 3 s", max(d.first, d.after), who)
				}
			}
			for line, n := range lines(c.file) {
				if n != 1 {
					t.Errorf("line %s was delivered %d times", line, n)
				}
			}
			for round := range scale.N(1, 6) {
				i, who := c.victim(round)
				d := c.leaves(i, (*worker.Process).Kill)
				t.Logf("kill -9 of %s: %v", who, d)
				if scale.Long() && d.again > 15*time.Second {
					t.Errorf("%v after kill -9 of %s, want less than 15 s", d.again, who)
				}
			}
		})
	}
}
