package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// flow is the company's whole flow, running. Everything in it may be killed and started again but the source's database.
type flow struct {
	broker      *stack.Server
	registry    *stack.Server
	destination *stack.Server
	connect     *stack.Server // the JVM's worker, which runs Debezium
	emulator    *stack.Server
	proxy       *proxy // between the workers and the emulator
	account     *account
	published   string // file of what EventBridge has taken
	props       []map[string]string
	workers     []*worker.Process

	kafka          *kgo.Client
	company        *company
	sourceDB       *pgx.Conn
	destinationDSN string
	unparked       int // inputs that Standard executions parked, and that were executed again
}

// start starts everything, the company's first rows included, in the order of docs/pipeline.md.
func start(t *testing.T, seed uint64, rows int) *flow {
	t.Helper()
	ctx := t.Context()
	f := &flow{published: filepath.Join(t.TempDir(), "published.jsonl")}
	// Servers that need no other are started together; each ends with the test.
	cluster := stack.PrivateKafka(t, 1)
	f.broker, f.registry, f.destination = cluster.Nodes[0], stack.PrivateRegistry(t), stack.PrivatePostgres(t)
	f.connect = stack.PrivateConnect(t, cluster.Bootstrap(), stack.WithPlugins(stack.DebeziumPostgres, stack.AvroConverter))

	sourceDSN := stack.Postgres(t)
	f.sourceDB = connect(ctx, t, sourceDSN)
	tables, err := os.ReadFile("testdata/source.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.sourceDB.Exec(ctx, string(tables)); err != nil {
		t.Fatal(err)
	}
	// The slot must be gone before the database can be dropped.
	t.Cleanup(func() { f.dropSlot(context.WithoutCancel(ctx), t) })
	f.company = newCompany(f.sourceDB, seed)
	if err := f.company.found(ctx, rows); err != nil {
		t.Fatal(err)
	}

	f.destinationDSN = f.destination.Addr()
	migrate(ctx, t, f.destinationDSN)
	hostPort, database := address(t, f.destinationDSN)
	f.emulator = stack.PrivateMinistack(t, stack.WithAurora(clusterName, hostPort), stack.WithEvents(f.published))
	f.account = &account{endpoint: f.emulator.Addr(), database: database, kind: "EXPRESS", age: "5 seconds"}
	if err := f.account.install(ctx); err != nil {
		t.Fatal(err)
	}
	f.proxy = newProxy(t, f.emulator.Addr())

	if f.kafka, err = kgo.NewClient(kgo.SeedBrokers(cluster.Bootstrap())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.kafka.Close)
	createTopics(ctx, t, f.kafka)
	f.startWorkers(t, cluster.Bootstrap())
	connectors{f.connect.Addr()}.put(ctx, t, sourceConnector, debezium(t, sourceDSN, f.registry.Addr()))
	return f
}

// startWorkers starts two workers of one cluster with the sink as it ships.
func (f *flow) startWorkers(t *testing.T, bootstrap string) {
	t.Helper()
	group := stack.Name(t)
	for range 2 {
		props := worker.Distributed(t, bootstrap, group)
		for _, prefix := range []string{"", "consumer."} {
			props[prefix+"session.timeout.ms"], props[prefix+"heartbeat.interval.ms"] = "6000", "1000"
		}
		f.props = append(f.props, props)
		f.workers = append(f.workers, worker.Launch(t, props))
	}
	for _, w := range f.workers {
		w.Await(t)
	}
	f.startSink(t)
}

// startSink starts the connector as it ships, or gives it another type of state machines.
func (f *flow) startSink(t *testing.T) {
	t.Helper()
	config := readConnector(t, "connectors/consorcio.json")
	for key, value := range map[string]string{
		"key.converter.schema.registry.url": f.registry.Addr(), "value.converter.schema.registry.url": f.registry.Addr(),
		"aws.endpoint": f.proxy.url, "errors.deadletterqueue.topic.replication.factor": "1", "execution.type": strings.ToLower(f.account.kind),
		// The emulator is one process in Python: more at once only wait for each other.
		"max.in.flight": "4", "fencing.lease.ms": "5000",
	} {
		config[key] = value
	}
	if f.account.kind == "STANDARD" {
		config["batch.max.records"] = "25"
		for domain := range strings.SplitSeq(config["domains"], ",") {
			config["domain."+domain+".state.machine.arn"] = f.account.arn(domain)
		}
	}
	connectors{f.workers[0].URL}.put(t.Context(), t, "consorcio", config)
}

