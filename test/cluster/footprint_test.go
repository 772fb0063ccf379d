package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// footprint is what a process takes.
type footprint struct {
	rss, private int // kB; private is what no file backs
	// kafka threads are librdkafka's. Go keeps some of its own when the calls that needed them are over, for the next.
	threads, kafka, files, gorun int
}

// own are the threads of Go's own.
func (f footprint) own() int { return f.threads - f.kafka }

func (f footprint) String() string {
	return fmt.Sprintf("RSS %.1f MB (%.1f MB of it private and not of a file), %d threads (%d of librdkafka), %d files, %d goroutines", float64(f.rss)/1024, float64(f.private)/1024, f.threads, f.kafka, f.files, f.gorun)
}

func measure(t *testing.T, w *worker.Process) (f footprint) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", w.PID())
	field := func(file, name string) int {
		b, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, name); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("%s has no %s", file, name)
		return 0
	}
	f.rss, f.private, f.threads = field("smaps_rollup", "Rss:"), field("smaps_rollup", "Anonymous:"), field("status", "Threads:")
	names, err := filepath.Glob(dir + "task/*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(b), "rdk:") {
			f.kafka++
		}
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(fds)
	res, err := w.Get(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(res.Body)) {
		if rest, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			if f.gorun, err = strconv.Atoi(strings.TrimSpace(rest)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f
}

// healthyAfter launches a worker and gives how long it takes until it is healthy.
func healthyAfter(t *testing.T, props map[string]string) (*worker.Process, time.Duration) {
	t.Helper()
	w := worker.Launch(t, props)
	began := time.Now() // the binary is built by now
	w.Await(t)
	return w, time.Since(began).Round(10 * time.Millisecond)
}

func TestAWorkerStartsSoonAndTakesLittle(t *testing.T) {
	bootstrap := stack.Kafka(t)
	props := worker.Properties(t, bootstrap, "http://127.0.0.1:1")
	worker.Launch(t, props).Kill() // builds
	alone, took := healthyAfter(t, props)
	t.Logf("standalone: healthy after %v; %v", took, measure(t, alone))
	if scale.Long() && took > time.Second {
		t.Errorf("a standalone worker was healthy after %v, want less than 1 s", took)
	}

	c := startWith(t, bootstrap, 1, defaults)
	worker.Eventually(t, 20*time.Second, "the first worker leads", func() bool { return c.leader() == 0 })
	other := worker.Distributed(t, bootstrap, c.group)
	w, took := healthyAfter(t, other)
	idle := measure(t, w)
	t.Logf("distributed on an existing cluster: healthy after %v; %v", took, idle)
	if scale.Long() && took > 5*time.Second {
		t.Errorf("a distributed worker was healthy after %v, want less than 5 s", took)
	}
	for _, f := range []footprint{measure(t, alone), measure(t, c.workers[0]), idle} {
		if f.rss > 60<<10 {
			t.Errorf("an idle worker takes %v, want less than 60 MB", f)
		}
	}
}

// TestConnectorsThatAreDeletedLeaveNothingBehind makes many connectors in one worker, pauses and deletes them.
func TestConnectorsThatAreDeletedLeaveNothingBehind(t *testing.T) {
	c := startWith(t, stack.Kafka(t), 1, defaults)
	w := c.workers[0]
	topic := c.topic("in", 3)
	fill := func(connectors, tasks, spare int) {
		t.Helper()
		before := measure(t, w)
		began := time.Now()
		for i := range connectors {
			config, _ := c.sink(topic, tasks)
			c.do(w, "POST", "/connectors", fmt.Sprintf(`{"name":"%s-%d","config":%s}`, c.group, i, config), 201)
		}
		all := func(state string) bool {
			for i := range connectors {
				s := c.status(w, fmt.Sprintf("%s-%d", c.group, i))
				if s.Connector.State != state || len(s.Tasks) != tasks {
					return false
				}
				for _, task := range s.Tasks {
					if task.State != state {
						return false
					}
				}
			}
			return true
		}
		worker.Eventually(t, 3*time.Minute, "all run", func() bool { return all("RUNNING") })
		took := time.Since(began)
		busy := measure(t, w)
		n := connectors * tasks
		t.Logf("%d connectors with %d tasks each run after %v: %v", connectors, tasks, took.Round(100*time.Millisecond), busy)
		t.Logf("an idle task takes %d kB of RSS, %.1f threads, %.1f files, %.1f goroutines", (busy.rss-before.rss)/n, float64(busy.threads-before.threads)/float64(n), float64(busy.files-before.files)/float64(n), float64(busy.gorun-before.gorun)/float64(n))
		if connectors == 30 && took > time.Minute && scale.Long() {
			t.Errorf("30 connectors run after %v, want less than 60 s", took)
		}
		for i := range connectors {
			c.do(w, "PUT", fmt.Sprintf("/connectors/%s-%d/pause", c.group, i), "", 202)
		}
		worker.Eventually(t, time.Minute, "all are paused", func() bool { return all("PAUSED") })
		for i := range connectors {
			c.do(w, "DELETE", fmt.Sprintf("/connectors/%s-%d", c.group, i), "", 204)
		}
		var after footprint
		defer func() { t.Logf("before %v; after their deletion %v", before, after) }()
		worker.Eventually(t, time.Minute, "nothing is left", func() bool {
			after = measure(t, w)
			// The connection that asks is one file and a few goroutines; clients of the cluster may open theirs anew.
			return after.kafka <= before.kafka+2 && after.own() <= before.own()+spare && after.files <= before.files+2 && after.gorun <= before.gorun+4
		})
	}
	// Go never ends a thread that a blocking call of C once took: each task has one in Poll, and one more while it opens or closes its
	// clients. Those of the first round serve the second, which leaves no more behind.
	n := scale.N(10, 30)
	fill(n, 1, 2*n+16)
	fill(n, 1, 16)
	if scale.Long() {
		fill(100, 3, 2*300+16)
		fill(100, 3, 32)
	}
}
