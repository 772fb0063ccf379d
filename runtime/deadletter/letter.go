// Package deadletter reads the records of dead letter queues: where a record was consumed first and why it was
// given up, as the error context headers say, and which operations on the queue concern it. It is pure.
package deadletter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Letter is one record of a dead letter queue.
type Letter struct {
	// Partition and Offset are its place in the queue.
	Partition int32
	Offset    int64
	// Origin is the record as it was consumed first: its place, and its headers without the error context. Its zero
	// Topic says that the error context is missing, so that nobody knows.
	Origin  task.Message
	Context []connector.RawHeader // the error context headers, as written
	// What the context says.
	Connector, Stage, Class, Exception, Message string
	Task                                        int
	// Attempts is how often the record was given up: 1, and one more for each replay that failed.
	Attempts int
}

const (
	topicHeader = task.ErrorHeaderPrefix + "topic"
	// maxAttempts bounds what is believed of the header.
	maxAttempts = 1 << 30
)

// Read takes a message of the queue apart. The last error context counts, and only that is taken off: a record that was
// consumed from another dead letter queue keeps that queue's. A context whose coordinates cannot be read is an error.
func Read(m *task.Message) (Letter, error) {
	l := Letter{Partition: m.ID, Offset: m.Offset, Origin: *m, Attempts: 1}
	l.Origin.Partition = task.Partition{}
	l.Origin.Offset = -1
	start := -1
	for i, h := range m.Headers {
		if h.Key == topicHeader {
			start = i
		}
	}
	if start < 0 {
		return l, nil
	}
	l.Origin.Headers = append([]connector.RawHeader(nil), m.Headers[:start]...)
	text := map[string]string{}
	for _, h := range m.Headers[start:] {
		switch name, ours := strings.CutPrefix(h.Key, task.ErrorHeaderPrefix); {
		case ours:
			text[name] = string(h.Value)
			l.Context = append(l.Context, h)
		case h.Key == task.AttemptsHeader:
			n, err := strconv.Atoi(string(h.Value))
			if err != nil || n < 1 || n > maxAttempts {
				return l, fmt.Errorf("header %s of the dead letter at %d:%d is %q, which is no number of attempts", h.Key, m.ID, m.Offset, clip(h.Value))
			}
			l.Attempts = n
		default:
			l.Origin.Headers = append(l.Origin.Headers, h)
		}
	}
	if len(l.Origin.Headers) == 0 {
		l.Origin.Headers = nil
	}
	partition, err := strconv.ParseInt(text["partition"], 10, 32)
	if err != nil || partition < 0 {
		return l, badHeader(m, "partition", text["partition"])
	}
	offset, err := strconv.ParseInt(text["offset"], 10, 64)
	if err != nil || offset < 0 {
		return l, badHeader(m, "offset", text["offset"])
	}
	if text["topic"] == "" {
		return l, badHeader(m, "topic", "")
	}
	l.Origin.Partition = task.Partition{Topic: text["topic"], ID: int32(partition)}
	l.Origin.Offset = offset
	l.Connector, l.Stage, l.Class = text["connector.name"], text["stage"], text["class.name"]
	l.Exception, l.Message = text["exception.class.name"], text["exception.message"]
	l.Task, _ = strconv.Atoi(text["task.id"])
	return l, nil
}

func badHeader(m *task.Message, name, value string) error {
	return fmt.Errorf("header %s%s of the dead letter at %d:%d is %q, so its first place is not known", task.ErrorHeaderPrefix, name, m.ID, m.Offset, clip([]byte(value)))
}

func clip(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "…"
	}
	return string(b)
}

// Placed tells whether the letter's first place is known: only then can it be replayed.
func (l *Letter) Placed() bool { return l.Origin.Topic != "" }
