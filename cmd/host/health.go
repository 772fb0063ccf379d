package host

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is a little more than the worker itself takes to tell that its loop hangs.
const healthTimeout = 11 * time.Second

// healthCommand is for images without a shell, whose health check can run nothing else.
func healthCommand() *cobra.Command {
	var base string
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a worker whether it is healthy; ends with status 0 if so, for health checks of containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			return healthy(ctx, strings.TrimRight(base, "/")+"/health", cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&base, "url", "http://127.0.0.1:8083", "REST API of the worker; /health must be among its rest.open.paths")
	return c
}

// healthy is nil when address answers 200; what it says goes to out.
func healthy(ctx context.Context, address string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s answers %s: %s", address, res.Status, strings.TrimSpace(string(text)))
	}
	fmt.Fprintln(out, strings.TrimSpace(string(text)))
	return nil
}
