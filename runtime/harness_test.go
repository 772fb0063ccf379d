package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/file"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a standalone worker over in-memory logs and a twin of the broker.
type world struct {
	t      *testing.T
	broker *broker
	*Herder
	config, status *store.MemoryLog
	sink           *probe
	logs           *lockedBuffer
	stop           context.CancelFunc
	done           chan error
}

// start runs a worker with settings beside the usual ones, until the test ends; the caller is in a bubble
// of synctest.
func start(t *testing.T, settings map[string]string) *world {
	t.Helper()
	w := &world{t: t, broker: newBroker(), sink: &probe{}, logs: &lockedBuffer{}, done: make(chan error, 1)}
	var err error
	if w.config, err = store.OpenMemoryLog(""); err != nil {
		t.Fatal(err)
	}
	if w.status, err = store.OpenMemoryLog(""); err != nil {
		t.Fatal(err)
	}
	w.run(settings)
	t.Cleanup(w.end)
	return w
}

func (w *world) run(settings map[string]string) {
	w.t.Helper()
	raw := map[string]string{
		"bootstrap.servers": "broker:9092", "key.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "offset.flush.interval.ms": "1000",
		"offset.storage.file.filename": "/nowhere", "config.providers": "env", "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
	}
	distributed := settings["group.id"] != ""
	if distributed {
		for _, k := range []string{"config", "offset", "status"} {
			raw[k+".storage.topic"] = "connect-" + k
		}
	}
	maps.Copy(raw, settings)
	cfg, providers, err := ParseWorkerConfig(w.t.Context(), raw, distributed, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	plugins, err := NewPlugins(testPlugins(w.sink))
	if err != nil {
		w.t.Fatal(err)
	}
	metrics, err := metric.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Herder = NewHerder(HerderOptions{
		Version: "1.2.3", Commit: "abc", WorkerID: "127.0.0.1:8083", Config: cfg, Providers: providers, Plugins: plugins,
		Clients: w.broker.clients(), ConfigLog: w.config, StatusLog: w.status, Metrics: metrics, Levels: NewLevels(slog.LevelInfo),
		Handler: slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}),
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	w.stop = cancel
	go func() { w.done <- w.Herder.Run(ctx) }()
	eventually(w.t, "the worker is ready", func() bool { return w.Health(w.t.Context()).Status == "healthy" })
}

// end stops the worker and waits for all of it.
func (w *world) end() {
	if w.stop == nil {
		return
	}
	if w.t.Failed() {
		w.t.Log(w.logs.String(), w.broker.committed("connect-c"))
	}
	w.stop()
	w.stop = nil
	if err := <-w.done; err != nil {
		w.t.Errorf("the worker ended with %v", err)
	}
}

// lockedBuffer keeps what is logged.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits, in the bubble's time, until ok says yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		synctest.Wait()
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("after a minute still not: %s", what)
}

// state waits until a connector's tasks are all in a state.
func (w *world) awaitTasks(name, state string, n int) ConnectorStatus {
	w.t.Helper()
	var st ConnectorStatus
	eventually(w.t, fmt.Sprintf("%d tasks of %s are %s", n, name, state), func() bool {
		var err error
		if st, err = w.Status(w.t.Context(), name); err != nil || len(st.Tasks) != n {
			return false
		}
		for _, t := range st.Tasks {
			if t.State != state {
				return false
			}
		}
		return true
	})
	return st
}

func cfgOf(kv ...string) map[string]*string {
	m := map[string]*string{}
	for i := 0; i < len(kv); i += 2 {
		v := kv[i+1]
		m[kv[i]] = &v
	}
	return m
}

// probeConfig is the configuration of a connector with the probe sink.
func probeConfig(topic string, kv ...string) map[string]*string {
	m := cfgOf("connector.class", "ProbeSink", "topics", topic, "value.converter", "StringConverter", "key.converter", "StringConverter")
	maps.Copy(m, cfgOf(kv...))
	return m
}

