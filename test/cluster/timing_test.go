package cluster

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kgo"
)

// defaults takes the settings of tests out again: sessions are as long as where nobody has set them.
var defaults = map[string]string{"session.timeout.ms": "", "heartbeat.interval.ms": "", "consumer.session.timeout.ms": "", "consumer.heartbeat.interval.ms": "", "offset.flush.interval.ms": ""}

// standstill gives how long it takes until a line that is written now to each partition is delivered, by tasks that end made move.
func (c *cluster) standstill(topic, file, mark string, partitions int32, end func()) time.Duration {
	c.t.Helper()
	manual, err := kgo.NewClient(kgo.SeedBrokers(c.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer manual.Close()
	began := time.Now()
	end()
	for p := range partitions {
		if err := manual.ProduceSync(c.t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: fmt.Appendf(nil, "%s-%d", mark, p)}).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
	worker.Eventually(c.t, time.Minute, "every partition makes progress", func() bool {
		got := lines(file)
		for p := range partitions {
			if got[fmt.Sprintf("%s-%d", mark, p)] == 0 {
				return false
			}
		}
		return true
	})
	return time.Since(began).Round(10 * time.Millisecond)
}

func TestTheTasksOfAWorkerThatIsGoneMakeProgressElsewhereInTime(t *testing.T) {
	t.Parallel()
	c := startWith(t, stack.Kafka(t), 3, defaults)
	topic := c.topic("in", 6)
	config, file := c.sink(topic, 6)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
	spread := func(workers int) {
		worker.Eventually(t, 30*time.Second, "the tasks are spread", func() bool {
			s, seen := c.status(c.workers[0], c.group), map[string]bool{}
			for _, task := range s.Tasks {
				seen[task.Worker] = true
			}
			return s.running(6, anywhere) && len(seen) == workers
		})
	}
	spread(3)
	c.standstill(topic, file, "before", 6, func() {})

	// The follower first, then whoever leads: two SIGTERMs and a kill -9 leave one.
	took := c.standstill(topic, file, "term", 6, func() {
		if err := c.workers[1].Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("SIGTERM to progress of every task elsewhere: %v", took)
	if scale.Long() && took > 3*time.Second {
		t.Errorf("%v after SIGTERM, want less than 3 s", took)
	}
	if err := c.workers[1].Ended(t, 30*time.Second); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	for line, n := range lines(file) {
		if n != 1 {
			t.Errorf("line %s was delivered %d times", line, n)
		}
	}
	spread(2)
	took = c.standstill(topic, file, "kill", 6, c.workers[2].Kill)
	t.Logf("kill -9 to progress of every task elsewhere, with default settings: %v", took)
	if scale.Long() && took > 15*time.Second {
		t.Errorf("%v after kill -9, want less than 15 s", took)
	}
}
