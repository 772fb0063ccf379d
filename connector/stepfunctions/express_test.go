package stepfunctions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// refusing is a sink whose Express executions fail with an error where fails says so for the offsets of their changes.
func refusing(t *testing.T, e *endpoint, name string, fails func(offsets []int64) bool, pairs ...string) (*Sink, testTask) {
	task := newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(e, append([]string{"execution.type", "express", "destination.retry.backoff.ms", "7000"}, pairs...)...))
	e.script(func(c call) *reply {
		if c.op == "StartSyncExecution" && fails(offsetsOf(t, c.input)) {
			return ended("FAILED", map[string]any{"error": name, "cause": "the reason"})
		}
		return nil
	})
	return s, task
}

func TestWhatTheSameInputMeetsEveryTimeIsRejectedAndWhatMayPassIsRetried(t *testing.T) {
	for name, want := range map[string]connector.Class{
		"States.QueryEvaluationError":   connector.ClassRejected,
		"States.Runtime":                connector.ClassRejected,
		"States.NoChoiceMatched":        connector.ClassRejected,
		"States.IntrinsicFailure":       connector.ClassRejected,
		"States.ParameterPathFailure":   connector.ClassRejected,
		"States.ResultPathMatchFailure": connector.ClassRejected,
		"States.DataLimitExceeded":      connector.ClassRejected,
		"ValidationError":               connector.ClassRejected,
		"States.Timeout":                connector.ClassRetryable,
		"States.HeartbeatTimeout":       connector.ClassRetryable,
		"States.TaskFailed":             connector.ClassRetryable,
		"States.Permissions":            connector.ClassRetryable,
		"States.BranchFailed":           connector.ClassRetryable,
		"States.Http.Socket":            connector.ClassRetryable,
		"RdsData.StatementTimeout":      connector.ClassRetryable,
		"Lambda.Unknown":                connector.ClassRetryable,
		"Negocio.Novo":                  connector.ClassRetryable,
	} {
		for _, records := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d changes", name, records), func(t *testing.T) {
				s, _ := refusing(t, newEndpoint(t, "EXPRESS"), name, func([]int64) bool { return true })
				err := s.Deliver(t.Context(), frozen(t, s, updates(records)...))
				if class, _ := connector.Classify(err); err == nil || class != want {
					t.Errorf("class %v, want %v: %v", class, want, err)
				}
				if _, partial := errors.AsType[*connector.PartialError](err); partial {
					t.Errorf("not the whole batch: %v", err) // the host could not halve it
				}
			})
		}
	}
}

