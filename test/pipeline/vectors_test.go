package pipeline

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/vectors"
	"github.com/stepconnect/stepconnect/test/worker"
)

// refusedVectors are the cases that Clientes refuses, and why.
var refusedVectors = map[string]string{
	"clientes-c-unicode": "InvalidEmail", // "aspas"\barra and control characters
}

// TestEventsOfDebeziumsSQLServerClassesBecomeRows sends what Debezium's own classes for SQL Server have made through broker, registry, worker,
// state machines and Data API, one after the other, and compares each row with what the event says, value by value.
func TestEventsOfDebeziumsSQLServerClassesBecomeRows(t *testing.T) {
	v := startVectors(t)
	m := vectors.Load(t)
	ids := m.Register(t, stack.Registry(t), v.prefix)
	rows, values := 0, 0
	for _, c := range m.Cases {
		table, ours := strings.CutSuffix(c.Topic, "-alteracoes")
		if !ours || !c.IsRow() {
			continue
		}
		rows++
		t.Run(c.Name, func(t *testing.T) {
			v.empty(t)
			record := &kgo.Record{Topic: v.prefix + c.Topic, Key: ids.Wire(t, c.Name+".key.avro"), Value: ids.Wire(t, c.Name+".value.avro")}
			if err := v.kafka.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
			deleted, refused := v.outcome(t, table, id(c))
			if refused != refusedVectors[c.Name] {
				t.Fatalf("is refused with %q, want %q", refused, refusedVectors[c.Name])
			}
			if refused == "" && deleted != (c.Op == "d") {
				t.Fatalf("deleted is %t", deleted)
			}
			if refused == "" && !deleted {
				values += v.compare(t, table, c)
			}
		})
	}
	if rows < 25 || values < 300 {
		t.Errorf("only %d events with %d values were compared", rows, values)
	}
	t.Logf("%d events, %d values compared", rows, values)
}

// id is the key's column id as text.
func id(c vectors.Vector) string {
	key, _ := c.Expected.Key.(map[string]any)
	return fmt.Sprint(key["id"])
}

// vectorFlow is the flow from the topics on.
type vectorFlow struct {
	prefix string
	kafka  *kgo.Client
	db     *pgx.Conn
	worker *worker.Process
}

func startVectors(t *testing.T) *vectorFlow {
	t.Helper()
	ctx := t.Context()
	v := &vectorFlow{prefix: stack.Name(t) + "."}
	dsn := stack.Postgres(t)
	migrate(ctx, t, dsn)
	v.db = connect(ctx, t, dsn)
	hostPort, database := address(t, dsn)
	a := &account{endpoint: stack.PrivateMinistack(t, stack.WithAurora(clusterName, hostPort)).Addr(), database: database, kind: "EXPRESS", age: "1 minute"}
	if err := a.install(ctx); err != nil {
		t.Fatal(err)
	}
	bootstrap, registry := stack.Kafka(t), stack.Registry(t)
	var err error
	if v.kafka, err = kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kafka.Close)
	config := readConnector(t, "connectors/consorcio.json")
	for key, value := range config {
		if strings.HasSuffix(key, "topics") || key == "errors.deadletterqueue.topic.name" {
			config[key] = v.prefix + strings.ReplaceAll(value, ",", ","+v.prefix)
		}
	}
	for key, value := range map[string]string{
		"name": strings.TrimSuffix(v.prefix, "."), "aws.endpoint": a.endpoint, "errors.deadletterqueue.topic.replication.factor": "1", "tasks.max": "1",
		"key.converter.schema.registry.url": registry, "value.converter.schema.registry.url": registry,
	} {
		config[key] = value
	}
	for topic := range strings.SplitSeq(config["topics"], ",") {
		if _, err := kadm.NewClient(v.kafka).CreateTopic(ctx, 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	v.worker = worker.Start(t, worker.Properties(t, bootstrap, registry), config)
	return v
}

func (v *vectorFlow) empty(t *testing.T) {
	t.Helper()
	if _, err := v.db.Exec(t.Context(), "TRUNCATE consorcio.clientes, consorcio.pedidos, consorcio.produtos, consorcio.rejections"); err != nil {
		t.Fatal(err)
	}
}

// outcome waits until a row is there, or in rejections with an error.
func (v *vectorFlow) outcome(t *testing.T, table, id string) (deleted bool, refused string) {
	t.Helper()
	worker.Eventually(t, time.Minute, "the event has become a row, or a rejection", func() bool {
		err := v.db.QueryRow(t.Context(), "SELECT deleted, '' FROM consorcio."+table+" WHERE id::text = $1 UNION ALL SELECT false, error FROM consorcio.rejections", id).Scan(&deleted, &refused)
		return err == nil
	})
	return deleted, refused
}

// compare compares the values of a row with those of the event, and tells how many it has.
func (v *vectorFlow) compare(t *testing.T, table string, c vectors.Vector) int {
	t.Helper()
	row := v.row(t, table, id(c))
	after, _ := c.Expected.Value["after"].(map[string]any)
	n := 0
	for _, column := range slices.Sorted(maps.Keys(after)) {
		want := after[column]
		if want == "__debezium_unavailable_value" || want == "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==" {
			continue // not carried: no value that the row could have
		}
		got, ok := row[column]
		if !ok {
			t.Errorf("%s is no column of the row", column)
		} else if !sameValue(want, got) {
			t.Errorf("%s is %s, want %v", column, quoted(got), want)
		}
		n++
	}
	return n
}

// row gives the row's columns as text; bytes in base64, as events show them, and columns that the table lacks out of extra.
func (v *vectorFlow) row(t *testing.T, table, id string) map[string]*string {
	t.Helper()
	var columns, values []*string
	err := v.db.QueryRow(t.Context(), `SELECT array_agg(key), array_agg(value) FROM consorcio.`+table+` r,
		LATERAL (SELECT key, value FROM jsonb_each_text(to_jsonb(r)) UNION ALL SELECT key, value FROM jsonb_each_text(r.extra)) e WHERE r.id::text = $1`, id).Scan(&columns, &values)
	if err != nil {
		t.Fatal(err)
	}
	row := map[string]*string{}
	for i, name := range columns {
		row[*name] = values[i]
	}
	return row
}

// sameValue compares a value of an event with the text of a column: times less trailing zeros, numbers by value, bytes as hexadecimal digits.
func sameValue(want any, got *string) bool {
	if want == nil || got == nil {
		return want == nil && got == nil
	}
	text := fmt.Sprint(want)
	if _, isNumber := want.(json.Number); isNumber {
		a, errA := strconv.ParseFloat(text, 64)
		b, errB := strconv.ParseFloat(*got, 64)
		return text == *got || errA == nil && errB == nil && a == b && strings.ContainsAny(text, ".eE")
	}
	if digits, isBytes := strings.CutPrefix(*got, `\x`); isBytes {
		return base64Of(digits) == text
	}
	return text == *got || seconds(text) == seconds(*got)
}

// seconds is the text of a time without the zeros that end its fraction.
func seconds(text string) string {
	if !strings.Contains(text, ":") || !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func base64Of(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return digits
	}
	return base64.StdEncoding.EncodeToString(b)
}
