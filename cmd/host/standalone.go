package host

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime"
	"golang.org/x/sync/errgroup"
)

func standaloneCommand(p connector.Plugins, b Build) *cobra.Command {
	return &cobra.Command{
		Use:   "standalone WORKER.properties [CONNECTOR.json|CONNECTOR.properties ...]",
		Short: "Run one worker whose connectors come from files and from its REST API",
		Long: "Runs one worker as connect-standalone does. Connectors given as files are created at the start; a file that is\n" +
			"wrong ends the process with status 3. Connectors made over REST end with the process; their offsets stay in Kafka.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return standalone(cmd.Context(), p, b, args[0], args[1:])
		},
	}
}

func standalone(ctx context.Context, p connector.Plugins, b Build, workerFile string, connectorFiles []string) error {
	cfg, providers, err := runtime.LoadWorkerConfig(ctx, workerFile, false, providerKinds())
	if err != nil {
		return err
	}
	connectors, err := loadConnectors(connectorFiles)
	if err != nil {
		return exitError{err, 3}
	}
	w, err := NewStandalone(ctx, p, b, cfg, providers, LogHandler(os.Stdout))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return IgnoreStop(ctx, w.Run(ctx)) })
	g.Go(func() error {
		if err := IgnoreStop(ctx, createAll(ctx, w, connectors)); err != nil {
			return exitError{err, 3}
		}
		return nil
	})
	return g.Wait()
}

// loadConnectors reads connector files; what is wrong with any of them is told at once.
func loadConnectors(paths []string) ([]*runtime.ConnectorFile, error) {
	var out []*runtime.ConnectorFile
	var errs []error
	for _, path := range paths {
		f, err := runtime.LoadConnectorFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, f)
	}
	return out, errors.Join(errs...)
}

func createAll(ctx context.Context, w *Worker, files []*runtime.ConnectorFile) error {
	if err := w.AwaitHealthy(ctx); err != nil {
		return err
	}
	for _, f := range files {
		if _, err := w.Herder.Create(ctx, f.Request); err != nil {
			return f.Explain(err)
		}
		w.log.Info("connector created from its file", "connector", f.Request.Name, "file", f.Path)
	}
	return nil
}
