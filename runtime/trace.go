package runtime

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

const connectException = "org.apache.kafka.connect.errors.ConnectException: "

// taskTrace is what the status of a FAILED task shows: a first line as Kafka Connect's traces begin, for
// the tools that look for it, then connector, task, topic, partition, offset, cause and remedy.
func taskTrace(id TaskID, err error) string {
	var b strings.Builder
	headline := "Exiting WorkerSinkTask due to unrecoverable exception."
	var failure *task.Failure
	isRecord := errors.As(err, &failure) && failure.Offset >= 0 && failure.Topic != ""
	if isRecord && failure.Stage != "" && failure.Stage != "TASK_PUT" {
		headline = "Tolerance exceeded in error handler"
	}
	b.WriteString(connectException + headline + "\n")
	fmt.Fprintf(&b, "\tat connector %s, task %d\n", id.Connector, id.Task)
	var gone *task.OutOfRangeError
	switch {
	case isRecord:
		fmt.Fprintf(&b, "\tat topic %s, partition %d, offset %d\n", failure.Topic, failure.ID, failure.Offset)
	case errors.As(err, &gone):
		fmt.Fprintf(&b, "\tat topic %s, partition %d, offset %d\n", gone.Topic, gone.ID, gone.Offset)
	}
	fmt.Fprintf(&b, "Caused by: %v\n", err)
	fmt.Fprintf(&b, "Remedy: %s", remedy(id, err, isRecord, failure))
	return b.String()
}

// recordOf gives the attributes of the record that a failure is about; none when it is about no record.
func recordOf(err error) []any {
	var failure *task.Failure
	if errors.As(err, &failure) && failure.Offset >= 0 && failure.Topic != "" {
		return []any{"topic", failure.Topic, "partition", failure.ID, "offset", failure.Offset}
	}
	return nil
}

func remedy(id TaskID, err error, isRecord bool, failure *task.Failure) string {
	restart := fmt.Sprintf("then POST /connectors/%s/tasks/%d/restart", id.Connector, id.Task)
	var gone *task.OutOfRangeError
	class, _ := connector.Classify(err)
	switch {
	case errors.As(err, &gone):
		return "decide where to go on: offset.out.of.range=earliest, or stop the connector and PATCH its offsets; " + restart
	case errors.Is(err, task.ErrNotDeadLettered):
		return "let the connector write to its dead letter queue: the topic must exist, and its ACLs and max.message.bytes must allow it; " + restart
	case class == connector.ClassRetryable:
		return "none is needed if the cause passes by itself and errors.restart.enable is on; else correct it, " + restart
	case isRecord && failure.Stage != "":
		return "correct the cause, or let such records go to errors.deadletterqueue.topic.name with errors.tolerance=all, " + restart
	}
	return "correct the cause, " + restart
}

// connectorTrace is what the status of a FAILED connector shows.
func connectorTrace(name string, err error) string {
	return fmt.Sprintf("%sFailed to start connector: %s\nCaused by: %v\nRemedy: correct its configuration with PUT /connectors/%s/config, or what it refers to and POST /connectors/%s/restart?includeTasks=true",
		connectException, name, err, name, name)
}
