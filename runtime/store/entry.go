// Package store holds what a cluster of workers agrees on: a State that is the fold of a log of
// entries. Keys and values have the shapes of Kafka Connect's own config and status topics, so
// that the topics of an existing Connect cluster can be read and taken over as they are.
//
// The fold is last-write-wins per key and nothing else: no entry's meaning depends on an earlier
// one. That is what makes every compaction of a log give the same State as the log itself. It
// has one consequence that is not obvious: a value that cannot be read counts as absent, since
// compaction would have removed the readable one before it.
package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Entry is one record of a log. A nil Value is a tombstone: the key is gone.
type Entry struct {
	Key, Value []byte
	// Offset in the log; Append ignores it.
	Offset int64
}

// Key prefixes of the config topic and the status topic, as Kafka Connect spells them
// (KafkaConfigBackingStore, KafkaStatusBackingStore); replay-, file-, adopted-, dead-letters- and status-dead-letters- are ours.
const (
	prefixConnector       = "connector-"
	prefixTarget          = "target-state-"
	prefixRestart         = "restart-connector-"
	prefixLogger          = "logger-cluster-"
	prefixReplay          = "replay-"
	prefixFile            = "file-"
	prefixAdopted         = "adopted-"
	prefixDeadLetters     = "dead-letters-"
	prefixConnectorStatus = "status-connector-"
	prefixTaskStatus      = "status-task-"
	prefixTopicStatus     = "status-topic-"
	prefixLetterStatus    = "status-dead-letters-"
	topicSeparator        = ":connector-"

	keySession = "session-key"
)

// foreignPrefixes are of records that only JVM workers need: the tasks of a sink follow from its
// connector's configuration.
var foreignPrefixes = [...]string{"task-", "commit-", "tasks-fencing-"}

// TaskKey names a task of a connector.
type TaskKey struct {
	Connector string
	Task      int
}

// TopicKey names a topic that a connector has read.
type TopicKey struct {
	Connector, Topic string
}

// Tombstone is the entry that removes key.
func Tombstone(key string) Entry { return Entry{Key: []byte(key)} }

// ConnectorEntry sets a connector's configuration. A nil value is a JSON null.
func ConnectorEntry(name string, config map[string]*string) Entry {
	return entry(ConnectorKey(name), connectorJSON{Properties: config})
}

// TargetEntry sets the state that a connector should be in.
func TargetEntry(name string, t Target) Entry {
	v := targetJSON{State: string(t.State), StateV2: string(t.State), Idle: t.Idle}
	if t.State == Stopped {
		// Readers older than KIP-875 know no STOPPED.
		v.State = string(Paused)
	}
	return entry(TargetKey(name), v)
}

// RestartEntry asks the workers to restart a connector or its tasks.
func RestartEntry(name string, r Restart) Entry {
	return entry(prefixRestart+name, restartJSON{IncludeTasks: &r.IncludeTasks, OnlyFailed: &r.OnlyFailed})
}

// LoggerEntry sets the level of a logger on all workers.
func LoggerEntry(namespace, level string) Entry {
	return entry(prefixLogger+namespace, loggerJSON{Level: &level})
}

// ReplayEntry sets the replay epochs of a connector's partitions.
func ReplayEntry(name string, parts []Replay) Entry {
	return entry(prefixReplay+name, replayJSON{Partitions: parts})
}

// FileEntry says which file owns a connector's configuration.
func FileEntry(connector, file string) Entry {
	return entry(FileKey(connector), fileJSON{File: &file})
}

// ConnectorStatusEntry sets what a worker last said about a connector.
func ConnectorStatusEntry(name string, s Status) Entry {
	return entry(ConnectorStatusKey(name), statusToJSON(s))
}

// TaskStatusEntry sets what a worker last said about a task.
func TaskStatusEntry(k TaskKey, s Status) Entry { return entry(TaskStatusKey(k), statusToJSON(s)) }

// TopicEntry records that a connector has read a topic, found by task at discovered (milliseconds
// since 1970).
func TopicEntry(k TopicKey, task int, discovered int64) Entry {
	return entry(TopicStatusKey(k), topicStatusJSON{Topic: &topicJSON{
		Name: k.Topic, Connector: k.Connector, Task: task, Discovered: discovered}})
}

// ConnectorKey is the key of a connector's configuration.
func ConnectorKey(name string) string { return prefixConnector + name }

// TargetKey is the key of a connector's target state.
func TargetKey(name string) string { return prefixTarget + name }

// RestartKey is the key of a request to restart a connector.
func RestartKey(name string) string { return prefixRestart + name }

// FileKey is the key of the file that owns a connector.
func FileKey(name string) string { return prefixFile + name }

// ConnectorStatusKey is the key of a connector's status.
func ConnectorStatusKey(name string) string { return prefixConnectorStatus + name }

// TaskStatusKey is the key of a task's status.
func TaskStatusKey(k TaskKey) string {
	return prefixTaskStatus + k.Connector + "-" + strconv.Itoa(k.Task)
}

// TopicStatusKey is the key under which a topic is noted as used by a connector.
func TopicStatusKey(k TopicKey) string {
	return prefixTopicStatus + k.Topic + topicSeparator + k.Connector
}

// entry marshals one of the shapes below; they hold nothing that JSON cannot.
func entry(key string, v any) Entry {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("value of %s: %v", key, err))
	}
	return Entry{Key: []byte(key), Value: b}
}

// parseTaskKey splits "<connector>-<task>" at its last dash, as Kafka Connect does.
func parseTaskKey(s string) (TaskKey, error) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return TaskKey{}, fmt.Errorf("%q is not <connector>-<task>", s)
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 31)
	if err != nil {
		return TaskKey{}, fmt.Errorf("%q does not end with a task number", s)
	}
	if strconv.FormatUint(n, 10) != s[i+1:] {
		return TaskKey{}, fmt.Errorf("%q does not end with a plain task number", s)
	}
	return TaskKey{Connector: s[:i], Task: int(n)}, nil
}

// parseTopicKey splits "<topic>:connector-<connector>"; no topic name holds a colon.
func parseTopicKey(s string) (TopicKey, error) {
	topic, conn, ok := strings.Cut(s, topicSeparator)
	if !ok || topic == "" || conn == "" {
		return TopicKey{}, fmt.Errorf("%q is not <topic>%s<connector>", s, topicSeparator)
	}
	return TopicKey{Connector: conn, Topic: topic}, nil
}
