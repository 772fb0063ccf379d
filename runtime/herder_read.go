package runtime

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/store"
)

// ServerInfo tells the version and the id of the worker's Kafka cluster.
func (h *Herder) ServerInfo(ctx context.Context) (ServerInfo, error) {
	info := ServerInfo{Version: h.opts.Version, Commit: h.opts.Commit}
	id, err := h.worker.clusterID(ctx, &blueprint{props: clientProps{worker: h.opts.Config.Raw, name: "worker"}})
	if err != nil {
		return info, Internal("%v", err)
	}
	info.ClusterID = id
	return info, nil
}

// Health says whether the worker has started and answers (KIP-1017).
func (h *Herder) Health(ctx context.Context) Health {
	switch {
	case !h.view.isReady():
		return Health{"starting", strings.TrimSpace("Worker is still starting up. " + h.Stage())}
	case h.worker.Ping(ctx) != nil:
		return Health{"unhealthy", "Worker was unable to handle this request and may be unable to handle other requests."}
	}
	return Health{"healthy", "Worker has completed startup and is ready to handle requests."}
}

// Connectors lists the names, sorted.
func (h *Herder) Connectors(context.Context) ([]string, error) {
	names := sortedKeys(h.view.get().Connectors)
	if names == nil {
		names = []string{}
	}
	return names, nil
}

// Connector gives a connector's configuration and tasks.
func (h *Herder) Connector(_ context.Context, name string) (ConnectorInfo, error) {
	s := h.view.get()
	if _, err := known(s, name, "Connector %s not found"); err != nil {
		return ConnectorInfo{}, err
	}
	return h.info(s, name, tasksOf(s, name)), nil
}

func (h *Herder) info(s store.State, name string, tasks []TaskID) ConnectorInfo {
	cfg := s.Connectors[name].Config
	return ConnectorInfo{Name: name, Config: h.shown(cfg), Tasks: tasks, Type: h.typeOf(cfg)}
}

// typeOf is "sink", or "unknown" for a class that this worker does not have.
func (h *Herder) typeOf(cfg map[string]*string) string {
	if _, _, err := h.opts.Plugins.sink(config.Trim(textOf(cfg, "connector.class"))); err != nil {
		return "unknown"
	}
	return kindSink
}

// Status gives the state of a connector and its tasks.
func (h *Herder) Status(_ context.Context, name string) (ConnectorStatus, error) {
	s := h.view.get()
	own, ok := s.ConnectorStatus[name]
	if _, exists := s.Connectors[name]; !ok || !exists {
		return ConnectorStatus{}, NotFound("No status found for connector %s", name)
	}
	st := ConnectorStatus{Name: name, Connector: stateInfo(own), Tasks: []TaskStatus{}, Type: h.typeOf(s.Connectors[name].Config)}
	for k, t := range s.TaskStatus {
		if k.Connector == name {
			st.Tasks = append(st.Tasks, TaskStatus{ID: k.Task, StateInfo: stateInfo(t)})
		}
	}
	slices.SortFunc(st.Tasks, func(a, b TaskStatus) int { return a.ID - b.ID })
	return st, nil
}

func stateInfo(s store.Status) StateInfo {
	return StateInfo{State: s.State, WorkerID: s.WorkerID, Trace: s.Trace, Version: s.Version, Warning: s.Warning}
}

// TaskStatus gives the state of one task.
func (h *Herder) TaskStatus(_ context.Context, name string, n int) (TaskStatus, error) {
	id := TaskID{name, n}
	t, ok := h.view.get().TaskStatus[store.TaskKey(id)]
	if !ok {
		return TaskStatus{}, NotFound("No status found for task %s", id)
	}
	return TaskStatus{ID: n, StateInfo: stateInfo(t)}, nil
}

// Tasks gives the tasks of a connector with their configurations: the connector's own, and the class that a
// JVM worker would run.
func (h *Herder) Tasks(_ context.Context, name string) ([]TaskInfo, error) {
	s := h.view.get()
	cfg, err := known(s, name, "Connector %s not found")
	if err != nil {
		return nil, err
	}
	tasks := []TaskInfo{}
	for _, id := range tasksOf(s, name) {
		own := h.shown(cfg)
		if _, r, err := h.opts.Plugins.sink(config.Trim(textOf(cfg, "connector.class"))); err == nil {
			class := taskClass(r.info.Class)
			own["task.class"] = &class
		}
		tasks = append(tasks, TaskInfo{ID: id, Config: own})
	}
	return tasks, nil
}

