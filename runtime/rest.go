package runtime

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
)

// The shapes of Kafka Connect's REST API (kafka-connect user guide, "REST API"), shared by the
// herder that fills them and the api package that serves them.

// ServerInfo answers GET /.
type ServerInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	ClusterID string `json:"kafka_cluster_id"`
}

// TaskID names a task of a connector.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// String gives Kafka Connect's spelling, <connector>-<task>.
func (id TaskID) String() string { return fmt.Sprintf("%s-%d", id.Connector, id.Task) }

// ConnectorInfo is a connector's configuration and tasks. Secrets in Config are [hidden]; a nil
// value is the JSON null that was written.
type ConnectorInfo struct {
	Name   string             `json:"name"`
	Config map[string]*string `json:"config"`
	Tasks  []TaskID           `json:"tasks"`
	Type   string             `json:"type"`
	// OffsetsStatus tells of the initial offsets of a connector that was created with some (KIP-995).
	OffsetsStatus string `json:"offsets_status,omitempty"`
}

// TaskInfo is one entry of GET /connectors/{c}/tasks.
type TaskInfo struct {
	ID     TaskID             `json:"id"`
	Config map[string]*string `json:"config"`
}

// ConnectorStatus is a connector's state and that of its tasks, sorted by id.
type ConnectorStatus struct {
	Name      string       `json:"name"`
	Connector StateInfo    `json:"connector"`
	Tasks     []TaskStatus `json:"tasks"`
	Type      string       `json:"type"`
}

// StateInfo is the state of a connector on its worker.
type StateInfo struct {
	State    string `json:"state"` // UNASSIGNED RUNNING PAUSED STOPPED FAILED RESTARTING
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
	Version  string `json:"version,omitempty"`
	// Warning says why a connector that looks well is not (invariant 7); ours, absent in Kafka Connect.
	Warning string `json:"warning,omitempty"`
}

// TaskStatus is the state of one task.
type TaskStatus struct {
	ID int `json:"id"`
	StateInfo
}

// PartitionOffset is a sink connector's committed offset of one partition, in the shape of KIP-875.
type PartitionOffset struct {
	Partition map[string]any `json:"partition"` // kafka_topic, kafka_partition
	Offset    map[string]any `json:"offset"`    // kafka_offset; nil resets
}

// Offsets is the body of the offsets endpoints.
type Offsets struct {
	Offsets []PartitionOffset `json:"offsets"`
}

// Message is a body that only tells what happened.
type Message struct {
	Message string `json:"message"`
}

// CreateRequest is the body of POST /connectors.
type CreateRequest struct {
	Name         string             `json:"name"`
	Config       map[string]*string `json:"config"`
	InitialState string             `json:"initial_state"` // "", RUNNING, PAUSED or STOPPED, any case
	// InitialOffsets are committed before the connector's first task starts (KIP-995); nil when the request has none.
	InitialOffsets []PartitionOffset `json:"initial_offsets"`
}

// PluginInfo is one entry of GET /connector-plugins.
type PluginInfo struct {
	Class   string `json:"class"`
	Type    string `json:"type"` // sink, converter, header_converter, transformation, predicate
	Version string `json:"version,omitempty"`
}

// Validation answers PUT /connector-plugins/{p}/config/validate.
type Validation struct {
	Name       string             `json:"name"`
	ErrorCount int                `json:"error_count"`
	Groups     []string           `json:"groups"`
	Configs    []ValidationConfig `json:"configs"`
}

// ValidationConfig is one key of a Validation; Definition is nil for a key that nobody defines.
type ValidationConfig = config.KeyValue

// Health answers GET /health (KIP-1017). Status is healthy, starting (503) or unhealthy (500).
type Health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// LoggerLevel answers GET /admin/loggers/{logger}.
type LoggerLevel struct {
	Level        string `json:"level"`
	LastModified *int64 `json:"last_modified"` // milliseconds since 1970; null when never changed
}

// Error is a failed request with the HTTP status that Kafka Connect answers it with.
type Error struct {
	Status     int
	Message    string
	RetryAfter time.Duration // 0 when waiting does not help
}

// Error gives the message alone: it is the body's "message".
func (e *Error) Error() string { return e.Message }

// NotFound is a 404.
func NotFound(format string, a ...any) *Error { return newError(http.StatusNotFound, format, a) }

// BadRequest is a 400.
func BadRequest(format string, a ...any) *Error { return newError(http.StatusBadRequest, format, a) }

// Conflict is a 409.
func Conflict(format string, a ...any) *Error { return newError(http.StatusConflict, format, a) }

// Internal is a 500.
func Internal(format string, a ...any) *Error {
	return newError(http.StatusInternalServerError, format, a)
}

// mistake is of a configuration whose connector.class is missing or unknown, which a write refuses with 400, and Kafka Connect's
// validation with a 500 that its clients know.
type mistake struct{ refused *Error }

func (e *mistake) Error() string { return e.refused.Error() }
func (e *mistake) Unwrap() error { return e.refused }

// AsBadRequest gives such a mistake the status of one.
func AsBadRequest(err error) error {
	var m *mistake
	if errors.As(err, &m) {
		return BadRequest("%s", m.refused.Message)
	}
	return err
}

func newError(status int, format string, a []any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, a...)}
}
