package metric

import (
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// ID names a task.
type ID struct {
	Connector string
	Task      int
}

// PluginClass is a plugin as metrics name it.
type PluginClass struct{ Class, Version string }

// TaskInfo is what a task is made of.
type TaskInfo struct {
	Connector, Key, Value, Header PluginClass
	Transforms, Predicates        []AliasedClass
}

// AliasedClass is a plugin that the configuration gives a name.
type AliasedClass struct {
	Alias string
	PluginClass
}

// Task is what is measured of one task, over all of its incarnations.
type Task struct {
	task.Metrics

	mu       sync.Mutex // guards the fields below
	info     *TaskInfo  // nil until it was built once
	state    string     // as in the status, in lower case
	parts    []Partition
	trouble  bool
	trend    trend
	stages   []recent
	records  recent
	payloads recent
}

// Partition is what is measured of an assigned partition.
type Partition struct {
	Topic     string
	ID        int32
	Lag       int64 // records from the first unsettled one to the end of the log; -1 when the end is not known
	Unsettled int
	Paused    bool
	// Oldest is when the oldest unsettled record was received; zero when none is held. Written is the time that it carries.
	Oldest, Written time.Time
}

func newTask(now time.Time) *Task {
	t := &Task{state: "unassigned"}
	for i := range t.Stages {
		t.stages = append(t.stages, recent{of: &t.Stages[i]})
	}
	t.records, t.payloads = recent{of: &t.BatchRecords}, recent{of: &t.BatchBytes}
	t.trend.since = counts{at: now}
	return t
}

// Made tells what the task is made of.
func (t *Task) Made(i TaskInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.info = &i
}

// State tells the state that the task's status shows, in lower case.
func (t *Task) State(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = s
}

// Holds tells which partitions the task has, and how far it is.
func (t *Task) Holds(parts []Partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts = parts
}

// Trouble tells whether something keeps the task's Kafka client from the brokers.
func (t *Task) Trouble(is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trouble = is
}

// counts reads the numbers that have a trend. t.mu is held.
func (t *Task) counts(now time.Time) counts {
	return counts{
		at: now, read: t.Read.Load(), sent: t.Delivered.Load(), committed: t.Commits.Load(), notCommits: t.CommitErrors.Load(),
		active: t.Pending.Load(), running: t.state == "running", paused: t.state == "paused",
	}
}

// sample begins a new slice of the last minute.
func (t *Task) sample(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trend.sample(t.counts(now))
	for i := range t.stages {
		t.stages[i].sample()
	}
	t.records.sample()
	t.payloads.sample()
}
