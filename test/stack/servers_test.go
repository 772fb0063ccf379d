package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestARecordComesBackFromTheSharedBroker(t *testing.T) {
	roundTrip(t, kgo.SeedBrokers(stack.Kafka(t)))
}

func TestTheSharedBrokerCreatesNoTopicByItself(t *testing.T) {
	client := newClient(t, kgo.SeedBrokers(stack.Kafka(t)), kgo.UnknownTopicRetries(0))
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: stack.Name(t), Value: []byte("x")}).FirstErr(); err == nil {
		t.Error("producing to a topic that does not exist succeeded")
	}
}

// newClient gives a franz-go client that ends with the test.
func newClient(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// roundTrip creates a topic, produces a record and consumes it.
func roundTrip(t *testing.T, opts ...kgo.Opt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := stack.Name(t)
	client := newClient(t, append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("42"), Value: []byte("José")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	for _, r := range fetches.Records() {
		if string(r.Key) != "42" || string(r.Value) != "José" {
			t.Errorf("consumed %q = %q, want 42 = José", r.Key, r.Value)
		}
	}
}

func TestASchemaRegisteredInTheSharedRegistryIsFoundByItsID(t *testing.T) {
	checkRegistry(t, stack.Registry(t), registerSchema(t, stack.Registry(t)))
}

const schema = `{"type":"record","name":"Clientes","fields":[{"name":"id","type":"long"}]}`

// registerSchema gives the id of the schema.
func registerSchema(t *testing.T, url string) (id int) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		ID int `json:"id"`
	}
	call(t, http.MethodPost, url+"/subjects/"+stack.Name(t)+"-value/versions", body, &answer)
	if answer.ID <= 0 {
		t.Fatalf("schema id = %d, want a positive number", answer.ID)
	}
	return answer.ID
}

// checkRegistry wants the schema under its id.
func checkRegistry(t *testing.T, url string, id int) {
	t.Helper()
	var answer struct {
		Schema string `json:"schema"`
	}
	number, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	call(t, http.MethodGet, url+"/schemas/ids/"+string(number), nil, &answer)
	if answer.Schema != schema {
		t.Errorf("schema of id %d = %s, want %s", id, answer.Schema, schema)
	}
}

func call(t *testing.T, method, url string, body []byte, answer any) {
	t.Helper()
	send(t, method, url, "application/vnd.schemaregistry.v1+json", http.StatusOK, body, answer)
}

func send(t *testing.T, method, url, contentType string, want int, body []byte, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("%s %s gives %s: %s", method, url, resp.Status, b)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		t.Fatalf("%s %s gives %s: %v", method, url, b, err)
	}
}

func TestAPrivateRegistryKnowsItsSchemasAfterKillAndRestart(t *testing.T) {
	registry := stack.PrivateRegistry(t)
	id := registerSchema(t, registry.Addr())
	registry.Kill()
	if err := registry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkRegistry(t, registry.Addr(), id)
}

func TestAPrivateConnectRunsAPluginsConnectorAgainAfterKillAndRestart(t *testing.T) {
	bootstrap, topic := stack.Kafka(t), stack.Name(t)
	lines := filepath.Join(t.TempDir(), "linhas.txt")
	connect := stack.PrivateConnect(t, bootstrap, stack.WithPlugins(stack.ConnectFile), stack.WithConnectProperty("topic.creation.enable", "true"))
	body := fmt.Sprintf(`{"name":"linhas","config":{"connector.class":"FileStreamSource","file":%q,"topic":%q,
		"value.converter":"org.apache.kafka.connect.storage.StringConverter","topic.creation.default.replication.factor":"1","topic.creation.default.partitions":"1"}}`, lines, topic)
	client := newClient(t, kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var created struct{ Name string }
	send(t, http.MethodPost, connect.Addr()+"/connectors", "application/json", http.StatusCreated, []byte(body), &created)
	arrives := func(line string) {
		t.Helper()
		f, err := os.OpenFile(lines, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// What was sent before the offset was stored comes again.
		for got := ""; got != line; {
			fetches := client.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("line %q does not come: %v", line, fetches.Err())
			}
			for _, r := range fetches.Records() {
				got = string(r.Value)
			}
		}
	}
	arrives("João")
	connect.Kill()
	if err := connect.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	arrives("Inês")
}

func TestEachTestGetsAnEmptyDatabaseOfItsOwn(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), stack.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), "CREATE TABLE clientes (id bigint PRIMARY KEY)"); err != nil {
				t.Fatal(err)
			}
			var one int
			if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
				t.Errorf("SELECT 1 gives %d (%v)", one, err)
			}
		})
	}
}

func TestMotoAcceptsStartExecutionAndShowsItsInput(t *testing.T) { startExecution(t, stack.Moto(t)) }

func TestMinistackAcceptsStartExecutionAndShowsItsInput(t *testing.T) {
	startExecution(t, stack.Ministack(t))
}

func startExecution(t *testing.T, endpoint string) {
	t.Helper()
	client := sfn.New(sfn.Options{
		BaseEndpoint: aws.String(endpoint), Region: "sa-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	machine, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String(stack.Name(t)), RoleArn: aws.String("arn:aws:iam::000000000000:role/stepconnect"),
		Definition: aws.String(`{"StartAt":"Fim","States":{"Fim":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	const input = `{"domain":"clientes","changes":[]}`
	started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: machine.StateMachineArn, Name: aws.String("a"), Input: aws.String(input),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(got.Input) != input {
		t.Errorf("input of the execution = %s, want %s", aws.ToString(got.Input), input)
	}
}

func TestNamesAreUniqueAndFitForTopicsAndStateMachines(t *testing.T) {
	t.Run("São Paulo, ação nº 1: a name that is much longer than what any of these servers takes", func(t *testing.T) {
		a, b := stack.Name(t), stack.Name(t)
		if a == b {
			t.Errorf("two names are equal: %s", a)
		}
		if len(a) > 50 || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("name %q has other characters or is too long", a)
		}
	})
}
