package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

// listConnectors answers GET /connectors: names, or with expand a map of what is known of each. A
// connector that goes away meanwhile is left out.
func (a *handler) listConnectors(r *request) (answer, error) {
	names, err := a.herder.Connectors(r.Context())
	if err != nil {
		return answer{}, err
	}
	expand, expanded := r.query()["expand"]
	if !expanded {
		if names == nil {
			names = []string{}
		}
		return ok(names), nil
	}
	all := make(map[string]map[string]any, len(names))
	for _, name := range names {
		entry, err := a.expand(r, name, expand)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		all[name] = entry
	}
	return ok(all), nil
}

func (a *handler) expand(r *request, name string, expand []string) (map[string]any, error) {
	entry := map[string]any{}
	for _, what := range expand {
		var err error
		switch what {
		case "status":
			entry[what], err = a.herder.Status(r.Context(), name)
		case "info":
			entry[what], err = a.herder.Connector(r.Context(), name)
		}
		if err != nil {
			return nil, err
		}
	}
	return entry, nil
}

func isNotFound(err error) bool {
	var refused *runtime.Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
}

func (a *handler) createConnector(r *request) (answer, error) {
	req, err := decodeCreate(r.body)
	if err != nil {
		return answer{}, err
	}
	unlock, err := a.writes.lock(r.Context(), config.Trim(req.Name))
	if err != nil {
		return answer{}, err
	}
	defer unlock()
	info, err := a.herder.Create(r.Context(), req)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: info, location: locationOf(info.Name)}, nil
}

func (a *handler) getConnector(r *request) (answer, error) {
	return read(a.herder.Connector(r.Context(), r.param("connector")))
}

func (a *handler) deleteConnector(r *request) (answer, error) {
	name := r.param("connector")
	unlock, err := a.writes.lock(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	defer unlock()
	return noContent(), a.herder.Delete(r.Context(), name)
}

func (a *handler) getStatus(r *request) (answer, error) {
	return read(a.herder.Status(r.Context(), r.param("connector")))
}

func (a *handler) pauseConnector(r *request) (answer, error) {
	return accepted(), a.herder.Pause(r.Context(), r.param("connector"))
}

func (a *handler) resumeConnector(r *request) (answer, error) {
	return accepted(), a.herder.Resume(r.Context(), r.param("connector"))
}

func (a *handler) stopConnector(r *request) (answer, error) {
	return noContent(), a.herder.Stop(r.Context(), r.param("connector"))
}

// restartConnector answers POST …/restart: 204 for the connector alone, 202 with the status for
// the flags of KIP-745.
func (a *handler) restartConnector(r *request) (answer, error) {
	status, err := a.herder.Restart(r.Context(), r.param("connector"), r.flag("includeTasks", false), r.flag("onlyFailed", false))
	if err != nil || status == nil {
		return noContent(), err
	}
	return answer{status: http.StatusAccepted, body: status}, nil
}

// waiting answers what Kafka Connect has no endpoint for: the oldest unsettled record of each partition and why, of
// the whole cluster or, with scope=worker, of this worker.
func (a *handler) waiting(r *request) (answer, error) {
	if strings.EqualFold(r.query().Get("scope"), "worker") {
		return read(a.herder.WaitingHere(r.Context(), r.param("connector")))
	}
	return read(a.herder.Waiting(r.Context(), r.param("connector")))
}

// listFiles answers what Kafka Connect has no endpoint for: how the files that declare connectors stand.
func (a *handler) listFiles(r *request) (answer, error) {
	return read(a.herder.ConnectorFiles(r.Context()))
}

func (a *handler) listTasks(r *request) (answer, error) {
	tasks, err := a.herder.Tasks(r.Context(), r.param("connector"))
	if tasks == nil {
		tasks = []runtime.TaskInfo{}
	}
	return ok(tasks), err
}

func (a *handler) getTaskStatus(r *request) (answer, error) {
	task, err := r.task()
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.TaskStatus(r.Context(), r.param("connector"), task))
}

func (a *handler) restartTask(r *request) (answer, error) {
	task, err := r.task()
	if err != nil {
		return answer{}, err
	}
	return noContent(), a.herder.RestartTask(r.Context(), r.param("connector"), task)
}

// task reads the task number of the path as Java reads an int; anything else is no such path.
func (r *request) task() (int, error) {
	n, err := strconv.ParseInt(r.param("task"), 10, 32)
	if err != nil {
		return 0, runtime.NotFound("%s", frameworkText(http.StatusNotFound))
	}
	return int(n), nil
}

func (a *handler) getTopics(r *request) (answer, error) {
	name := r.param("connector")
	topics, err := a.herder.Topics(r.Context(), name)
	if topics == nil {
		topics = []string{}
	}
	return ok(map[string]map[string][]string{name: {"topics": topics}}), err
}

func (a *handler) resetTopics(r *request) (answer, error) {
	return accepted(), a.herder.ResetTopics(r.Context(), r.param("connector"))
}

func (a *handler) getOffsets(r *request) (answer, error) {
	offsets, err := a.herder.Offsets(r.Context(), r.param("connector"))
	if offsets.Offsets == nil {
		offsets.Offsets = []runtime.PartitionOffset{}
	}
	return ok(offsets), err
}

func (a *handler) alterOffsets(r *request) (answer, error) {
	offsets, err := decodeOffsets(r.body)
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.AlterOffsets(r.Context(), r.param("connector"), offsets))
}

func (a *handler) resetOffsets(r *request) (answer, error) {
	return read(a.herder.ResetOffsets(r.Context(), r.param("connector")))
}

// read answers 200 with what the herder gave.
func read[T any](body T, err error) (answer, error) { return ok(body), err }
