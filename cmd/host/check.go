package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/kafka"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
)

func checkCommand(p connector.Plugins, b Build) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE|FOLDER ...",
		Short: "Check worker and connector files without starting anything",
		Long: "Reads each file as a worker would and lists every mistake, with its line. A .properties file with bootstrap.servers is\n" +
			"a worker's; connectors after it are checked against its converters and config providers. Of a folder, such as one for\n" +
			"connector.files.dir, all files are checked, and that no two of them declare the same connector.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := &checker{plugins: p, build: b}
			var errs []error
			for _, path := range args {
				if err := c.file(cmd.Context(), path); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: no mistakes found\n", path)
			}
			return errors.Join(errs...)
		},
	}
}

// checker checks files; connectors by the worker file that came before them.
type checker struct {
	plugins connector.Plugins
	build   Build
	herder  *runtime.Herder
}

func (c *checker) file(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if err := c.sample(ctx); err != nil {
			return err
		}
		return c.herder.CheckFolder(ctx, path)
	}
	if filepath.Ext(path) == ".properties" {
		f, err := runtime.LoadProperties(path)
		if err != nil {
			return err
		}
		if _, ok := f.Values["bootstrap.servers"]; ok {
			return f.Explain(c.worker(ctx, f.Values))
		}
	}
	f, err := runtime.LoadConnectorFile(path)
	if err != nil {
		return err
	}
	if err := c.sample(ctx); err != nil {
		return err
	}
	return c.herder.Check(ctx, f)
}

// sample stands for a worker where no file of one came before.
func (c *checker) sample(ctx context.Context) error {
	if c.herder != nil {
		return nil
	}
	return c.worker(ctx, map[string]string{
		"key.converter": "io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url": "http://127.0.0.1:8081",
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": "http://127.0.0.1:8081",
		"offset.storage.file.filename": os.DevNull,
	})
}

// worker checks a worker's configuration, its client properties included, and keeps it for the connectors that follow.
func (c *checker) worker(ctx context.Context, raw map[string]string) error {
	cfg, providers, err := runtime.ParseWorkerConfig(ctx, raw, raw["group.id"] != "", providerKinds())
	if err != nil {
		return err
	}
	for _, prefix := range []string{"consumer.", "producer.", "admin."} {
		if _, err := kafka.Translate(cfg.Values.Prefix(prefix)); err != nil {
			return fmt.Errorf("%s*: %w", prefix, err)
		}
	}
	list, err := runtime.NewPlugins(c.plugins)
	if err != nil {
		return err
	}
	metrics, err := metric.New(nil)
	if err != nil {
		return err
	}
	log, err := store.OpenMemoryLog("")
	if err != nil {
		return err
	}
	c.herder = runtime.NewHerder(runtime.HerderOptions{
		Version: c.build.Version, WorkerID: "check", Config: cfg, Providers: providers, Plugins: list, Clients: kafkaClients(),
		ConfigLog: log, StatusLog: log, Metrics: metrics, Levels: runtime.NewLevels(slog.LevelError), Handler: slog.DiscardHandler,
	})
	return nil
}
