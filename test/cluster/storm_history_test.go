package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stepconnect/stepconnect/test/cluster/history"
	"github.com/stepconnect/stepconnect/test/worker"
)

// stored is what the cluster keeps of a connector: a version of its configuration, 0 while there is none, and
// what it should do.
type stored struct {
	Version int
	Target  string
}

// call is one kind of request; answers gives the state after it for each status that its leader may answer.
type call struct {
	name, method, path string
	configures         bool // carries a configuration
	answers            map[int]func(s stored, version int) (stored, bool)
}

func exists(to func(s stored, version int) stored) func(stored, int) (stored, bool) {
	return func(s stored, version int) (stored, bool) { return to(s, version), s.Version != 0 }
}

func missing(s stored, _ int) (stored, bool) { return s, s.Version == 0 }

func made(s stored, version int) (stored, bool) { return stored{version, "RUNNING"}, s.Version == 0 }

func target(name string) func(stored, int) (stored, bool) {
	return exists(func(s stored, _ int) stored { return stored{s.Version, name} })
}

// calls are what clients do, the frequent ones more than once.
func calls() []call {
	create := call{"create", "POST", "", true, map[int]func(stored, int) (stored, bool){201: made, 409: exists(func(s stored, _ int) stored { return s })}}
	change := call{"change", "PUT", "/config", true, map[int]func(stored, int) (stored, bool){
		201: made, 200: exists(func(s stored, v int) stored { return stored{v, s.Target} })}}
	pause := call{"pause", "PUT", "/pause", false, map[int]func(stored, int) (stored, bool){202: target("PAUSED"), 404: missing}}
	resume := call{"resume", "PUT", "/resume", false, map[int]func(stored, int) (stored, bool){202: target("RUNNING"), 404: missing}}
	stop := call{"stop", "PUT", "/stop", false, map[int]func(stored, int) (stored, bool){204: target("STOPPED"), 404: missing}}
	remove := call{"delete", "DELETE", "", false, map[int]func(stored, int) (stored, bool){204: exists(func(stored, int) stored { return stored{} }), 404: missing}}
	return []call{create, create, change, change, change, pause, resume, resume, resume, stop, remove}
}

// op is what was answered to a call as the judge takes it; done is false for an answer which says that nothing was
// done, and of no state.
func (c call) op(version, status int, body string, began, ended int64) (op history.Op[stored], done bool) {
	op = history.Op[stored]{Call: began, Return: ended, Text: fmt.Sprintf("%s version %d: %d %.120s", c.name, version, status, body)}
	if status == http.StatusConflict && !strings.Contains(body, "already exists") {
		return op, false
	}
	if effect, known := c.answers[status]; known {
		op.Step = func(s stored) (stored, bool) { return effect(s, version) }
		return op, true
	}
	// Nobody knows: it has one of the effects, or none.
	op.Open, op.Step = true, c.any(version)
	return op, true
}

// any is the effect of a call whose answer nobody has got.
func (c call) any(version int) func(stored) (stored, bool) {
	return func(s stored) (stored, bool) {
		for status, effect := range c.answers {
			if after, ok := effect(s, version); ok && status < 300 {
				return after, true
			}
		}
		return s, false
	}
}

// record is what the clients did to one connector.
type record struct {
	mu  sync.Mutex // guards ops
	ops []history.Op[stored]
}

func (r *record) add(op history.Op[stored]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// last is when the last call was answered.
func (r *record) last() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ops) == 0 {
		return 0
	}
	return time.Duration(r.ops[len(r.ops)-1].Return)
}

// client calls random workers about random connectors until ctx ends.
func (s *storm) client(ctx context.Context, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	kinds := calls()
	for ctx.Err() == nil {
		c, n := kinds[rng.IntN(len(kinds))], rng.IntN(len(s.records))
		s.call(ctx, c, n, s.procs[rng.IntN(len(s.procs))].now())
		select {
		case <-time.After(s.pace/2 + rand.N(s.pace)):
		case <-ctx.Done():
		}
	}
}

// call makes one request and notes what became of it. A request that was sent is waited for, not cut short by the
// end of the storm: what is known is worth more.
func (s *storm) call(ctx context.Context, c call, n int, w *worker.Process) (status int) {
	version := int(s.versions.Add(1))
	path, body := "/connectors/"+s.name(n)+c.path, ""
	if c.configures {
		body = s.config(n, version)
	}
	if c.method == http.MethodPost {
		path, body = "/connectors", fmt.Sprintf(`{"name":%q,"config":%s}`, s.name(n), body)
	}
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	began := time.Since(s.began)
	res, err := w.Do(sending, c.method, path, body)
	text := string(res.Body)
	if err != nil {
		res.StatusCode, text = 0, err.Error()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 0 // nobody was there
	}
	op, done := c.op(version, res.StatusCode, text, int64(began), int64(time.Since(s.began)))
	s.count(c, res.StatusCode)
	if done {
		s.records[n].add(op)
	}
	if done && !op.Open && c.method == http.MethodPut {
		// The leader may have died before its answer; then the worker that was asked has sent the PUT again.
		op.Optional, op.Step, op.Text = true, c.any(version), "first attempt at "+op.Text
		s.records[n].add(op)
	}
	return res.StatusCode
}

func (s *storm) name(n int) string { return fmt.Sprintf("%s-%02d", s.cluster.group, n) }

// tasks is how many a connector has: 1 to 3, always the same.
func (s *storm) tasks(n int) int { return 1 + n%3 }

func (s *storm) config(n, version int) string {
	b, err := json.Marshal(map[string]string{"connector.class": "FileStreamSink", "topics": s.topics[n%len(s.topics)],
		"tasks.max": fmt.Sprint(s.tasks(n)), "file": s.file(n), "version": fmt.Sprint(version)})
	if err != nil {
		panic(err)
	}
	return string(b)
}