func TestABrokenStateMachineIsNotTakenForBadChanges(t *testing.T) {
	const evaluation = "States.QueryEvaluationError"
	offset := int64(-1)
	broken := true
	deliver := func(t *testing.T, s *Sink, records ...*connector.Record) (connector.Class, error) {
		err := s.Deliver(t.Context(), connectortest.Freeze(records...))
		class, after := connector.Classify(err)
		if class == connector.ClassRetryable && after != 7*time.Second {
			t.Errorf("tried again after %v, not slowly", after)
		}
		return class, err
	}
	next := func() *connector.Record {
		offset++
		return change("Clientes", "u", fmt.Sprint("k", offset), offset)
	}
	for name, tc := range map[string]struct {
		error    string
		pairs    []string
		rejected int // changes in a row before one has to wait; -1: none ever
	}{
		"ten by default":                        {evaluation, nil, 10},
		"as many as are allowed":                {evaluation, []string{"express.errors.reject.in.a.row", "3"}, 3},
		"none":                                  {evaluation, []string{"express.errors.reject.in.a.row", "0"}, 0},
		"without limit":                         {evaluation, []string{"express.errors.reject.in.a.row", "-1"}, -1},
		"the machine's own errors are its word": {"Negocio.CPFInvalido", []string{"express.errors.reject", "Negocio.*", "express.errors.reject.in.a.row", "2"}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			broken = true
			s, task := refusing(t, newEndpoint(t, "EXPRESS"), tc.error, func([]int64) bool { return broken }, tc.pairs...)
			rejectAll := func() {
				n := tc.rejected
				if n < 0 {
					n = 50
				}
				for range n {
					if class, err := deliver(t, s, next()); class != connector.ClassRejected {
						t.Fatalf("class %v: %v", class, err)
					}
				}
			}
			rejectAll()
			if tc.rejected < 0 {
				return
			}
			waiting := next()
			for range 3 {
				class, err := deliver(t, s, waiting)
				if class != connector.ClassRetryable || !strings.Contains(err.Error(), "correct the state machine, or allow more by express.errors.reject.in.a.row") {
					t.Fatalf("class %v: %v", class, err)
				}
			}
			if n := task.metrics.Value("stepfunctions_call_errors_total", "domain", "clientes", "reason", "destination"); n != 3 {
				t.Errorf("%v errors of the destination are counted, want 3", n)
			}
			// A batch that holds bad changes is halved all the same: else a good one could not show that the machine works.
			if class, err := deliver(t, s, next(), next()); class != connector.ClassRejected {
				t.Errorf("class %v: %v", class, err)
			}
			broken = false
			if _, err := deliver(t, s, waiting); err != nil {
				t.Fatal(err)
			}
			broken = true
			rejectAll()
			if class, err := deliver(t, s, next()); class != connector.ClassRetryable {
				t.Errorf("class %v: %v", class, err)
			}
		})
	}
}

func TestAChangeAmongGoodOnesIsFoundByHalvingHoweverManyAreBad(t *testing.T) {
	// Bad changes more than the limit, one in each ten: what succeeds between them shows that the machine works.
	s, _ := refusing(t, newEndpoint(t, "EXPRESS"), "States.QueryEvaluationError", func(offsets []int64) bool {
		return slices.ContainsFunc(offsets, func(o int64) bool { return o%10 == 3 })
	})
	var rejected, delivered []int64
	var deliver func(batch []*connector.Record)
	deliver = func(batch []*connector.Record) { // as the host does
		err := s.Deliver(t.Context(), connectortest.Freeze(batch...))
		class, _ := connector.Classify(err)
		switch {
		case err == nil:
			for _, r := range batch {
				delivered = append(delivered, r.Origin.Offset)
			}
		case class != connector.ClassRejected:
			t.Fatalf("class %v: %v", class, err)
		case len(batch) > 1:
			deliver(batch[:len(batch)/2])
			deliver(batch[len(batch)/2:])
		default:
			rejected = append(rejected, batch[0].Origin.Offset)
		}
	}
	deliver(updates(200))
	if len(rejected) != 20 || len(delivered) != 180 {
		t.Errorf("%d rejected, %d delivered", len(rejected), len(delivered))
	}
	for _, o := range rejected {
		if o%10 != 3 {
			t.Errorf("offset %d is rejected", o)
		}
	}
}

// FuzzFailedChanges holds that any output of a state machine names changes of the input, or is refused.
func FuzzFailedChanges(f *testing.F) {
	for _, output := range []string{`{}`, `{"failed":[{"index":0,"error":"E","cause":"c"}]}`, `{"failed":[{"index":-1}]}`, `{"failed":{}}`, ` {"failed":null}`, `["failed"]`,
		`{"failed":[{"index":9007199254740993}]}`, `{"failed":[{"index":1.5}]}`, `{"failed"`} {
		f.Add(output, 2)
	}
	f.Fuzz(func(t *testing.T, output string, changes int) {
		failed, err := failedChanges(output, changes)
		if err != nil && failed != nil {
			t.Errorf("%v and %v", failed, err)
		}
		for i, reason := range failed {
			if i < 0 || i >= changes || reason == nil {
				t.Errorf("change %d of %d: %v", i, changes, reason)
			}
		}
	})
}
