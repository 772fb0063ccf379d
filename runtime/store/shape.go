package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The JSON shapes of values. Fields of other programs are ignored.

type connectorJSON struct {
	Properties map[string]*string `json:"properties"`
}

func (j *connectorJSON) value(offset int64) (Connector, error) {
	if j.Properties == nil {
		return Connector{}, errors.New(`the value has no "properties"`)
	}
	return Connector{Config: j.Properties, Offset: offset}, nil
}

type targetJSON struct {
	State   string `json:"state"`
	StateV2 string `json:"state.v2,omitempty"`
	Idle    bool   `json:"idle,omitempty"`
}

func (j *targetJSON) value() (Target, error) {
	state := j.StateV2
	if state == "" {
		state = j.State
	}
	switch t := TargetState(state); t {
	case Started, Paused, Stopped:
		return Target{State: t, Idle: j.Idle && t == Paused}, nil
	}
	return Target{}, fmt.Errorf("%q is no target state", clip(state))
}

type restartJSON struct {
	IncludeTasks *bool `json:"include-tasks"`
	OnlyFailed   *bool `json:"only-failed"`
}

func (j *restartJSON) value(offset int64) (Restart, error) {
	r := Restart{Offset: offset}
	if j.IncludeTasks != nil {
		r.IncludeTasks = *j.IncludeTasks
	}
	if j.OnlyFailed != nil {
		r.OnlyFailed = *j.OnlyFailed
	}
	return r, nil
}

type loggerJSON struct {
	Level *string `json:"level"`
}

func (j *loggerJSON) value(offset int64) (Logger, error) {
	if j.Level == nil || *j.Level == "" {
		return Logger{}, errors.New(`the value has no "level"`)
	}
	return Logger{Level: strings.ToUpper(*j.Level), Offset: offset}, nil
}

type replayJSON struct {
	Partitions []Replay `json:"partitions"`
}

func (j *replayJSON) value() ([]Replay, error) {
	for _, p := range j.Partitions {
		if p.Topic == "" || p.Partition < 0 || p.Epoch < 0 || p.Below < 0 {
			return nil, fmt.Errorf("replay of topic %q partition %d has epoch %d below %d", clip(p.Topic), p.Partition, p.Epoch, p.Below)
		}
	}
	SortReplays(j.Partitions)
	return j.Partitions, nil
}

type fileJSON struct {
	File *string `json:"file"`
}

func (j *fileJSON) value() (string, error) {
	if j.File == nil || *j.File == "" {
		return "", errors.New(`the value has no "file"`)
	}
	return *j.File, nil
}

// SortReplays orders parts by topic and partition, as entries hold them.
func SortReplays(parts []Replay) {
	slices.SortStableFunc(parts, func(a, b Replay) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// statusJSON is the value of both kinds of status; version came with Kafka 4.1, warning is ours.
type statusJSON struct {
	State      string  `json:"state"`
	Trace      *string `json:"trace"`
	WorkerID   string  `json:"worker_id"`
	Generation int64   `json:"generation"`
	Version    *string `json:"version,omitempty"`
	Warning    string  `json:"warning,omitempty"`
}

func statusToJSON(s Status) statusJSON {
	j := statusJSON{State: s.State, WorkerID: s.WorkerID, Generation: s.Generation, Warning: s.Warning}
	if s.Trace != "" {
		j.Trace = &s.Trace
	}
	if s.Version != "" {
		j.Version = &s.Version
	}
	return j
}

func (j *statusJSON) value() (Status, error) {
	switch j.State {
	case "UNASSIGNED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "RESTARTING":
	default:
		return Status{}, fmt.Errorf("%q is no state of a connector or task", clip(j.State))
	}
	s := Status{State: j.State, WorkerID: j.WorkerID, Generation: j.Generation, Warning: j.Warning}
	if j.Trace != nil {
		s.Trace = *j.Trace
	}
	if j.Version != nil {
		s.Version = *j.Version
	}
	return s, nil
}

type topicStatusJSON struct {
	Topic *topicJSON `json:"topic"`
}

type topicJSON struct {
	Name       string `json:"name"`
	Connector  string `json:"connector"`
	Task       int    `json:"task"`
	Discovered int64  `json:"discoverTimestamp"`
}

func (j *topicStatusJSON) value() (Topic, error) {
	if j.Topic == nil {
		return Topic{}, errors.New(`the value has no "topic"`)
	}
	return Topic{Task: j.Topic.Task, Discovered: j.Topic.Discovered}, nil
}

// clip shortens foreign text for an error.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
