package destination

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/configs"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/schemas"
)

func TestEveryJSONFileParsesAndNamesNoKeyTwice(t *testing.T) {
	files := 0
	err := fs.WalkDir(configs.Files, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" {
			return err
		}
		files++
		text, err := configs.Files.ReadFile(path)
		if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(text))
		if err := unique(d, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil || files < 7 {
		t.Errorf("%d files: %v", files, err)
	}
}

// unique reads a value and refuses an object that names a key twice.
func unique(d *json.Decoder, path string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if at = path + "." + key.(string); seen[at] {
				return fmt.Errorf("%s stands twice", at)
			}
			seen[at] = true
		}
		if err := unique(d, at); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// connectorFile reads a connector's JSON.
func connectorFile(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := configs.Files.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Name   string            `json:"name"`
		Config map[string]string `json:"config"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	file.Config["name"] = file.Name
	return file.Config
}

func TestTheConnectorsFileIsWhatTheConnectorTakes(t *testing.T) {
	sinks := connector.Plugins{Sinks: []connector.Connector{stepfunctions.Connector{}}, Converters: []connector.ConverterPlugin{avro.Plugin()}}
	if _, err := runtime.NewPlugins(sinks); err != nil {
		t.Fatal(err)
	}
	cfg := connectorFile(t, "connectors/consorcio.json")
	host, own := config.SinkConnectorDef(), stepfunctions.Connector{}.Config()
	if _, err := host.Parse(cfg); err != nil {
		t.Error(err)
	}
	values, err := own.Parse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg["errors.tolerance"] == "all" && cfg["errors.retry.timeout"] != "-1" {
		t.Errorf("errors.retry.timeout = %q, want -1: while the registry is away, good changes would go to the dead letter queue", cfg["errors.retry.timeout"])
	}
	if got, want := values.List("domains"), []string{"clientes", "pedidos", "produtos"}; !slices.Equal(got, want) {
		t.Errorf("domains %v, want %v", got, want)
	}
	known := map[string]bool{}
	given := make(map[string]*string, len(cfg))
	for k, v := range cfg {
		given[k] = &v
	}
	for _, d := range []*config.Def{host, own} {
		for _, kv := range d.Validate(given) {
			known[kv.Value.Name] = true
		}
	}
	for _, role := range []string{"key", "value"} {
		converter := map[string]string{}
		for k, v := range cfg {
			if name, ok := strings.CutPrefix(k, role+".converter."); ok {
				converter[name], known[k] = v, true
			}
		}
		if _, err := avro.Plugin().Config.Parse(converter); err != nil {
			t.Errorf("%s.converter: %v", role, err)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(cfg)) {
		if !known[k] {
			t.Errorf("%s is no key of the host, the connector or a converter", k)
		}
	}
}

func TestTheWorkersFileIsWhatAWorkerTakes(t *testing.T) {
	cfg, _, err := runtime.LoadWorkerConfig(t.Context(), "../../configs/worker/standalone.properties", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Values.String("offset.storage.file.filename"); got != "/var/lib/stepconnect/offsets" {
		t.Errorf("offset.storage.file.filename = %q", got)
	}
}

func TestSourceTopicsAndSinkAgree(t *testing.T) {
	text, err := configs.Files.ReadFile("kafka/topics.csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string][]string{}
	for _, r := range rows[1:] {
		topics[r[0]] = r
	}
	debezium, sink := connectorFile(t, "debezium/sqlserver-connector.json"), connectorFile(t, "connectors/consorcio.json")
	policy, err := configs.Files.ReadFile("kafka/msk-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var renamed []string
	for _, alias := range strings.Split(debezium["transforms"], ",") {
		p := "transforms." + alias + "."
		table := strings.ToUpper(alias[:1]) + alias[1:]
		name := debezium["topic.prefix"] + "." + debezium["database.names"] + ".dbo." + table
		// Java's RegexRouter replaces only where the whole name matches.
		whole := regexp.MustCompile("^(?:" + debezium[p+"regex"] + ")$")
		if !whole.MatchString(name) || whole.MatchString(name+"2") || whole.MatchString("__debezium-heartbeat."+debezium["topic.prefix"]) {
			t.Errorf("%sregex does not match %s alone", p, name)
		}
		renamed = append(renamed, debezium[p+"replacement"])
		if !strings.Contains(debezium["table.include.list"], `dbo\.`+table) {
			t.Errorf("%s is not captured", table)
		}
	}
	if diff := cmp.Diff(strings.Split(sink["topics"], ","), renamed); diff != "" {
		t.Error(diff)
	}
	for _, name := range append(renamed, sink["errors.deadletterqueue.topic.name"]) {
		if topics[name] == nil || topics[name][5] != debezium["producer.override.max.request.size"] {
			t.Errorf("topic %s: %v", name, topics[name])
		}
		if !strings.Contains(string(policy), "/"+name+`"`) {
			t.Errorf("msk-policy.json gives no right to %s", name)
		}
	}
	for _, key := range []string{"signal.kafka.topic", "notification.sink.topic.name", "schema.history.internal.kafka.topic"} {
		if topics[debezium[key]] == nil {
			t.Errorf("topic %s (%s) is not in topics.csv", debezium[key], key)
		}
	}
	for key, want := range map[string]string{
		"decimal.handling.mode": "precise", "time.precision.mode": "isostring", "binary.handling.mode": "bytes", "snapshot.isolation.mode": "snapshot",
		"event.processing.failure.handling.mode": "fail", "event.converting.failure.handling.mode": "fail", "value.converter.ignore.default.for.nullables": "true",
	} {
		if debezium[key] != want {
			t.Errorf("%s = %q, want %q: otherwise values are lost", key, debezium[key], want)
		}
	}
}

