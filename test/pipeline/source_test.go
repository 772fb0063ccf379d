package pipeline

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stepconnect/stepconnect/test/worker"
)

// Names of the source's connector, which is also that of its file.
const sourceConnector = "consorcio-sqlserver"

// createTopics makes the topics of configs/kafka/topics.csv with their partitions, on a cluster of one broker.
func createTopics(ctx context.Context, t testing.TB, client *kgo.Client) {
	t.Helper()
	f, err := os.Open("../../configs/kafka/topics.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	for _, row := range rows[1:] {
		partitions, err := strconv.ParseInt(row[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		config := map[string]*string{"cleanup.policy": &row[2], "retention.ms": &row[3], "max.message.bytes": &row[5]}
		if _, err := admin.CreateTopic(ctx, int32(partitions), 1, config, row[0]); err != nil {
			t.Fatalf("topic %s: %v", row[0], err)
		}
	}
}

// debezium is the configuration of configs/debezium/sqlserver-connector.json for the PostgreSQL that stands where SQL Server would be: what
// is not SQL Server's own is as it ships, save for the converter (Apicurio's, which writes Confluent's format) and MSK's authentication.
func debezium(t testing.TB, dsn, registry string) map[string]string {
	t.Helper()
	config := readConnector(t, "debezium/sqlserver-connector.json")
	for key := range config {
		for _, prefix := range []string{"database.", "driver.", "schema.history.", "signal.", "notification.", "snapshot.", "data.query.", "max.iteration.", "key.converter", "value.converter"} {
			if strings.HasPrefix(key, prefix) {
				delete(config, key)
			}
		}
		if strings.HasSuffix(key, ".regex") {
			config[key] = strings.ReplaceAll(config[key], `ConsorcioDB\.`, "") // PostgreSQL's topics do not name the database
		}
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": c.Host, "database.port": fmt.Sprint(c.Port),
		"database.user": c.User, "database.password": "any", "database.dbname": c.Database, "plugin.name": "pgoutput", "publication.name": "consorcio",
		"publication.autocreate.mode": "disabled", "slot.name": "consorcio", "snapshot.mode": "initial", "status.update.interval.ms": "1000",
		"heartbeat.interval.ms": "1000", "errors.max.retries": "-1",
	} {
		config[key] = value
	}
	for _, side := range []string{"key", "value"} {
		converter := side + ".converter"
		config[converter] = "io.apicurio.registry.utils.converter.AvroConverter"
		config[converter+".apicurio.registry.url"] = strings.TrimSuffix(registry, "/apis/ccompat/v7") + "/apis/registry/v2"
		for key, value := range map[string]string{"auto-register": "true", "find-latest": "true", "as-confluent": "true", "headers.enabled": "false", "use-id": "contentId"} {
			config[converter+".apicurio.registry."+key] = value
		}
	}
	return config
}

// readConnector reads a connector's file of configs.
func readConnector(t testing.TB, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../configs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var connector struct{ Config map[string]string }
	if err := json.Unmarshal(text, &connector); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return connector.Config
}

// connectors is the REST API of a Kafka Connect cluster, the JVM's or ours.
type connectors struct{ url string }

func (c connectors) do(ctx context.Context, method, path string, body any) (worker.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return worker.Response{}, err
		}
	}
	return (&worker.Process{URL: c.url}).Do(ctx, method, path, string(text))
}

// put creates a connector or changes it.
func (c connectors) put(ctx context.Context, t testing.TB, name string, config map[string]string) {
	t.Helper()
	res, err := c.do(ctx, http.MethodPut, "/connectors/"+name+"/config", config)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("connector %s: %v %d %s", name, err, res.StatusCode, res.Body)
	}
}

// status gives the states of a connector's tasks and the first trace.
func (c connectors) status(ctx context.Context, name string) (states []string, trace string) {
	res, err := c.do(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, ""
	}
	var s struct {
		Tasks []struct{ State, Trace string }
	}
	if err := json.Unmarshal(res.Body, &s); err != nil {
		return nil, string(res.Body)
	}
	for _, task := range s.Tasks {
		states = append(states, task.State)
		if trace == "" {
			trace = task.Trace
		}
	}
	return states, trace
}
