package kafka

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// TestMain looks for goroutines left; kfake's own may take a moment longer than its Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).run"))
}

// patience is how long a condition may take to come true on a busy machine.
const patience = 60 * time.Second

func cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// client gives properties for c, with the pairs of more added.
func client(c *kfake.Cluster, more ...string) map[string]string {
	props := map[string]string{"bootstrap.servers": strings.Join(c.ListenAddrs(), ",")}
	for i := 0; i < len(more); i += 2 {
		props[more[i]] = more[i+1]
	}
	return props
}

func member(c *kfake.Cluster, more ...string) map[string]string {
	props := client(c, "group.id", "connect-test", "heartbeat.interval.ms", "100", "session.timeout.ms", "6000")
	maps.Copy(props, client(c, more...))
	return props
}

// produce writes values to a partition by the other client.
func produce(t testing.TB, c *kfake.Cluster, topic string, partition int32, values ...string) {
	t.Helper()
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: []byte(v)}
	}
	if err := p.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// recorder is a task.Group that writes down what it is told.
type recorder struct {
	mu       sync.Mutex // guards all fields
	assigned []task.Assignment
	calls    []string
	held     map[task.Partition]bool
	at       map[task.Partition]int64
	refuse   error
	onAssign func([]task.Assignment)
	onRevoke func(context.Context, []task.Partition)
}

func (r *recorder) Assigned(_ context.Context, added []task.Assignment) ([]task.Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf("A%d", len(added)))
	if r.onAssign != nil {
		r.onAssign(added)
	}
	r.assigned = append(r.assigned, added...)
	if r.held == nil {
		r.held = map[task.Partition]bool{}
	}
	var at []task.Position
	for _, a := range added {
		r.held[a.Partition] = true
		if o, ok := r.at[a.Partition]; ok {
			at = append(at, task.Position{Partition: a.Partition, Offset: o})
		}
	}
	return at, r.refuse
}

func (r *recorder) Revoked(ctx context.Context, gone []task.Partition) {
	if r.onRevoke != nil {
		r.onRevoke(ctx, gone)
	}
	r.drop("R", gone)
}

func (r *recorder) Lost(gone []task.Partition) { r.drop("L", gone) }

func (r *recorder) drop(what string, gone []task.Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf("%s%d", what, len(gone)))
	for _, p := range gone {
		delete(r.held, p)
	}
}

func (r *recorder) holds() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.held)
}

func (r *recorder) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, " ")
}

func (r *recorder) last(p task.Partition) (found task.Assignment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.assigned {
		if a.Partition == p {
			found = a
		}
	}
	return found
}

func open(t testing.TB, props map[string]string, g task.Group, topics ...string) *Source {
	t.Helper()
	s, err := OpenSource(t.Context(), SourceConfig{Properties: props, Topics: topics, Group: g})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeSource(s) })
	return s
}

func closeSource(s *Source) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Close(ctx)
}

// shut is closeSource where nobody looks at the error.
func shut(t testing.TB, s *Source) {
	if err := closeSource(s); err != nil {
		t.Logf("closing the source: %v", err)
	}
}

// poll polls until done says so and gives the messages.
func poll(t testing.TB, s *Source, done func(got []task.Message) bool) []task.Message {
	t.Helper()
	var got []task.Message
	for end := time.Now().Add(patience); !done(got); {
		if time.Now().After(end) {
			t.Fatalf("not reached; %d messages, problem %v", len(got), s.Problem().Err)
		}
		var err error
		if got, err = s.Poll(t.Context(), got, 100); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// pollError polls until Poll fails.
func pollError(t testing.TB, s *Source) error {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := s.Poll(t.Context(), nil, 100); err != nil {
			return err
		}
	}
	t.Fatal("Poll did not fail")
	return nil
}

// runner polls a source on a goroutine of its own.
type runner struct {
	*Source
	stop chan struct{}
	done chan error
}

func run(t testing.TB, s *Source) *runner {
	r := &runner{Source: s, stop: make(chan struct{}), done: make(chan error, 1)}
	ctx := context.WithoutCancel(t.Context())
	go func() {
		for {
			select {
			case <-r.stop:
				r.done <- closeSource(s)
				return
			default:
			}
			if _, err := s.Poll(ctx, nil, 100); err != nil {
				r.done <- err
				return
			}
		}
	}()
	t.Cleanup(func() { r.end(t) })
	return r
}

func (r *runner) end(t testing.TB) {
	t.Helper()
	select {
	case <-r.stop:
		return
	default:
	}
	close(r.stop)
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// eventually waits for a condition that other goroutines make true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// emptied waits until the group's last member has left: Close does not wait for the broker's answer.
func emptied(t testing.TB, a *Admin) {
	t.Helper()
	eventually(t, "the group is empty", func() bool {
		g, err := a.DescribeGroup(t.Context(), "connect-test")
		return err == nil && g.State == "Empty" && len(g.Members) == 0
	})
}

func at(topic string, id int32, offset int64, metadata string) task.Position {
	return task.Position{Partition: task.Partition{Topic: topic, ID: id}, Offset: offset, Metadata: metadata}
}
