package task

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// Kafka Connect's names of the stages (org.apache.kafka.connect.runtime.errors.Stage).
const (
	stageKey       = "KEY_CONVERTER"
	stageValue     = "VALUE_CONVERTER"
	stageHeader    = "HEADER_CONVERTER"
	stageTransform = "TRANSFORMATION"
	stagePut       = "TASK_PUT"
)

// ErrorStages gives the names of all stages at which a record can be given up.
func ErrorStages() []string {
	return []string{stageKey, stageValue, stageHeader, stageTransform, stagePut}
}

// stageError is what failed on the way from bytes to the sink.
type stageError struct {
	stage, class string
	err          error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// runner does the work of deliveries: convert, cut, deliver, give up. It holds what the workers of a
// task share; all of it is safe for concurrent use.
type runner struct {
	*Config
	metrics *Metrics
	sink    connector.Sink
	dlq     Producer // nil without a dead letter queue
	lease   *lease
	waits   waits
}

// reread looks behind a message of a dead letter queue; false passes it over.
func (r *runner) reread(it *item) bool {
	if r.Reread == nil {
		return true
	}
	first, ok := r.Reread(&it.Message)
	it.reread = &first
	return ok
}

// convert turns a message into a record: key, value, headers, then the transforms, each tried
// again as errors.retry.* says. A nil record was filtered by a transform.
func (r *runner) convert(ctx context.Context, it *item) (*connector.Record, *stageError) {
	if !r.reread(it) {
		return nil, nil
	}
	m := &it.Message
	if it.reread != nil {
		m = &it.reread.Message
	}
	rec := &connector.Record{
		Topic: m.Topic, Partition: m.ID,
		Origin: connector.Origin{Topic: m.Topic, Partition: m.ID, Offset: m.Offset, Key: m.Key, Value: m.Value},
	}
	if m.Timestamp >= 0 {
		rec.Timestamp = time.UnixMilli(m.Timestamp).UTC()
	}
	err := r.attempt(ctx, it, stageKey, r.Pipeline.Key.Class, func() (err error) {
		rec.Key, err = r.Pipeline.Key.Converter.Convert(ctx, m.Topic, m.Headers, m.Key)
		return err
	})
	if err == nil {
		err = r.attempt(ctx, it, stageValue, r.Pipeline.Value.Class, func() (err error) {
			rec.Value, err = r.Pipeline.Value.Converter.Convert(ctx, m.Topic, m.Headers, m.Value)
			return err
		})
	}
	if err == nil && r.Pipeline.Header.Converter != nil && len(m.Headers) > 0 {
		err = r.attempt(ctx, it, stageHeader, r.Pipeline.Header.Class, func() error {
			rec.Headers = make([]connector.Header, len(m.Headers))
			for i, h := range m.Headers {
				v, err := r.Pipeline.Header.Converter.ConvertHeader(m.Topic, h.Key, h.Value)
				if err != nil {
					return fmt.Errorf("header %q: %w", h.Key, err)
				}
				rec.Headers[i] = connector.Header{Key: h.Key, Value: v}
			}
			return nil
		})
	}
	for i := range r.Pipeline.Steps {
		if err != nil || rec == nil {
			break
		}
		step := &r.Pipeline.Steps[i]
		err = r.attempt(ctx, it, stageTransform, step.Class, func() (err error) {
			rec, err = step.apply(rec)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// Convert takes one message through the pipeline, once: for showing it. A nil record was filtered by a transform.
func (p *Pipeline) Convert(ctx context.Context, m *Message) (*connector.Record, error) {
	r := runner{Config: &Config{Pipeline: *p}, metrics: new(Metrics)}
	rec, err := r.convert(ctx, &item{Message: *m})
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", err.stage, err.class, err.err)
	}
	return rec, nil
}

// apply runs the transform where its predicate says so. Errors stay as they are: the stage and the class
// tell where they come from, and the dead letter's message is the one that Kafka Connect's users know.
func (s *Step) apply(rec *connector.Record) (*connector.Record, error) {
	if s.Predicate != nil {
		hit, err := s.Predicate.Test(rec)
		if err != nil {
			return nil, err
		}
		if hit == s.Negate {
			return rec, nil
		}
	}
	return s.Transform.Apply(rec)
}

// firstRetryDelay is Kafka Connect's: RetryWithToleranceOperator.RETRIES_DELAY_MIN_MS.
const firstRetryDelay = 300 * time.Millisecond

// attempt runs one operation, again and again while it fails with a Retryable error and
// errors.retry.timeout has not passed. The waits are Kafka Connect's: 300 ms doubled each time, and
// past errors.retry.delay.max.ms a random part of that.
func (r *runner) attempt(ctx context.Context, it *item, stage, class string, op func() error) *stageError {
	err := op()
	if err == nil {
		return nil
	}
	start, settings := time.Now(), &r.Settings
	defer r.waits.end(&it.Message)
	for k := 0; ; k++ {
		r.metrics.Failures.Add(1)
		if c, _ := connector.Classify(err); c != connector.ClassRetryable {
			return &stageError{stage, class, err}
		}
		left := settings.ErrorRetryTimeout - time.Since(start)
		if settings.ErrorRetryTimeout >= 0 && left <= 0 {
			return &stageError{stage, class, err}
		}
		wait := retryDelay(k, settings.ErrorRetryDelayMax)
		if settings.ErrorRetryTimeout >= 0 {
			wait = min(wait, left)
		}
		r.waits.note(&it.Message, fmt.Errorf("%s: %w", stage, err), wait)
		if !sleep(ctx, wait) {
			return &stageError{stage, class, connector.Retryable(fmt.Errorf("%w (stopped while waiting to try again)", err))}
		}
		r.metrics.Retries[operationOf(stage)].Add(1)
		if err = op(); err == nil {
			return nil
		}
	}
}

func retryDelay(k int, most time.Duration) time.Duration {
	if d := firstRetryDelay << min(k, 30); d <= most {
		return d
	}
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// sleep waits; it reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
