package metric

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stepconnect/stepconnect/connector"
)

// Metrics is what one worker measures. It is safe for concurrent use.
type Metrics struct {
	Worker Worker

	reg     prometheus.Registerer
	mu      sync.Mutex // guards the fields below
	tasks   map[ID]*Task
	owned   map[string]connectorState
	plugins map[string]*pluginFamily
}

// connectorState is what the worker that answers for a connector says of it.
type connectorState struct {
	state string // in lower case
	PluginClass
}

// New makes the metrics and registers them with reg; nil keeps them to itself.
func New(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{reg: reg, tasks: map[ID]*Task{}, owned: map[string]connectorState{}, plugins: map[string]*pluginFamily{}}
	if reg == nil {
		m.reg = prometheus.NewRegistry()
	}
	return m, m.reg.Register(collector{m})
}

// Task gives the measurements of a task, which live until Forget.
func (m *Metrics) Task(id ID) *Task {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tasks[id]
	if !ok {
		t = newTask(time.Now())
		m.tasks[id] = t
	}
	return t
}

// Forget drops a task that does not run here any more, with what its plugins counted.
func (m *Metrics) Forget(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tasks, id)
	for _, f := range m.plugins {
		f.drop(id.Connector, strconv.Itoa(id.Task))
	}
}

// Connector tells the state of a connector that this worker answers for, in lower case.
func (m *Metrics) Connector(name, state string, class PluginClass) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owned[name] = connectorState{state, class}
}

// ForgetConnector drops a connector that this worker does not answer for any more.
func (m *Metrics) ForgetConnector(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owned, name)
}

// Run follows what is shown as of the last minute, until ctx ends.
func (m *Metrics) Run(ctx context.Context) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.sample(now)
		}
	}
}

func (m *Metrics) sample(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tasks {
		t.sample(now)
	}
	for _, f := range m.plugins {
		f.sample()
	}
	m.Worker.sample()
}

// Plugin gives the metrics of one task's plugins.
func (m *Metrics) Plugin(id ID) connector.Metrics {
	return pluginMetrics{m, []string{"connector", id.Connector, "task", strconv.Itoa(id.Task)}}
}

// Shared gives the metrics of plugins that belong to no task.
func (m *Metrics) Shared() connector.Metrics { return pluginMetrics{m, nil} }
