package runtime

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/store"
)

// Create makes a new connector.
func (h *Herder) Create(ctx context.Context, req CreateRequest) (ConnectorInfo, error) {
	name := config.Trim(req.Name)
	if req.Config == nil {
		return ConnectorInfo{}, BadRequest(`The request body lacks the field "config": an object with the connector's configuration`)
	}
	cfg, err := named(name, req.Config)
	if err != nil {
		return ConnectorInfo{}, err
	}
	target, err := initialTarget(req.InitialState)
	if err != nil {
		return ConnectorInfo{}, err
	}
	if req.InitialOffsets != nil {
		return h.createAt(ctx, name, req)
	}
	_, s, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		stored, exists := s.Connectors[name]
		checked, err := h.check(ctx, cfg, stored.Config)
		if err != nil {
			return nil, err
		}
		if exists {
			return nil, Conflict("Connector %s already exists", name)
		}
		// The target goes first: at no time is there a connector that should not run and has no target yet.
		return []store.Entry{store.TargetEntry(name, target), store.ConnectorEntry(name, checked)}, nil
	})
	if err != nil {
		return ConnectorInfo{}, err
	}
	if err := h.settle(ctx, name); err != nil {
		return ConnectorInfo{}, err
	}
	h.log.Info("connector created", "connector", name, "state", target.State)
	if h.opts.Config.Distributed {
		return h.info(s, name, []TaskID{}), nil
	}
	return h.info(s, name, tasksOf(s, name)), nil
}

// createAt makes a connector whose tasks begin at given offsets (KIP-995): stopped, so that its group is empty and its replay
// epochs are written as for any change of offsets, and only then in the state that was asked for. If the offsets
// cannot be set there is no connector afterwards.
func (h *Herder) createAt(ctx context.Context, name string, req CreateRequest) (ConnectorInfo, error) {
	if len(req.InitialOffsets) == 0 {
		return ConnectorInfo{}, errNoOffsets()
	}
	if _, err := parseOffsets(name, req.InitialOffsets); err != nil {
		return ConnectorInfo{}, err
	}
	offsets, state := req.InitialOffsets, strings.ToUpper(req.InitialState)
	req.InitialOffsets, req.InitialState = nil, "STOPPED"
	info, err := h.Create(ctx, req)
	if err != nil {
		return info, err
	}
	message, err := h.AlterOffsets(ctx, name, offsets)
	if err != nil {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
		defer cancel()
		if undo := h.Delete(removing, name); undo != nil {
			h.log.Warn("a connector whose initial offsets could not be set is left over, stopped", "connector", name, "error", undo)
		}
		return ConnectorInfo{}, err
	}
	switch state {
	case "", "RUNNING":
		err = h.Resume(ctx, name)
	case "PAUSED":
		err = h.Pause(ctx, name)
	}
	if err != nil {
		return ConnectorInfo{}, err
	}
	if info, err = h.Connector(ctx, name); err != nil {
		return info, err
	}
	if h.opts.Config.Distributed {
		info.Tasks = []TaskID{} // as after any creation
	}
	info.OffsetsStatus = message.Message
	return info, nil
}

// undoWait bounds the removal of a connector that could not be made in full.
const undoWait = 10 * time.Second

// initialTarget reads initial_state (KIP-980).
func initialTarget(state string) (store.Target, error) {
	switch strings.ToUpper(state) {
	case "", "RUNNING":
		return store.Target{State: store.Started}, nil
	case "PAUSED":
		return store.Target{State: store.Paused, Idle: true}, nil
	case "STOPPED":
		return store.Target{State: store.Stopped}, nil
	}
	return store.Target{}, BadRequest("initial_state %q is none of RUNNING, PAUSED, STOPPED", state)
}

// named gives a copy of cfg that holds the connector's name.
func named(name string, cfg map[string]*string) (map[string]*string, error) {
	out := maps.Clone(cfg)
	if given := cfg["name"]; given != nil {
		if *given != name {
			return nil, BadRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *given, name)
		}
		return out, nil
	}
	out["name"] = &name
	return out, nil
}

// PutConfig replaces a connector's configuration, or makes the connector.
func (h *Herder) PutConfig(ctx context.Context, name string, cfg map[string]*string) (ConnectorInfo, bool, error) {
	if cfg == nil {
		return ConnectorInfo{}, false, BadRequest("The request body must be an object with the connector's configuration")
	}
	cfg, err := named(name, cfg)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	created := false
	info, err := h.writeConfig(ctx, name, func(s store.State) (map[string]*string, error) {
		_, exists := s.Connectors[name]
		created = !exists
		return cfg, nil
	})
	return info, created, err
}

