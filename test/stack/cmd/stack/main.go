// Command stack starts the real servers of the tests.
//
//	stack run [-servers LIST] -- COMMAND [ARGUMENT...]   start them, run the command with their addresses in its environment, stop them
//	stack up [-servers LIST]                             start them, write .stack/env, leave them running
//	stack down                                           stop what up left running
//
// LIST is kafka,registry,postgres,moto by default; there is ministack too. The exit status of run is
// the command's; 1 when a server could not be started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
)

const (
	setupTimeout = 20 * time.Minute // all downloads of a cold cache on a slow network
	grace        = 30 * time.Second // of a command that was interrupted
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

var errUsage = errors.New("usage: stack run [-servers LIST] -- COMMAND [ARGUMENT...] | stack up [-servers LIST] | stack down")

func run(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 0, errUsage
	}
	flags := flag.NewFlagSet("stack "+args[0], flag.ContinueOnError)
	list := flags.String("servers", "kafka,registry,postgres,moto", "comma-separated `list` of servers to start")
	if err := flags.Parse(args[1:]); err != nil {
		return 0, errUsage
	}
	servers := strings.Split(*list, ",")
	switch {
	case args[0] == "run" && flags.NArg() > 0:
		return runWith(ctx, servers, flags.Args())
	case args[0] == "up" && flags.NArg() == 0:
		return 0, up(ctx, *list)
	case args[0] == "serve" && flags.NArg() == 0: // what up leaves running
		return 0, serve(ctx, servers)
	case args[0] == "down" && flags.NArg() == 0:
		return 0, down(ctx)
	default:
		return 0, errUsage
	}
}

// start starts the servers and tells how long all of it took.
func start(ctx context.Context, servers []string) (*stack.Running, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	began := time.Now()
	running, err := stack.Up(ctx, say, servers...)
	if err != nil {
		return nil, err
	}
	say("stack: %d servers ready after %s", len(servers), time.Since(began).Round(100*time.Millisecond))
	return running, nil
}

func runWith(ctx context.Context, servers, command []string) (int, error) {
	running, err := start(ctx, servers)
	if err != nil {
		return 0, err
	}
	defer say("stack: all servers stopped")
	defer running.Close()
	return stack.Run(ctx, running.Env(), command, grace)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