// columns of a CREATE TABLE, less what is written in capitals.
var createTable = regexp.MustCompile(`(?s)CREATE TABLE dbo\.(\w+) \(\n(.*?)\n\)`)

func TestTheColumnsOfTheSourceTheSchemasAndTheDestinationAreTheSame(t *testing.T) {
	text, err := configs.Files.ReadFile("sqlserver/01-tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := open(t)
	tables := 0
	for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
		tables++
		var source []string
		for _, line := range strings.Split(m[2], "\n") {
			source = append(source, strings.Fields(line)[0])
		}
		name := strings.ToLower(m[1])
		if diff := cmp.Diff(source, avroColumns(t, name)); diff != "" {
			t.Errorf("%s: SQL Server and schemas/%s-alteracoes-value.avsc differ: %s", m[1], name, diff)
		}
		destination := strings.Fields("id " + value[string](t, db, "SELECT array_to_string(names, ' ') FROM consorcio.columns_of(('consorcio.' || $1)::regclass)", name))
		if diff := cmp.Diff(source, destination); diff != "" {
			t.Errorf("%s: SQL Server and Aurora differ: %s", m[1], diff)
		}
	}
	if tables != 3 {
		t.Errorf("%d tables, want 3", tables)
	}
}

func avroColumns(t *testing.T, table string) []string {
	t.Helper()
	text, err := schemas.Files.ReadFile(table + "-alteracoes-value.avsc")
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct {
		Fields []struct{ Type json.RawMessage }
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	var before []json.RawMessage
	var value struct{ Fields []struct{ Name string } }
	if err := json.Unmarshal(envelope.Fields[0].Type, &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(before[1], &value); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range value.Fields {
		names = append(names, f.Name)
	}
	return names
}

// task is what every task of a state machine must have.
type task struct {
	Type, Resource string
	TimeoutSeconds int
	Retry          []struct {
		ErrorEquals    []string
		MaxAttempts    *int
		JitterStrategy string
	}
	ItemProcessor *struct{ States map[string]task }
}

func TestEveryTaskHasATimeLimitAndRetriesWithJitter(t *testing.T) {
	files, err := fs.Glob(configs.Files, "statemachines/*.asl.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		text, err := configs.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var machine struct {
			QueryLanguage  string
			TimeoutSeconds int
			States         map[string]task
		}
		if err := json.Unmarshal(text, &machine); err != nil {
			t.Fatal(err)
		}
		// An Express execution ends after five minutes whatever its definition says.
		if machine.QueryLanguage != "JSONata" || machine.TimeoutSeconds < 1 || machine.TimeoutSeconds >= 300 {
			t.Errorf("%s: %s, TimeoutSeconds %d", file, machine.QueryLanguage, machine.TimeoutSeconds)
		}
		checkTasks(t, file, machine.States)
	}
}

func checkTasks(t *testing.T, file string, states map[string]task) {
	for name, s := range states {
		if s.ItemProcessor != nil {
			checkTasks(t, file, s.ItemProcessor.States)
		}
		if s.Type != "Task" {
			continue
		}
		if s.TimeoutSeconds < 1 || len(s.Retry) == 0 {
			t.Errorf("%s: %s has a time limit of %d s and %d retriers", file, name, s.TimeoutSeconds, len(s.Retry))
			continue
		}
		for _, r := range s.Retry {
			if (r.MaxAttempts == nil || *r.MaxAttempts > 0) && r.JitterStrategy != "FULL" {
				t.Errorf("%s: %s retries %v without jitter", file, name, r.ErrorEquals)
			}
		}
		if last := s.Retry[len(s.Retry)-1].ErrorEquals; !slices.Equal(last, []string{"States.ALL"}) {
			t.Errorf("%s: %s does not retry what nobody thought of: %v", file, name, last)
		}
	}
}
