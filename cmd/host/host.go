// Package host puts a worker together from its parts and gives it a command line. The binary
// stepconnect is this package with its list of plugins; a host with sinks of your own is another list:
//
//	func main() {
//		host.Main(connector.Plugins{Sinks: []connector.Connector{mine.Connector{}}}, host.Build{Version: "1.0.0"})
//	}
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/connector"
)

// Build says what was built.
type Build struct {
	Version string
	Commit  string // "" takes what Go's build info knows
}

// revision is the commit of the build.
func (b Build) revision() string {
	if b.Commit != "" {
		return b.Commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// Main runs the command line until it is done or SIGINT or SIGTERM comes, and ends the process: with
// status 0 after an orderly end, 3 when a connector file is wrong (as connect-standalone), else 1.
func Main(p connector.Plugins, b Build, more ...*cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(p, b, more).ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "stepconnect:", err)
	var coded exitError
	if errors.As(err, &coded) {
		os.Exit(coded.code)
	}
	os.Exit(1)
}

func command(p connector.Plugins, b Build, more []*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   "stepconnect",
		Short: "A Kafka Connect-style host that delivers change events to AWS Step Functions",
		Long: "stepconnect consumes Debezium change events from Kafka and starts the Step Functions state machine of the\n" +
			"domain that each change belongs to. It is managed by Kafka Connect's REST API.",
		Version:       b.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(standaloneCommand(p, b), distributedCommand(p, b), checkCommand(p, b), whyCommand(), previewCommand(), healthCommand(), dlqCommand())
	c.AddCommand(more...)
	return c
}

// exitError ends the process with a code of its own.
type exitError struct {
	error
	code int
}

func (e exitError) Unwrap() error { return e.error }
