package badinput

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestDeadLettersAreReplayedOverTheRESTAPI takes records that no schema was known for from the queue to their state machine:
// listed, shown with hidden columns hidden, replayed by a filter while another stays, under names of their own.
func TestDeadLettersAreReplayedOverTheRESTAPI(t *testing.T) {
	t.Parallel()
	settings := withDLQ(t, "all")
	settings["columns.mask"] = "clientes.nome"
	settings["max.in.flight"] = "1" // the queue in the order of the topic
	x, r := newRegistryTrial(t, registry.Options{}, settings)
	late := func(id int64, name string) broker.Record {
		good := x.value(id, name, nil)
		return broker.Record{Key: x.key(id), Value: append(prefix(77), good[5:]...)}
	}
	x.send(x.good(1), late(2, "Bia"), late(3, "Caio"), broker.Record{Key: x.key(4), Value: []byte("no Avro")})
	x.create(nil)
	x.awaitCommitted(4)
	x.awaitStarted(0)

	path := "/connectors/" + x.name + "/dlq"
	list := x.letters(path)
	if len(list) != 3 || list[0].Origin.Offset != 1 || list[2].Origin.Offset != 3 || list[0].Stage != "VALUE_CONVERTER" || list[0].State != "open" {
		t.Fatalf("listed: %+v", list)
	}
	detail := x.get(path + "/0/0")
	if !strings.Contains(detail, `"record":null`) || !strings.Contains(detail, "does not know schema id 77") || !strings.Contains(detail, `"framing":"000000004d"`) {
		t.Errorf("shown while its schema is unknown: %s", detail)
	}
	if _, err := r.RegisterID("tarde-value", 77, registry.Schema{Text: envelopeSchema(rowOrNull, textType, "late")}); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, within, "the letter is shown decoded", func() bool { // the registry's no is believed for five seconds
		detail = x.get(path + "/0/0")
		return strings.Contains(detail, `"operation":"insert"`)
	})
	if strings.Contains(detail, "Bia") || !strings.Contains(detail, "********") {
		t.Errorf("a masked column is shown: %s", detail)
	}

	if status, answer := x.call("POST", path+"/replay", map[string]any{"topic": x.name, "offset_max": 1}); status != 202 {
		t.Fatalf("%d %s", status, answer)
	}
	x.awaitStarted(0, 1)
	x.awaitReplay(path, "DONE", 1, 0)
	if status, answer := x.call("POST", path+"/replay", map[string]any{"all": true}); status != 202 {
		t.Fatalf("%d %s", status, answer)
	}
	x.awaitStarted(0, 1, 2)
	x.awaitReplay(path, "DONE", 1, 1) // what is no Avro is in the queue again
	list = x.letters(path)
	if len(list) != 1 || list[0].Origin.Offset != 3 || list[0].Attempts != 2 || list[0].Offset != 3 {
		t.Errorf("listed after the replays: %+v", list)
	}
	if status, answer := x.call("POST", path+"/drop", map[string]any{"letter": "0:3"}); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if list = x.letters(path); len(list) != 0 {
		t.Errorf("listed after the drop: %+v", list)
	}
	for _, c := range world.stack.States.Log() {
		if c.Effect != 0 && slices.ContainsFunc(c.Changes, func(ch states.Change) bool { return ch.Topic == x.name && ch.Offset > 0 }) && !strings.HasPrefix(c.Name, "dlq-") {
			t.Errorf("execution %q is not named by its place in the queue", c.Name)
		}
	}
	if end := x.send(x.good(9)); end != 4 {
		t.Errorf("the source topic has grown to %d", end)
	}
}

type letter struct {
	Offset   int64
	State    string
	Stage    string
	Attempts int
	Origin   struct{ Offset int64 }
}

func (x *trial) get(path string) string {
	x.t.Helper()
	status, answer := x.call("GET", path, nil)
	if status != 200 {
		x.t.Fatalf("%s: %d %s", path, status, answer)
	}
	return answer
}

func (x *trial) letters(path string) []letter {
	x.t.Helper()
	var list struct{ Records []letter }
	if err := json.Unmarshal([]byte(x.get(path)), &list); err != nil {
		x.t.Fatal(err)
	}
	return list.Records
}

// awaitReplay waits until the newest operation is in a state, with those counts.
func (x *trial) awaitReplay(path, state string, replayed, failed int64) {
	x.t.Helper()
	answer := ""
	defer func() {
		if x.t.Failed() {
			x.t.Log(answer)
		}
	}()
	var all struct {
		Operations []struct {
			State  string
			Counts struct{ Replayed, Failed int64 }
		}
	}
	worker.Eventually(x.t, within, "the replay is "+state, func() bool {
		answer = x.get(path + "/replay")
		if err := json.Unmarshal([]byte(answer), &all); err != nil {
			x.t.Fatal(err)
		}
		return all.Operations[0].State == state
	})
	if c := all.Operations[0].Counts; c.Replayed != replayed || c.Failed != failed {
		x.t.Errorf("%d replayed and %d failed, want %d and %d", c.Replayed, c.Failed, replayed, failed)
	}
}
