package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// workersOfACluster starts n distributed workers and registers the flow's connector with the first.
func workersOfACluster(t *testing.T, f *flow, n int, more map[string]string) (workers []*worker.Process, props []map[string]string) {
	t.Helper()
	group := f.connector(nil)["name"]
	for range n {
		p := worker.Distributed(t, f.bootstrap, group)
		p["session.timeout.ms"], p["heartbeat.interval.ms"] = "6000", "500"
		for _, part := range []string{"key", "value"} {
			p[part+".converter"], p[part+".converter.schema.registry.url"] = "io.confluent.connect.avro.AvroConverter", f.registry.URL()
		}
		props = append(props, p)
		workers = append(workers, worker.Launch(t, p))
	}
	for _, w := range workers {
		w.Await(t)
	}
	cfg := f.connector(map[string]string{"tasks.max": "6"})
	for k, v := range more {
		cfg[k] = v
	}
	body, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := workers[0].Do(t.Context(), http.MethodPut, "/connectors/"+group+"/config", string(body)); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("register the connector: %d %s %v", res.StatusCode, res.Body, err)
	}
	return workers, props
}

// owners are the workers that run the connector's tasks; all tells whether each of its tasks is RUNNING.
func (f *flow) owners(t *testing.T, w *worker.Process) (owners map[string]bool, all bool) {
	t.Helper()
	res, err := w.Get(t.Context(), "/connectors/"+f.connector(nil)["name"]+"/status")
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, false
	}
	var s struct {
		Tasks []struct {
			State  string
			Worker string `json:"worker_id"`
		}
	}
	if err := json.Unmarshal(res.Body, &s); err != nil {
		t.Fatal(err)
	}
	owners, all = map[string]bool{}, len(s.Tasks) == 6
	for _, task := range s.Tasks {
		owners[task.Worker] = true
		all = all && task.State == "RUNNING"
	}
	return owners, all
}

// awaitSpread waits until the tasks run on that many workers.
func (f *flow) awaitSpread(t *testing.T, asked *worker.Process, workers int) {
	t.Helper()
	worker.Eventually(t, 60*time.Second, fmt.Sprintf("the tasks run on %d workers", workers), func() bool {
		owners, all := f.owners(t, asked)
		return all && len(owners) == workers
	})
}

// underLoad writes rate changes a second, in steps of 50 ms, while do goes on; then it waits until all are started
// and committed, and gives the verdict of the endpoint's log.
func (f *flow) underLoad(t *testing.T, rate int, do func()) states.Report {
	t.Helper()
	done, written := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := f.produce(t.Context(), rate/20); err != nil {
					written <- err
					return
				}
			case <-done:
				written <- nil
				return
			}
		}
	}()
	do()
	close(done)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	f.awaitCommitted(t, f.connector(nil)["name"])
	report := states.Verify(f.endpoint.Log(), f.expected)
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	return report
}

// TestARollingRestartStartsNothingTwice restarts three workers one after the other, by SIGTERM and under the same
// addresses, as a StatefulSet does, while changes flow.
func TestARollingRestartStartsNothingTwice(t *testing.T) {
	for _, batch := range []int{1, 50} {
		t.Run(fmt.Sprintf("batches of %d", batch), func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, states.Run{})
			workers, props := workersOfACluster(t, f, 3, map[string]string{"batch.max.records": fmt.Sprint(batch), "max.in.flight": "16"})
			var began, ended time.Time
			report := f.underLoad(t, scale.N(200, 2000), func() {
				f.awaitSpread(t, workers[0], 3)
				f.await(t, "changes flow", func(s states.Stats) bool { return s.Changes >= 300 })
				began = time.Now()
				for i := range workers {
					if err := workers[i].Stop(); err != nil {
						t.Errorf("orderly stop: %v", err)
					}
					workers[i] = worker.Start(t, props[i])
					f.awaitSpread(t, workers[i], 3)
				}
				ended = time.Now()
			})
			again := f.endpoint.Stats().Outcomes["ExecutionAlreadyExists"]
			partition, gap := f.longestGap(began, ended)
			t.Logf("%d changes in %d calls, %d of which started nothing new; three restarts took %s, the longest gap of a partition was %s (%s)",
				report.Changes, report.Calls, again, ended.Sub(began).Round(time.Millisecond), gap.Round(time.Millisecond), partition)
			if scale.Long() && again > 0 {
				t.Errorf("%d calls asked for what was started", again)
			}
		})
	}
}

// TestScalingOutAndInUnderLoadLosesNothing goes from one worker to three and back.
func TestScalingOutAndInUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t, states.Run{})
	workers, props := workersOfACluster(t, f, 1, map[string]string{"batch.max.records": "20", "max.in.flight": "16"})
	var out, in time.Duration
	report := f.underLoad(t, scale.N(200, 2000), func() {
		f.await(t, "changes flow", func(s states.Stats) bool { return s.Changes >= 300 })
		began := time.Now()
		for range 2 {
			p := worker.Distributed(t, f.bootstrap, "")
			for k, v := range props[0] {
				if k != "listeners" {
					p[k] = v
				}
			}
			workers = append(workers, worker.Launch(t, p))
		}
		f.awaitSpread(t, workers[0], 3)
		out = time.Since(began)
		seen := f.endpoint.Stats().Changes
		f.await(t, "changes flow through three workers", func(s states.Stats) bool { return s.Changes >= seen+300 })
		began = time.Now()
		for _, w := range workers[1:] {
			if err := w.Stop(); err != nil {
				t.Errorf("orderly stop: %v", err)
			}
		}
		f.awaitSpread(t, workers[0], 1)
		in = time.Since(began)
	})
	t.Logf("%d changes in %d calls; two workers took their share in %s, and gave it back in %s", report.Changes, report.Calls, out.Round(time.Millisecond), in.Round(time.Millisecond))
}

// longestGap is the longest time in which a partition, to which changes were written all the time, had no start.
func (f *flow) longestGap(began, ended time.Time) (partition string, longest time.Duration) {
	starts := map[string][]time.Time{}
	for _, c := range f.endpoint.Log() {
		if len(c.Changes) > 0 && c.Effect != 0 && c.Arrived.After(began) && c.Arrived.Before(ended) {
			id := fmt.Sprintf("%s-%d", c.Changes[0].Topic, c.Changes[0].Partition)
			starts[id] = append(starts[id], c.Arrived)
		}
	}
	for id, at := range starts {
		slices.SortFunc(at, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
		for i := range at[1:] {
			if gap := at[i+1].Sub(at[i]); gap > longest {
				partition, longest = id, gap
			}
		}
	}
	return partition, longest
}
