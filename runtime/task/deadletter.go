package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// ErrorHeaderPrefix begins the names of Kafka Connect's error context headers (KIP-298).
const ErrorHeaderPrefix = "__connect.errors."

// AttemptsHeader tells in a dead letter that a replay has written how often the record was given up; Kafka Connect
// has no such header.
const AttemptsHeader = "__stepconnect.errors.attempts"

// Reread is a message of a dead letter queue as it was consumed first.
type Reread struct {
	Message
	Attempts int // how often it was given up
}

// errStopped says that the task ended before the fate of a record was known: it is not settled.
var errStopped = errors.New("task stopped before the record was settled")

// ErrNotDeadLettered is in the chain of a failure whose record should have been copied to the dead
// letter queue, and was not.
var ErrNotDeadLettered = errors.New("its copy could not be written to the dead letter queue")

// giveUp decides about a record that can never be delivered as it is: logged, copied to the dead
// letter queue, and then settled under errors.tolerance=all (nil), or the task's failure. Under
// tolerance none the copy does not settle it (invariant 1).
func (r *runner) giveUp(ctx context.Context, it *item, cause *stageError) error {
	s := &r.Settings
	r.metrics.Errors.Add(1)
	r.metrics.LastError.Store(time.Now().UnixMilli())
	if s.LogErrors {
		r.metrics.Logged.Add(1)
		first := &it.first().Message
		r.Log.ErrorContext(connector.WithTrace(ctx, connector.TraceOf(first.Headers)), errorLine(r.Config, first, cause),
			"topic", first.Topic, "partition", first.ID, "offset", first.Offset, "error", cause.err)
	}
	failure := &Failure{Partition: it.Partition, Offset: it.Offset, Stage: cause.stage, Class: cause.class, Err: cause.err}
	if r.dlq != nil {
		if err := r.deadLetter(ctx, it, cause); err != nil {
			if ctx.Err() != nil {
				return errStopped
			}
			failure.Err = fmt.Errorf("%w; and %w %s: %w", cause.err, ErrNotDeadLettered, s.DeadLetterTopic, err)
			return failure
		}
		r.metrics.DeadLettered.Add(1)
	}
	if !s.TolerateAll {
		failure.Err = fmt.Errorf("tolerance exceeded in error handler (errors.tolerance=none): %w", cause.err)
		return failure
	}
	if r.dlq == nil {
		r.metrics.Skipped.Add(1)
	}
	return nil
}

// deadLetter writes the record as consumed, with the error's context, until it is durable. What the
// brokers refuse for its size goes again without the stack trace, then without any context.
func (r *runner) deadLetter(ctx context.Context, it *item, cause *stageError) error {
	first := it.first()
	context := []connector.RawHeader(nil)
	if r.Settings.DeadLetterContext {
		context = contextHeaders(r.Config, first, cause)
	}
	defer r.waits.end(&it.Message)
	for backoff := r.Settings.RetryBackoff; ; {
		m := Outgoing{
			Topic: r.Settings.DeadLetterTopic, Key: it.Key, Value: it.Value, Timestamp: it.Timestamp,
			Headers: append(append(make([]connector.RawHeader, 0, len(first.Headers)+len(context)), first.Headers...), context...),
		}
		r.metrics.DLQRequests.Add(1)
		err := r.dlq.Produce(ctx, m)
		if err == nil {
			return nil
		}
		r.metrics.DLQFailures.Add(1)
		switch class, _ := connector.Classify(err); {
		case class == connector.ClassRetryable && r.Settings.TolerateAll:
			r.waits.note(&it.Message, fmt.Errorf("dead letter queue %s: %w", r.Settings.DeadLetterTopic, err), backoff)
			if !sleep(ctx, backoff) {
				return err
			}
			r.metrics.Retries[OpDeadLetter].Add(1)
			backoff = min(2*backoff, r.Settings.RetryBackoffMax)
		case class == connector.ClassRejected && len(context) > 0:
			context = shorter(context)
		default:
			return err
		}
	}
}

