package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/runtime"
)

func previewCommand() *cobra.Command {
	var a asker
	var record string
	c := &cobra.Command{
		Use:   "preview CONNECTOR.json|CONNECTOR.properties|NAME TOPIC PARTITION OFFSET",
		Short: "Tell what a connector would do with one record, and do nothing",
		Long: "Asks a worker what a connector (of a file, or one that runs, by its name) would start for a record: route and reason, the\n" +
			"exact name and input of the execution, with columns as the policies show them. The record is read from Kafka, or given by\n" +
			"--record as a JSON file: {\"key\": …, \"value\": …, \"headers\": {…}}, bytes by key_base64 and value_base64. Nothing is called or\n" +
			"committed. Needs the admin role where authentication is on.",
		Example: "  stepconnect preview consorcio clientes-alteracoes 0 1234\n  stepconnect preview configs/connectors/consorcio.json clientes-alteracoes 0 0 --record change.json",
		Args:    cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, class, err := previewBody(args)
			if err != nil {
				return err
			}
			base := strings.TrimRight(a.base, "/")
			if class == "" {
				var info runtime.ConnectorInfo
				if err := a.get(cmd.Context(), base+"/connectors/"+url.PathEscape(args[0]), &info); err != nil {
					return err
				}
				if c := info.Config["connector.class"]; c != nil {
					class = *c
				}
			}
			if record != "" {
				text, err := os.ReadFile(record)
				if err != nil {
					return err
				}
				if !json.Valid(text) {
					return fmt.Errorf("%s is not JSON: expected {\"key\": …, \"value\": …}", record)
				}
				body["record"] = json.RawMessage(text)
			}
			var answer json.RawMessage
			if err := a.ask(cmd.Context(), http.MethodPost, base+"/connector-plugins/"+url.PathEscape(class)+"/preview", body, &answer); err != nil {
				return err
			}
			// As it came: an encoder of ours could write the input in other bytes.
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", answer)
			return err
		},
	}
	c.Flags().StringVar(&a.base, "url", "http://127.0.0.1:8083", "REST API of a worker")
	c.Flags().StringVar(&a.user, "user", "", "name:password for basic authentication")
	c.Flags().StringVar(&record, "record", "", "JSON `file` with the record, instead of reading it from Kafka")
	return c
}

// previewBody makes the request out of the arguments; class is "" for a connector that exists.
func previewBody(args []string) (body map[string]any, class string, err error) {
	body = map[string]any{"topic": args[1], "partition": args[2], "offset": args[3]}
	if !strings.HasSuffix(args[0], ".json") && !strings.HasSuffix(args[0], ".properties") {
		body["connector"] = args[0]
		return body, "", nil
	}
	f, err := runtime.LoadConnectorFile(args[0])
	if err != nil {
		return nil, "", err
	}
	cfg := f.Request.Config
	if cfg["name"] == nil {
		cfg["name"] = &f.Request.Name
	}
	if cfg["connector.class"] == nil {
		return nil, "", errors.New(args[0] + " has no connector.class")
	}
	body["config"] = cfg
	return body, *cfg["connector.class"], nil
}
