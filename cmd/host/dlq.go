package host

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/runtime"
)

// progressEvery is how often a replay that is waited for is asked after.
const progressEvery = time.Second

func dlqCommand() *cobra.Command {
	d := &dlqClient{}
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay and drop the records of a connector's dead letter queue",
		Long: "Asks a worker's REST API, which needs the admin role where authentication is on. A replay takes records through the\n" +
			"connector's converters, transforms and sink again; it never writes to a source topic. Its order against live records of\n" +
			"the same keys is not promised: the position in each change tells the destination that it is old.",
	}
	c.PersistentFlags().StringVar(&d.base, "url", "http://127.0.0.1:8083", "REST API of a worker")
	c.PersistentFlags().StringVar(&d.user, "user", "", "name:password for basic authentication")
	c.AddCommand(d.list(), d.show(), d.replay(), d.drop(), d.status(), d.cancel())
	return c
}

// dlqClient asks for one thing about a dead letter queue.
type dlqClient struct {
	asker
	states []string
	limit  int
	after  string
	all    bool
	wait   bool
}

// filterFlags are the fields of a filter, by the names that the REST API has for them.
var filterFlags = [...]struct{ flag, field, doc string }{
	{"topic", "topic", "source topic"},
	{"partition", "partition", "partition of the source topic"},
	{"offset-min", "offset_min", "first offset in the source topic"},
	{"offset-max", "offset_max", "last offset in the source topic"},
	{"stage", "stage", "stage that refused the record: KEY_CONVERTER, VALUE_CONVERTER, HEADER_CONVERTER, TRANSFORMATION, TASK_PUT"},
	{"exception", "exception_class", "class of the exception, whole or its last part"},
	{"since", "since", "earliest timestamp of the record (RFC 3339)"},
	{"until", "until", "latest timestamp of the record (RFC 3339)"},
	{"letter", "letter", "one record of the queue, as partition:offset"},
}

func addFilter(c *cobra.Command) {
	for _, f := range filterFlags {
		c.Flags().String(f.flag, "", f.doc)
	}
}

// filter gives the fields that were set.
func filter(c *cobra.Command) map[string]any {
	fields := map[string]any{}
	for _, f := range filterFlags {
		if c.Flags().Changed(f.flag) {
			fields[f.field], _ = c.Flags().GetString(f.flag)
		}
	}
	return fields
}

func (d *dlqClient) path(connector, below string) string {
	return strings.TrimRight(d.base, "/") + "/connectors/" + url.PathEscape(connector) + "/dlq" + below
}

func (d *dlqClient) list() *cobra.Command {
	c := &cobra.Command{Use: "list CONNECTOR", Short: "List records and why they are there", Args: cobra.ExactArgs(1)}
	addFilter(c)
	c.Flags().StringSliceVar(&d.states, "state", nil, "open, replaying, replayed, dropped, unplaced or all (default: those not dealt with)")
	c.Flags().IntVar(&d.limit, "limit", runtime.LettersDefaultLimit, "how many at most")
	c.Flags().StringVar(&d.after, "after", "", "go on after this record of the queue (partition:offset)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q := url.Values{"limit": {strconv.Itoa(d.limit)}, "state": d.states}
		for field, v := range filter(cmd) {
			q.Set(field, fmt.Sprint(v))
		}
		if d.after != "" {
			q.Set("after", d.after)
		}
		var l runtime.Letters
		if err := d.get(cmd.Context(), d.path(args[0], "?"+q.Encode()), &l); err != nil {
			return err
		}
		printLetters(cmd.OutOrStdout(), &l)
		return nil
	}
	return c
}

func printLetters(out io.Writer, l *runtime.Letters) {
	for _, r := range l.Records {
		from := "place unknown"
		if r.Origin != nil {
			from = fmt.Sprintf("%s-%d@%d", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset)
		}
		why := r.Message
		if r.Problem != "" {
			why = r.Problem
		}
		fmt.Fprintf(out, "%d:%d  %s  %s  %s %s (given up %d times): %s\n", r.Partition, r.Offset, r.State, from, r.Stage, r.Exception, r.Attempts,
			strings.ReplaceAll(why, "\n", " "))
	}
	if l.Next != nil {
		fmt.Fprintf(out, "more: --after %s\n", *l.Next)
	}
}

