package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/cmd/host"
	"github.com/stepconnect/stepconnect/internal/embedded"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/consorcio"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/runtime"
	"golang.org/x/sync/errgroup"
)

// demoDeadline is how long the demo's changes may take to arrive.
const demoDeadline = time.Minute

func demoCommand() *cobra.Command {
	var exit bool
	var events int
	var seed uint64
	var listener string
	c := &cobra.Command{
		Use:   "demo",
		Short: "See change events become executions: everything in this process, on loopback",
		Long: "Starts an in-process Kafka, schema registry and Step Functions endpoint, writes change events of the three tables\n" +
			"in Avro, registers the connector over REST, and shows executions starting. It stays up until interrupted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &demo{out: cmd.OutOrStdout(), events: events, seed: seed, listener: listener, exit: exit}
			return d.run(cmd.Context())
		},
	}
	c.Flags().BoolVar(&exit, "exit", false, "end once every change has become an execution and was checked; status 0 when all is right")
	c.Flags().IntVar(&events, "events", 400, "least number of change events to write")
	c.Flags().Uint64Var(&seed, "seed", 1, "the same seed gives the same events")
	c.Flags().StringVar(&listener, "listen", "http://127.0.0.1:8083", "REST listener; port 0 takes a free one")
	return c
}

// demo is one run of stepconnect demo.
type demo struct {
	out      io.Writer
	events   int
	seed     uint64
	listener string
	exit     bool

	stack     *embedded.Stack
	worker    *host.Worker
	written   []writtenEvent
	started   time.Time
	delivered time.Duration
}

// writtenEvent is an event with where it went.
type writtenEvent struct {
	consorcio.Event
	at broker.Offset
}

func (d *demo) run(ctx context.Context) (err error) {
	d.started = time.Now()
	if err := useDemoCredentials(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stepconnect-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := d.startServers(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stack.Close()) }()
	if err := d.startWorker(ctx, dir); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(ctx)
	g.Go(func() error { return host.IgnoreStop(running, d.worker.Run(running)) })
	g.Go(func() error {
		defer stop()
		return host.IgnoreStop(ctx, d.tell(ctx))
	})
	return g.Wait()
}

// useDemoCredentials keeps a person's own AWS credentials out of the demo: its endpoint takes any.
func useDemoCredentials() error {
	var errs []error
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		errs = append(errs, os.Setenv(k, v))
	}
	return errors.Join(errs...)
}

// startServers starts what the worker talks to, over its real protocols.
func (d *demo) startServers(ctx context.Context) (err error) {
	var topics []broker.Topic
	for _, t := range consorcio.Topics() {
		topics = append(topics, broker.Topic{Name: t, Partitions: 3})
	}
	d.stack, err = embedded.Start(ctx, embedded.Options{
		Kafka: broker.Options{Topics: topics},
		States: states.Options{
			Machines: []states.Machine{{Name: "Clientes"}, {Name: "Pedidos"}, {Name: "Produtos"}}, Keep: states.KeepInputs,
		},
	})
	return err
}

// startWorker puts the worker together with a log of its own, so that the story stays readable.
func (d *demo) startWorker(ctx context.Context, dir string) error {
	logFile, err := os.Create(filepath.Join(dir, "worker.log"))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = logFile.Sync() })
	cfg, providers, err := runtime.ParseWorkerConfig(ctx, map[string]string{
		"bootstrap.servers":                           d.stack.Kafka.Bootstrap(),
		"listeners":                                   d.listener,
		"key.converter":                               "io.confluent.connect.avro.AvroConverter",
		"key.converter.schema.registry.url":           d.stack.Registry.URL(),
		"value.converter":                             "io.confluent.connect.avro.AvroConverter",
		"value.converter.schema.registry.url":         d.stack.Registry.URL(),
		"offset.storage.file.filename":                filepath.Join(dir, "replay.json"),
		"offset.flush.interval.ms":                    "1000",
		"consumer.allow.auto.create.topics":           "false",
		"consumer.topic.metadata.refresh.interval.ms": "1000",
	}, false, nil)
	if err != nil {
		return err
	}
	//nolint:contextcheck // Glue's converter is made without one: it reads files only.
	d.worker, err = host.NewStandalone(ctx, plugins(), build(), cfg, providers, host.LogHandler(logFile))
	return err
}

