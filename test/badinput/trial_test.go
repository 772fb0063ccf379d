package badinput

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/worker"
)

// within bounds every wait, and asserts no speed: a status warns of what is stuck after 10 s at the earliest, and the
// cases run beside each other, under the race detector too.
const within = 90 * time.Second

// trial is one case: a topic, a state machine and a connector between them.
type trial struct {
	t       testing.TB
	name    string
	config  map[string]string
	machine string
	*events
}

// newTrial makes the topic and the state machine; the connector is the caller's to create. settings are added
// to its configuration.
func newTrial(t testing.TB, settings map[string]string) *trial {
	t.Helper()
	name := nameOf(t)
	x := &trial{t: t, name: name, machine: name, events: &events{t: t, registry: world.stack.Registry}}
	x.createTopic(name)
	x.createMachine(name)
	x.config = connectorConfig(name)
	maps.Copy(x.config, settings)
	t.Cleanup(func() { x.call("DELETE", "/connectors/"+name, nil) })
	return x
}

// connectorConfig delivers the topic of that name to the state machine of that name.
func connectorConfig(name string) map[string]string {
	return map[string]string{
		"connector.class": "StepFunctionsSink", "topics": name, "aws.region": "sa-east-1", "aws.endpoint": world.stack.States.URL(),
		"domains": "clientes", "domain.clientes.topics": name, "domain.clientes.state.machine.arn": arn(name),
		"consumer.override.session.timeout.ms": "6000", "fencing.lease.ms": "2000", "destination.retry.backoff.ms": "100",
		"delivery.retry.backoff.max.ms": "300", "errors.restart.backoff.ms": "200", "errors.restart.backoff.max.ms": "500",
		"errors.deadletterqueue.topic.replication.factor": "1",
	}
}

// withDLQ is a dead letter queue with the error's context, under a tolerance.
func withDLQ(t testing.TB, tolerance string) map[string]string {
	return map[string]string{
		"errors.tolerance": tolerance, "errors.deadletterqueue.topic.name": dlqOf(t), "errors.deadletterqueue.context.headers.enable": "true",
	}
}

func dlqOf(t testing.TB) string { return "dlq-" + nameOf(t) }

var noName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// names are the names in use, by test.
var names struct {
	sync.Mutex // guards of
	of         map[testing.TB]string
}

// nameOf makes of a test's name one for its topic, connector and state machine, which have 80 characters at most.
// A test that runs again (-count) gets another one.
func nameOf(t testing.TB) string {
	names.Lock()
	defer names.Unlock()
	if n, known := names.of[t]; known {
		return n
	}
	s := strings.ToLower(noName.ReplaceAllString(strings.TrimPrefix(t.Name(), "Test"), "-"))
	if len(s) > 60 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(s)) // never fails
		s = fmt.Sprintf("%s-%08x-%s", s[:16], h.Sum32(), s[len(s)-34:])
	}
	if names.of == nil {
		names.of = map[testing.TB]string{}
	}
	s = fmt.Sprintf("%s-%d", s, len(names.of))
	names.of[t] = s
	return s
}

func arn(machine string) string {
	return "arn:aws:states:sa-east-1:000000000000:stateMachine:" + machine
}

func (x *trial) createTopic(name string) {
	x.t.Helper()
	if err := world.stack.Kafka.Cluster.CreateTopic(name, 1, nil); err != nil {
		x.t.Fatal(err)
	}
}

func (x *trial) createMachine(name string) {
	x.t.Helper()
	if err := world.stack.States.SetMachine(states.Machine{Name: name}); err != nil {
		x.t.Fatal(err)
	}
}

// send writes records to the topic and gives the offset of the first.
func (x *trial) send(records ...broker.Record) int64 {
	x.t.Helper()
	for i := range records {
		if records[i].Topic == "" {
			records[i].Topic = x.name
		}
	}
	at, err := world.producer.Send(x.t.Context(), records...)
	if err != nil {
		x.t.Fatal(err)
	}
	return at[0].Offset
}

// good is an insert that nothing is wrong with.
func (x *trial) good(id int64) broker.Record {
	return broker.Record{Key: x.key(id), Value: x.value(id, "Ana", nil)}
}

