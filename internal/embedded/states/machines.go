package states

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// nameMemory is how long the name of a closed Standard execution stays taken (API reference of StartExecution).
const nameMemory = 90 * 24 * time.Hour

// Execution is one execution. Those of Express are kept too, though the service would not tell of them.
type Execution struct {
	ARN string `json:"arn"`
	// Machine is the unqualified ARN; Version is 0 and Alias "" where the start named none.
	Machine string `json:"machine"`
	Version int    `json:"version,omitempty"`
	Alias   string `json:"alias,omitempty"`
	Name    string `json:"name"`
	// Effect is the counter of events when it came into being, as in Call.
	Effect int64 `json:"effect"`
	// Input is "" unless inputs are kept.
	Input      string    `json:"input,omitempty"`
	InputBytes int       `json:"input_bytes"`
	InputHash  Hash      `json:"input_hash"`
	Started    time.Time `json:"started"`
	Stopped    time.Time `json:"stopped,omitzero"`
	Status     Status    `json:"status"`
	Error      string    `json:"error,omitempty"`
	Cause      string    `json:"cause,omitempty"`
	Output     string    `json:"output,omitempty"`
	Trace      string    `json:"trace,omitempty"`
}

// execution is an Execution with its future.
type execution struct {
	Execution
	run      Run
	closesAt time.Time // zero: held, or closed
}

// close ends e as run says.
func (e *execution) close(run Run, at time.Time) {
	e.Status, e.Error, e.Cause = cmp.Or(run.Status, Succeeded), run.Error, run.Cause
	if e.Status == Succeeded {
		e.Output = cmp.Or(run.Output, "{}")
	}
	e.Stopped = at.Truncate(time.Millisecond)
}

// machine is a declared state machine with its executions.
type machine struct {
	Machine
	created time.Time
	removed bool
	byName  map[string]*execution // Standard: the newest of each name
	list    []*execution          // in order of Effect
	routed  map[string]int        // starts by alias
}

// registry holds machines and executions: what AWS keeps for an account.
type registry struct {
	mu       sync.Mutex // guards all below, and every machine and execution in it
	machines map[string]*machine
	closing  dueHeap // Standard executions that close by themselves
	open     int     // RUNNING Standard executions
}

// declare checks m and adds it or replaces its declaration; executions stay.
func (g *registry) declare(m Machine, o Options) error {
	if m.ARN == "" {
		m.ARN = fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s", o.Region, o.Account, m.Name)
	}
	a, bad := parseMachineARN(m.ARN)
	if bad != nil || a.qualifier != "" || m.Name != "" && m.Name != a.name {
		return fmt.Errorf("state machine %q: %q is not its unqualified ARN", m.Name, m.ARN)
	}
	m.Name, m.Type = a.name, cmp.Or(m.Type, Standard)
	if m.Type != Standard && m.Type != Express {
		return fmt.Errorf("state machine %s: type %q is neither STANDARD nor EXPRESS", m.Name, m.Type)
	}
	for alias, routes := range m.Aliases {
		if err := checkRoutes(routes, m.Versions); err != nil {
			return fmt.Errorf("state machine %s: alias %s: %w", m.Name, alias, err)
		}
	}
	if m.Definition == "" {
		m.Definition = `{"StartAt":"Done","States":{"Done":{"Type":"Pass","End":true}}}`
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.machines[m.ARN]
	if old == nil {
		g.machines[m.ARN] = &machine{Machine: m, created: o.Now(), byName: map[string]*execution{}, routed: map[string]int{}}
		return nil
	}
	if old.Type != m.Type {
		return fmt.Errorf("state machine %s: the type is %s and cannot be changed", m.Name, old.Type)
	}
	old.Machine, old.removed = m, false
	return nil
}

func checkRoutes(routes []Route, versions []int) error {
	sum := 0
	for _, r := range routes {
		if !slices.Contains(versions, r.Version) {
			return fmt.Errorf("version %d is not declared", r.Version)
		}
		sum += r.Weight
	}
	if len(routes) < 1 || len(routes) > 2 || sum != 100 {
		return errors.New("it routes to one or two versions with weights that add up to 100")
	}
	return nil
}

// find resolves an ARN to its machine; version and alias are those of the ARN, an alias not routed yet.
func (g *registry) find(arn string) (m *machine, version int, alias string, err *apiError) {
	a, err := parseMachineARN(arn)
	if err != nil {
		return nil, 0, "", err
	}
	m = g.machines[a.base]
	if m == nil || m.removed {
		return nil, 0, "", errNoMachine(arn)
	}
	switch {
	case a.qualifier == "":
		return m, 0, "", nil
	case slices.Contains(m.Versions, a.version()):
		return m, a.version(), "", nil
	case m.Aliases[a.qualifier] != nil:
		return m, 0, a.qualifier, nil
	}
	return nil, 0, "", errNoMachine(arn)
}

// route picks the version of an alias, by turns in the ratio of the weights.
func (m *machine) route(alias string) int {
	routes := m.Aliases[alias]
	n := m.routed[alias]
	m.routed[alias]++
	if n%100 < routes[0].Weight {
		return routes[0].Version
	}
	return routes[len(routes)-1].Version
}

// advance closes what was to close by now.
func (g *registry) advance(now time.Time) {
	for len(g.closing) > 0 && !g.closing[0].closesAt.After(now) {
		e := heap.Pop(&g.closing).(*execution)
		if e.Status == Running {
			g.finish(e, e.run, e.closesAt)
		}
	}
}

// finish closes a RUNNING Standard execution.
func (g *registry) finish(e *execution, run Run, at time.Time) {
	e.close(run, at)
	e.closesAt = time.Time{}
	g.open--
}

// schedule makes a new Standard execution close at once, later, or when told.
func (g *registry) schedule(e *execution, now time.Time) {
	g.open++
	switch {
	case e.run.Hold:
	case e.run.For <= 0:
		g.finish(e, e.run, now)
	default:
		e.closesAt = now.Add(e.run.For)
		heap.Push(&g.closing, e)
	}
}

// execution finds a Standard execution by its ARN.
func (g *registry) execution(arn string) (*machine, *execution, *apiError) {
	base, name, err := parseExecutionARN(arn)
	if err != nil {
		return nil, nil, err
	}
	m := g.machines[base]
	if m == nil || m.byName[name] == nil {
		return nil, nil, errNoExecution(arn)
	}
	return m, m.byName[name], nil
}

// dueHeap orders executions by the time they close.
type dueHeap []*execution

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].closesAt.Before(h[j].closesAt) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*execution)) }
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