// tell is the story: register, write, watch, check.
func (d *demo) tell(ctx context.Context) error {
	if err := d.worker.AwaitHealthy(ctx); err != nil {
		return err
	}
	d.say("worker            %s", d.worker.URL)
	d.say("kafka             %s   registry %s   step functions %s", d.stack.Kafka.Bootstrap(), d.stack.Registry.URL(), d.stack.States.URL())
	body, err := d.createConnector(ctx)
	if err != nil {
		return err
	}
	d.say("POST /connectors  %s", body)
	if err := d.write(ctx); err != nil {
		return err
	}
	if err := d.watch(ctx); err != nil {
		return err
	}
	result := d.check()
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if d.exit {
		fmt.Fprintln(d.out, string(line))
		return result.err()
	}
	d.say("%s", line)
	if err := result.err(); err != nil {
		return err
	}
	d.invite()
	<-ctx.Done()
	return nil
}

func (d *demo) say(format string, a ...any) {
	fmt.Fprintf(d.out, "%6.2fs  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, a...))
}

// createConnector registers the connector the way its users do.
func (d *demo) createConnector(ctx context.Context) (string, error) {
	cfg := map[string]string{
		"connector.class": "StepFunctionsSink", "tasks.max": "2",
		"topics":  strings.Join(consorcio.Topics(), ","),
		"domains": "clientes,pedidos,produtos", "aws.region": "sa-east-1", "aws.endpoint": d.stack.States.URL(),
		"consumer.override.session.timeout.ms": "6000", "fencing.lease.ms": "2000",
	}
	for _, m := range d.stack.States.Machines() {
		domain := strings.ToLower(m.Name)
		cfg["domain."+domain+".topics"] = domain + "-alteracoes"
		cfg["domain."+domain+".state.machine.arn"] = m.ARN
	}
	body, err := json.Marshal(map[string]any{"name": "consorcio", "config": cfg})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.worker.URL+"/connectors", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("register the connector: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("register the connector: status %d: %s", res.StatusCode, answer)
	}
	return string(answer), nil
}

// write lets the company work: its changes go to Kafka as Debezium writes them.
func (d *demo) write(ctx context.Context) error {
	company, err := consorcio.New(d.seed, func(subject, schema string) (int, error) {
		r, err := d.stack.Registry.Register(subject, registry.Schema{Text: schema})
		return r.ID, err
	})
	if err != nil {
		return err
	}
	producer, err := broker.NewProducer(d.stack.Kafka.Addrs())
	if err != nil {
		return err
	}
	defer producer.Close()
	for len(d.written) < d.events {
		events, err := company.Transaction()
		if err != nil {
			return err
		}
		for _, e := range events {
			r := broker.Record{Topic: e.Topic, Key: e.Key, Value: e.Value}
			for k, v := range e.Headers {
				r.Headers = append(r.Headers, broker.Header{Key: k, Value: []byte(v)})
			}
			at, err := producer.Send(ctx, r)
			if err != nil {
				return err
			}
			d.written = append(d.written, writtenEvent{e, at[0]})
		}
		if n := len(d.written); n%100 < len(events) {
			d.say("events written    %d", n)
		}
	}
	return nil
}

// watch reports until every change has arrived.
func (d *demo) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoDeadline)
	defer cancel()
	want := 0
	for _, e := range d.written {
		if e.Change != nil {
			want++
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		counts, total := d.counts()
		if line := fmt.Sprintf("clientes %d, pedidos %d, produtos %d; lag %d", counts["Clientes"], counts["Pedidos"], counts["Produtos"], want-total); line != last {
			d.say("executions        %s", line)
			last = line
		}
		if total >= want {
			d.delivered = time.Since(d.started)
			return nil
		}
		select {
		case <-ctx.Done():
			return d.stuck(ctx, want-total)
		case <-tick.C:
		}
	}
}

// stuck says why not everything arrived.
func (d *demo) stuck(ctx context.Context, missing int) error {
	status, err := d.worker.Herder.Status(context.WithoutCancel(ctx), "consorcio")
	text, _ := json.Marshal(status)
	return errors.Join(fmt.Errorf("%d changes have not become executions: %w; status: %s", missing, ctx.Err(), text), err)
}

func (d *demo) counts() (map[string]int, int) {
	counts, total := make(map[string]int), 0
	for _, m := range d.stack.States.Machines() {
		n := len(d.stack.States.Executions(m.ARN))
		counts[m.Name] = n
		total += n
	}
	return counts, total
}

// invite prints what to try next.
func (d *demo) invite() {
	fmt.Fprintf(d.out, "\nThe worker stays up until you interrupt it. Try:\n"+
		"  curl -s %[1]s/connectors/consorcio/status\n"+
		"  curl -s -X PUT %[1]s/connectors/consorcio/pause\n"+
		"  curl -s -X PUT %[1]s/connectors/consorcio/resume\n"+
		"  curl -s %[1]s/connectors/consorcio/offsets\n"+
		"  curl -s %[1]s/connector-plugins\n"+
		"  curl -s %[1]s/metrics\n"+
		"or open %[1]s/ui/ in a browser.\n", d.worker.URL)
}
