package store

// State is what the entries of a log add up to. It is immutable: Reduce gives a new one that
// shares what did not change. Its maps must only be read.
type State struct {
	Connectors map[string]Connector
	Targets    map[string]Target
	Restarts   map[string]Restart
	Loggers    map[string]Logger
	// Replays outlive their connectors: a connector made again under the same name reads the same
	// consumer group.
	Replays map[string][]Replay
	// Files gives the file, of the folder that the leader watches, which owns a connector's configuration.
	Files map[string]string
	// DeadLetters outlive their connectors too: the queue does.
	DeadLetters map[string][]DeadLetterOperation

	// Adoptions outlive their connectors, as Replays do.
	Adoptions map[AdoptionKey]Adoption

	ConnectorStatus map[string]Status
	TaskStatus      map[TaskKey]Status
	Topics          map[TopicKey]Topic
	LetterProgress  map[string]DeadLetterProgress
}

// Connector is a connector's configuration as it was written: placeholders unresolved, secrets in
// clear. A nil value is a JSON null.
type Connector struct {
	Config map[string]*string
	// Offset of the entry; it grows with each write of the same connector.
	Offset int64
}

// TargetState is the state that a connector should be in.
type TargetState string

// The target states.
const (
	Started TargetState = "STARTED"
	Paused  TargetState = "PAUSED"
	Stopped TargetState = "STOPPED"
)

// Target is what a connector's operator asked for.
type Target struct {
	State TargetState
	// Idle says that the connector has no tasks although it is not stopped: it was created paused, or
	// paused after a stop. Kafka Connect keeps that in its commit-<connector> entries.
	Idle bool
}

// Target of a connector: STARTED unless an entry says otherwise.
func (s State) Target(name string) Target {
	if t, ok := s.Targets[name]; ok {
		return t
	}
	return Target{State: Started}
}

// Restart is the last request to restart a connector. Workers compare its Offset with that of the
// request which they acted on last.
type Restart struct {
	IncludeTasks, OnlyFailed bool
	Offset                   int64
}

// Logger is a level that was set for all workers.
type Logger struct {
	Level  string
	Offset int64
}

// Replay is the replay epoch of one partition: records below Below belong to Epoch, the others to 0.
type Replay struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Epoch     int    `json:"epoch"`
	Below     int64  `json:"below"`
}

// EpochOf gives the replay epoch of a record: 0, or the number of the deliberate replay that it
// belongs to.
func EpochOf(parts []Replay, topic string, partition int32, offset int64) int {
	for i := range parts {
		if p := &parts[i]; p.Partition == partition && p.Topic == topic {
			if offset < p.Below {
				return p.Epoch
			}
			return 0
		}
	}
	return 0
}

// Status is what a worker said about a connector or a task.
type Status struct {
	State    string // UNASSIGNED RUNNING PAUSED STOPPED FAILED RESTARTING
	WorkerID string
	Trace    string
	Version  string
	Warning  string
	// Generation is the offset of the plan under which the worker ran it.
	Generation int64
}

// Topic is a topic that a connector has read.
type Topic struct {
	Task       int
	Discovered int64 // milliseconds since 1970
}
