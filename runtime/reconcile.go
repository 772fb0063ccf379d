package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// event is what reaches Run's goroutine from outside.
type event any

// The events.
type (
	began struct {
		inc    *incarnation
		policy restartPolicy
	}
	report struct {
		inc   *incarnation
		state task.State
		err   error
	}
	ended struct {
		inc *incarnation
		err error
	}
	warning struct {
		inc  *incarnation
		text string
	}
	drawn struct { // a connector's configuration was read
		c       *ownConnector
		reading int
		err     error
	}
	rotated struct { // values of config providers that a task runs on have changed
		inc *incarnation
	}
	restartTask struct {
		id   TaskID
		done chan<- bool
	}
	restartConnector struct {
		name string
		done chan<- struct{}
	}
	lettersEnded struct {
		run  *letterRun
		done bool // all of it, and not only stopped
	}
	ping chan struct{}
)

// slot is the place of a task on this worker, over all of its incarnations.
type slot struct {
	id      TaskID
	want    DesiredTask
	wanted  bool
	version string
	current *incarnation // the last one started; it may have ended

	generation int64 // of the plan that gave the task to this worker

	demand    int   // grows each time that the task has to be started anew
	restarted int64 // offset of the restart request that was acted on last
	attempts  int   // restarts by policy since it last ran well
	restartAt time.Time
	metrics   *metric.Task
	waiters   []chan<- bool // of RestartTask, for the next start
}

// ownConnector is a connector that this worker answers for.
type ownConnector struct {
	name       string
	want       DesiredConnector
	version    string
	generation int64 // of the plan that gave the connector to this worker
	restarted  int64
	reading    int   // the newest reading of its configuration
	err        error // why it cannot run
	waiters    []chan<- struct{}
}

// release tells those who wait for the configuration to have been read.
func (c *ownConnector) release() {
	for _, done := range c.waiters {
		close(done)
	}
	c.waiters = nil
}

// reconcile compares what should run with what does, and acts; it gives the time until it has to look again.
// It never blocks: what takes time runs on the goroutine of a task.
func (w *Worker) reconcile(ctx context.Context) time.Duration {
	pings := w.take()
	now := time.Now()
	for _, s := range w.slots {
		w.settle(s, now)
	}
	// What must go goes before anything starts, so that a moved task finds its partitions free.
	for _, s := range w.slots {
		if c := s.current; c != nil && !c.over && !c.told && (!s.wanted || s.outdated()) {
			c.halt()
		}
	}
	wait := time.Hour
	for id, s := range w.slots {
		switch c := s.current; {
		case s.wanted && (c == nil || c.over && (s.outdated() || c.told)):
			w.start(ctx, s)
		case !s.wanted && (c == nil || c.over):
			if w.lingers(s) {
				wait = min(wait, waitBriefly)
				continue
			}
			w.leave(s)
			delete(w.slots, id)
		case c != nil && !c.told:
			if t := c.made.Load(); t != nil {
				t.SetPaused(s.want.Paused)
			}
		}
	}
	w.reconcileConnectors(ctx)
	w.reconcileLetters(ctx)
	for _, s := range w.slots {
		w.publish(s)
		if !s.restartAt.IsZero() {
			wait = min(wait, max(0, s.restartAt.Sub(now)))
		}
	}
	w.tookOver(now)
	w.mu.Lock()
	if w.version < w.want.Version {
		w.version = w.want.Version
		close(w.acted)
		w.acted = make(chan struct{})
	}
	w.mu.Unlock()
	for _, p := range pings {
		close(p)
	}
	return wait
}

// tookOver tells the metrics when all that a plan takes from this worker has ended, and what it gives has begun.
func (w *Worker) tookOver(now time.Time) {
	if w.moving.IsZero() {
		return
	}
	for _, s := range w.slots {
		if !s.wanted || s.current == nil || s.current.told {
			return
		}
	}
	w.opts.Metrics.Worker.Rebalanced(now.Sub(w.moving))
	w.moving = time.Time{}
}

