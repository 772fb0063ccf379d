package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/runtime"
)

func whyCommand() *cobra.Command {
	var base, user string
	c := &cobra.Command{
		Use:   "why CONNECTOR",
		Short: "Tell what a connector waits for, since when and why",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := asker{base: strings.TrimRight(base, "/"), user: user}
			return w.why(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&base, "url", "http://127.0.0.1:8083", "REST API of a worker")
	c.Flags().StringVar(&user, "user", "", "name:password for basic authentication")
	return c
}

// asker asks a worker's REST API.
type asker struct{ base, user string }

func (a asker) why(ctx context.Context, name string, out io.Writer) error {
	path := "/connectors/" + url.PathEscape(name)
	var status runtime.ConnectorStatus
	if err := a.get(ctx, a.base+path+"/status", &status); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is %s on %s\n", name, status.Connector.State, status.Connector.WorkerID)
	for _, t := range status.Tasks {
		fmt.Fprintf(out, "task %d is %s on %s\n", t.ID, t.State, t.WorkerID)
		for _, text := range []string{t.Warning, t.Trace} {
			if text != "" {
				fmt.Fprintf(out, "  %s\n", strings.ReplaceAll(text, "\n", "\n  "))
			}
		}
	}
	var w runtime.Waiting
	if err := a.get(ctx, a.base+path+"/waiting", &w); err != nil {
		return err
	}
	for _, r := range w.Waiting {
		fmt.Fprintf(out, "task %d, %s-%d: offset %d (key %s) waits since %s, %d tries, %d records behind it: %s\n",
			r.Task, r.Topic, r.Partition, r.Offset, r.Key, r.Since.Format(time.RFC3339), r.Attempts, r.Behind, r.Error)
	}
	for _, topic := range w.MissingTopics {
		fmt.Fprintf(out, "topic %s is subscribed and does not exist, or the client may not see it\n", topic)
	}
	for _, d := range w.Abandoned {
		fmt.Fprintf(out, "%s-%d: a delivery of %d records goes on at %s since %s although its task has ended or lost the partition\n",
			d.Topic, d.Partition, d.Records, d.WorkerID, d.Since.Format(time.RFC3339))
	}
	for _, u := range w.Unanswered {
		fmt.Fprintf(out, "worker %s, with tasks %v, does not answer: %s\n", u.WorkerID, u.Tasks, u.Error)
	}
	return nil
}

func (a asker) get(ctx context.Context, address string, into any) error {
	return a.ask(ctx, http.MethodGet, address, nil, into)
}

// ask makes one request, with body as JSON unless it is nil, and reads the answer into into.
func (a asker) ask(ctx context.Context, method, address string, body, into any) error {
	var entity io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		entity = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, entity)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if name, password, ok := strings.Cut(a.user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	return get(http.DefaultClient, req, into)
}
