package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/consorcio"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// The names of executions are made of where records are, so that a crash starts nothing twice. These tests read the same
// places again on purpose, or other records from the same places, on real brokers: nothing may be swallowed as if it had been started
// before, and no name may be given twice.

// middle is an offset that each partition of a small flow has passed.
const middle = 5

func TestOffsetsThatAreMovedDeliverAgainWhatIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		tool  []string // arguments of kafka-consumer-groups.sh; nil: rest
		rest  func(t *testing.T, f *flow, w *worker.Process)
		again string // replay.on.rewind, for tools
		twice func(p states.Position) bool
	}{
		{"kafka-consumer-groups --to-earliest, to be delivered again", []string{"--reset-offsets", "--to-earliest", "--all-topics", "--execute"}, nil, "new", all},
		{"kafka-consumer-groups --to-earliest, to be left out where started", []string{"--reset-offsets", "--to-earliest", "--all-topics", "--execute"}, nil, "dedupe", none},
		{"kafka-consumer-groups --to-offset, to be delivered again", []string{"--reset-offsets", "--to-offset", fmt.Sprint(middle), "--all-topics", "--execute"}, nil, "new", fromMiddle},
		{"kafka-consumer-groups --delete, to be delivered again", []string{"--delete"}, nil, "new", all},
		{"PATCH of the offsets", nil, patchOffsets, "", fromMiddle},
		{"DELETE of the offsets", nil, func(t *testing.T, f *flow, w *worker.Process) { f.rest(t, w, http.MethodDelete, "/offsets", "", 200) }, "", all},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, states.Run{})
			workers, _ := workersOfACluster(t, f, 1, map[string]string{"tasks.max": "2"})
			w := workers[0]
			f.write(t, 120)
			f.deliverAll(t)
			f.stop(t, w)
			if c.rest != nil {
				c.rest(t, f, w)
				f.rest(t, w, http.MethodPut, "/resume", "", 202)
			} else {
				f.rewind(t, w, c.tool, c.again)
			}
			want := f.times(func(p states.Position) int {
				if c.twice(p) {
					return 2
				}
				return 1
			})
			f.deliverAll(t)
			f.await(t, "what is read again has been started", func(s states.Stats) bool { return s.Executions >= total(want) })
			// What is new is started once, whatever was read again.
			f.write(t, 60)
			f.deliverAll(t)
			for _, p := range f.expected {
				if _, old := want[p]; !old {
					want[p] = 1
				}
			}
			f.started(t, want, none)
			if n := f.endpoint.Stats().Outcomes["ExecutionAlreadyExists"]; (n > 0) != (c.again == "dedupe") {
				t.Errorf("%d starts were swallowed", n)
			}
		})
	}
}

func all(states.Position) bool          { return true }
func none(states.Position) bool         { return false }
func fromMiddle(p states.Position) bool { return p.Offset >= middle }

// rewind moves the offsets with Kafka's tool, sees the task refuse to go on, and says what is wanted.
func (f *flow) rewind(t *testing.T, w *worker.Process, tool []string, again string) {
	t.Helper()
	name := f.connector(nil)["name"]
	stack.KafkaTool(t, stack.ConsumerGroups, append([]string{"--bootstrap-server", f.bootstrap, "--group", "connect-" + name}, tool...)...)
	before := f.endpoint.Stats().Executions
	f.rest(t, w, http.MethodPut, "/resume", "", 202)
	worker.Eventually(t, 30*time.Second, "a task refuses to go on", func() bool {
		for task := range 2 {
			if state, trace := w.TaskState(t, name, task); state == "FAILED" && strings.Contains(trace, "another tool has changed the committed offset") && strings.Contains(trace, "replay.on.rewind=new") {
				return true
			}
		}
		return false
	})
	if now := f.endpoint.Stats().Executions; now != before {
		t.Errorf("%d executions were started before anybody said what is wanted", now-before)
	}
	f.configure(t, w, map[string]string{"tasks.max": "2", "replay.on.rewind": again})
}

