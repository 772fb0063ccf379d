package api

import (
	"net/http"
	"time"
)

// endpoint answers one method of one path. It gets the request with its body already read and
// returns what to answer; writing is done in one place.
type endpoint func(a *handler, r *request) (answer, error)

// route declares one endpoint: everything but the answer itself is said here.
type route struct {
	method, pattern string
	serve           endpoint
	// action names a write, or a read of what records hold, in the audit log; "" marks a read that the read-only role may do.
	action string
	// takesBody says that a JSON entity is read and decoded.
	takesBody bool
	// anyType says that a Content-Type is not looked at: of Connect's resources that declare none.
	anyType bool
	// timeout is the time for the herder; 0 means requestTimeout.
	timeout time.Duration
	// early says that it is answered while the worker starts, without knowledge of the cluster's state.
	early bool
	// admin marks the endpoints that admin.listeners moves.
	admin bool
}

const connectorPath = "/connectors/{connector}"

// routes is the whole REST surface (Kafka Connect user guide, "REST API").
func routes() []route {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	return []route{
		{method: get, pattern: "/", serve: (*handler).serverInfo, early: true, anyType: true},
		{method: get, pattern: "/health", serve: (*handler).health, timeout: healthTimeout, early: true, anyType: true},

		{method: get, pattern: "/connectors", serve: (*handler).listConnectors},
		{method: post, pattern: "/connectors", serve: (*handler).createConnector, action: "connector.create", takesBody: true},
		{method: get, pattern: connectorPath, serve: (*handler).getConnector},
		{method: del, pattern: connectorPath, serve: (*handler).deleteConnector, action: "connector.delete"},
		{method: get, pattern: connectorPath + "/config", serve: (*handler).getConfig},
		{method: put, pattern: connectorPath + "/config", serve: (*handler).putConfig, action: "connector.config.put", takesBody: true},
		{method: patch, pattern: connectorPath + "/config", serve: (*handler).patchConfig, action: "connector.config.patch", takesBody: true},
		{method: get, pattern: connectorPath + "/status", serve: (*handler).getStatus},
		{method: put, pattern: connectorPath + "/pause", serve: (*handler).pauseConnector, action: "connector.pause"},
		{method: put, pattern: connectorPath + "/resume", serve: (*handler).resumeConnector, action: "connector.resume"},
		{method: put, pattern: connectorPath + "/stop", serve: (*handler).stopConnector, action: "connector.stop"},
		{method: post, pattern: connectorPath + "/restart", serve: (*handler).restartConnector, action: "connector.restart"},

		{method: get, pattern: connectorPath + "/tasks", serve: (*handler).listTasks},
		{method: get, pattern: connectorPath + "/waiting", serve: (*handler).waiting},
		{method: get, pattern: connectorPath + "/executions", serve: (*handler).executions},
		{method: post, pattern: connectorPath + "/tasks", serve: (*handler).internalTasks, action: "internal.tasks", takesBody: true, anyType: true},
		{method: put, pattern: connectorPath + "/fence", serve: (*handler).internalFence, action: "internal.fence", anyType: true},
		{method: get, pattern: connectorPath + "/tasks/{task}/status", serve: (*handler).getTaskStatus},
		{method: post, pattern: connectorPath + "/tasks/{task}/restart", serve: (*handler).restartTask, action: "task.restart"},

		{method: get, pattern: connectorPath + "/topics", serve: (*handler).getTopics},
		{method: put, pattern: connectorPath + "/topics/reset", serve: (*handler).resetTopics, action: "connector.topics.reset"},
		{method: get, pattern: connectorPath + "/offsets", serve: (*handler).getOffsets},
		{method: patch, pattern: connectorPath + "/offsets", serve: (*handler).alterOffsets, action: "connector.offsets.alter", takesBody: true},
		{method: del, pattern: connectorPath + "/offsets", serve: (*handler).resetOffsets, action: "connector.offsets.reset"},

		{method: get, pattern: connectorPath + "/dlq", serve: (*handler).listDeadLetters, action: "dlq.list"},
		{method: get, pattern: connectorPath + "/dlq/{partition}/{offset}", serve: (*handler).getDeadLetter, action: "dlq.show"},
		{method: get, pattern: connectorPath + "/dlq/replay", serve: (*handler).listReplays},
		{method: post, pattern: connectorPath + "/dlq/replay", serve: (*handler).replayDeadLetters, action: "dlq.replay", takesBody: true},
		{method: del, pattern: connectorPath + "/dlq/replay", serve: (*handler).cancelReplay, action: "dlq.replay.cancel"},
		{method: post, pattern: connectorPath + "/dlq/drop", serve: (*handler).dropDeadLetters, action: "dlq.drop", takesBody: true},

		{method: get, pattern: "/connector-files", serve: (*handler).listFiles},

		{method: get, pattern: "/connector-plugins", serve: (*handler).listPlugins, early: true},
		{method: get, pattern: "/connector-plugins/{plugin}/config", serve: (*handler).pluginConfig, early: true},
		// Validation resolves config providers of the caller's choice, so it needs the right to write.
		{method: put, pattern: "/connector-plugins/{plugin}/config/validate", serve: (*handler).validate, action: "plugin.validate", takesBody: true},
		// So does a preview, which shows a record besides.
		{method: post, pattern: "/connector-plugins/{plugin}/preview", serve: (*handler).preview, action: "plugin.preview", takesBody: true},

		{method: get, pattern: "/admin/loggers", serve: (*handler).listLoggers, admin: true, early: true},
		{method: get, pattern: "/admin/loggers/{logger}", serve: (*handler).getLogger, admin: true, early: true},
		{method: put, pattern: "/admin/loggers/{logger}", serve: (*handler).setLogger, action: "logger.set", takesBody: true, admin: true},
	}
}

// resources groups the routes that this handler serves by path.
func (a *handler) resources() map[string]*resource {
	out := map[string]*resource{}
	for _, rt := range routes() {
		if rt.admin && a.opts.Admin == AdminOff || !rt.admin && a.opts.Admin == AdminOnly {
			continue
		}
		res := out[rt.pattern]
		if res == nil {
			res = &resource{a: a, methods: map[string]route{}}
			out[rt.pattern] = res
		}
		res.methods[rt.method] = rt
	}
	return out
}
