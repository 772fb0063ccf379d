package runtime

import (
	"maps"
	"strconv"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/store"
)

// Desired is what should run on one worker. It is told whole each time: a worker compares it with what
// runs and never hears what happened.
type Desired struct {
	// Version grows with each Desired; Worker.Settled waits for one.
	Version int64
	// Generation of the plan that it follows.
	Generation int64
	// Connectors whose own state this worker answers for, and Tasks that it runs.
	Connectors map[string]DesiredConnector
	Tasks      map[TaskID]DesiredTask
	// Plan is the whole cluster's, without what is gone: what a worker no longer runs may have moved, or be gone.
	Plan Assignment
}

// DesiredConnector is a connector that a worker answers for.
type DesiredConnector struct {
	Config  map[string]*string
	Target  store.TargetState
	Restart store.Restart
	// Letters is the operation on the dead letter queue that this worker runs, nil for none; LettersBefore came before
	// it, and LettersProgress is what was last said of it.
	Letters         *store.DeadLetterOperation
	LettersBefore   []store.DeadLetterOperation
	LettersProgress store.DeadLetterProgress
}

// DesiredTask is a task that a worker runs.
type DesiredTask struct {
	Config  map[string]*string
	Paused  bool
	Restart store.Restart
	Replays []store.Replay
}

// same tells whether a task of want can go on as it was started for t.
func (t DesiredTask) same(want DesiredTask) bool {
	return maps.EqualFunc(t.Config, want.Config, equalText)
}

// desire gives what worker should run: what the plan gives it, as far as the state has it. A plan may be older than
// the state: what is deleted or stopped ends at once, what is new waits for its plan. It is pure.
func desire(s store.State, plan Assignment, worker string) Desired {
	d := Desired{Connectors: map[string]DesiredConnector{}, Tasks: map[TaskID]DesiredTask{},
		Plan: Assignment{Connectors: map[string]string{}, Tasks: map[TaskID]string{}}}
	for name, owner := range plan.Connectors {
		c, ok := s.Connectors[name]
		if !ok {
			continue
		}
		d.Plan.Connectors[name] = owner
		if owner == worker {
			own := DesiredConnector{Config: c.Config, Target: s.Target(name).State, Restart: s.Restarts[name]}
			if op, ok := s.ActiveLetters(name); ok {
				own.Letters, own.LettersBefore = &op, s.DeadLetters[name]
				if p := s.LetterProgress[name]; p.ID == op.ID {
					own.LettersProgress = p
				}
			}
			d.Connectors[name] = own
		}
	}
	counts := taskCounts(s)
	for id, owner := range plan.Tasks {
		if id.Task >= counts[id.Connector] {
			continue
		}
		d.Plan.Tasks[id] = owner
		if owner != worker {
			continue
		}
		d.Tasks[id] = DesiredTask{
			Config: s.Connectors[id.Connector].Config, Paused: s.Target(id.Connector).State == store.Paused,
			Restart: s.Restarts[id.Connector], Replays: s.Replays[id.Connector],
		}
	}
	return d
}

// withoutLetters leaves the operations on dead letters for later.
func (d *Desired) withoutLetters() {
	for name, c := range d.Connectors {
		c.Letters, c.LettersBefore = nil, nil
		d.Connectors[name] = c
	}
}

// taskCount is how many tasks a connector should have: none while it is stopped, or paused without
// having run since; else tasks.max, of which each sink makes use in full.
func taskCount(s store.State, name string) int {
	c, ok := s.Connectors[name]
	if t := s.Target(name); !ok || t.State == store.Stopped || t.Idle {
		return 0
	}
	n := 1
	if v := c.Config["tasks.max"]; v != nil {
		// What cannot be read here was refused when it was written; a placeholder counts as the default.
		if parsed, err := strconv.ParseInt(config.Trim(*v), 10, 32); err == nil && parsed > 0 {
			n = int(parsed)
		}
	}
	return n
}

// leftovers gives the tombstones for what statuses and topics say of connectors that are gone.
func leftovers(s store.State) []store.Entry {
	var gone []store.Entry
	known := func(name string) bool { _, ok := s.Connectors[name]; return ok }
	for name := range s.ConnectorStatus {
		if !known(name) {
			gone = append(gone, store.Tombstone(store.ConnectorStatusKey(name)))
		}
	}
	for k := range s.TaskStatus {
		if !known(k.Connector) {
			gone = append(gone, store.Tombstone(store.TaskStatusKey(k)))
		}
	}
	for k := range s.Topics {
		if !known(k.Connector) {
			gone = append(gone, store.Tombstone(store.TopicStatusKey(k)))
		}
	}
	for name := range s.LetterProgress {
		if !known(name) {
			gone = append(gone, store.Tombstone(store.DeadLetterProgressKey(name)))
		}
	}
	return gone
}

// abandoned gives the tombstones for statuses of tasks that should not be, of workers that are gone: nobody else
// removes them.
func abandoned(s store.State, plan ClusterPlan) []store.Entry {
	counts := taskCounts(s)
	var gone []store.Entry
	for k, t := range s.TaskStatus {
		if _, here := plan.Members[t.WorkerID]; !here && k.Task >= counts[k.Connector] {
			if _, known := s.Connectors[k.Connector]; known {
				gone = append(gone, store.Tombstone(store.TaskStatusKey(k)))
			}
		}
	}
	return gone
}