func (d *dlqClient) show() *cobra.Command {
	return &cobra.Command{
		Use: "show CONNECTOR PARTITION:OFFSET", Short: "Show one record, decoded, with its error context", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			partition, offset, ok := strings.Cut(args[1], ":")
			if !ok {
				return fmt.Errorf("%q is not partition:offset of the dead letter queue, as list prints it", args[1])
			}
			var detail json.RawMessage
			if err := d.get(cmd.Context(), d.path(args[0], "/"+url.PathEscape(partition)+"/"+url.PathEscape(offset)), &detail); err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), detail)
		},
	}
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (d *dlqClient) replay() *cobra.Command {
	c := &cobra.Command{Use: "replay CONNECTOR", Short: "Take records through the connector again", Args: cobra.ExactArgs(1)}
	addFilter(c)
	c.Flags().BoolVar(&d.all, "all", false, "all of the connector's records, instead of a filter")
	c.Flags().BoolVar(&d.wait, "wait", false, "print the progress until it has ended")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := d.operate(cmd, args[0], "/replay")
		if err != nil || !d.wait {
			return err
		}
		return d.follow(cmd, args[0], op.ID)
	}
	return c
}

func (d *dlqClient) drop() *cobra.Command {
	c := &cobra.Command{Use: "drop CONNECTOR", Short: "Count records as dealt with; the topic keeps them until its retention", Args: cobra.ExactArgs(1)}
	addFilter(c)
	c.Flags().BoolVar(&d.all, "all", false, "all of the connector's records, instead of a filter")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := d.operate(cmd, args[0], "/drop")
		return err
	}
	return c
}

func (d *dlqClient) operate(cmd *cobra.Command, connector, below string) (op runtime.LetterOperation, err error) {
	body := filter(cmd)
	if d.all {
		body["all"] = true
	}
	if err = d.ask(cmd.Context(), http.MethodPost, d.path(connector, below), body, &op); err == nil {
		printOperation(cmd.OutOrStdout(), &op)
	}
	return op, err
}

func printOperation(out io.Writer, op *runtime.LetterOperation) {
	fmt.Fprintf(out, "%s  %s  %s: %d replayed, %d failed again, %d not matched, %d without their place, %d offsets to go",
		op.ID, op.Action, op.State, op.Counts.Replayed, op.Counts.Failed, op.Counts.Passed, op.Counts.Unplaced, op.Remaining)
	if op.Error != "" {
		fmt.Fprintf(out, " (%s)", op.Error)
	}
	fmt.Fprintln(out)
}

// follow prints how far an operation has come until it has ended.
func (d *dlqClient) follow(cmd *cobra.Command, connector, id string) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		all, err := d.operations(cmd, connector)
		if err != nil {
			return err
		}
		for i := range all.Operations {
			if op := &all.Operations[i]; op.ID == id {
				printOperation(cmd.OutOrStdout(), op)
				if op.Ended != nil {
					return nil
				}
			}
		}
		select {
		case <-tick.C:
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
}

func (d *dlqClient) operations(cmd *cobra.Command, connector string) (all runtime.LetterOperations, err error) {
	err = d.get(cmd.Context(), d.path(connector, "/replay"), &all)
	return all, err
}

func (d *dlqClient) status() *cobra.Command {
	return &cobra.Command{
		Use: "status CONNECTOR", Short: "Tell of replays and drops, newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := d.operations(cmd, args[0])
			for i := range all.Operations {
				printOperation(cmd.OutOrStdout(), &all.Operations[i])
			}
			return err
		},
	}
}

func (d *dlqClient) cancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel CONNECTOR", Short: "Cancel the replay that is under way", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var op runtime.LetterOperation
			err := d.ask(cmd.Context(), http.MethodDelete, d.path(args[0], "/replay"), nil, &op)
			if err == nil {
				printOperation(cmd.OutOrStdout(), &op)
			}
			return err
		},
	}
}
