// Command bare is the loop that anyone would write, and what `make bench` compares the worker with:
// confluent-kafka-go's Poll, undecoded events as base64 in a JSON string, StartExecution of aws-sdk-go-v2
// with the SDK's defaults. It keeps no order, tracks no offset and retries nothing that the SDK does not.
// With -endpoint "" it is the bare consume loop.
//
// It ends when -events events were consumed and every call was answered, and prints one JSON line
// {"events":n,"calls":n,"mallocs":n}.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bootstrap := flags.String("bootstrap", "", "bootstrap `servers`")
	group := flags.String("group", "bare", "consumer group `id`")
	topic := flags.String("topic", "", "`topic` to read from its beginning")
	events := flags.Int("events", 0, "how many events to consume")
	endpoint := flags.String("endpoint", "", "`URL` of Step Functions; none: consume only")
	machine := flags.String("machine", "", "`ARN` of the state machine")
	batch := flags.Int("batch", 1, "events in a call")
	inFlight := flags.Int("in-flight", 64, "open calls")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &starter{machine: *machine, slots: make(chan struct{}, *inFlight)}
	if *endpoint != "" {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return err
		}
		s.client = sfn.NewFromConfig(cfg, func(o *sfn.Options) { o.BaseEndpoint = aws.String(*endpoint) })
	}
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": *bootstrap, "group.id": *group, "auto.offset.reset": "earliest"})
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	if err := consumer.Subscribe(*topic, nil); err != nil {
		return err
	}
	if err := consume(ctx, consumer, s, *events, *batch); err != nil {
		return err
	}
	if err := s.wait(); err != nil {
		return err
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return json.NewEncoder(stdout).Encode(map[string]any{"events": *events, "calls": s.calls, "mallocs": mem.Mallocs})
}

// consume polls until it has seen the given number of events and hands them on by batches.
func consume(ctx context.Context, consumer *kafka.Consumer, s *starter, events, size int) error {
	const wait = 100 * time.Millisecond
	batch := make([]*kafka.Message, 0, size)
	for seen := 0; seen < events; {
		switch e := consumer.Poll(int(wait.Milliseconds())).(type) {
		case *kafka.Message:
			seen++
			batch = append(batch, e)
		case kafka.Error:
			if e.IsFatal() {
				return e
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) == size || seen == events {
			if err := s.start(ctx, batch); err != nil {
				return err
			}
			batch = make([]*kafka.Message, 0, size)
		}
	}
	return nil
}

// starter starts executions, as many at a time as it has slots.
type starter struct {
	client  *sfn.Client // nil: nothing is started
	machine string
	slots   chan struct{}
	calls   int
	running sync.WaitGroup

	mu  sync.Mutex // guards err
	err error
}

func (s *starter) start(ctx context.Context, batch []*kafka.Message) error {
	if s.client == nil {
		return nil
	}
	s.slots <- struct{}{}
	s.calls++
	s.running.Go(func() {
		defer func() { <-s.slots }()
		if err := s.call(ctx, batch); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.err = err
		}
	})
	return s.failure()
}

func (s *starter) call(ctx context.Context, batch []*kafka.Message) error {
	var input struct {
		Events []string `json:"events"`
	}
	for _, m := range batch {
		input.Events = append(input.Events, base64.StdEncoding.EncodeToString(m.Value))
	}
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	_, err = s.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &s.machine, Input: aws.String(string(text))})
	return err
}

func (s *starter) wait() error {
	s.running.Wait()
	return s.failure()
}

func (s *starter) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
