package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

func TestARepeatOfAStartIsAcknowledgedAndCounted(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
	batch := frozen(t, s, change("Clientes", "u", "1", 7))
	if err := s.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	e.script(func(call) *reply { return fault(400, "ExecutionAlreadyExists") })
	if err := s.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	log := e.log("StartExecution")
	if len(log) != 2 || log[0] != log[1] {
		t.Errorf("the repeat is another call: %v", log)
	}
	for result, want := range map[string]float64{"started": 1, "duplicate": 1} {
		if n := task.metrics.Value("stepfunctions_executions_total", "domain", "clientes", "result", result); n != want {
			t.Errorf("%s: %v, want %v", result, n, want)
		}
	}
}

func TestAStartIsNotSentWhenTheMembershipEndsWhileItIsMade(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
	batch := frozen(t, s, change("Clientes", "u", "1", 7))
	var asked atomic.Int64
	ending := connector.WithStartCheck(t.Context(), func() bool { return asked.Add(1) == 1 })
	err := s.Deliver(ending, batch)
	if class, _ := connector.Classify(err); class != connector.ClassRetryable || !strings.Contains(err.Error(), "lost touch") {
		t.Errorf("class %v: %v, want the same batch to be tried again", class, err)
	}
	if log := e.log("StartExecution"); len(log) != 0 {
		t.Errorf("started: %v", log)
	}
	if err := s.Deliver(t.Context(), batch); err != nil || len(e.log("StartExecution")) != 1 {
		t.Errorf("%v and %d calls when it may go again, want 1", err, len(e.log("StartExecution")))
	}
}

func TestARecoveredBatchIsNamedByAllItsOffsetsAndNeverCut(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	first := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "batch.max.records", "4"))
	records := func() []*connector.Record { return updates(4) }
	if err := first.Deliver(t.Context(), frozen(t, first, records()...)); err != nil {
		t.Fatal(err)
	}
	// The next incarnation cuts smaller; the frozen batch must stay as it was.
	second := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "batch.max.bytes", "1024"))
	if err := second.Deliver(t.Context(), connectortest.Freeze(records()...)); err != nil {
		t.Fatal(err)
	}
	log := e.log("StartExecution")
	if len(log) != 2 || log[0] != log[1] {
		t.Fatalf("the recovered batch is another call:\n%v", log)
	}
	// A subset of the records keeps the name: the first try may have started it.
	if err := second.Deliver(t.Context(), connectortest.Freeze(records()...)[1:]); err != nil {
		t.Fatal(err)
	}
	if log = e.log("StartExecution"); log[2].name != log[0].name {
		t.Errorf("%s became %s", log[0].name, log[2].name)
	}
}

func TestARecoveredBatchThatNowBelongsToTwoDomainsStopsTheTask(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "domains", "exclusoes,clientes",
		"domain.exclusoes.topics", "clientes-alteracoes", "domain.exclusoes.operations", "delete", "domain.exclusoes.state.machine.arn", testARN+"Exclusoes"))
	err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1), change("Clientes", "d", "2", 2)))
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassFatal || !strings.Contains(err.Error(), "restore the former domain.* keys") {
		t.Errorf("class %v: %v", class, err)
	}
	if n := len(e.log("StartExecution")); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

func TestARecoveredBatchReportsWhatItCannotReadAndDeliversTheRest(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
	err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1), change("Clientes", "x", "2", 2), tombstone("Clientes", "3", 3), change("Clientes", "u", "4", 4)))
	partial, _ := errors.AsType[*connector.PartialError](err)
	if partial == nil || len(partial.Failed) != 1 || partial.Failed[1] == nil {
		t.Fatalf("%v", err)
	}
	if got := offsetsOf(t, e.log("StartExecution")[0].input); !slices.Equal(got, []int64{1, 4}) {
		t.Errorf("delivered %v", got)
	}
}