// PatchConfig changes some keys of a connector's configuration; null removes one (KIP-477).
func (h *Herder) PatchConfig(ctx context.Context, name string, patch map[string]*string) (ConnectorInfo, error) {
	return h.writeConfig(ctx, name, func(s store.State) (map[string]*string, error) {
		stored, err := known(s, name, "Connector %s not found")
		if err != nil {
			return nil, err
		}
		if given := patch["name"]; given != nil && *given != name {
			// Kafka Connect lets a patch put another name into the configuration than the connector has.
			return nil, BadRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *given, name)
		}
		merged := maps.Clone(stored)
		for k, v := range patch {
			if v == nil {
				delete(merged, k)
			} else {
				merged[k] = v
			}
		}
		return merged, nil
	})
}

// writeConfig writes the configuration that next makes of the present state.
func (h *Herder) writeConfig(ctx context.Context, name string, next func(store.State) (map[string]*string, error)) (ConnectorInfo, error) {
	before, s, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		cfg, err := next(s)
		if err == nil {
			err = h.unowned(s, name)
		}
		if err != nil {
			return nil, err
		}
		stored, exists := s.Connectors[name]
		checked, err := h.check(ctx, cfg, stored.Config)
		if err != nil {
			return nil, err
		}
		entries := []store.Entry{store.ConnectorEntry(name, checked)}
		if _, targeted := s.Targets[name]; !exists && targeted {
			// Left over by a worker that deletes less than we do.
			entries = append([]store.Entry{store.TargetEntry(name, store.Target{State: store.Started})}, entries...)
		}
		return entries, nil
	})
	if err != nil {
		return ConnectorInfo{}, err
	}
	if err := h.settle(ctx, name); err != nil {
		return ConnectorInfo{}, err
	}
	h.log.Info("connector configured", "connector", name)
	if h.opts.Config.Distributed {
		// A JVM worker answers before it has made the tasks anew.
		return h.info(s, name, tasksOf(before, name)), nil
	}
	return h.info(s, name, tasksOf(s, name)), nil
}

// check validates a configuration and gives it as it is to be stored: what a client read as [hidden] and
// wrote back keeps the stored value.
func (h *Herder) check(ctx context.Context, cfg, stored map[string]*string) (map[string]*string, error) {
	checked, unknown := h.keepHidden(cfg, stored)
	v, err := h.validate(ctx, checked, unknown)
	if err != nil {
		return nil, err
	}
	if v.ErrorCount == 0 {
		return checked, nil
	}
	return nil, BadRequest("Connector configuration is invalid and contains the following %d error(s):\n%s\n"+
		"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		v.ErrorCount, strings.Join(config.Messages(v.Configs), "\n"))
}

// keepHidden replaces each [hidden] by the stored value of a key that is hidden in answers, and names the
// hidden keys that have none.
func (h *Herder) keepHidden(cfg, stored map[string]*string) (kept map[string]*string, unknown []string) {
	kept = maps.Clone(cfg)
	raw := withoutNulls(cfg)
	def := h.defOf(raw)
	for _, k := range sortedKeys(raw) {
		if raw[k] != config.Hidden {
			continue
		}
		if old := stored[k]; old != nil && config.Hide(map[string]string{k: *old}, def)[k] == config.Hidden {
			kept[k] = old
		} else if config.Hide(map[string]string{k: "x"}, def)[k] == config.Hidden {
			unknown = append(unknown, k)
		}
	}
	return kept, unknown
}

// Delete removes a connector. Its consumer group, with its offsets, and its replay epochs stay.
func (h *Herder) Delete(ctx context.Context, name string) error {
	_, _, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		if _, err := known(s, name, "Connector %s not found"); err != nil {
			return nil, err
		}
		if err := h.unowned(s, name); err != nil {
			return nil, err
		}
		return deletion(s, name), nil
	})
	if err != nil {
		return err
	}
	h.log.Info("connector deleted", "connector", name)
	return h.settle(ctx, name)
}

// deletion gives the entries that remove a connector.
func deletion(s store.State, name string) []store.Entry {
	entries := []store.Entry{store.Tombstone(store.ConnectorKey(name)), store.Tombstone(store.TargetKey(name))}
	if _, ok := s.Restarts[name]; ok {
		entries = append(entries, store.Tombstone(store.RestartKey(name)))
	}
	if _, ok := s.Files[name]; ok {
		entries = append(entries, store.Tombstone(store.FileKey(name)))
	}
	if ops := cancelled(s, name, said(s, name)); ops != nil { // a connector made again under the name must not go on with it
		entries = append(entries, store.DeadLetterEntry(name, ops))
	}
	return entries
}

