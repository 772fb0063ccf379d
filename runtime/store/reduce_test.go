package store

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func ptr(s string) *string { return &s }

func TestReduceReadsTheShapesOfKafkaConnectsTopics(t *testing.T) {
	tests := []struct {
		name, key, value string
		want             State
	}{
		{"a connector with a null value", "connector-c", `{"properties":{"name":"c","file":null}}`,
			State{Connectors: map[string]Connector{"c": {Config: map[string]*string{"name": ptr("c"), "file": nil}, Offset: 7}}}},
		{"a target state of KIP-875", "target-state-c", `{"state":"PAUSED","state.v2":"STOPPED"}`,
			State{Targets: map[string]Target{"c": {State: Stopped}}}},
		{"a target state before KIP-875", "target-state-c", `{"state":"PAUSED"}`,
			State{Targets: map[string]Target{"c": {State: Paused}}}},
		{"a paused connector without tasks", "target-state-c", `{"state":"PAUSED","state.v2":"PAUSED","idle":true}`,
			State{Targets: map[string]Target{"c": {State: Paused, Idle: true}}}},
		{"a restart request", "restart-connector-c", `{"include-tasks":true,"only-failed":false}`,
			State{Restarts: map[string]Restart{"c": {IncludeTasks: true, Offset: 7}}}},
		{"a cluster-wide logger", "logger-cluster-org.apache", `{"level":"debug"}`,
			State{Loggers: map[string]Logger{"org.apache": {Level: "DEBUG", Offset: 7}}}},
		{"replay epochs", "replay-c", `{"partitions":[{"topic":"t","partition":1,"epoch":2,"below":30}]}`,
			State{Replays: map[string][]Replay{"c": {{Topic: "t", Partition: 1, Epoch: 2, Below: 30}}}}},
		{"an adopted partition, the connector's name holding slashes", "adopted-t/1/a/b", `{"topic_id":"x","epoch":2,"below":30}`,
			State{Adoptions: map[AdoptionKey]Adoption{{"a/b", "t", 1}: {TopicID: "x", Epoch: 2, Below: 30}}}},
		{"the file that owns a connector", "file-c", `{"file":"c.json"}`, State{Files: map[string]string{"c": "c.json"}}},
		{"operations on dead letters", "dead-letters-c", `{"operations":[{"id":"x","action":"replay","topic":"d","filter":{"stage":"TASK_PUT"},"bounds":[{"partition":1,"below":9}],"requested":5}]}`,
			State{DeadLetters: map[string][]DeadLetterOperation{"c": {{ID: "x", Action: ReplayLetters, Topic: "d", Filter: DeadLetterFilter{Stage: "TASK_PUT"}, Bounds: []LetterBound{{1, 9}}, Requested: 5}}}}},
		{"progress of an operation on dead letters", "status-dead-letters-c", `{"id":"x","state":"RUNNING","worker_id":"h:1","counts":{"replayed":3},"next":[{"partition":1,"offset":4}]}`,
			State{LetterProgress: map[string]DeadLetterProgress{"c": {ID: "x", State: "RUNNING", WorkerID: "h:1", Counts: LetterCounts{Replayed: 3}, Next: []LetterNext{{1, 4}}}}}},
		{"a connector's status", "status-connector-c", `{"state":"RUNNING","trace":null,"worker_id":"h:1","generation":3}`,
			State{ConnectorStatus: map[string]Status{"c": {State: "RUNNING", WorkerID: "h:1", Generation: 3}}}},
		{"a task's status, the connector's name holding dashes", "status-task-a-b-12", `{"state":"FAILED","trace":"boom","worker_id":"h:1","generation":3,"version":"1"}`,
			State{TaskStatus: map[TaskKey]Status{{"a-b", 12}: {State: "FAILED", Trace: "boom", WorkerID: "h:1", Generation: 3, Version: "1"}}}},
		{"an active topic", "status-topic-t:connector-c", `{"topic":{"name":"t","connector":"c","task":1,"discoverTimestamp":5}}`,
			State{Topics: map[TopicKey]Topic{{"c", "t"}: {Task: 1, Discovered: 5}}}},
		{"a task's configuration, which only JVM workers need", "task-c-0", `{"properties":{}}`, State{}},
		{"a commit of tasks, which only JVM workers need", "commit-c", `{"tasks":1}`, State{}},
		{"a session key, which only JVM workers need", "session-key", `{"key":"x"}`, State{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Reduce(State{}, Entry{Key: []byte(tt.key), Value: []byte(tt.value), Offset: 7})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEntriesAreReadBackAsTheyWereMeant(t *testing.T) {
	status := Status{State: "FAILED", WorkerID: "h:1", Trace: "a\nb", Version: "1", Warning: "w", Generation: 4}
	entries := []Entry{
		ConnectorEntry("c", map[string]*string{"a": ptr("1"), "b": nil}),
		TargetEntry("c", Target{State: Stopped}),
		RestartEntry("c", Restart{OnlyFailed: true}),
		LoggerEntry("root", "WARN"),
		ReplayEntry("c", []Replay{{Topic: "t", Epoch: 1, Below: 9}}),
		FileEntry("c", "c.json"), AdoptionEntry(AdoptionKey{"c", "t", 0}, Adoption{TopicID: "x"}),
		DeadLetterEntry("c", []DeadLetterOperation{{ID: "x", Action: DropLetters, Topic: "d", Outcome: LettersDone, Ended: 4}}),
		DeadLetterProgressEntry("c", DeadLetterProgress{ID: "x", State: "DONE"}),
		ConnectorStatusEntry("c", status),
		TaskStatusEntry(TaskKey{"c", 3}, status),
		TopicEntry(TopicKey{"c", "t"}, 3, 99),
	}
	got, warnings := Fold(State{}, entries)
	want := State{
		Connectors:      map[string]Connector{"c": {Config: map[string]*string{"a": ptr("1"), "b": nil}}},
		Targets:         map[string]Target{"c": {State: Stopped}},
		Restarts:        map[string]Restart{"c": {OnlyFailed: true}},
		Loggers:         map[string]Logger{"root": {Level: "WARN"}},
		Replays:         map[string][]Replay{"c": {{Topic: "t", Epoch: 1, Below: 9}}},
		Files:           map[string]string{"c": "c.json"},
		Adoptions:       map[AdoptionKey]Adoption{{"c", "t", 0}: {TopicID: "x"}},
		DeadLetters:     map[string][]DeadLetterOperation{"c": {{ID: "x", Action: DropLetters, Topic: "d", Outcome: LettersDone, Ended: 4}}},
		LetterProgress:  map[string]DeadLetterProgress{"c": {ID: "x", State: "DONE"}},
		ConnectorStatus: map[string]Status{"c": status},
		TaskStatus:      map[TaskKey]Status{{"c", 3}: status},
		Topics:          map[TopicKey]Topic{{"c", "t"}: {Task: 3, Discovered: 99}},
	}
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUnreadableEntriesAreSkippedWithAWarningThatNamesOffsetAndKey(t *testing.T) {
	long := strings.Repeat("x", 500)
	tests := []struct{ name, key, value, want string }{
		{"foreign key", "hello", `{}`, `offset 7 with key "hello"`},
		{"key without a name", "connector-", `{"properties":{}}`, "names nothing"},
		{"key that is not UTF-8", "connector-\xff", `{"properties":{}}`, "not UTF-8"},
		{"truncated value", "connector-c", `{"properties":{"a"`, "unexpected end"},
		{"value that is no object", "connector-c", `[]`, "not a JSON object"},
		{"empty value", "connector-c", ``, "not a JSON object"},
		{"value without properties", "connector-c", `{}`, `no "properties"`},
		{"nested property", "connector-c", `{"properties":{"a":{}}}`, "properties"},
		{"unknown target state", "target-state-c", `{"state":"GONE"}`, `"GONE" is no target state`},
		{"unknown status", "status-connector-c", `{"state":"` + long + `"}`, "is no state"},
		{"task status without a number", "status-task-c", `{}`, "not <connector>-<task>"},
		{"task status with a negative number", "status-task-c--1", `{"state":"RUNNING"}`, ""},
		{"topic status without a connector", "status-topic-t", `{}`, "is not <topic>"},
		{"replay below nothing", "replay-c", `{"partitions":[{"topic":"t","below":-4}]}`, "below -4"},
		{"an unknown action on dead letters", "dead-letters-c", `{"operations":[{"id":"x","topic":"d","action":"burn"}]}`, `"burn" is no action`},
		{"two open operations on dead letters", "dead-letters-c", `{"operations":[{"id":"x","topic":"d","action":"replay"},{"id":"y","topic":"d","action":"replay"}]}`, "2 operations"},
		{"a bound of nothing", "dead-letters-c", `{"operations":[{"id":"x","topic":"d","action":"replay","bounds":[{"partition":-1}]}]}`, "bounded by offset 0 in partition -1"},
		{"progress of nothing", "status-dead-letters-c", `{"state":"RUNNING"}`, `no "id"`},
		{"very long key", "nonsense-" + long, `{}`, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Reduce(State{}, Entry{Key: []byte(tt.key), Value: []byte(tt.value), Offset: 7})
			if tt.want == "" {
				return
			}
			var w *Warning
			if !errors.As(err, &w) || w.Offset != 7 || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 600 {
				t.Errorf("got %v, want a warning with %q", err, tt.want)
			}
		})
	}
}

// genEntry makes entries of few keys, readable and unreadable, so that they collide.
func genEntry(t *rapid.T, offset int64) Entry {
	name := rapid.SampledFrom([]string{"a", "b", "a-1"}).Draw(t, "name")
	n := rapid.IntRange(0, 2).Draw(t, "n")
	st := Status{State: rapid.SampledFrom([]string{"RUNNING", "FAILED"}).Draw(t, "state"), Generation: int64(n)}
	all := []Entry{
		ConnectorEntry(name, map[string]*string{"v": ptr(fmt.Sprint(n))}),
		TargetEntry(name, Target{State: rapid.SampledFrom([]TargetState{Started, Paused, Stopped}).Draw(t, "target"), Idle: n == 1}),
		RestartEntry(name, Restart{IncludeTasks: n == 1}),
		LoggerEntry(name, "INFO"),
		ReplayEntry(name, []Replay{{Topic: "t", Epoch: n, Below: 5}}),
		FileEntry(name, fmt.Sprint(n, ".json")),
		ConnectorStatusEntry(name, st),
		TaskStatusEntry(TaskKey{name, n}, st),
		TopicEntry(TopicKey{name, "t"}, n, 1),
		{Key: []byte("task-a-0"), Value: []byte(`{}`)},
		DeadLetterEntry(name, []DeadLetterOperation{{ID: name, Action: ReplayLetters, Topic: "d"}}),
		DeadLetterProgressEntry(name, DeadLetterProgress{ID: name, State: "RUNNING"}),
		{Key: []byte("foreign"), Value: []byte(`{}`)},
	}
	e := all[rapid.IntRange(0, len(all)-1).Draw(t, "kind")]
	switch rapid.IntRange(0, 5).Draw(t, "damage") {
	case 0:
		e.Value = nil
	case 1:
		e.Value = e.Value[:len(e.Value)/2]
	}
	e.Offset = offset
	return e
}

// compacted gives a log that Kafka's cleaner may leave of l: entries replaced by a later one of
// their key may be missing, those of the last key never, except tombstones.
func compacted(t *rapid.T, l []Entry) []Entry {
	var c []Entry
	for i, e := range l {
		replaced := false
		for _, later := range l[i+1:] {
			replaced = replaced || string(later.Key) == string(e.Key)
		}
		if (replaced || e.Value == nil) && rapid.Bool().Draw(t, "dropped") {
			// A tombstone may only go together with everything before it of its key.
			if e.Value == nil && !replaced {
				kept := c[:0]
				for _, k := range c {
					if string(k.Key) != string(e.Key) {
						kept = append(kept, k)
					}
				}
				c = kept
			}
			if e.Value != nil || !replaced {
				continue
			}
		}
		c = append(c, e)
	}
	return c
}

func TestEveryCompactionOfALogGivesTheStateOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "entries")
		var l []Entry
		for i := range n {
			l = append(l, genEntry(t, int64(i)))
		}
		want, _ := Fold(State{}, l)
		got, _ := Fold(State{}, compacted(t, l))
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestReduceOneByOneEqualsFoldAndLeavesEveryEarlierStateAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			s      State
			states []State
			copies []State
			l      []Entry
		)
		for i := range rapid.IntRange(0, 30).Draw(t, "entries") {
			e := genEntry(t, int64(i))
			l = append(l, e)
			s, _ = Reduce(s, e)
			states, copies = append(states, s), append(copies, deepCopy(s))
		}
		folded, _ := Fold(State{}, l)
		if d := cmp.Diff(s, folded, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(copies, states, cmpopts.EquateEmpty()); d != "" {
			t.Fatal("a later entry changed an earlier state: ", d)
		}
	})
}

