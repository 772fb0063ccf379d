// Command bench measures the worker beside the loop that anyone would write (package bench) and ends with one
// JSON line. `make bench` builds what it needs and runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/test/bench"
	"github.com/stepconnect/stepconnect/test/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	setup   bench.Setup
	cases   *regexp.Regexp
	paced   time.Duration
	workers string
	codec   bool
}

func parse(args []string, stdout, stderr io.Writer) (options, error) {
	o := options{setup: bench.Setup{Latency: 20 * time.Millisecond, Out: stdout, Keys: map[string]string{}}}
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.setup.Events, "events", 1_000_000, "events in cases of 50 a call")
	flags.IntVar(&o.setup.Singles, "singles", 200_000, "events in cases of one a call")
	flags.IntVar(&o.setup.Rounds, "rounds", 1, "how often each case is measured; the best counts")
	flags.StringVar(&only, "cases", "", "`expression` that the names of the cases must match")
	flags.DurationVar(&o.paced, "paced", 10*time.Second, "how long events are written at 2,000 a second for the percentiles; 0: not at all")
	flags.Func("set", "a further `key=value` of the worker's connector; may be repeated", func(text string) error {
		key, value, _ := strings.Cut(text, "=")
		o.setup.Keys[key] = value
		return nil
	})
	flags.BoolVar(&o.codec, "codec", true, "measure the codec too and print the line that sums all up")
	flags.StringVar(&o.workers, "worker", "", "`file` of a worker to measure instead of this tree's")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	o.cases, err = regexp.Compile("^(" + only + ")")
	return o, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout, stderr)
	if err != nil {
		return err
	}
	s := &o.setup
	if s.Dir, err = os.MkdirTemp("", "stepconnect-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.Dir) }()
	if err := build(ctx, s, o.workers); err != nil {
		return err
	}
	servers, err := stack.Up(ctx, func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }, "kafka")
	if err != nil {
		return err
	}
	defer servers.Close()
	s.Bootstrap = strings.TrimPrefix(servers.Env()[0], "KAFKA_BOOTSTRAP=")
	schemas, err := registry.Start(ctx, registry.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = schemas.Close() }()
	s.Registry = schemas.URL()
	if s.Load, err = bench.NewLoad(func(subject, schema string) (int, error) {
		r, err := schemas.Register(subject, registry.Schema{Text: schema})
		return r.ID, err
	}); err != nil {
		return err
	}
	if s.Writer, err = bench.NewWriter(s.Bootstrap); err != nil {
		return err
	}
	defer s.Writer.Close()
	return measure(ctx, o, stdout)
}

// measure prints the table and the line that sums it up.
func measure(ctx context.Context, o options, stdout io.Writer) error {
	results, err := bench.Run(ctx, o.setup, func(c bench.Case) bool { return o.cases.MatchString(c.Name) })
	if err != nil {
		return err
	}
	var p bench.Percentiles
	if o.paced > 0 {
		const rate = 2000
		if p, err = o.setup.Latencies(ctx, rate, o.paced); err != nil {
			return fmt.Errorf("latency: %w", err)
		}
		fmt.Fprintf(stdout, "\nbroker to endpoint at %d events/s: median %v, p99 %v, longest %v\n", rate, p.P50, p.P99, p.Max)
	}
	if !o.codec {
		return nil
	}
	codec, err := transcode(ctx, stdout)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(bench.Summarize(results, codec, float64(p.P99.Microseconds())/1000))
}

// transcode runs the benchmark of the codec in a process of its own, as `go test -bench` does.
func transcode(ctx context.Context, stdout io.Writer) (float64, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkTranscode$/^.*$/^(ours|twmb|goavro)$", "-benchmem", "-benchtime", "300ms", "-count", "2", "./connector/avro").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("BenchmarkTranscode: %w\n%s", err, out)
	}
	fmt.Fprintf(stdout, "\n%s\n", out)
	return bench.Codec(string(out))
}

// build makes the three programs whose processes are measured, from the repository that the command is run in.
func build(ctx context.Context, s *bench.Setup, worker string) error {
	s.Worker, s.Bare, s.Endpoint = filepath.Join(s.Dir, "stepconnect"), filepath.Join(s.Dir, "bare"), filepath.Join(s.Dir, "sfn-endpoint")
	from := map[string]string{s.Bare: "./test/bench/cmd/bare", s.Endpoint: "./internal/embedded/cmd/sfn-endpoint"}
	if worker == "" {
		from[s.Worker] = "./cmd/stepconnect"
	} else {
		s.Worker = worker
	}
	for binary, pkg := range from {
		if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}
