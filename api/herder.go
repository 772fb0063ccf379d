package api

import (
	"context"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

// Herder is the control plane that the REST API asks; *runtime.Herder implements it. Every error
// that a caller caused or can act on is a *runtime.Error; any other is answered with 500.
// Configurations take *string so that a JSON null can be told from a text.
type Herder interface {
	ServerInfo(ctx context.Context) (runtime.ServerInfo, error)
	Health(ctx context.Context) runtime.Health
	// Started waits until the worker knows the cluster's state. Stage is a sentence about what keeps it from that, "" for
	// nothing.
	Started(ctx context.Context) error
	Stage() string

	Connectors(ctx context.Context) ([]string, error)
	Connector(ctx context.Context, name string) (runtime.ConnectorInfo, error)
	Create(ctx context.Context, req runtime.CreateRequest) (runtime.ConnectorInfo, error)
	PutConfig(ctx context.Context, name string, cfg map[string]*string) (info runtime.ConnectorInfo, created bool, err error)
	PatchConfig(ctx context.Context, name string, patch map[string]*string) (runtime.ConnectorInfo, error)
	Delete(ctx context.Context, name string) error
	Pause(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
	// Restart gives nil when it has restarted the connector alone (204), else the status to answer with 202.
	Restart(ctx context.Context, name string, includeTasks, onlyFailed bool) (*runtime.ConnectorStatus, error)
	RestartTask(ctx context.Context, name string, task int) error

	Status(ctx context.Context, name string) (runtime.ConnectorStatus, error)
	TaskStatus(ctx context.Context, name string, task int) (runtime.TaskStatus, error)
	Tasks(ctx context.Context, name string) ([]runtime.TaskInfo, error)
	// Waiting tells what the connector's tasks wait for, WaitingHere only those of this worker.
	Waiting(ctx context.Context, name string) (runtime.Waiting, error)
	WaitingHere(ctx context.Context, name string) (runtime.Waiting, error)
	// Executions tells which deliveries were accepted by the destination and ended there without success.
	Executions(ctx context.Context, name string, q runtime.ExecutionsQuery) (runtime.Executions, error)
	Topics(ctx context.Context, name string) ([]string, error)
	ResetTopics(ctx context.Context, name string) error

	Offsets(ctx context.Context, name string) (runtime.Offsets, error)
	AlterOffsets(ctx context.Context, name string, offsets []runtime.PartitionOffset) (runtime.Message, error)
	ResetOffsets(ctx context.Context, name string) (runtime.Message, error)

	// ConnectorFiles tells how the files of connector.files.dir stand.
	ConnectorFiles(ctx context.Context) (runtime.ConnectorFiles, error)
	// DeadLetters lists what is in the connector's dead letter queue, DeadLetter shows one record of it.
	DeadLetters(ctx context.Context, name string, q runtime.LetterQuery) (runtime.Letters, error)
	DeadLetter(ctx context.Context, name string, partition int32, offset int64) (runtime.LetterDetail, error)
	ReplayDeadLetters(ctx context.Context, name string, req runtime.LetterRequest) (runtime.LetterOperation, error)
	DropDeadLetters(ctx context.Context, name string, req runtime.LetterRequest) (runtime.LetterOperation, error)
	CancelDeadLetters(ctx context.Context, name string) (runtime.LetterOperation, error)
	DeadLetterOperations(ctx context.Context, name string) (runtime.LetterOperations, error)

	Plugins(ctx context.Context, connectorsOnly bool) ([]runtime.PluginInfo, error)
	PluginConfig(ctx context.Context, plugin, version string) ([]config.KeyInfo, error)
	// Preview tells what a connector would do with one record, and does nothing.
	Preview(ctx context.Context, plugin string, req runtime.PreviewRequest) (runtime.Preview, error)
	Validate(ctx context.Context, plugin string, cfg map[string]*string) (runtime.Validation, error)

	Loggers(ctx context.Context) (map[string]runtime.LoggerLevel, error)
	Logger(ctx context.Context, name string) (runtime.LoggerLevel, error)
	// SetLogger gives the names of the affected loggers, sorted; cluster spreads the level to all workers.
	SetLogger(ctx context.Context, name, level string, cluster bool) ([]string, error)
}