// take moves what came from outside into the state of Run's goroutine.
func (w *Worker) take() (pings []ping) {
	w.mu.Lock()
	desired, inbox := w.desired, w.inbox
	w.desired, w.inbox = nil, nil
	w.mu.Unlock()
	if desired != nil {
		w.adopt(*desired)
	}
	for _, e := range inbox {
		switch e := e.(type) {
		case began:
			e.inc.policy = e.policy
		case report:
			if s := w.slots[e.inc.id]; s != nil && s.current == e.inc && e.inc.ranWell(time.Now()) {
				s.attempts = 0
			}
			e.inc.state, e.inc.err, e.inc.since = e.state, e.err, time.Now()
			w.countStart(e.inc, e.state)
			if e.state == task.Failed {
				w.log.Error("task has failed", append([]any{"connector", e.inc.id.Connector, "task", e.inc.id.Task, "error", e.err}, recordOf(e.err)...)...)
			}
		case ended:
			e.inc.over = true
			if e.err != nil && e.inc.state != task.Failed && !e.inc.told {
				e.inc.state, e.inc.err = task.Failed, e.err
				w.countStart(e.inc, task.Failed)
				w.log.Error("task could not start", "connector", e.inc.id.Connector, "task", e.inc.id.Task, "error", e.err)
			}
		case warning:
			if log := w.log.With("connector", e.inc.id.Connector, "task", e.inc.id.Task); e.text != "" && e.inc.warning == "" {
				log.Warn("task is kept from delivering", "warning", e.text)
			} else if e.text == "" && e.inc.warning != "" {
				log.Info("task delivers again")
			}
			e.inc.warning = e.text
		case rotated:
			if s := w.slots[e.inc.id]; s != nil && s.wanted && s.current == e.inc && s.demand == e.inc.demand {
				s.demand++
				s.attempts = 0
			}
		case drawn:
			if e.reading == e.c.reading {
				e.c.err = e.err
				e.c.release()
				if e.err == nil {
					w.opts.Metrics.Worker.Connectors.Succeeded.Add(1)
				} else {
					w.opts.Metrics.Worker.Connectors.Failed.Add(1)
				}
			}
		case restartTask:
			if s, ok := w.slots[e.id]; ok && s.wanted {
				s.demand++
				s.attempts = 0
				s.waiters = append(s.waiters, e.done)
			} else {
				e.done <- false
			}
		case restartConnector:
			if c, ok := w.connectors[e.name]; ok {
				c.restarted = -1
				c.waiters = append(c.waiters, e.done)
			} else {
				close(e.done)
			}
		case lettersEnded:
			e.run.over, e.run.done = true, e.done
		case ping:
			pings = append(pings, e)
		}
	}
	return pings
}

// countStart counts how the start of an incarnation ended: with the first state that is not a mere beginning.
func (w *Worker) countStart(inc *incarnation, s task.State) {
	if inc.counted || s == task.Starting || s == task.Stopped {
		return
	}
	inc.counted = true
	if s == task.Failed {
		w.opts.Metrics.Worker.Tasks.Failed.Add(1)
	} else {
		w.opts.Metrics.Worker.Tasks.Succeeded.Add(1)
	}
}

// lingers tells whether a task that is gone from the cluster has left deliveries behind. Until they have ended its status
// stays: offsets are not changed while any worker has such a status.
func (w *Worker) lingers(s *slot) bool {
	_, moved := w.want.Plan.Tasks[s.id]
	return !moved && w.opts.Outlived.Count(s.id.Connector) > 0
}

// adopt takes over a new Desired.
func (w *Worker) adopt(d Desired) {
	if d.Version < w.want.Version {
		return
	}
	if d.Generation != w.want.Generation && w.moving.IsZero() {
		w.moving = time.Now()
		w.opts.Metrics.Worker.Rebalancing()
	}
	w.want = d
	for id, want := range d.Tasks {
		s, ok := w.slots[id]
		if !ok {
			// Requests from before this worker had the task are not about this incarnation.
			s = &slot{id: id, restarted: want.Restart.Offset, metrics: w.opts.Metrics.Task(metric.ID(id))}
			w.slots[id] = s
		}
		if !s.wanted {
			s.generation = d.Generation
		}
		s.want, s.wanted = want, true
		if want.Restart.Offset > s.restarted {
			s.restarted = want.Restart.Offset
			failed := s.current != nil && s.current.state == task.Failed
			if want.Restart.IncludeTasks && (!want.Restart.OnlyFailed || failed) {
				s.demand++
				s.attempts = 0
			}
		}
	}
	for id, s := range w.slots {
		if _, ok := d.Tasks[id]; !ok {
			s.wanted = false
		}
	}
}

// settle decides about the restart of a task by policy.
func (w *Worker) settle(s *slot, now time.Time) {
	c := s.current
	if c == nil || s.demand > c.demand {
		s.restartAt = time.Time{}
		return
	}
	if c.over && c.state != task.Failed && !c.told {
		c.state, c.err = task.Failed, errors.New("the task has ended by itself")
	}
	switch {
	case c.state == task.Failed && s.restartAt.IsZero() && !c.told && c.refused == "":
		wait, no := c.policy.next(c.err, s.attempts+1)
		if no != "" {
			c.refused = no
			return
		}
		s.restartAt = now.Add(wait)
	case !s.restartAt.IsZero() && !now.Before(s.restartAt):
		s.restartAt = time.Time{}
		s.attempts++
		s.demand++
	}
}

// outdated tells whether the present incarnation is not the one that should run.
func (s *slot) outdated() bool {
	return s.demand > s.current.demand || !s.current.want.same(s.want)
}

// start makes the next incarnation of a task. ctx is for as long as the worker lives, its grace included.
func (w *Worker) start(ctx context.Context, s *slot) {
	inc := &incarnation{id: s.id, want: s.want, demand: s.demand, metrics: s.metrics, policy: defaultPolicy(), since: time.Now()}
	stop, endStop := context.WithCancel(ctx)
	abort, endAbort := context.WithCancel(ctx)
	inc.stop, inc.abort = endStop, endAbort
	s.current, s.restartAt, s.version = inc, time.Time{}, w.versionOf(s.want.Config)
	w.mu.Lock()
	w.running[s.id] = inc
	w.mu.Unlock()
	w.tasks.Go(func() {
		defer endAbort()
		defer endStop()
		err := inc.run(stop, abort, w)
		w.mu.Lock()
		if w.running[s.id] == inc {
			delete(w.running, s.id)
		}
		w.mu.Unlock()
		w.post(ended{inc, err})
	})
	for _, done := range s.waiters {
		done <- true
	}
	s.waiters = nil
}