func TestWhenTheCallFailsEveryRecordHasItsOwnError(t *testing.T) {
	for code, others := range map[string]connector.Class{
		"ThrottlingException":   connector.ClassRetryable,
		"InvalidExecutionInput": connector.ClassRetryable, // one of them is at fault: they are tried again without the bad one, and then halved
	} {
		t.Run(code, func(t *testing.T) {
			e := newEndpoint(t, "STANDARD")
			s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
			e.script(func(call) *reply { return fault(400, code) })
			err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1), change("Clientes", "x", "2", 2), change("Clientes", "u", "4", 4)))
			partial, _ := errors.AsType[*connector.PartialError](err)
			if partial == nil || len(partial.Failed) != 3 {
				t.Fatalf("%v", err)
			}
			for i, want := range []connector.Class{others, connector.ClassRejected, others} {
				if class, _ := connector.Classify(partial.Failed[i]); class != want {
					t.Errorf("record %d: class %v, want %v", i, class, want)
				}
			}
		})
	}
	// Of one other it is known.
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
	e.script(func(call) *reply { return fault(400, "InvalidExecutionInput") })
	err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "x", "1", 1), change("Clientes", "u", "2", 2)))
	partial, _ := errors.AsType[*connector.PartialError](err)
	if partial == nil {
		t.Fatalf("%v", err)
	}
	if class, _ := connector.Classify(partial.Failed[1]); class != connector.ClassRejected {
		t.Errorf("class %v: %v", class, partial.Failed[1])
	}
}

func TestAnInputOverTheLimitIsRejectedWithoutACall(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
	err := s.Deliver(t.Context(), connectortest.Freeze(quotes(50000, 1), quotes(50000, 2)))
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassRejected || len(e.log("StartExecution")) != 0 {
		t.Errorf("class %v: %v", class, err)
	}
}