// call makes a request of the REST API.
func (x *trial) call(method, path string, body any) (int, string) {
	x.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		x.t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequest(method, world.worker.URL+path, strings.NewReader(string(text)))
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// create creates the connector, or gives it settings anew.
func (x *trial) create(settings map[string]string) {
	x.t.Helper()
	if x.config == nil {
		x.config = map[string]string{}
	}
	maps.Copy(x.config, settings)
	if status, answer := x.call("PUT", "/connectors/"+x.name+"/config", x.config); status != 201 && status != 200 {
		x.t.Fatalf("status %d: %s", status, answer)
	}
}

// begin lets the first n records be settled before the others come.
func (x *trial) begin(n int, records ...broker.Record) {
	x.t.Helper()
	x.send(records[:n]...)
	x.create(nil)
	x.awaitCommitted(int64(n))
	x.send(records[n:]...)
}

func (x *trial) restart() {
	x.t.Helper()
	if status, answer := x.call("POST", "/connectors/"+x.name+"/tasks/0/restart", nil); status != 204 {
		x.t.Fatalf("status %d: %s", status, answer)
	}
}

// taskStatus is the status of task 0.
type taskStatus struct{ State, Trace, Warning string }

func (x *trial) status() taskStatus {
	x.t.Helper()
	var s taskStatus
	if status, answer := x.call("GET", "/connectors/"+x.name+"/tasks/0/status", nil); status == 200 {
		if err := json.Unmarshal([]byte(answer), &s); err != nil {
			x.t.Fatal(err)
		}
	}
	return s
}

// await waits for a status.
func (x *trial) await(what string, is func(taskStatus) bool) taskStatus {
	x.t.Helper()
	var s taskStatus
	defer func() {
		if x.t.Failed() {
			x.t.Logf("status: %+v; committed %d", s, x.committed())
		}
	}()
	worker.Eventually(x.t, within, what, func() bool {
		s = x.status()
		return is(s)
	})
	return s
}

// awaitState waits for the state that the table promises: FAILED with a trace that holds texts and a remedy, or
// RUNNING with a warning that holds them.
func (x *trial) awaitState(state string, texts ...string) {
	x.t.Helper()
	holds := func(text string) bool {
		return !slices.ContainsFunc(texts, func(want string) bool { return !strings.Contains(text, want) })
	}
	switch state {
	case failed:
		texts = append(texts, "connector "+x.name+", task 0", "Remedy: ")
		trace := x.await("the task fails", func(s taskStatus) bool { return s.State == "FAILED" }).Trace
		if !holds(trace) {
			x.t.Errorf("not all of %q are in:\n%s", texts, trace)
		}
	case warned:
		x.await(fmt.Sprintf("the task warns of %q", texts), func(s taskStatus) bool {
			return s.State == "RUNNING" && s.Warning != "" && holds(s.Warning)
		})
	default:
		x.await("the task runs and warns of nothing", func(s taskStatus) bool { return s.State == "RUNNING" && s.Warning == "" })
	}
}

// The states of the table.
const (
	failed  = "FAILED"
	warned  = "RUNNING, warning"
	running = "RUNNING"
)

// committed is the offset that the group has committed, -1 for none.
func (x *trial) committed() int64 {
	x.t.Helper()
	all, err := world.admin.FetchOffsets(x.t.Context(), "connect-"+x.name)
	if err != nil {
		return -1
	}
	if o, ok := all.Lookup(x.name, 0); ok {
		return o.At
	}
	return -1
}

func (x *trial) awaitCommitted(offset int64) {
	x.t.Helper()
	last := int64(-1)
	defer func() {
		if x.t.Failed() {
			x.t.Logf("committed %d, want %d; status %+v", last, offset, x.status())
		}
	}()
	worker.Eventually(x.t, within, fmt.Sprintf("offset %d is committed", offset), func() bool {
		last = x.committed()
		return last == offset
	})
}

// started gives the offsets of the changes that have become executions, in the order of their starts.
func (x *trial) started() []int64 {
	var offsets []int64
	calls := world.stack.States.Log()
	slices.SortFunc(calls, func(a, b states.Call) int { return int(a.Effect - b.Effect) })
	for _, c := range calls {
		if c.Effect == 0 {
			continue
		}
		for _, ch := range c.Changes {
			if ch.Topic == x.name {
				offsets = append(offsets, ch.Offset)
			}
		}
	}
	return offsets
}

// awaitStarted waits until exactly these changes have become executions, each once.
func (x *trial) awaitStarted(want ...int64) {
	x.t.Helper()
	var got []int64
	defer func() {
		if x.t.Failed() {
			x.t.Logf("started %v, want %v; status %+v", got, want, x.status())
		}
	}()
	worker.Eventually(x.t, within, "the other changes become executions", func() bool {
		got = x.started()
		return len(got) >= len(want)
	})
	sorted := slices.Sorted(slices.Values(got))
	if !slices.Equal(sorted, want) {
		x.t.Errorf("started %v, want %v", got, want)
	}
}

// inOrder checks that the changes of one key were started in order.
func (x *trial) inOrder(offsets ...int64) {
	x.t.Helper()
	var got []int64
	for _, o := range x.started() {
		if slices.Contains(offsets, o) {
			got = append(got, o)
		}
	}
	if !slices.IsSorted(got) {
		x.t.Errorf("the changes of one key were started in the order %v", got)
	}
}