// Pause keeps a connector's tasks from handing out records.
func (h *Herder) Pause(ctx context.Context, name string) error {
	return h.setTarget(ctx, name, store.Paused)
}

// Resume lets a paused or stopped connector run.
func (h *Herder) Resume(ctx context.Context, name string) error {
	return h.setTarget(ctx, name, store.Started)
}

// Stop ends a connector's tasks; its consumer group stays with its offsets (KIP-875).
func (h *Herder) Stop(ctx context.Context, name string) error {
	return h.setTarget(ctx, name, store.Stopped)
}

func (h *Herder) setTarget(ctx context.Context, name string, state store.TargetState) error {
	_, _, err := h.update(ctx, func(s store.State) ([]store.Entry, error) {
		if _, err := known(s, name, "Unknown connector %s"); err != nil {
			return nil, err
		}
		was := s.Target(name)
		now := store.Target{State: state, Idle: state == store.Paused && (was.Idle || was.State == store.Stopped)}
		if now == was {
			return nil, nil
		}
		return []store.Entry{store.TargetEntry(name, now)}, nil
	})
	if err != nil {
		return err
	}
	h.log.Info("connector state requested", "connector", name, "state", state)
	return h.settle(ctx, name)
}

// Restart restarts a connector (KIP-745): alone, which is answered when done (nil), or with what the
// flags ask for, which is answered with the status in which it is RESTARTING.
func (h *Herder) Restart(ctx context.Context, name string, includeTasks, onlyFailed bool) (*ConnectorStatus, error) {
	if includeTasks || onlyFailed {
		if _, err := h.authority(); err != nil {
			return nil, err
		}
	}
	if _, err := known(h.view.get(), name, h.unknown("Unknown connector: %s", "Connector %s not found", includeTasks || onlyFailed)); err != nil {
		return nil, err
	}
	if !includeTasks && !onlyFailed {
		if err := h.at(h.view.getPlan().Connectors[name]); err != nil {
			return nil, err
		}
		return nil, h.worker.RestartConnector(ctx, name)
	}
	status, err := h.Status(ctx, name)
	if err != nil {
		return nil, NotFound("Status for connector %s not found", name)
	}
	from := h.view.read()
	var restarted []string // keys of the tasks' statuses
	concerned := func(state string) bool { return !onlyFailed || state == "FAILED" }
	if concerned(status.Connector.State) {
		status.Connector.State = "RESTARTING"
	}
	for i := range status.Tasks {
		if includeTasks && concerned(status.Tasks[i].State) {
			status.Tasks[i].State = "RESTARTING"
			restarted = append(restarted, store.TaskStatusKey(store.TaskKey{Connector: name, Task: status.Tasks[i].ID}))
		}
	}
	_, _, err = h.update(ctx, func(s store.State) ([]store.Entry, error) {
		if _, err := known(s, name, "Unknown connector: %s"); err != nil {
			return nil, err
		}
		return []store.Entry{store.RestartEntry(name, store.Restart{IncludeTasks: includeTasks, OnlyFailed: onlyFailed})}, nil
	})
	if err != nil {
		return nil, err
	}
	h.log.Info("connector restart requested", "connector", name, "include_tasks", includeTasks, "only_failed", onlyFailed)
	if h.cluster != nil {
		return &status, h.awaitTouched(ctx, name, restarted, from)
	}
	return &status, h.settle(ctx, name)
}

// unknown picks the words of a 404: the two modes of Kafka Connect differ.
func (h *Herder) unknown(distributed, standalone string, always bool) string {
	if h.opts.Config.Distributed || always {
		return distributed
	}
	return standalone
}

// RestartTask restarts one task and waits until it has begun.
func (h *Herder) RestartTask(ctx context.Context, name string, n int) error {
	s := h.view.get()
	if _, err := known(s, name, h.unknown("Unknown connector: %s", "Connector %s not found", false)); err != nil {
		return err
	}
	id := TaskID{name, n}
	notFound := NotFound(h.unknown("Unknown task: %s", "Task %s not found", false), id)
	if n < 0 || n >= taskCount(s, name) {
		return notFound
	}
	if err := h.at(h.view.getPlan().Tasks[id]); err != nil {
		return err
	}
	ok, err := h.worker.RestartTask(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("Failed to start task: %s: %w", id, err) //nolint:staticcheck // Kafka's words
	case !ok:
		return notFound
	}
	h.log.Info("task restarted", "connector", name, "task", n)
	return h.settleOwn(ctx)
}