func TestAnExpressExecutionIsDeliveredOnlyWhenItSucceeded(t *testing.T) {
	for name, tc := range map[string]struct {
		reply *reply
		class connector.Class
	}{
		"timed out":                  {ended("TIMED_OUT", nil), connector.ClassRetryable},
		"a failed Lambda":            {ended("FAILED", map[string]any{"error": "Lambda.TooManyRequestsException", "cause": "rate"}), connector.ClassRetryable},
		"an error nobody thought of": {ended("FAILED", map[string]any{"error": "Surprise"}), connector.ClassRetryable},
		"no error name":              {ended("FAILED", nil), connector.ClassRetryable},
		"too much data":              {ended("FAILED", map[string]any{"error": "States.DataLimitExceeded", "cause": strings.Repeat("ç", 2000)}), connector.ClassRejected},
		"a refused change":           {ended("FAILED", map[string]any{"error": "Negocio.CPFInvalido", "cause": "x"}), connector.ClassRejected},
		"a fatal error":              {ended("FAILED", map[string]any{"error": "Negocio.Parar"}), connector.ClassFatal},
		"output that lists nonsense": {succeeded(`{"failed":[{"index":9}]}`), connector.ClassRetryable},
		"failed that is no list":     {succeeded(`{"failed":"all"}`), connector.ClassRetryable},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, "EXPRESS")
			s := newSink(t, newTask(t).TaskContext, settingsFor(e, "express.errors.reject", "States.DataLimitExceeded,Negocio.*", "express.errors.fatal", "Negocio.Parar"))
			e.script(func(c call) *reply {
				if c.op == "StartSyncExecution" {
					return tc.reply
				}
				return nil
			})
			err := s.Deliver(t.Context(), frozen(t, s, updates(3)...))
			if class, _ := connector.Classify(err); err == nil || class != tc.class {
				t.Errorf("class %v: %v", class, err)
			}
			if _, partial := errors.AsType[*connector.PartialError](err); partial || len(err.Error()) > 1200 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnExpressExecutionCanRefuseSingleChanges(t *testing.T) {
	for output, want := range map[string][]int{
		`{"failed":[{"index":1,"error":"CPF","cause":"invalid"},{"index":2,"error":"CPF"}],"ok":1}`: {1, 2},
		`{"failed":[]}`:   nil,
		`{"failed":null}`: nil,
		`{"rows":3}`:      nil,
		`"failed"`:        nil,
		``:                nil,
	} {
		e, task := newEndpoint(t, "EXPRESS"), newTask(t)
		s := newSink(t, task.TaskContext, settingsFor(e))
		e.script(func(c call) *reply {
			if c.op == "StartSyncExecution" {
				return succeeded(output)
			}
			return nil
		})
		err := s.Deliver(t.Context(), frozen(t, s, updates(3)...))
		partial, _ := errors.AsType[*connector.PartialError](err)
		var got []int
		if partial != nil {
			for i, err := range partial.Failed {
				if class, _ := connector.Classify(err); class != connector.ClassRejected {
					t.Errorf("%s: class %v", output, class)
				}
				got = append(got, i)
			}
			slices.Sort(got)
		}
		if !slices.Equal(got, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v refused, want %v: %v", output, got, want, err)
		}
		if n := task.metrics.Value("stepfunctions_changes_total", "domain", "clientes"); n != float64(3-len(want)) {
			t.Errorf("%s: %v changes counted", output, n)
		}
	}
}

func TestTheLongestEntryOfTheErrorListsDecides(t *testing.T) {
	table := errorTable{retry: []string{"*", "Db.Busy"}, reject: []string{"Db.*"}, fatal: []string{"Db.Gone*"}}
	for name, want := range map[string]connector.Class{
		"Db.Busy": connector.ClassRetryable, "Db.Bad": connector.ClassRejected, "Db.GoneNow": connector.ClassFatal,
		"Other": connector.ClassRetryable, "": connector.ClassRetryable,
	} {
		if got := table.class(name); got != want {
			t.Errorf("%q: class %v, want %v", name, got, want)
		}
	}
}

func TestADomainWithoutItsStateMachineWaitsAloneAndHealsByItself(t *testing.T) {
	e, task := newEndpoint(t, "EXPRESS"), newTask(t)
	var deployed atomic.Bool
	e.script(func(c call) *reply {
		if strings.Contains(c.machine, "Pedidos") && !deployed.Load() {
			return fault(400, "StateMachineDoesNotExist")
		}
		return nil
	})
	s := newSink(t, task.TaskContext, settingsFor(e, "domains", "clientes,pedidos",
		"domain.pedidos.topics", "pedidos-alteracoes", "domain.pedidos.state.machine.arn", testARN+"Pedidos:PROD"))
	waiting := frozen(t, s, change("Pedidos", "u", "1", 1))
	err := s.Deliver(t.Context(), waiting)
	if class, after := connector.Classify(err); class != connector.ClassRetryable || after == 0 || !strings.Contains(err.Error(), "create the state machine") {
		t.Errorf("class %v after %v: %v", class, after, err)
	}
	if err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 2))); err != nil {
		t.Errorf("the other domain: %v", err)
	}
	deployed.Store(true)
	if err := s.Deliver(t.Context(), waiting); err != nil {
		t.Error(err)
	}
	for _, c := range e.log("DescribeStateMachine") {
		if strings.HasSuffix(c.machine, ":PROD") {
			t.Errorf("the type was asked of the alias %s", c.machine)
		}
	}
	if log := e.log("StartSyncExecution"); len(log) != 2 || !strings.HasSuffix(log[1].machine, ":PROD") {
		t.Errorf("%v", log)
	}
}

func TestTheTypeIsAskedOnceForEachDomain(t *testing.T) {
	e := newEndpoint(t, "EXPRESS")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", fmt.Sprint(i), int64(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(e.log("DescribeStateMachine")); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAnAsynchronousStartOfAnExpressMachineStopsTheTask(t *testing.T) {
	e := newEndpoint(t, "EXPRESS")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard"))
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1)))
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassFatal || !strings.Contains(err.Error(), "execution.type=express") {
		t.Errorf("class %v: %v", class, err)
	}
}

func TestAnEndpointOfOurOwnIsCalledWithoutAHostPrefix(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, e *endpoint) []string{
		"aws.endpoint": func(_ *testing.T, e *endpoint) []string { return []string{"aws.endpoint", e.URL} },
		"aws.sfn.endpoint": func(_ *testing.T, e *endpoint) []string {
			return []string{"aws.endpoint", "http://127.0.0.1:1", "aws.sfn.endpoint", e.URL}
		},
		"AWS_ENDPOINT_URL_SFN": func(t *testing.T, e *endpoint) []string {
			t.Setenv("AWS_ENDPOINT_URL_SFN", e.URL)
			return []string{"aws.endpoint", ""}
		},
		"AWS_ENDPOINT_URL": func(t *testing.T, e *endpoint) []string {
			t.Setenv("AWS_ENDPOINT_URL", e.URL)
			return []string{"aws.endpoint", ""}
		},
		"aws.endpoint over AWS_ENDPOINT_URL_SFN": func(t *testing.T, e *endpoint) []string {
			t.Setenv("AWS_ENDPOINT_URL_SFN", "http://127.0.0.1:1")
			return []string{"aws.endpoint", e.URL}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, "EXPRESS")
			s := newSink(t, newTask(t).TaskContext, settingsFor(e, prepare(t, e)...))
			if err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1))); err != nil {
				t.Fatal(err)
			}
			if log := e.log("StartSyncExecution"); len(log) != 1 || strings.HasPrefix(log[0].host, "sync-") {
				t.Errorf("%v", log)
			}
		})
	}
}

