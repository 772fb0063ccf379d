package states_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// change is one of topic "t", partition 0.
func change(key string, offset int64) states.Change {
	return states.Change{Key: key, Position: at(offset)}
}

func at(offset int64) states.Position { return states.Position{Topic: "t", Offset: offset} }

// did is an answered call that started an execution: it arrived at seq, took effect right after, and was
// answered right after that.
func did(seq int64, name string, changes ...states.Change) states.Call {
	return states.Call{
		Seq: seq, Effect: seq + 1, End: seq + 2, Target: "StartExecution", Name: name, Execution: name,
		Changes: changes, Outcome: states.OutcomeStarted, Status: states.Succeeded,
	}
}

func TestVerifyFindsWhatBreaksARule(t *testing.T) {
	expected := []states.Position{at(0), at(1), at(2)}
	good := []states.Call{did(1, "a", change("k", 0)), did(4, "b", change("m", 1)), did(7, "c", change("k", 2))}
	refused := did(10, "a", change("k", 0))
	refused.Effect, refused.Outcome = 0, "ExecutionAlreadyExists"
	failed := did(7, "c", change("k", 2))
	failed.Status = states.Failed
	long := did(1, "a", change("k", 0)) // stays open until the third call has come
	long.End = 8
	never := did(1, "a", change("k", 0))
	never.End = 0
	otherTopic := did(7, "c", states.Change{Key: "k", Position: states.Position{Topic: "u", Offset: 2}})
	otherTopic.Seq = 2 // while the first is open

	cases := []struct {
		name     string
		log      []states.Call
		expected []states.Position
		want     states.Report // lists only
	}{
		{"a good log", good, expected, states.Report{}},
		{"the order of the lines does not count", []states.Call{good[2], good[0], good[1]}, expected, states.Report{}},
		{"an acknowledged repeat is no duplicate", append(slices.Clone(good), refused), expected, states.Report{}},
		{"nothing in particular was expected", good[:1], nil, states.Report{}},
		{"a change is missing", good[:2], expected, states.Report{Missing: []states.Position{at(2)}}},
		{"everything is missing", nil, expected, states.Report{Missing: expected}},
		{"a refused call starts nothing", []states.Call{good[0], good[1], refused}, expected, states.Report{Missing: []states.Position{at(2)}}},
		{"a change nobody wrote", good, expected[:2], states.Report{Unexpected: []states.Position{at(2)}}},
		{"one change in two executions", append(slices.Clone(good), did(10, "d", change("k", 2))), expected,
			states.Report{Duplicates: []states.Duplicate{{Change: change("k", 2), Executions: []string{"c", "d"}}}}},
		{"one change twice in one execution", []states.Call{good[0], good[1], did(7, "c", change("k", 2), change("k", 2))}, expected,
			states.Report{Duplicates: []states.Duplicate{{Change: change("k", 2), Executions: []string{"c", "c"}}}}},
		{"one name started twice", append(slices.Clone(good), did(10, "c", change("k", 2))), expected,
			states.Report{Duplicates: []states.Duplicate{{Change: change("k", 2), Executions: []string{"c", "c"}}}}},
		{"a key goes backwards", []states.Call{did(1, "c", change("k", 2)), did(4, "b", change("m", 1)), did(7, "a", change("k", 0))}, expected,
			states.Report{Backwards: []states.Backward{{Change: change("k", 0), After: 2, Execution: "a"}}}},
		{"a key goes backwards within a batch", []states.Call{did(1, "a", change("k", 2), change("m", 1), change("k", 0))}, expected,
			states.Report{Backwards: []states.Backward{{Change: change("k", 0), After: 2, Execution: "a"}}}},
		{"without a key the partition is the order", []states.Call{did(1, "a", change("", 2)), did(4, "b", change("", 1)), did(7, "c", change("k", 0))}, expected,
			states.Report{Backwards: []states.Backward{{Change: change("", 1), After: 2, Execution: "b"}}}},
		{"two open calls hold one key", []states.Call{long, did(4, "b", change("m", 1)), did(7, "c", change("k", 2))}, expected,
			states.Report{Overlaps: []states.Overlap{{Change: change("k", 2), First: 1, Second: 7}}}},
		{"a call that was never answered stays open", []states.Call{never, did(4, "b", change("m", 1)), did(7, "c", change("k", 2))}, expected,
			states.Report{Overlaps: []states.Overlap{{Change: change("k", 2), First: 1, Second: 7}}}},
		{"keys of two topics do not meet", []states.Call{good[0], good[1], otherTopic}, nil, states.Report{}},
		{"an Express execution that failed is no delivery", []states.Call{good[0], good[1], failed}, expected,
			states.Report{Unsucceeded: []states.Position{at(2)}}},
		{"an execution whose input could not be read", append(slices.Clone(good), did(10, "d")), expected,
			states.Report{Unread: []int64{10}}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.log)
			got := states.Verify(tc.log, tc.expected)
			if !reflect.DeepEqual(before, tc.log) {
				t.Error("the log was changed")
			}
			if (got.Err() == nil) != (tc.want.Err() == nil) || got.OK() != (got.Err() == nil) {
				t.Errorf("Err() = %v", got.Err())
			}
			got.Calls, got.Executions, got.Changes, got.Expected = 0, 0, 0, 0
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestASucceededRetryMakesUpForAFailedExecution(t *testing.T) {
	failed, retried := did(1, "a", change("k", 0)), did(4, "b", change("k", 0))
	failed.Status = states.Failed
	r := states.Verify([]states.Call{failed, retried}, []states.Position{at(0)})
	if len(r.Unsucceeded) != 0 || len(r.Duplicates) != 1 || r.Changes != 1 || r.Executions != 2 {
		t.Fatalf("report %+v", r)
	}
}

func TestChangesAreFoundInTheExecutionInput(t *testing.T) {
	got, err := states.Changes([]byte(`{"domain":"d","changes":[
		{"key":{ "id" : 1 },"after":{"a":[1,2]},"kafka":{"topic":"t","partition":3,"offset":9007199254740993}},
		{"key":null,"kafka":{"topic":"t","partition":0,"offset":0}}]}`))
	want := []states.Change{
		{Key: `{"id":1}`, Position: states.Position{Topic: "t", Partition: 3, Offset: 9007199254740993}},
		{Position: states.Position{Topic: "t"}},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	for input, part := range map[string]string{
		`{}`:                                     "there are none",
		`[]`:                                     "cannot unmarshal",
		`{"changes":[{"key":1}]}`:                "change 0 has no kafka.topic",
		`{"changes":[{"kafka":{"offset":"1"}}]}`: "cannot unmarshal",
	} {
		if _, err := states.Changes([]byte(input)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", input, err, part)
		}
	}
}

func FuzzChanges(f *testing.F) {
	f.Add([]byte(oneChange))
	f.Add([]byte(`{"changes":[{"key":"é","kafka":{"topic":"t"}},{}]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		found, err := states.Changes(input)
		if err == nil && len(found) == 0 {
			t.Fatal("neither changes nor an error")
		}
		for _, c := range found {
			if c.Topic == "" {
				t.Fatal("a change without a topic")
			}
		}
	})
}
