package infrastructure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	connectorFile = "debezium/sqlserver-connector.json"
	templateFile  = "cloudformation/debezium.yaml"
	sectionBegin  = "        # <connector>\n"
	sectionEnd    = "        # </connector>\n"
)

// ofParameters are the keys whose values are the installation's, as functions of the template.
var ofParameters = map[string]string{
	"database.hostname":              "!Ref SqlServerHost",
	"database.port":                  "!Ref SqlServerPort",
	"database.names":                 "!Ref DatabaseName",
	"database.password":              `!Join ["", ["${secretsmanager:", !Ref Project, "/debezium:password}"]]`,
	"signal.kafka.bootstrap.servers": "!Ref BootstrapServers",
	"schema.history.internal.kafka.bootstrap.servers": "!Ref BootstrapServers",
	"key.converter.schema.registry.url":               "!Ref RegistryUrl",
	"value.converter.schema.registry.url":             "!Ref RegistryUrl",
}

// TestTheTemplatesConnectorIsTheShippedOne: the template repeats the connector's file, because MSK Connect takes it from nowhere
// else. -update writes it anew.
func TestTheTemplatesConnectorIsTheShippedOne(t *testing.T) {
	d := json.NewDecoder(bytes.NewReader([]byte(text(t, connectorFile))))
	var section strings.Builder
	file := map[string]any{}
	depth, key := 0, ""
	for {
		token, err := d.Token()
		if err != nil {
			break // the end
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' {
				depth++
			} else {
				depth--
			}
			key = ""
		case string:
			switch {
			case depth != 2:
			case key == "":
				key = v
			default:
				value := ofParameters[key]
				if value == "" {
					value = strconv.Quote(v)
				}
				file[key] = v
				fmt.Fprintf(&section, "        %s: %s\n", key, value)
				key = ""
			}
		}
	}
	whole := text(t, templateFile)
	before, rest, ok := strings.Cut(whole, sectionBegin)
	_, after, closed := strings.Cut(rest, sectionEnd)
	if !ok || !closed || len(file) < 40 {
		t.Fatalf("%s has no section, or %s only %d keys", templateFile, connectorFile, len(file))
	}
	if want := before + sectionBegin + section.String() + sectionEnd + after; want != whole {
		if !*update {
			t.Fatal("configs/cloudformation/debezium.yaml is not what configs/debezium/sqlserver-connector.json says; run go test ./test/infrastructure -update")
		}
		if err := os.WriteFile("../../configs/"+templateFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}

	// Rendered with the placeholders of the file, the template must give the file.
	tpl := load(t, "debezium")
	n := account(names{
		"SqlServerHost": file["database.hostname"], "BootstrapServers": file["signal.kafka.bootstrap.servers"],
		"RegistryUrl": file["value.converter.schema.registry.url"],
	})
	if diff := cmp.Diff(file, n.render(t, tpl, tpl.Resources["Connector"].Properties["ConnectorConfiguration"])); diff != "" {
		t.Error(diff)
	}
}

// TestDebeziumMayDoWhatItsConnectorNeeds: each topic and group of the connector's file has its right.
func TestDebeziumMayDoWhatItsConnectorNeeds(t *testing.T) {
	var file struct{ Config map[string]string }
	if err := json.Unmarshal([]byte(text(t, connectorFile)), &file); err != nil {
		t.Fatal(err)
	}
	tpl := load(t, "debezium")
	cluster := "arn:aws:kafka:sa-east-1:000000000000:cluster/consorcio/u"
	n := account(names{"ClusterArn": cluster, "export consorcio-DebeziumSecretArn": "secret"})
	allowed := map[string][]string{} // by resource
	for _, p := range tpl.Resources["Role"].Properties["Policies"].([]any) {
		document := n.render(t, tpl, p).(map[string]any)["PolicyDocument"].(map[string]any)
		for _, s := range document["Statement"].([]any) {
			s := s.(map[string]any)
			for _, r := range listOf(s["Resource"]) {
				for _, a := range listOf(s["Action"]) {
					allowed[r.(string)] = append(allowed[r.(string)], a.(string))
				}
			}
		}
	}
	c, prefix := file.Config, "arn:aws:kafka:sa-east-1:000000000000:topic/consorcio/u/"
	for topic, action := range map[string]string{
		c["transforms.clientes.replacement"]:                  "kafka-cluster:WriteData",
		c["transforms.pedidos.replacement"]:                   "kafka-cluster:WriteData",
		c["transforms.produtos.replacement"]:                  "kafka-cluster:WriteData",
		c["topic.prefix"]:                                     "kafka-cluster:WriteData", // schema changes
		c["topic.prefix"] + ".transaction":                    "kafka-cluster:WriteData",
		"__debezium-heartbeat." + c["topic.prefix"]:           "kafka-cluster:WriteData",
		c["topic.prefix"] + "." + c["signal.data.collection"]: "kafka-cluster:WriteData",
		c["notification.sink.topic.name"]:                     "kafka-cluster:WriteData",
		c["schema.history.internal.kafka.topic"]:              "kafka-cluster:ReadData",
		c["signal.kafka.topic"]:                               "kafka-cluster:ReadData",
	} {
		if !strings.Contains(strings.Join(allowed[prefix+topic], " "), action) {
			t.Errorf("Debezium may not %s on %s", action, topic)
		}
		if !strings.Contains(text(t, "kafka/topics.csv"), "\n"+topic+",") {
			t.Errorf("kafka/topics.csv does not make %s, and Debezium may not", topic)
		}
		if !strings.Contains(text(t, "kafka/acls.sh"), topic) {
			t.Errorf("kafka/acls.sh gives no right to %s", topic)
		}
	}
	if group := c["signal.kafka.groupId"]; !strings.HasPrefix(group, "consorcio-") {
		t.Errorf("the group of signals is %q, to which neither template nor acls.sh gives a right", group)
	}
	if allowed[cluster] == nil || !strings.Contains(strings.Join(allowed[cluster], " "), "WriteDataIdempotently") {
		t.Error("producer.override.enable.idempotence needs WriteDataIdempotently")
	}
}