// shorter leaves the stack trace out, and then everything.
func shorter(context []connector.RawHeader) []connector.RawHeader {
	at := slices.IndexFunc(context, func(h connector.RawHeader) bool { return h.Key == ErrorHeaderPrefix+"exception.stacktrace" })
	if at < 0 {
		return nil
	}
	return slices.Delete(slices.Clone(context), at, at+1)
}

// contextHeaders are the headers of Kafka Connect's DeadLetterQueueReporter, in its order; of a dead letter that was
// read again those of its first place, and the number of attempts.
func contextHeaders(cfg *Config, first *Reread, cause *stageError) []connector.RawHeader {
	class := exceptionClass(cause)
	text := func(key, value string) connector.RawHeader {
		return connector.RawHeader{Key: ErrorHeaderPrefix + key, Value: []byte(value)}
	}
	stageClass := cause.class
	if cause.stage == stagePut {
		stageClass = "org.apache.kafka.connect.sink.SinkTask"
	}
	headers := []connector.RawHeader{
		text("topic", first.Topic),
		text("partition", strconv.Itoa(int(first.ID))),
		text("offset", strconv.FormatInt(first.Offset, 10)),
		text("connector.name", cfg.Connector),
		text("task.id", strconv.Itoa(cfg.ID)),
		text("stage", cause.stage),
		text("class.name", stageClass),
		text("exception.class.name", class),
		text("exception.message", exceptionMessage(cause.err)),
		text("exception.stacktrace", stackTrace(class, cause.err)),
	}
	if first.Attempts > 0 {
		headers = append(headers, connector.RawHeader{Key: AttemptsHeader, Value: []byte(strconv.Itoa(first.Attempts + 1))})
	}
	return headers
}

// exceptionClass names the Java exception that Kafka Connect's users know for an error; an error can
// name its own by a method ExceptionClass() string.
func exceptionClass(cause *stageError) string {
	var named interface{ ExceptionClass() string }
	if errors.As(cause.err, &named) {
		return named.ExceptionClass()
	}
	switch class, _ := connector.Classify(cause.err); {
	case class == connector.ClassRetryable:
		return "org.apache.kafka.connect.errors.RetriableException"
	case cause.stage == stagePut:
		return "org.apache.kafka.connect.errors.ConnectException"
	}
	return "org.apache.kafka.connect.errors.DataException"
}

// exceptionMessage is the message as Kafka Connect's exception has it: an error can tell it by a method
// ExceptionMessage() string where its own text says more.
func exceptionMessage(err error) string {
	var told interface{ ExceptionMessage() string }
	if errors.As(err, &told) {
		return told.ExceptionMessage()
	}
	return err.Error()
}

// stackTrace writes an error and its causes the way Java prints them, without frames.
func stackTrace(class string, err error) string {
	var b strings.Builder
	b.WriteString(class + ": " + err.Error())
	for last := err.Error(); err != nil; err = errors.Unwrap(err) {
		if text := err.Error(); text != last {
			fmt.Fprintf(&b, "\nCaused by: %T: %s", err, text)
			last = text
		}
	}
	return b.String()
}

// errorLine is the message of Kafka Connect's LogReporter.
func errorLine(cfg *Config, it *Message, cause *stageError) string {
	line := fmt.Sprintf("Error encountered in task %s-%d. Executing stage '%s' with class '%s'", cfg.Connector, cfg.ID, cause.stage, cause.class)
	if !cfg.Settings.LogMessages {
		return line + "."
	}
	line += fmt.Sprintf(", where consumed record is {topic='%s', partition=%d, offset=%d", it.Topic, it.ID, it.Offset)
	if it.TimestampType != "" {
		line += fmt.Sprintf(", timestamp=%d, timestampType=%s", it.Timestamp, it.TimestampType)
	}
	return line + "}."
}