// becomeStandard makes the state machines Standard ones: the emulator cannot change a type, so it begins anew.
func (f *flow) becomeStandard(ctx context.Context, t *testing.T) {
	t.Helper()
	f.emulator.Kill()
	restart(ctx, t, f.emulator)
	f.account.kind = "STANDARD"
	if err := f.account.install(ctx); err != nil {
		t.Fatal(err)
	}
	f.startSink(t)
}

// dropSlot ends Debezium's worker and drops its replication slot.
func (f *flow) dropSlot(ctx context.Context, t *testing.T) {
	f.connect.Kill()
	worker.Eventually(t, 30*time.Second, "the replication slot can be dropped", func() bool {
		_, err := f.sourceDB.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'consorcio' AND database = current_database()")
		return err == nil
	})
}

// await waits until done is nil, and tells the last reason why it is not. Failing servers are part of the test, so errors are only
// reasons to ask again.
func (f *flow) await(ctx context.Context, t *testing.T, within time.Duration, what string, done func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var last error // before time was up
	for {
		err := done(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		f.mend(ctx, t)
		select {
		case <-tick.C:
		case <-ctx.Done():
			states, trace := connectors{f.connect.Addr()}.status(context.WithoutCancel(ctx), sourceConnector)
			ours, ourTrace := connectors{f.workers[0].URL}.status(context.WithoutCancel(ctx), "consorcio")
			waiting, _ := connectors{f.workers[0].URL}.do(context.WithoutCancel(ctx), http.MethodGet, "/connectors/consorcio/waiting", nil)
			t.Fatalf("%s: not within %v: %v\nDebezium: %v %s\nstepconnect: %v %s %s", what, within, last, states, trace, ours, ourTrace, waiting.Body)
		}
	}
}

// onDestination runs fn with a fresh connection: the database may have been away since the last.
func (f *flow) onDestination(ctx context.Context, fn func(*pgx.Conn) error) error {
	db, err := pgx.Connect(ctx, f.destinationDSN)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return fn(db)
}

// reconciled is nil when both sides have as many rows, and the same sum of rowversions, in each table.
func (f *flow) reconciled(ctx context.Context) error {
	var source, destination string
	if err := f.sourceDB.QueryRow(ctx, sourceVersions).Scan(&source); err != nil {
		return err
	}
	err := f.onDestination(ctx, func(db *pgx.Conn) error { return db.QueryRow(ctx, destinationVersions).Scan(&destination) })
	if err != nil {
		return err
	}
	if source != destination {
		return fmt.Errorf("the source has %s, the destination %s", source, destination)
	}
	return nil
}

// committed is nil when every offset of the three topics is committed.
func (f *flow) committed(ctx context.Context) error {
	admin := kadm.NewClient(f.kafka)
	ends, err := admin.ListEndOffsets(ctx, "clientes-alteracoes", "pedidos-alteracoes", "produtos-alteracoes")
	if err != nil {
		return err
	}
	offsets, err := admin.FetchOffsets(ctx, "connect-consorcio")
	if err != nil {
		return err
	}
	var errs []error
	ends.Each(func(end kadm.ListedOffset) {
		at, _ := offsets.Lookup(end.Topic, end.Partition)
		if end.Err != nil || end.Offset > 0 && at.At != end.Offset {
			errs = append(errs, fmt.Errorf("%s-%d is committed to %d of %d (%w)", end.Topic, end.Partition, at.At, end.Offset, end.Err))
		}
	})
	return errors.Join(errs...)
}

// allRunning is nil when all tasks of both sides run.
func (f *flow) allRunning(ctx context.Context) error {
	for name, c := range map[string]connectors{sourceConnector: {f.connect.Addr()}, "consorcio": {f.workers[0].URL}} {
		states, trace := c.status(ctx, name)
		if len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return s != "RUNNING" }) {
			return fmt.Errorf("%s: %v %s", name, states, trace)
		}
	}
	return nil
}