func TestConnectionsAreReusedByMoreCallsAtOnceThanTheSDKKeepsConnections(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	task.MaxInFlight = 32
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
	var dials atomic.Int64
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{ConnectStart: func(string, string) { dials.Add(1) }})
	var all sync.WaitGroup
	for k := range task.MaxInFlight {
		all.Go(func() {
			for i := range 20 {
				if err := s.Deliver(ctx, frozen(t, s, change("Clientes", "u", fmt.Sprint(k), int64(1000*k+i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	// net/http gives up a connection whose write took 50 ms to report, which a busy machine can
	// bring about: hence a few more than calls at once, but far from the hundreds that ten kept connections give.
	if n := dials.Load(); n > int64(task.MaxInFlight)+8 {
		t.Errorf("%d connections for %d calls at once", n, task.MaxInFlight)
	}
}

func TestACallWithoutAnAnswerEndsAtItsTimeoutAndIsRetried(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "aws.request.timeout.ms", "50"))
	release := e.stall()
	defer release()
	began := time.Now()
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1)))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable {
		t.Errorf("class %v: %v", class, err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestNamesFollowTheReplayEpochOfTheFirstRecord(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	task.TaskContext.ReplayEpoch = func(_ string, _ int32, offset int64) int {
		if offset < 10 {
			return 3
		}
		return 0
	}
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
	for _, o := range []int64{9, 10} {
		if err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", o))); err != nil {
			t.Fatal(err)
		}
	}
	log := e.log("StartExecution")
	if !strings.Contains(log[0].name, "-o9-n1-e3-") || !strings.Contains(log[1].name, "-o10-n1-e0-") {
		t.Errorf("%s, %s", log[0].name, log[1].name)
	}
}

func TestWithNamesByChangeADuplicateFromBeforeKafkaStartsNothingTwice(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "execution.name", "change"))
	again := change("Clientes", "u", "1", 5)
	again.Origin.Offset = 6
	for _, r := range []*connector.Record{change("Clientes", "u", "1", 5), again, change("Clientes", "r", "1", 7), change("Clientes", "r", "1", 8)} {
		if err := s.Deliver(t.Context(), frozen(t, s, r)); err != nil {
			t.Fatal(err)
		}
	}
	log := e.log("StartExecution")
	if log[0].name != log[1].name || log[0].input == log[1].input {
		t.Errorf("the duplicate is %s, the first was %s", log[1].name, log[0].name)
	}
	if log[2].name == log[3].name || !strings.HasPrefix(log[2].name, "clientes-alteracoes-p3-o7-") {
		t.Errorf("rows of snapshots: %s, %s", log[2].name, log[3].name)
	}
}

func TestNewSinkEndsWithItsContext(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	release := e.stall()
	defer release()
	cfg, err := Connector{}.Config().Parse(settingsFor(e))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Connector{}.NewSink(ctx, cfg, newTask(t).TaskContext)
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable {
		t.Errorf("class %v: %v", class, err)
	}
}

// A real endpoint has the prefix; nothing here may call one.
func TestARealRegionKeepsTheHostPrefix(t *testing.T) {
	newEndpoint(t, "EXPRESS")
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "express"))
	var host string
	s.clients.sync.SetDial(func(_ context.Context, _, addr string) (net.Conn, error) {
		host = addr
		return nil, &net.DNSError{Err: "no network in tests", Name: addr}
	})
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1)))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable || host != "sync-states.sa-east-1.amazonaws.com:443" {
		t.Errorf("dialled %s: %v", host, err)
	}
}
