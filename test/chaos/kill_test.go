// Package chaos kills and disturbs real worker processes on a real broker and counts, from the
// endpoint's own log, what was started.
package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/consorcio"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKilledAtAnyMomentEachChangeStartsOnceInOrder kills the worker with kill -9 at random moments while
// changes flow into Standard state machines: with batches of one and of fifty, with
// executions that close at once and that stay RUNNING, and with one key held back throughout.
func TestKilledAtAnyMomentEachChangeStartsOnceInOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		batch int
		hold  bool // executions stay RUNNING
		stuck bool // one key cannot be delivered until the last kill is over
	}{
		{"batches of 1, executions close", 1, false, false},
		{"batches of 1, executions stay running", 1, true, false},
		{"batches of 50, executions close", 50, false, false},
		{"batches of 50, executions stay running", 50, true, false},
		{"batches of 50, one key held back", 50, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kill(t, c.batch, c.hold, c.stuck)
		})
	}
}

func kill(t *testing.T, batch int, hold, stuck bool) {
	changes, kills := scale.N(3000, 20_000), scale.N(3, 20)
	f := newFlow(t, states.Run{Hold: hold})
	release := make(chan struct{})
	if stuck {
		f.holdBack(release)
	}
	props := worker.Properties(t, f.bootstrap, f.registry.URL())
	connector := f.connector(map[string]string{"batch.max.records": fmt.Sprint(batch), "max.in.flight": "16"})
	rng := rand.New(rand.NewPCG(uint64(batch), 9))
	for range kills {
		f.write(t, (changes+kills)/(kills+1))
		before := f.endpoint.Stats().Changes
		w := worker.Start(t, props, connector)
		goal := before + rng.IntN(max(1, f.expectable()-before))
		f.await(t, fmt.Sprintf("%d changes have been started", goal), func(s states.Stats) bool { return s.Changes >= goal })
		w.Kill()
	}
	f.write(t, (changes+kills)/(kills+1))
	close(release)
	w := worker.Start(t, props, connector)
	f.await(t, "every change has been started", func(s states.Stats) bool { return s.Changes >= len(f.expected) })
	f.awaitCommitted(t, connector["name"])
	if err := w.Stop(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
	report := states.Verify(f.endpoint.Log(), f.expected)
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	t.Logf("%d changes, %d kills: %d calls, %d executions, outcomes %v", len(f.expected), kills, report.Calls, report.Executions, f.endpoint.Stats().Outcomes)
}

// flow is a company whose changes go through a real broker to an endpoint of this process.
type flow struct {
	prefix    string
	bootstrap string
	company   *consorcio.Company
	producer  *broker.Producer
	registry  *registry.Server
	endpoint  *states.Endpoint
	admin     *kadm.Client
	expected  []states.Position
	offered   atomic.Int64    // how many there are in expected
	stuckFrom map[string]bool // keys held back
	ends      map[string]map[int32]int64
}

const partitionsPerTopic = 2 // six in all

func newFlow(t *testing.T, run states.Run) *flow {
	t.Helper()
	return newFlowTo(t, states.Standard, run)
}

// newFlowTo is newFlow to state machines of a type.
func newFlowTo(t *testing.T, kind states.Type, run states.Run) *flow {
	t.Helper()
	f := &flow{prefix: stack.Name(t) + ".", bootstrap: stack.Kafka(t), ends: make(map[string]map[int32]int64)}
	var err error
	if f.registry, err = registry.Start(t.Context(), registry.Options{}); err != nil {
		t.Fatal(err)
	}
	f.endpoint, err = states.Start(t.Context(), states.Options{
		Machines: []states.Machine{{Name: "Clientes", Type: kind, Run: run}, {Name: "Pedidos", Type: kind, Run: run}, {Name: "Produtos", Type: kind, Run: run}},
		Latency:  5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.company = newCompany(t, f.registry, 42)
	f.connect(t)
	t.Cleanup(func() {
		if err := f.registry.Close(); err != nil {
			t.Error(err)
		}
		if err := f.endpoint.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// connect makes the topics on the flow's broker.
func (f *flow) connect(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.bootstrap, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	f.admin = kadm.NewClient(client)
	for _, topic := range consorcio.Topics() {
		if _, err := f.admin.CreateTopic(t.Context(), partitionsPerTopic, 1, nil, f.prefix+topic); err != nil {
			t.Fatal(err)
		}
		f.ends[f.prefix+topic] = make(map[int32]int64)
	}
	if f.producer, err = broker.NewProducer(strings.Split(f.bootstrap, ",")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.producer.Close()
		f.admin.Close()
	})
}

// movedTo is a flow with the same endpoint, registry and names of topics on another cluster, to which other changes are written.
func (f *flow) movedTo(t *testing.T, bootstrap string) *flow {
	t.Helper()
	g := &flow{prefix: f.prefix, bootstrap: bootstrap, registry: f.registry, endpoint: f.endpoint, company: newCompany(t, f.registry, 43), ends: make(map[string]map[int32]int64)}
	g.connect(t)
	return g
}

// holdBack refuses the changes of some keys, as a destination does that is stuck on them, until release is closed.
func (f *flow) holdBack(release <-chan struct{}) {
	f.stuckFrom = map[string]bool{`{"id":1003}`: true, `{"id":502}`: true}
	f.endpoint.SetHook(func(c states.Call) states.Fault {
		select {
		case <-release:
			return states.Fault{}
		default:
		}
		for _, change := range c.Changes {
			if f.stuckFrom[change.Key] {
				return states.Fault{Code: "InternalFailure"}
			}
		}
		return states.Fault{}
	})
}

// expectable is how many changes can surely be started while keys are held back.
func (f *flow) expectable() int {
	if f.stuckFrom == nil {
		return len(f.expected)
	}
	return len(f.expected) / 4 // a held change holds its batch and what follows in its key
}

// connector is the configuration that delivers the flow.
func (f *flow) connector(more map[string]string) map[string]string {
	cfg := map[string]string{
		"name": strings.TrimSuffix(f.prefix, "."), "connector.class": "StepFunctionsSink", "tasks.max": "2",
		"domains": "clientes,pedidos,produtos", "aws.region": "sa-east-1", "aws.endpoint": f.endpoint.URL(),
		"consumer.override.session.timeout.ms": "6000", "fencing.lease.ms": "2000",
		"delivery.retry.backoff.ms": "50", "delivery.retry.backoff.max.ms": "500",
	}
	var topics []string
	for _, m := range f.endpoint.Machines() {
		domain := strings.ToLower(m.Name)
		topic := f.prefix + domain + "-alteracoes"
		topics = append(topics, topic)
		cfg["domain."+domain+".topics"] = topic
		cfg["domain."+domain+".state.machine.arn"] = m.ARN
	}
	cfg["topics"] = strings.Join(topics, ",")
	for k, v := range more {
		cfg[k] = v
	}
	return cfg
}

func (f *flow) write(t *testing.T, n int) {
	t.Helper()
	if err := f.produce(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// produce lets the company make at least n changes, with the tombstones between them.
func (f *flow) produce(ctx context.Context, n int) error {
	var records []broker.Record
	var changes []*consorcio.Change
	for made := 0; made < n; {
		events, err := f.company.Transaction()
		if err != nil {
			return err
		}
		for _, e := range events {
			records = append(records, broker.Record{Topic: f.prefix + e.Topic, Key: e.Key, Value: e.Value})
			changes = append(changes, e.Change)
			if e.Change != nil {
				made++
			}
		}
	}
	offsets, err := f.producer.Send(ctx, records...)
	if err != nil {
		return err
	}
	for i, o := range offsets {
		f.ends[o.Topic][o.Partition] = max(f.ends[o.Topic][o.Partition], o.Offset+1)
		if changes[i] != nil {
			f.expected = append(f.expected, states.Position{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset})
		}
	}
	f.offered.Store(int64(len(f.expected)))
	return nil
}

func (f *flow) await(t *testing.T, what string, cond func(states.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scale.D(90*time.Second, 5*time.Minute))
	defer cancel()
	if s, err := f.endpoint.Wait(ctx, cond); err != nil {
		t.Fatalf("%s: %v; the endpoint saw %+v", what, err, s)
	}
}

// awaitCommitted waits until the connector's group has committed everything.
func (f *flow) awaitCommitted(t *testing.T, connector string) {
	t.Helper()
	worker.Eventually(t, 30*time.Second, "all offsets are committed", func() bool {
		got, err := f.admin.FetchOffsets(t.Context(), "connect-"+connector)
		if err != nil {
			return false
		}
		for topic, parts := range f.ends {
			for p, end := range parts {
				if o, ok := got.Lookup(topic, p); !ok || o.At < end {
					return false
				}
			}
		}
		return true
	})
}