func deepCopy(s State) State {
	s.Connectors = maps.Clone(s.Connectors)
	s.Targets = maps.Clone(s.Targets)
	s.Restarts = maps.Clone(s.Restarts)
	s.Loggers = maps.Clone(s.Loggers)
	s.Replays = maps.Clone(s.Replays)
	s.Files = maps.Clone(s.Files)
	s.ConnectorStatus = maps.Clone(s.ConnectorStatus)
	s.TaskStatus = maps.Clone(s.TaskStatus)
	s.Topics = maps.Clone(s.Topics)
	s.DeadLetters = maps.Clone(s.DeadLetters)
	s.LetterProgress = maps.Clone(s.LetterProgress)
	return s
}

func FuzzReduce(f *testing.F) {
	for _, e := range []Entry{
		ConnectorEntry("c", map[string]*string{"a": nil}), TargetEntry("c", Target{State: Stopped}),
		TaskStatusEntry(TaskKey{"c", 1}, Status{State: "RUNNING"}), TopicEntry(TopicKey{"c", "t"}, 0, 1),
		ReplayEntry("c", []Replay{{Topic: "t"}}), LoggerEntry("root", "INFO"), FileEntry("c", "c.json"),
		DeadLetterEntry("c", []DeadLetterOperation{{ID: "x", Action: DropLetters, Topic: "d"}}), DeadLetterProgressEntry("c", DeadLetterProgress{ID: "x", State: "DONE"}),
	} {
		f.Add(e.Key, e.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		before, _ := Fold(State{}, []Entry{ConnectorEntry("c", nil), TargetEntry("c", Target{State: Paused})})
		once, err := Reduce(before, Entry{Key: key, Value: value, Offset: 1})
		twice, _ := Reduce(once, Entry{Key: key, Value: value, Offset: 1})
		if d := cmp.Diff(once, twice, cmpopts.EquateEmpty()); d != "" {
			t.Fatal("the same entry twice differs: ", d)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("a warning without words")
		}
	})
}

func TestEpochOfARecordIsThatOfItsPartitionBelowTheMark(t *testing.T) {
	parts := []Replay{{Topic: "t", Partition: 1, Epoch: 3, Below: 10}}
	for _, tt := range []struct {
		topic     string
		partition int32
		offset    int64
		want      int
	}{{"t", 1, 9, 3}, {"t", 1, 10, 0}, {"t", 0, 9, 0}, {"u", 1, 9, 0}} {
		if got := EpochOf(parts, tt.topic, tt.partition, tt.offset); got != tt.want {
			t.Errorf("%+v: got %d", tt, got)
		}
	}
}

func BenchmarkFoldOfAStatusTopic(b *testing.B) {
	var l []Entry
	for i := range 10_000 {
		l = append(l, TaskStatusEntry(TaskKey{fmt.Sprint("c", i%500), i % 7}, Status{State: "RUNNING", WorkerID: "h:8083"}))
	}
	b.ReportAllocs()
	for b.Loop() {
		Fold(State{}, l)
	}
}