func (w *world) create(name string, cfg map[string]*string) ConnectorInfo {
	w.t.Helper()
	info, err := w.Create(w.t.Context(), CreateRequest{Name: name, Config: cfg})
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// requireError fails unless err is an *Error of that status with that message.
func requireError(t *testing.T, err error, status int, message string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != status || message != "" && e.Message != message {
		t.Errorf("got %v, want %d %q", err, status, message)
	}
}

// probe is a sink that remembers what it got and fails as told.
type probe struct {
	mu        sync.Mutex // guards all below
	values    []string
	places    []string // where each was consumed first, and what its batch is named by
	refuse    func(value string) error
	openErr   error
	putErr    error
	hang      chan struct{} // deliveries wait for its end, whatever their context says; nil: they do not
	open      int
	contexts  []connector.TaskContext
	passwords []string
	outcomes  connector.Outcomes
	remembers bool
}

// Preview makes the probe a connector.Previewer.
func (*probe) Preview(_ context.Context, cfg config.Values, tc connector.TaskContext, r *connector.Record) (any, error) {
	v, err := r.Value.Native()
	o := r.Origin
	return fmt.Sprintf("%v at %s %s epoch %d with %s", v, tc.ClusterID, tc.TopicID(o.Topic), tc.ReplayEpoch(o.Topic, o.Partition, o.Offset), cfg.Password("endpoint.password").Reveal()), err
}

// Named makes the probe a connector.Named.
func (p *probe) Named() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remembers
}

// Outcomes makes the probe a connector.Auditor.
func (p *probe) Outcomes() connector.Outcomes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcomes
}

func (*probe) Info() connector.Info { return connector.Info{Class: "ProbeSink", Version: "9.9"} }
func (*probe) Config() *config.Def {
	return config.New(config.Key{Name: "endpoint.password", Type: config.Password}, config.Key{Name: "colour", Default: "red", Nullable: true})
}

func (p *probe) NewSink(_ context.Context, cfg config.Values, tc connector.TaskContext) (connector.Sink, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contexts = append(p.contexts, tc)
	tc.Share() // as a sink with a budget
	p.passwords = append(p.passwords, cfg.Password("endpoint.password").Reveal())
	if p.openErr != nil {
		return nil, p.openErr
	}
	p.open++
	return p, nil
}

