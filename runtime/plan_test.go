package runtime

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func genTasks(t *rapid.T) map[string]int {
	tasks := map[string]int{}
	for i := range rapid.IntRange(0, 8).Draw(t, "connectors") {
		tasks[fmt.Sprint("c", i)] = rapid.IntRange(0, 7).Draw(t, "tasks")
	}
	return tasks
}

func genMembers(t *rapid.T, label string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a:1", "b:1", "c:1", "d:1", "e:1"}), 1, 5, rapid.ID).Draw(t, label)
}

func spread(counts map[string]int, members []string) int {
	var all []int
	for _, m := range members {
		all = append(all, counts[m])
	}
	return slices.Max(all) - slices.Min(all)
}

// requireBalanced fails when a task is missing, or counts differ by more than one.
func requireBalanced(t *rapid.T, tasks map[string]int, members []string, p Assignment) {
	total, connectors := map[string]int{}, map[string]int{}
	n := 0
	for name, want := range tasks {
		of := map[string]int{}
		for i := range want {
			m, ok := p.Tasks[TaskID{name, i}]
			if !ok || !slices.Contains(members, m) {
				t.Fatalf("task %s-%d is with %q", name, i, m)
			}
			of[m]++
			total[m]++
			n++
		}
		if spread(of, members) > 1 {
			t.Fatalf("%s is not balanced: %v", name, of)
		}
		connectors[p.Connectors[name]]++
	}
	if len(p.Tasks) != n || len(p.Connectors) != len(tasks) {
		t.Fatalf("plan holds what is not wanted: %v", p)
	}
	if spread(total, members) > 1 || spread(connectors, members) > 1 {
		t.Fatalf("not balanced: tasks %v, connectors %v", total, connectors)
	}
}

func moved(from, to Assignment) (n int) {
	for id, m := range to.Tasks {
		if old, ok := from.Tasks[id]; ok && old != m {
			n++
		}
	}
	return n
}

func TestAPlanIsBalancedPerWorkerAndPerConnectorWhateverThePreviousOneWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		previous := Plan(genTasks(t), genMembers(t, "before"), Assignment{})
		tasks, members := genTasks(t), genMembers(t, "members")
		p := Plan(tasks, members, previous)
		requireBalanced(t, tasks, members, p)

		slices.Reverse(members)
		if d := cmp.Diff(p, Plan(tasks, members, previous)); d != "" {
			t.Fatal("the order of members matters: ", d)
		}
		if d := cmp.Diff(p, Plan(tasks, members, p)); d != "" {
			t.Fatal("planning again moves something: ", d)
		}
	})
}

func TestAWorkerThatJoinsTakesNoMoreThanItsShareAndNothingElseMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tasks := genTasks(t)
		before := Plan(tasks, []string{"a:1", "b:1", "c:1"}, Assignment{})
		after := Plan(tasks, []string{"a:1", "b:1", "c:1", "d:1"}, before)
		share := 0
		for _, m := range after.Tasks {
			if m == "d:1" {
				share++
			}
		}
		// What the newcomer did not take may still have to move for the balance of one connector.
		if n := moved(before, after); n > share+len(tasks) {
			t.Fatalf("%d tasks moved for a share of %d", n, share)
		}
	})
}

func TestTheTasksOfALostWorkerAreSpreadAndTheOthersStay(t *testing.T) {
	tasks := map[string]int{"x": 6, "y": 6, "z": 6}
	before := Plan(tasks, []string{"a:1", "b:1", "c:1"}, Assignment{})
	after := Plan(tasks, []string{"a:1", "b:1"}, before)
	for id, m := range before.Tasks {
		if m != "c:1" && after.Tasks[id] != m {
			t.Errorf("%s moved from %s to %s", id, m, after.Tasks[id])
		}
	}
}

func TestOneMemberRunsEverythingAndNoneRunsNothing(t *testing.T) {
	tasks := map[string]int{"x": 2, "stopped": 0}
	want := Assignment{
		Connectors: map[string]string{"x": "a:1", "stopped": "a:1"},
		Tasks:      map[TaskID]string{{"x", 0}: "a:1", {"x", 1}: "a:1"},
	}
	if d := cmp.Diff(want, Plan(tasks, []string{"a:1", "a:1"}, Assignment{})); d != "" {
		t.Error(d)
	}
	if p := Plan(tasks, nil, want); len(p.Tasks)+len(p.Connectors) != 0 {
		t.Error(p)
	}
}

func BenchmarkPlanOf1000ConnectorsOn20Workers(b *testing.B) {
	tasks := map[string]int{}
	var members []string
	for i := range 1000 {
		tasks[fmt.Sprint("c", i)] = 1 + i%5
	}
	for i := range 20 {
		members = append(members, fmt.Sprint("h", i, ":8083"))
	}
	before := Plan(tasks, members[1:], Assignment{})
	b.ReportAllocs()
	for b.Loop() {
		Plan(tasks, members, before)
	}
}
