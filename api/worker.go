package api

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

func (a *handler) serverInfo(r *request) (answer, error) {
	return read(a.herder.ServerInfo(r.Context()))
}

// health answers GET /health (KIP-1017): 503 while starting, 500 when the worker cannot answer.
func (a *handler) health(r *request) (answer, error) {
	h := a.herder.Health(r.Context())
	switch h.Status {
	case "healthy":
		return ok(h), nil
	case "starting":
		return answer{status: http.StatusServiceUnavailable, body: h, again: startingAgain}, nil
	}
	return answer{status: http.StatusInternalServerError, body: h}, nil
}

func (a *handler) listPlugins(r *request) (answer, error) {
	plugins, err := a.herder.Plugins(r.Context(), r.flag("connectorsOnly", true))
	if plugins == nil {
		plugins = []runtime.PluginInfo{}
	}
	return ok(plugins), err
}

func (a *handler) pluginConfig(r *request) (answer, error) {
	query := r.query()
	version := query.Get("version")
	if query.Has("version") && version == "" {
		return answer{}, runtime.BadRequest("The parameter version is empty: name a version or a range of versions, or leave it out")
	}
	keys, err := a.herder.PluginConfig(r.Context(), r.param("plugin"), version)
	if keys == nil {
		keys = []config.KeyInfo{}
	}
	return ok(keys), err
}

// validate answers PUT …/config/validate: 200 also for a configuration with errors.
func (a *handler) validate(r *request) (answer, error) {
	cfg, err := decodeStringMap(r.body)
	if err != nil {
		return answer{}, err
	}
	return read(a.herder.Validate(r.Context(), r.param("plugin"), cfg))
}

func (a *handler) listLoggers(r *request) (answer, error) {
	return read(a.herder.Loggers(r.Context()))
}

func (a *handler) getLogger(r *request) (answer, error) {
	return read(a.herder.Logger(r.Context(), r.param("logger")))
}

// setLogger answers PUT /admin/loggers/{l}: the names it changed, or 204 for the whole cluster
// (KIP-976). A scope that is neither means this worker, with a warning, as in Connect.
func (a *handler) setLogger(r *request) (answer, error) {
	body, err := decodeStringMap(r.body)
	if err != nil {
		return answer{}, err
	}
	level := body["level"]
	if level == nil {
		return answer{}, runtime.BadRequest("Desired 'level' parameter was not specified in request.")
	}
	scope := r.query().Get("scope")
	cluster := strings.EqualFold(scope, "cluster")
	if scope != "" && !cluster && !strings.EqualFold(scope, "worker") {
		a.log.WarnContext(r.Context(), "unknown scope of a logger level; it applies to this worker", "scope", scope)
	}
	names, err := a.herder.SetLogger(r.Context(), r.param("logger"), *level, cluster)
	if err != nil || cluster {
		return noContent(), err
	}
	if names == nil {
		names = []string{}
	}
	return ok(names), nil
}

// The two internal endpoints exist between JVM workers only: sinks need neither (docs/DESIGN.md, the
// control path). They answer as a worker does to somebody who does not hold the cluster's
// session key (KIP-507).

func (a *handler) internalTasks(r *request) (answer, error) {
	if err := checkTaskConfigs(r.body); err != nil {
		return answer{}, err
	}
	return answer{}, checkSignature(r)
}

func (a *handler) internalFence(r *request) (answer, error) { return answer{}, checkSignature(r) }

func checkSignature(r *request) error {
	const supported = "HmacSHA256"
	mac, algorithm := r.Header.Get("X-Connect-Authorization"), r.Header.Get("X-Connect-Request-Signature-Algorithm")
	if mac == "" || algorithm == "" {
		return runtime.BadRequest("Internal request missing required signature")
	}
	if algorithm != supported {
		return runtime.BadRequest("This worker does not support the '%s' key signing algorithm used by other workers. "+
			"This worker is currently configured to use: [%s]. Check that all workers' configuration files permit the same set of signature algorithms, "+
			"and correct any misconfigured worker and restart it.", algorithm, supported)
	}
	if _, err := base64.StdEncoding.DecodeString(mac); err != nil {
		return runtime.BadRequest("Internal request missing required signature")
	}
	return &runtime.Error{Status: http.StatusForbidden, Message: "Internal request contained invalid signature."}
}
