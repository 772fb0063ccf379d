package runtime

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/stepconnect/stepconnect/runtime/store"
)

// planKey is the key of all plans in the plan log: compaction leaves the newest.
const planKey = "plan"

// ClusterPlan is what the leader says: who is in the cluster, and who runs what.
type ClusterPlan struct {
	// Generation is the plan's offset in the plan log; 0 before the first.
	Generation int64
	// Config is the offset up to which the config log was read for it.
	Config int64
	// Group and StatusTopic tell one cluster from another that shares a topic by mistake.
	Group, StatusTopic string
	// Leader is the worker id of who wrote it, Members gives the URL of each worker id.
	Leader  string
	Members map[string]string
	// Processes gives the nonce of each worker id: a plan that names an address may mean the process that was there before.
	Processes map[string]string
	Assignment
}

// planJSON is the value of a plan. Workers are named by their index in members.
type planJSON struct {
	Version     int                    `json:"version"`
	Group       string                 `json:"group"`
	StatusTopic string                 `json:"status_topic"`
	Config      int64                  `json:"config_offset"`
	Leader      string                 `json:"leader"`
	Members     []memberJSON           `json:"members"`
	Connectors  map[string]placingJSON `json:"connectors"`
}

type memberJSON struct {
	WorkerID string `json:"worker_id"`
	URL      string `json:"url"`
	Process  string `json:"process,omitempty"`
}

// placingJSON is where one connector and each of its tasks run.
type placingJSON struct {
	Owner int   `json:"owner"`
	Tasks []int `json:"tasks"`
}

// planEntry is the plan as it is appended.
func planEntry(p ClusterPlan) (store.Entry, error) {
	j := planJSON{Version: 1, Group: p.Group, StatusTopic: p.StatusTopic, Config: p.Config, Leader: p.Leader, Connectors: map[string]placingJSON{}}
	ids := slices.Sorted(maps.Keys(p.Members))
	index := make(map[string]int, len(ids))
	for i, id := range ids {
		index[id] = i
		j.Members = append(j.Members, memberJSON{id, p.Members[id], p.Processes[id]})
	}
	counts := map[string]int{}
	for id := range p.Tasks {
		counts[id.Connector] = max(counts[id.Connector], id.Task+1)
	}
	for name, owner := range p.Connectors {
		placing := placingJSON{Owner: index[owner], Tasks: make([]int, counts[name])}
		for n := range placing.Tasks {
			placing.Tasks[n] = index[p.Tasks[TaskID{name, n}]]
		}
		j.Connectors[name] = placing
	}
	b, err := json.Marshal(j)
	return store.Entry{Key: []byte(planKey), Value: b}, err
}

// readPlan reads an entry of the plan log.
func readPlan(e store.Entry) (ClusterPlan, error) {
	if string(e.Key) != planKey || e.Value == nil {
		return ClusterPlan{}, fmt.Errorf("entry at offset %d with key %.100q is no plan", e.Offset, e.Key)
	}
	var j planJSON
	if err := json.Unmarshal(e.Value, &j); err != nil {
		return ClusterPlan{}, fmt.Errorf("plan at offset %d: %w", e.Offset, err)
	}
	if j.Version != 1 {
		return ClusterPlan{}, fmt.Errorf("plan at offset %d has version %d, of a newer program", e.Offset, j.Version)
	}
	p := ClusterPlan{Generation: e.Offset, Config: j.Config, Group: j.Group, StatusTopic: j.StatusTopic, Leader: j.Leader, Members: map[string]string{},
		Assignment: Assignment{Connectors: map[string]string{}, Tasks: map[TaskID]string{}}}
	for _, m := range j.Members {
		p.Members[m.WorkerID] = m.URL
		if m.Process != "" {
			if p.Processes == nil {
				p.Processes = map[string]string{}
			}
			p.Processes[m.WorkerID] = m.Process
		}
	}
	worker := func(i int) (string, error) {
		if i < 0 || i >= len(j.Members) {
			return "", fmt.Errorf("plan at offset %d names member %d of %d", e.Offset, i, len(j.Members))
		}
		return j.Members[i].WorkerID, nil
	}
	var err error
	for name, placing := range j.Connectors {
		if p.Connectors[name], err = worker(placing.Owner); err != nil {
			return ClusterPlan{}, err
		}
		for n, i := range placing.Tasks {
			if p.Tasks[TaskID{name, n}], err = worker(i); err != nil {
				return ClusterPlan{}, err
			}
		}
	}
	return p, nil
}

// counts tells whether a plan counts a process in. A leader of an earlier version names no processes.
func (p ClusterPlan) counts(worker, process string) bool {
	_, in := p.Members[worker]
	named, ok := p.Processes[worker]
	return in && (!ok || named == process)
}

// says tells whether two plans say the same; from when they are does not count.
func (p ClusterPlan) says(q ClusterPlan) bool {
	return p.Group == q.Group && p.StatusTopic == q.StatusTopic && p.Leader == q.Leader && maps.Equal(p.Members, q.Members) && maps.Equal(p.Processes, q.Processes) &&
		maps.Equal(p.Connectors, q.Connectors) && maps.Equal(p.Tasks, q.Tasks)
}
