package vectors

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEachVectorComesOutWithItsExactValues produces every case and looks for it: rows as executions,
// tombstones nowhere, and what is no row change in the dead letter queue.
func TestEachVectorComesOutWithItsExactValues(t *testing.T) {
	bootstrap, registry := stack.Kafka(t), stack.Registry(t)
	m := Load(t)
	prefix := stack.Name(t) + "."
	ids := m.Register(t, registry, prefix)
	endpoint, err := states.Start(t.Context(), states.Options{Machines: []states.Machine{{Name: "Tudo"}}, Keep: states.KeepInputs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := endpoint.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topics := produce(t, client, bootstrap, prefix, m, ids)

	dlq := prefix + "dlq"
	w := worker.Start(t, worker.Properties(t, bootstrap, registry), map[string]string{
		"name": strings.TrimSuffix(prefix, "."), "connector.class": "StepFunctionsSink", "tasks.max": "1",
		"topics": strings.Join(topics, ","), "domains": "tudo", "domain.tudo.topics": strings.Join(topics, ","),
		"domain.tudo.state.machine.arn": endpoint.Machines()[0].ARN, "aws.region": "sa-east-1", "aws.endpoint": endpoint.URL(),
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": dlq, "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.deadletterqueue.context.headers.enable": "true",
	})
	rows, others := 0, 0
	for _, c := range m.Cases {
		switch {
		case c.IsRow():
			rows++
		case c.Op != "tombstone":
			others++
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s, err := endpoint.Wait(ctx, func(s states.Stats) bool { return s.Changes >= rows }); err != nil {
		t.Fatalf("waiting for %d changes: %v; the endpoint saw %+v; worker:\n%s", rows, err, s, w.LogTail())
	}
	changes := arrived(t, endpoint)
	for _, c := range m.Cases {
		t.Run(c.Name, func(t *testing.T) { c.check(t, changes[c.At]) })
	}
	rejected := deadLetters(t, client, dlq, others)
	for _, c := range m.Cases {
		if _, ok := rejected[c.At]; ok != (!c.IsRow() && c.Op != "tombstone") {
			t.Errorf("%s: in the dead letter queue: %v", c.Name, ok)
		}
	}
	t.Logf("%d cases: %d executions, %d dead letters, %d tombstones", len(m.Cases), rows, others, len(m.Cases)-rows-others)
}

// produce writes the cases in order, each topic with one partition, and gives the topics.
func produce(t *testing.T, client *kgo.Client, bootstrap, prefix string, m *Manifest, ids IDs) []string {
	t.Helper()
	var topics []string
	seen := make(map[string]bool)
	admin := kadm.NewClient(client)
	producer, err := broker.NewProducer(strings.Split(bootstrap, ","))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i := range m.Cases {
		c := &m.Cases[i]
		topic := prefix + c.Topic
		if !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
			if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		at, err := producer.Send(t.Context(), broker.Record{Topic: topic, Key: ids.Wire(t, c.Name+".key.avro"), Value: ids.Wire(t, c.Name+".value.avro")})
		if err != nil {
			t.Fatal(err)
		}
		c.At = at[0]
	}
	return topics
}

// change is one change of an execution input.
type change struct {
	Operation   string         `json:"operation"`
	Key         any            `json:"key"`
	Before      map[string]any `json:"before"`
	After       map[string]any `json:"after"`
	Unavailable []string       `json:"unavailable"`
	Position    map[string]any `json:"position"`
	Kafka       broker.Offset  `json:"kafka"`
}

func arrived(t *testing.T, e *states.Endpoint) map[broker.Offset]change {
	t.Helper()
	out := make(map[broker.Offset]change)
	for _, x := range e.Executions(e.Machines()[0].ARN) {
		var input struct{ Changes []change }
		d := json.NewDecoder(strings.NewReader(x.Input))
		d.UseNumber()
		if err := d.Decode(&input); err != nil {
			t.Fatalf("%s: %v", x.Name, err)
		}
		for _, c := range input.Changes {
			out[c.Kafka] = c
		}
	}
	return out
}

var operations = map[string]string{"c": "insert", "u": "update", "d": "delete", "r": "snapshot"}

func (c *Vector) check(t *testing.T, got change) {
	if !c.IsRow() {
		if got.Operation != "" {
			t.Errorf("is no change of a row, but became %+v", got)
		}
		return
	}
	want := map[string]any{"key": c.Expected.Key, "operation": operations[c.Op]}
	have := map[string]any{"key": got.Key, "operation": got.Operation}
	for _, part := range []string{"before", "after"} {
		row, _ := c.Expected.Value[part].(map[string]any)
		want[part] = carried(row)
	}
	have["before"], have["after"] = got.Before, got.After
	if d := cmp.Diff(want, have, cmp.Comparer(sameNumber)); d != "" {
		t.Errorf("differs from what Debezium sent (-want +got):\n%s", d)
	}
	source, _ := c.Expected.Value["source"].(map[string]any)
	for _, part := range []string{"commit_lsn", "change_lsn", "event_serial_no"} {
		if !reflect.DeepEqual(got.Position[part], source[part]) {
			t.Errorf("position.%s is %v, want %v", part, got.Position[part], source[part])
		}
	}
}

// sameNumber compares integers by their digits and floats by their value: Java writes 1.0E38 for 1e+38.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y && strings.ContainsAny(string(a), ".eE") && strings.ContainsAny(string(b), ".eE")
}

// carried is a row without the columns that Debezium did not carry, as text or as its bytes.
func carried(row map[string]any) map[string]any {
	if row == nil {
		return nil
	}
	out := make(map[string]any, len(row))
	for k, v := range row {
		if v != "__debezium_unavailable_value" && v != "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==" {
			out[k] = v
		}
	}
	return out
}

// deadLetters reads n records of the dead letter queue and gives where they were consumed.
func deadLetters(t *testing.T, client *kgo.Client, topic string, n int) map[broker.Offset]string {
	t.Helper()
	out := make(map[broker.Offset]string)
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d dead letters after 30 s, want %d", len(out), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := make(map[string]string)
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			var at broker.Offset
			at.Topic = headers["__connect.errors.topic"]
			if _, err := fmt.Sscan(headers["__connect.errors.partition"], &at.Partition); err != nil {
				t.Error(err)
			}
			if _, err := fmt.Sscan(headers["__connect.errors.offset"], &at.Offset); err != nil {
				t.Error(err)
			}
			out[at] = headers["__connect.errors.exception.message"]
		})
	}
	return out
}