func patchOffsets(t *testing.T, f *flow, w *worker.Process) {
	type entry struct {
		Partition map[string]any `json:"partition"`
		Offset    map[string]any `json:"offset"`
	}
	var entries []entry
	for topic, partitions := range f.ends {
		for p := range partitions {
			entries = append(entries, entry{map[string]any{"kafka_topic": topic, "kafka_partition": p}, map[string]any{"kafka_offset": middle}})
		}
	}
	body, err := json.Marshal(map[string]any{"offsets": entries})
	if err != nil {
		t.Fatal(err)
	}
	f.rest(t, w, http.MethodPatch, "/offsets", string(body), 200)
}

func TestATopicThatIsMadeAnewIsDeliveredUnderNewNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		stopped bool // while the topics are made anew
		shorter bool // the new topics do not reach the old ones' ends
	}{
		{"while the connector is stopped", true, false},
		{"while the connector runs, and has fewer records", false, true},
		{"while the connector runs, and has more records", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, states.Run{})
			workers, _ := workersOfACluster(t, f, 1, map[string]string{"tasks.max": "2", "consumer.override.topic.metadata.refresh.interval.ms": "1000"})
			w := workers[0]
			f.write(t, 120)
			f.deliverAll(t)
			if c.stopped {
				f.stop(t, w)
			}
			old := f.expected
			oldEnds := maps.Clone(f.ends)
			f.expected = nil
			f.remake(t)
			if c.shorter {
				f.write(t, 60)
			} else {
				f.write(t, 240)
			}
			if c.stopped {
				f.rest(t, w, http.MethodPut, "/resume", "", 202)
			}
			want := f.times(func(states.Position) int { return 1 }) // of the new topics
			for _, p := range old {
				want[p]++ // the same place of the old ones, whose executions the endpoint remembers
			}
			worker.Eventually(t, 60*time.Second, "every change of the new topics has been started", func() bool { return len(f.lacking(want)) == 0 })
			f.deliverAll(t)
			// A running task reads on behind its old position until it has looked for the topic's id; that is read again.
			f.started(t, want, func(p states.Position) bool { return !c.stopped && p.Offset >= oldEnds[p.Topic][p.Partition] })
			if n := f.endpoint.Stats().Outcomes["ExecutionAlreadyExists"]; n > 0 {
				t.Errorf("%d starts were swallowed", n)
			}
		})
	}
}

// remake deletes the flow's topics and makes topics of the same names.
func (f *flow) remake(t *testing.T) {
	t.Helper()
	for topic := range f.ends {
		if _, err := f.admin.DeleteTopics(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	for topic := range f.ends {
		worker.Eventually(t, 30*time.Second, "a topic of the same name can be made", func() bool {
			_, err := f.admin.CreateTopic(t.Context(), partitionsPerTopic, 1, nil, topic)
			return err == nil
		})
		f.ends[topic] = make(map[int32]int64)
	}
	f.company = newCompany(t, f.registry, 43)
	f.producer.Close() // it knows the topics by their former ids
	var err error
	if f.producer, err = broker.NewProducer(strings.Split(f.bootstrap, ",")); err != nil {
		t.Fatal(err)
	}
}

func TestTwoConnectorsThatReadOneTopicStartEachTheirOwnExecutions(t *testing.T) {
	t.Parallel()
	f := newFlow(t, states.Run{})
	workers, _ := workersOfACluster(t, f, 1, nil)
	other := f.connector(map[string]string{"name": f.connector(nil)["name"] + "-b", "tasks.max": "1"})
	body, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := workers[0].Do(t.Context(), http.MethodPut, "/connectors/"+other["name"]+"/config", string(body)); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s %v", res.StatusCode, res.Body, err)
	}
	f.write(t, 200)
	want := f.times(func(states.Position) int { return 2 })
	f.await(t, "both have started every change", func(s states.Stats) bool { return s.Executions >= total(want) })
	f.deliverAll(t)
	f.awaitCommitted(t, other["name"])
	f.started(t, want, none)
	if n := f.endpoint.Stats().Outcomes["ExecutionAlreadyExists"]; n > 0 {
		t.Errorf("%d starts were swallowed", n)
	}
}

// TestAnotherClusterWithTheSameNamesStartsItsOwnExecutions moves a connector, with its topics' names, to another cluster whose records are others.
func TestAnotherClusterWithTheSameNamesStartsItsOwnExecutions(t *testing.T) {
	t.Parallel()
	f := newFlow(t, states.Run{})
	workersOfACluster(t, f, 1, nil)
	f.write(t, 120)
	f.deliverAll(t)
	g := f.movedTo(t, stack.PrivateKafka(t, 1).Bootstrap())
	workersOfACluster(t, g, 1, nil)
	g.write(t, 120)
	g.deliverAll(t)
	want := f.times(func(states.Position) int { return 1 })
	for _, p := range g.expected {
		want[p]++
	}
	f.await(t, "both clusters' changes have been started", func(s states.Stats) bool { return s.Executions >= total(want) })
	f.started(t, want, none)
	if n := f.endpoint.Stats().Outcomes["ExecutionAlreadyExists"]; n > 0 {
		t.Errorf("%d starts were swallowed", n)
	}
}

// rest makes a request about the flow's connector.
func (f *flow) rest(t *testing.T, w *worker.Process, method, path, body string, want int) {
	t.Helper()
	res, err := w.Do(t.Context(), method, "/connectors/"+f.connector(nil)["name"]+path, body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, res.Body, err)
	}
}

