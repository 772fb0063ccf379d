package runtime

import (
	"maps"
	"slices"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// Assignment says which worker runs what: the result of Plan.
type Assignment struct {
	// Connectors gives the worker that answers for a connector's own state.
	Connectors map[string]string
	// Tasks gives the worker of each task.
	Tasks map[TaskID]string
}

// Plan spreads connectors and their tasks, whose number tasks gives for each connector, over members,
// which are worker ids. The counts of any two members differ by at most one, for all
// tasks together, for the tasks of any one connector, and for connectors. What previous had on a
// member that is still there stays unless that balance needs it moved. Plan is pure: equal arguments
// give equal plans, whatever the order of members.
func Plan(tasks map[string]int, members []string, previous Assignment) Assignment {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	plan := Assignment{Connectors: map[string]string{}, Tasks: map[TaskID]string{}}
	if len(members) == 0 {
		return plan
	}
	index := make(map[string]int, len(members))
	for i, m := range members {
		index[m] = i
	}
	names := slices.Sorted(maps.Keys(tasks))

	rows := make([]row, len(names))
	owners := make([]row, len(names))
	for i, name := range names {
		rows[i] = newRow(tasks[name], len(members))
		owners[i] = newRow(1, len(members))
		if m, ok := index[previous.Connectors[name]]; ok {
			owners[i].held[m]++
		}
		for n := range tasks[name] {
			if m, ok := index[previous.Tasks[TaskID{name, n}]]; ok {
				rows[i].held[m]++
			}
		}
	}
	balance(rows, len(members))
	balance(owners, len(members))

	for i, name := range names {
		for m, n := range owners[i].quotas() {
			if n > 0 {
				plan.Connectors[name] = members[m]
			}
		}
		place(plan.Tasks, name, tasks[name], rows[i].quotas(), members, index, previous.Tasks)
	}
	return plan
}

// place gives the tasks of one connector to members within their quotas, each to the member that had it
// where that quota allows.
func place(to map[TaskID]string, name string, n int, quotas []int, members []string, index map[string]int, previous map[TaskID]string) {
	var homeless []TaskID
	for i := range n {
		id := TaskID{name, i}
		m, ok := index[previous[id]]
		if !ok || quotas[m] == 0 {
			homeless = append(homeless, id)
			continue
		}
		quotas[m]--
		to[id] = members[m]
	}
	for m, quota := range quotas {
		for range quota {
			to[homeless[0]] = members[m]
			homeless = homeless[1:]
		}
	}
}

// row is how many tasks of one connector each member has. Every member has base of them anyhow; extra marks
// those that have one more. So all that is left to decide is who has the extras.
type row struct {
	base, extras int
	held         []int // by the previous plan
	extra        []bool
}

func newRow(n, members int) row {
	return row{base: n / members, extras: n % members, held: make([]int, members), extra: make([]bool, members)}
}

// keeps says that an extra at m needs no move.
func (r *row) keeps(m int) bool { return r.held[m] > r.base }

func (r *row) quotas() []int {
	q := make([]int, len(r.extra))
	for m, x := range r.extra {
		q[m] = r.base
		if x {
			q[m]++
		}
	}
	return q
}

// balance decides the extras of all rows so that their sums over the members differ by at most one:
// first where they cost no move, then by least load; then it moves one at a time from the most to the
// least loaded member. Such a row always exists: the more loaded member has an extra in some row in
// which the other has none.
func balance(rows []row, members int) {
	load := make([]int, members)
	give := func(r *row, m int) {
		r.extra[m] = true
		r.extras--
		load[m]++
	}
	for i := range rows {
		r := &rows[i]
		for m := 0; m < members && r.extras > 0; m++ {
			if r.keeps(m) {
				give(r, m)
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		for r.extras > 0 {
			give(r, least(load, func(m int) bool { return !r.extra[m] }))
		}
	}
	for {
		to := least(load, func(int) bool { return true })
		from := most(load)
		if load[from]-load[to] < 2 {
			return
		}
		r := cheapest(rows, from, to)
		r.extra[from], r.extra[to] = false, true
		load[from]--
		load[to]++
	}
}

// cheapest is the row whose extra moves with the fewest tasks moving.
func cheapest(rows []row, from, to int) *row {
	var best *row
	bestCost := 0
	for i := range rows {
		r := &rows[i]
		if !r.extra[from] || r.extra[to] {
			continue
		}
		cost := 0
		if r.keeps(from) {
			cost++
		}
		if r.keeps(to) {
			cost--
		}
		if best == nil || cost < bestCost {
			best, bestCost = r, cost
		}
	}
	return best
}

func least(load []int, allowed func(int) bool) int {
	best := -1
	for m := range load {
		if allowed(m) && (best < 0 || load[m] < load[best]) {
			best = m
		}
	}
	return best
}

func most(load []int) int {
	best := 0
	for m := range load {
		if load[m] > load[best] {
			best = m
		}
	}
	return best
}

// taskCounts gives how many tasks each connector of s should have.
func taskCounts(s store.State) map[string]int {
	counts := make(map[string]int, len(s.Connectors))
	for name := range s.Connectors {
		counts[name] = taskCount(s, name)
	}
	return counts
}

// tasksOf gives the ids of a connector's tasks, in order.
func tasksOf(s store.State, name string) []TaskID {
	ids := []TaskID{}
	for n := range taskCount(s, name) {
		ids = append(ids, TaskID{name, n})
	}
	return ids
}
