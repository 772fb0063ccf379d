// Package badinput gives the worker what it must not choke on: records that cannot be read, registries, state
// machines and topics that are not there, and configurations full of mistakes. docs/bad-input.md is the table
// of what becomes of each; the tests of this package are its rows.
package badinput

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/cmd/host"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
	"github.com/stepconnect/stepconnect/internal/embedded"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// asBinary, in the environment, makes this test binary the worker's command line.
const asBinary = "STEPCONNECT_BADINPUT_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		host.Main(plugins(), host.Build{Version: "test"})
		return
	}
	flag.Parse()
	// The cases wait, they do not compute: all of them can wait at once, however few cores there are.
	if err := flag.Set("test.parallel", "100"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := context.WithCancel(context.Background())
	if err := world.start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		return 1
	}
	code := m.Run()
	stop()
	if err := world.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

func plugins() connector.Plugins {
	return connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}},
		Converters: []connector.ConverterPlugin{avro.Plugin()},
	}
}

// world is the one worker that all cases share, and what it talks to.
var world stage

type stage struct {
	stack    *embedded.Stack
	worker   *host.Worker
	producer *broker.Producer
	client   *kgo.Client
	admin    *kadm.Client
	dir      string
	done     chan error
	log      logLines

	faults      sync.Map // name of a state machine to its states.Fault, or a func that gives it for a call
	unwritable  sync.Map // topics that take no records
	uncreatable sync.Map // topics that may not be created
}

func (s *stage) start(ctx context.Context) (err error) {
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	if s.dir, err = os.MkdirTemp("", "stepconnect-badinput-"); err != nil {
		return err
	}
	s.stack, err = embedded.Start(ctx, embedded.Options{
		Registry: registry.Options{},
		States: states.Options{Hook: func(c states.Call) states.Fault {
			for _, m := range s.stack.States.Machines() {
				f, ok := s.faults.Load(m.Name)
				if !ok || c.Machine != m.ARN {
					continue
				}
				if of, ok := f.(func(states.Call) states.Fault); ok {
					return of(c)
				}
				return f.(states.Fault)
			}
			return states.Fault{}
		}},
	})
	if err != nil {
		return err
	}
	s.refuseTopics()
	if s.producer, err = broker.NewProducer(s.stack.Kafka.Addrs()); err != nil {
		return err
	}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.stack.Kafka.Addrs()...)); err != nil {
		return err
	}
	s.admin = kadm.NewClient(s.client)
	return s.startWorker(ctx)
}

func (s *stage) startWorker(ctx context.Context) error {
	cfg, providers, err := runtime.ParseWorkerConfig(ctx, map[string]string{
		"bootstrap.servers": s.stack.Kafka.Bootstrap(), "listeners": "http://127.0.0.1:0",
		"key.converter": avroConverter, "key.converter.schema.registry.url": s.stack.Registry.URL(),
		"value.converter": avroConverter, "value.converter.schema.registry.url": s.stack.Registry.URL(),
		"offset.storage.file.filename":                filepath.Join(s.dir, "replay.json"),
		"offset.flush.interval.ms":                    "200",
		"consumer.allow.auto.create.topics":           "false",
		"consumer.topic.metadata.refresh.interval.ms": "500",
	}, false, nil)
	if err != nil {
		return err
	}
	if s.worker, err = host.NewStandalone(ctx, plugins(), host.Build{Version: "test"}, cfg, providers, host.LogHandler(&s.log)); err != nil {
		return err
	}
	s.done = make(chan error, 1)
	go func() { s.done <- host.IgnoreStop(ctx, s.worker.Run(ctx)) }()
	return s.worker.AwaitHealthy(ctx)
}

func (s *stage) end() error {
	err := <-s.done
	s.client.Close()
	s.producer.Close()
	if closeErr := s.stack.Close(); err == nil {
		err = closeErr
	}
	if removeErr := os.RemoveAll(s.dir); err == nil {
		err = removeErr
	}
	return err
}

// logLines are what the worker logs.
type logLines struct {
	mu    sync.Mutex // guards lines
	lines []string
}

// Write keeps a line.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	return len(line), nil
}

// about gives the lines about one connector.
func (l *logLines) about(connector string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		if strings.Contains(line, `"connector":"`+connector+`"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}