func (p *probe) Deliver(_ context.Context, batch []*connector.Record) error {
	p.mu.Lock()
	hang := p.hang
	p.mu.Unlock()
	if hang != nil {
		<-hang
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.putErr != nil {
		return p.putErr
	}
	if p.refuse != nil {
		for _, r := range batch {
			v, _ := r.Value.Native()
			if err := p.refuse(fmt.Sprint(v)); err != nil {
				return err
			}
		}
	}
	for _, r := range batch {
		v, err := r.Value.Native()
		if err != nil {
			return err
		}
		p.values = append(p.values, fmt.Sprint(v))
		p.places = append(p.places, fmt.Sprintf("%s-%d@%d as %s-%d@%v", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset, r.Batch.Topic, r.Batch.Partition, r.Batch.Offsets))
	}
	return nil
}

func (p *probe) Close(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	return nil
}

func (p *probe) set(f func(*probe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// started gives the contexts of the sinks made so far, opened how many are open, given the passwords they got.
func (p *probe) started() []connector.TaskContext { return locked(&p.mu, &p.contexts) }
func (p *probe) given() []string                  { return locked(&p.mu, &p.passwords) }
func (p *probe) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func locked[T any](mu *sync.Mutex, list *[]T) []T {
	mu.Lock()
	defer mu.Unlock()
	return append([]T{}, *list...)
}

func last[T any](list []T) T { return list[len(list)-1] }

func (p *probe) placed() []string { return locked(&p.mu, &p.places) }

func (p *probe) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.values...)
}

// textConverter and jsonConverter are small twins of Kafka's.
type textConverter struct{ closed *atomic.Int64 }

func (textConverter) Convert(_ context.Context, _ string, _ []connector.RawHeader, data []byte) (connector.Value, error) {
	if data == nil {
		return connector.Value{}, nil
	}
	return connector.NewValue(&connector.Schema{Type: connector.String, Optional: true}, string(data)), nil
}
func (c textConverter) Close() error { c.closed.Add(1); return nil }
func (textConverter) ConvertHeader(_, _ string, data []byte) (connector.Value, error) {
	return connector.NewValue(nil, string(data)), nil
}

type jsonTwin struct{ textConverter }

func (c jsonTwin) Convert(ctx context.Context, topic string, h []connector.RawHeader, data []byte) (connector.Value, error) {
	var v any
	if data == nil {
		return connector.Value{}, nil
	}
	if json.Unmarshal(data, &v) != nil {
		return connector.Value{}, errors.New("Converting byte[] to Kafka Connect data failed due to serialization error: ")
	}
	return connector.NewValue(nil, fmt.Sprint(v)), nil
}

type filter struct{}

func (filter) Apply(*connector.Record) (*connector.Record, error) { return nil, nil }

type hasHeader struct{ name string }

func (p hasHeader) Test(r *connector.Record) (bool, error) {
	for _, h := range r.Headers {
		if h.Key == p.name {
			return true, nil
		}
	}
	return false, nil
}

func testPlugins(sink *probe) connector.Plugins {
	closed := &atomic.Int64{}
	converter := func(class string, def *config.Def, c connector.Converter) connector.ConverterPlugin {
		return connector.ConverterPlugin{
			Info: connector.Info{Class: class, Version: "1.0"}, Config: def,
			New:       func(config.Values, bool) (connector.Converter, error) { return c, nil },
			NewHeader: func(config.Values) (connector.HeaderConverter, error) { return textConverter{closed}, nil },
		}
	}
	typeKey := config.Key{Name: "converter.type", Validate: config.OneOf("key", "value", "header")}
	text := config.New(config.Key{Name: "converter.encoding", Default: "UTF-8"}, typeKey)
	js := config.New(config.Key{Name: "schemas.enable", Type: config.Boolean, Default: true}, typeKey)
	transform := func(class string, keys ...config.Key) connector.TransformPlugin {
		return connector.TransformPlugin{Info: connector.Info{Class: class, Version: "1.0"}, Config: config.New(keys...),
			New: func(config.Values) (connector.Transform, error) { return filter{}, nil }}
	}
	const t = "org.apache.kafka.connect.transforms."
	return connector.Plugins{
		Sinks: []connector.Connector{file.New("1.0", io.Discard), sink},
		Converters: []connector.ConverterPlugin{
			converter("org.apache.kafka.connect.storage.StringConverter", text, textConverter{closed}),
			converter("org.apache.kafka.connect.json.JsonConverter", js, jsonTwin{textConverter{closed}}),
			converter("org.apache.kafka.connect.converters.ByteArrayConverter", config.New(), textConverter{closed}),
		},
		Transforms: []connector.TransformPlugin{
			transform(t + "Filter"),
			transform(t+"RegexRouter", config.Key{Name: "regex", Required: true}, config.Key{Name: "replacement", Required: true}),
			transform(t+"ExtractField$Value", config.Key{Name: "field", Required: true}),
		},
		Predicates: []connector.PredicatePlugin{
			{Info: connector.Info{Class: t + "predicates.RecordIsTombstone", Version: "1.0"}, Config: config.New(),
				New: func(config.Values) (connector.Predicate, error) { return hasHeader{}, nil }},
			{Info: connector.Info{Class: t + "predicates.HasHeaderKey", Version: "1.0"}, Config: config.New(config.Key{Name: "name", Required: true}),
				New: func(v config.Values) (connector.Predicate, error) { return hasHeader{v.String("name")}, nil }},
			{Info: connector.Info{Class: t + "predicates.TopicNameMatches", Version: "1.0"}, Config: config.New(),
				New: func(config.Values) (connector.Predicate, error) { return hasHeader{}, nil }},
		},
	}
}