// Topics gives the topics that a connector has read, sorted; none for one that does not exist.
func (h *Herder) Topics(_ context.Context, name string) ([]string, error) {
	if !h.opts.Config.Values.Bool("topic.tracking.enable") {
		return nil, &Error{Status: http.StatusForbidden, Message: "Topic tracking is disabled."}
	}
	topics := []string{}
	for k := range h.view.get().Topics {
		if k.Connector == name {
			topics = append(topics, k.Topic)
		}
	}
	slices.Sort(topics)
	return topics, nil
}

// ResetTopics forgets which topics a connector has read; those that it reads on come back with their next
// record.
func (h *Herder) ResetTopics(ctx context.Context, name string) error {
	v := h.opts.Config.Values
	switch {
	case !v.Bool("topic.tracking.enable"):
		return &Error{Status: http.StatusForbidden, Message: "Topic tracking is disabled."}
	case !v.Bool("topic.tracking.allow.reset"):
		return &Error{Status: http.StatusForbidden, Message: "Topic tracking reset is disabled."}
	}
	var gone []store.Entry
	for k := range h.view.get().Topics {
		if k.Connector == name {
			gone = append(gone, store.Tombstone(store.TopicStatusKey(k)))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	offset, err := h.opts.StatusLog.Append(ctx, gone...)
	if err != nil {
		return writeError(err)
	}
	return h.view.await(ctx, func() bool { return h.view.status > offset })
}

// Plugins lists the plugins: sinks only, or all.
func (h *Herder) Plugins(_ context.Context, connectorsOnly bool) ([]PluginInfo, error) {
	infos := []PluginInfo{}
	for _, i := range h.opts.Plugins.infos {
		if !connectorsOnly || i.Type == kindSink {
			infos = append(infos, i)
		}
	}
	return infos, nil
}

// PluginConfig gives the keys that a plugin of any kind defines; a sink's come before the host's.
func (h *Herder) PluginConfig(_ context.Context, plugin, version string) ([]config.KeyInfo, error) {
	for _, kind := range []string{kindSink, config.KindConverter, config.KindHeaderConverter, config.KindTransformation, config.KindPredicate} {
		r, err := h.opts.Plugins.find(kind, plugin)
		if err != nil {
			continue
		}
		if err := checkVersion(r, version); err != nil {
			return nil, BadRequest("%v", err)
		}
		if kind != kindSink {
			return r.def.Infos(), nil
		}
		return ownFirst(r.def, h.opts.Plugins.hostDef(r)), nil
	}
	if h.opts.Plugins.isOuter(plugin) {
		return nil, Internal("Instantiation error")
	}
	return nil, NotFound("Unknown plugin %s.", plugin)
}

func ownFirst(own, all *config.Def) []config.KeyInfo {
	infos := own.Infos()
	for _, i := range all.Infos() {
		if _, ok := own.Lookup(i.Name); !ok {
			infos = append(infos, i)
		}
	}
	return infos
}

// Loggers gives root and the loggers whose level was set on this worker.
func (h *Herder) Loggers(context.Context) (map[string]LoggerLevel, error) {
	return h.opts.Levels.All(), nil
}

// Logger gives the level of one logger.
func (h *Herder) Logger(_ context.Context, name string) (LoggerLevel, error) {
	return h.opts.Levels.Get(name)
}

// SetLogger sets the level of a logger and all below it, on this worker or, with cluster, on all.
func (h *Herder) SetLogger(ctx context.Context, name, level string, cluster bool) ([]string, error) {
	if !cluster {
		return h.opts.Levels.Set(name, level)
	}
	parsed, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	_, _, err = h.update(ctx, func(store.State) ([]store.Entry, error) {
		return []store.Entry{store.LoggerEntry(name, parsed.name)}, nil
	})
	return []string{}, err
}

// waitBriefly is how long an operation that depends on the end of tasks looks again for it.
const waitBriefly = 200 * time.Millisecond

// normalizedClass is what Kafka compares classes of a path and a configuration by.
func normalizedClass(class string) string { return strings.TrimSuffix(class, "Connector") }
