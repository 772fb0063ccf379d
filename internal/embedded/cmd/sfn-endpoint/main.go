// Command sfn-endpoint runs the embedded Step Functions endpoint as a process of its own, for tests that
// kill the worker. It prints its URL as the first line of standard output and serves until it is
// interrupted; /_log, /_report, /_stats, /_faults, /_machines … steer and ask it (package states, Remote).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sfn-endpoint:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o states.Options
	logfile, err := parse(&o, args, stderr)
	if err != nil {
		return err
	}
	if logfile != "" {
		f, err := os.OpenFile(logfile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("-logfile: %w", err)
		}
		defer f.Close()
		o.LogTo = f
	}
	e, err := states.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, e.URL())
	<-ctx.Done()
	return e.Close()
}

// parse reads the flags into o.
func parse(o *states.Options, args []string, stderr io.Writer) (logfile string, err error) {
	var run states.Run
	var keep, limits, fails string
	flags := flag.NewFlagSet("sfn-endpoint", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Addr, "listen", "127.0.0.1:0", "loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&o.Account, "account", "000000000000", "account `id` in the ARNs")
	flags.StringVar(&o.Region, "region", "sa-east-1", "`region` in the ARNs")
	flags.Func("machine", "a state machine, `NAME=STANDARD|EXPRESS`; may be repeated", func(text string) error {
		name, kind, _ := strings.Cut(text, "=")
		o.Machines = append(o.Machines, states.Machine{Name: name, Type: states.Type(kind)})
		return nil
	})
	flags.BoolVar(&run.Hold, "hold", false, "leave executions RUNNING until they are finished or stopped")
	flags.DurationVar(&run.For, "run-for", 0, "how long an execution takes")
	flags.StringVar(&fails, "fail", "", "let executions fail with this error `name`")
	flags.DurationVar(&o.Latency, "latency", 0, "wait before every answer")
	flags.IntVar(&o.MaxOpen, "max-open", 0, "how many Standard executions may be RUNNING; 0 is 1,000,000")
	flags.StringVar(&limits, "limits-of", "", "throttle by the default quotas of this `region`")
	flags.BoolVar(&o.RequireAuth, "require-auth", false, "refuse calls without a signature")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the draws of fault rules")
	flags.StringVar(&keep, "keep", "changes", "what the log holds of inputs: `changes, inputs or hashes`")
	flags.BoolFunc("keep-inputs", "the same as -keep inputs", func(string) error { keep = "inputs"; return nil })
	flags.StringVar(&logfile, "logfile", "", "append every answered call to this `file` as a JSON line")
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	if flags.NArg() > 0 {
		return "", fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if fails != "" {
		run.Status, run.Error = states.Failed, fails
	}
	for i := range o.Machines {
		o.Machines[i].Run = run
	}
	if limits != "" {
		o.Limits = states.LimitsOf(limits)
	}
	known := map[string]states.Keep{"changes": states.KeepChanges, "inputs": states.KeepInputs, "hashes": states.KeepHashes}
	var ok bool
	if o.Keep, ok = known[keep]; !ok {
		return "", fmt.Errorf("-keep %s: want changes, inputs or hashes", keep)
	}
	return logfile, nil
}