func (f *flow) configure(t *testing.T, w *worker.Process, more map[string]string) {
	t.Helper()
	body, err := json.Marshal(f.connector(more))
	if err != nil {
		t.Fatal(err)
	}
	f.rest(t, w, http.MethodPut, "/config", string(body), 200)
}

// stop stops the connector and waits until its group is empty.
func (f *flow) stop(t *testing.T, w *worker.Process) {
	t.Helper()
	f.rest(t, w, http.MethodPut, "/stop", "", 204)
	group := "connect-" + f.connector(nil)["name"]
	worker.Eventually(t, 30*time.Second, "the group is empty", func() bool {
		groups, err := f.admin.DescribeGroups(t.Context(), group)
		return err == nil && groups[group].State == "Empty"
	})
}

// deliverAll waits until every change has been started and everything is committed.
func (f *flow) deliverAll(t *testing.T) {
	t.Helper()
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	f.awaitCommitted(t, f.connector(nil)["name"])
}

// times says of every change how often it is to be started.
func (f *flow) times(of func(states.Position) int) map[states.Position]int {
	want := map[states.Position]int{}
	for _, p := range f.expected {
		want[p] = of(p)
	}
	return want
}

func total(want map[states.Position]int) (n int) {
	for _, times := range want {
		n += times
	}
	return n
}

// started checks how often each place was started (or more often, where more says so), and that each execution has a name of its own.
func (f *flow) started(t *testing.T, want map[states.Position]int, more func(states.Position) bool) {
	t.Helper()
	got, names := f.executions()
	wrong := 0
	for p, n := range want {
		if got[p] != n && (got[p] < n || !more(p)) {
			if wrong++; wrong <= 5 {
				t.Errorf("%+v was started %d times, want %d", p, got[p], n)
			}
		}
	}
	if wrong > 5 || len(got) != len(want) {
		t.Errorf("%d places were started another number of times than they must; %d places in all, want %d", wrong, len(got), len(want))
	}
	for name, n := range names {
		if n > 1 {
			t.Errorf("%d executions are called %s", n, name)
		}
	}
}

// executions counts them by the places of their changes, and by their names.
func (f *flow) executions() (of map[states.Position]int, names map[string]int) {
	of, names = map[states.Position]int{}, map[string]int{}
	for _, c := range f.endpoint.Log() {
		if c.Effect == 0 {
			continue
		}
		names[c.Machine+" "+c.Name]++
		for _, change := range c.Changes {
			of[change.Position]++
		}
	}
	return of, names
}

// lacking are the places that have been started less often than wanted.
func (f *flow) lacking(want map[states.Position]int) (list []states.Position) {
	got, _ := f.executions()
	for p, n := range want {
		if got[p] < n {
			list = append(list, p)
		}
	}
	return list
}

func newCompany(t *testing.T, to *registry.Server, seed uint64) *consorcio.Company {
	t.Helper()
	company, err := consorcio.New(seed, func(subject, schema string) (int, error) {
		r, err := to.Register(subject, registry.Schema{Text: schema})
		return r.ID, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return company
}