// classOf is the full class of the plugin that a configuration names, or what it names when there is none.
func (w *Worker) classOf(cfg map[string]*string) string {
	name := config.Trim(textOf(cfg, "connector.class"))
	if _, r, err := w.opts.Plugins.sink(name); err == nil {
		return r.info.Class
	}
	return name
}

// versionOf is the version of the plugin that a configuration names, "" when there is none.
func (w *Worker) versionOf(cfg map[string]*string) string {
	_, r, err := w.opts.Plugins.sink(config.Trim(textOf(cfg, "connector.class")))
	if err != nil {
		return ""
	}
	return r.info.Version
}

// leave says the last of a task that does not run here any more.
func (w *Worker) leave(s *slot) {
	key := store.TaskStatusKey(store.TaskKey(s.id))
	if _, moved := w.want.Plan.Tasks[s.id]; moved {
		w.statuses.forget(key)
	} else {
		w.statuses.say(store.Tombstone(key))
	}
	w.opts.Metrics.Forget(metric.ID(s.id))
	for _, done := range s.waiters {
		done <- false
	}
}

// publish says what is known of a task that should run here, or is still ending.
func (w *Worker) publish(s *slot) {
	if !s.wanted || s.current == nil {
		return
	}
	c := s.current
	st := w.status(c.state.String(), s.generation)
	st.Version = s.version
	switch {
	case !c.over && s.demand > c.demand:
		st.State = "RESTARTING"
	case !c.over && c.told:
		st.State = "UNASSIGNED"
	}
	if c.state == task.Failed {
		st.Trace = taskTrace(s.id, c.err)
		st.Warning = c.restartWarning(s)
	} else {
		st.Warning = c.warning
	}
	s.metrics.State(strings.ToLower(st.State))
	w.statuses.say(store.TaskStatusEntry(store.TaskKey(s.id), st))
}

// restartWarning says in a failed task's status whether and when it is started again.
func (c *incarnation) restartWarning(s *slot) string {
	switch {
	case !s.restartAt.IsZero():
		return fmt.Sprintf("restart number %d at %s", s.attempts+1, s.restartAt.UTC().Format(time.RFC3339))
	case c.refused != "" && s.attempts > 0:
		return "not restarted: " + c.refused
	}
	return ""
}

// reconcileConnectors keeps the states of the connectors that this worker answers for.
func (w *Worker) reconcileConnectors(ctx context.Context) {
	for name, want := range w.want.Connectors {
		c, ok := w.connectors[name]
		if !ok {
			c = &ownConnector{name: name, restarted: -1, generation: w.want.Generation}
			w.connectors[name] = c
		}
		changed := !ok || !maps.EqualFunc(c.want.Config, want.Config, equalText)
		restart := want.Restart.Offset > c.restarted && (!want.Restart.OnlyFailed || c.err != nil) || c.restarted < 0
		c.want, c.restarted = want, max(0, want.Restart.Offset)
		if changed || restart {
			w.read(ctx, c)
		}
		w.publishConnector(c)
	}
	for name, c := range w.connectors {
		if _, ok := w.want.Connectors[name]; ok {
			continue
		}
		c.release()
		delete(w.connectors, name)
		w.opts.Metrics.ForgetConnector(name)
		// A connector that is gone is the leader's to bury; one that moved is another worker's to speak for.
		w.statuses.forget(store.ConnectorStatusKey(name))
	}
}

// read finds out, aside, whether a connector's configuration can be run.
func (w *Worker) read(ctx context.Context, c *ownConnector) {
	c.version = w.versionOf(c.want.Config)
	c.reading++
	name, cfg, reading := c.name, c.want.Config, c.reading
	w.tasks.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := w.draw(bounded, name, cfg)
		w.post(drawn{c, reading, err})
	})
}

func (w *Worker) publishConnector(c *ownConnector) {
	st := w.status("RUNNING", c.generation)
	st.Version = c.version
	switch {
	case c.want.Target == store.Stopped:
		st.State = "STOPPED"
	case c.err != nil:
		st.State, st.Trace = "FAILED", connectorTrace(c.name, c.err)
	case c.want.Target == store.Paused:
		st.State = "PAUSED"
	}
	w.opts.Metrics.Connector(c.name, strings.ToLower(st.State), metric.PluginClass{Class: w.classOf(c.want.Config), Version: c.version})
	w.statuses.say(store.ConnectorStatusEntry(c.name, st))
}

func equalText(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// textOf gives a value of a configuration, "" for null or none.
func textOf(cfg map[string]*string, key string) string {
	if v := cfg[key]; v != nil {
		return *v
	}
	return ""
}
