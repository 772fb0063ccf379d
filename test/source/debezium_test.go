// Package source tests what stands at the source's side of the pipeline: the Debezium connector's file, the T-SQL of configs/sqlserver, and
// how a table's shape changes while it flows.
package source

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/configs"
	"github.com/stepconnect/stepconnect/test/stack"
)

// checked is what Kafka Connect says of a configuration.
type checked struct {
	ErrorCount int `json:"error_count"`
	Configs    []struct {
		Definition struct{ Name string }
		Value      struct {
			Name   string
			Value  any
			Errors []string
		}
	}
}

// errors are the keys that are wrong, with what is wrong.
func (c checked) errors() map[string][]string {
	out := map[string][]string{}
	for _, kv := range c.Configs {
		if len(kv.Value.Errors) > 0 {
			out[kv.Value.Name] = kv.Value.Errors
		}
	}
	return out
}

func connector(t *testing.T) map[string]string {
	t.Helper()
	b, err := configs.Files.ReadFile("debezium/sqlserver-connector.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Config map[string]string }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Config
}

// validate asks the plugin itself.
func validate(t *testing.T, worker string, cfg map[string]string) checked {
	t.Helper()
	class := cfg["connector.class"]
	body, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, worker+"/connector-plugins/"+class[strings.LastIndexByte(class, '.')+1:]+"/config/validate", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("validate: %s %s %v", resp.Status, text, err)
	}
	var c checked
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDebeziumsOwnPluginFindsNothingWrongButTheDatabaseThatIsNotThere(t *testing.T) {
	worker := stack.PrivateConnect(t, stack.Kafka(t), stack.WithPlugins(stack.DebeziumSQLServer, stack.AvroConverter)).Addr()
	cfg := connector(t)
	cfg["name"] = "consorcio-sqlserver"
	// A port of this machine where nothing listens, so that the plugin learns it at once.
	cfg["database.hostname"], cfg["database.port"] = "127.0.0.1", "1"
	cfg["driver.loginTimeout"], cfg["driver.connectRetryCount"] = "1", "0"
	// Confluent's converter is on no public Maven repository; Apicurio's stands in its place for the worker to find a class.
	for _, role := range []string{"key", "value"} {
		cfg[role+".converter"] = "io.apicurio.registry.utils.converter.AvroConverter"
	}

	t.Run("the shipped file", func(t *testing.T) {
		c := validate(t, worker, cfg)
		t.Logf("error_count %d: %v", c.ErrorCount, c.errors())
		for key, messages := range c.errors() {
			for _, m := range messages {
				if !strings.Contains(m, "Unable to connect") && !strings.Contains(m, "Failed to") {
					t.Errorf("%s: %s", key, m)
				}
			}
		}
		if got := c.errors(); len(got) != 1 || got["database.hostname"] == nil || c.ErrorCount != 1 {
			t.Errorf("error_count %d, %v; want the database alone", c.ErrorCount, got)
		}
		var known []string
		for _, kv := range c.Configs {
			known = append(known, kv.Definition.Name)
		}
		var unknown []string
		for key := range cfg {
			if !slices.Contains(known, key) && !slices.Contains(undeclared, key) && !passedOn(key) {
				unknown = append(unknown, key)
			}
		}
		slices.Sort(unknown)
		if len(unknown) > 0 {
			t.Errorf("no key of Debezium, and no plugin finds that wrong: %v", unknown)
		}
	})
	for key, value := range map[string]string{
		"snapshot.mode": "sometimes", "decimal.handling.mode": "exact", "time.precision.mode": "iso", "topic.prefix": "", "data.query.mode": "indirect",
		"transforms.clientes.regex": "(", "heartbeat.interval.ms": "soon",
	} {
		t.Run("a wrong "+key, func(t *testing.T) {
			wrong := map[string]string{}
			for k, v := range cfg {
				wrong[k] = v
			}
			wrong[key] = value
			if c := validate(t, worker, wrong); c.errors()[key] == nil {
				t.Errorf("%s = %q is accepted: %v", key, value, c.errors())
			}
		})
	}
}

// undeclared are keys that Debezium 3.6.1 reads (CommonConnectorConfig, RelationalDatabaseConnectorConfig, SqlServerConnectorConfig) and
// does not list for this connector.
var undeclared = []string{"event.converting.failure.handling.mode", "field.name.adjustment.mode", "snapshot.locking.mode", "unavailable.value.placeholder"}

// passedOn tells keys that Debezium and Kafka Connect hand on to clients, converters and the driver.
func passedOn(key string) bool {
	for _, prefix := range []string{"driver.", "schema.history.internal.", "signal.consumer.", "signal.kafka.", "key.converter.", "value.converter.", "producer.override.", "transforms."} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
