// Package vectors sends change events made by Debezium's own classes through a real broker and a real
// schema registry, and holds the executions that come out against their exact values.
package vectors

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
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

const folder = "../testdata/vectors"

// manifest is what the vectors' manifest.json tells.
type manifest struct {
	Schemas []struct {
		ID            int
		Subject, File string
	}
	Cases []vector
}

// vector is one case. Kind is set for events that are no change of a row.
type vector struct {
	Name, Topic, Op, Kind string
	at                    broker.Offset
	expected              expectation
}

// expectation is a case's .expected.json.
type expectation struct {
	Key   any
	Value map[string]any
}

// TestEachVectorComesOutWithItsExactValues produces every case and looks for it: rows as executions,
// tombstones nowhere, and what is no row change in the dead letter queue.
func TestEachVectorComesOutWithItsExactValues(t *testing.T) {
	bootstrap, registry := stack.Kafka(t), stack.Registry(t)
	m := load(t)
	prefix := stack.Name(t) + "."
	ids := register(t, registry, prefix, m)
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
		case c.isRow():
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
		t.Run(c.Name, func(t *testing.T) { c.check(t, changes[c.at]) })
	}
	rejected := deadLetters(t, client, dlq, others)
	for _, c := range m.Cases {
		if _, ok := rejected[c.at]; ok != (!c.isRow() && c.Op != "tombstone") {
			t.Errorf("%s: in the dead letter queue: %v", c.Name, ok)
		}
	}
	t.Logf("%d cases: %d executions, %d dead letters, %d tombstones", len(m.Cases), rows, others, len(m.Cases)-rows-others)
}

// isRow tells a change of a row from tombstones and other kinds of events.
func (c *vector) isRow() bool {
	return c.Kind == "" && (c.Op == "c" || c.Op == "u" || c.Op == "d" || c.Op == "r")
}

func load(t *testing.T) *manifest {
	t.Helper()
	var m manifest
	read(t, filepath.Join(folder, "manifest.json"), &m)
	for i := range m.Cases {
		c := &m.Cases[i]
		read(t, filepath.Join(folder, "events", c.Name+".expected.json"), &c.expected)
	}
	return &m
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// register puts the schemas into the registry and maps the ids of the wire bytes to those it gave.
func register(t *testing.T, registry, prefix string, m *manifest) map[uint32]uint32 {
	t.Helper()
	ids := make(map[uint32]uint32)
	for _, s := range m.Schemas {
		text, err := os.ReadFile(filepath.Join(folder, s.File))
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]string{"schema": string(text)})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			registry+"/subjects/"+url.PathEscape(prefix+s.Subject)+"/versions", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			ID      uint32
			Message string
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("registering %s: status %d, %+v, %v", s.File, res.StatusCode, answer, err)
		}
		ids[uint32(s.ID)] = answer.ID
	}
	return ids
}

// produce writes the cases in order, each topic with one partition, and gives the topics.
func produce(t *testing.T, client *kgo.Client, bootstrap, prefix string, m *manifest, ids map[uint32]uint32) []string {
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
		at, err := producer.Send(t.Context(), broker.Record{Topic: topic, Key: wire(t, c.Name+".key.avro", ids), Value: wire(t, c.Name+".value.avro", ids)})
		if err != nil {
			t.Fatal(err)
		}
		c.at = at[0]
	}
	return topics
}

// wire gives the bytes of a case with the registry's id in them; nil where there are none.
func wire(t *testing.T, name string, ids map[uint32]uint32) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, "events", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	id, ok := ids[binary.BigEndian.Uint32(b[1:5])]
	if !ok {
		t.Fatalf("%s names a schema that was not registered", name)
	}
	binary.BigEndian.PutUint32(b[1:5], id)
	return b
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

func (c *vector) check(t *testing.T, got change) {
	if !c.isRow() {
		if got.Operation != "" {
			t.Errorf("is no change of a row, but became %+v", got)
		}
		return
	}
	want := map[string]any{"key": c.expected.Key, "operation": operations[c.Op]}
	have := map[string]any{"key": got.Key, "operation": got.Operation}
	for _, part := range []string{"before", "after"} {
		row, _ := c.expected.Value[part].(map[string]any)
		want[part] = carried(row)
	}
	have["before"], have["after"] = got.Before, got.After
	if d := cmp.Diff(want, have, cmp.Comparer(sameNumber)); d != "" {
		t.Errorf("differs from what Debezium sent (-want +got):\n%s", d)
	}
	source, _ := c.expected.Value["source"].(map[string]any)
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
