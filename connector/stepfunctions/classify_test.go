package stepfunctions

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// Each case goes through the SDK and HTTP, as the real answers do.
func TestEveryErrorOfACallMeansWhatTheTableSays(t *testing.T) {
	const slow = 10 * time.Second
	for name, tc := range map[string]struct {
		reply  *reply
		class  connector.Class
		after  time.Duration
		reason string
	}{
		"throttling":                   {fault(400, "ThrottlingException"), connector.ClassRetryable, 0, "throttled"},
		"throttling with a wait":       {&reply{status: 400, header: map[string]string{"x-amz-retry-after": "1500"}, body: map[string]string{"__type": "ThrottlingException"}}, connector.ClassRetryable, 1500 * time.Millisecond, "throttled"},
		"status 429":                   {&reply{status: 429, header: map[string]string{"Retry-After": "3"}, body: "slow down"}, connector.ClassRetryable, 3 * time.Second, "throttled"},
		"KMS throttling":               {fault(400, "KmsThrottlingException"), connector.ClassRetryable, 0, "throttled"},
		"a million open executions":    {fault(400, "ExecutionLimitExceeded"), connector.ClassRetryable, slow, "quota"},
		"status 500":                   {fault(500, "InternalServerError"), connector.ClassRetryable, 0, "unknown_outcome"},
		"status 502 from a proxy":      {&reply{status: 502, body: "<html>bad gateway</html>"}, connector.ClassRetryable, 0, "unknown_outcome"},
		"status 503":                   {fault(503, "ServiceUnavailable"), connector.ClassRetryable, 0, "unknown_outcome"},
		"a connection that breaks off": {&reply{hangUp: true}, connector.ClassRetryable, 0, "unknown_outcome"},
		"an answer that is no JSON":    {&reply{status: 200, body: "<html>"}, connector.ClassRetryable, 0, "unknown_outcome"},
		"access denied":                {fault(400, "AccessDeniedException"), connector.ClassRetryable, slow, "permission"},
		"an expired token":             {fault(400, "ExpiredTokenException"), connector.ClassRetryable, slow, "permission"},
		"an unknown client":            {fault(400, "UnrecognizedClientException"), connector.ClassRetryable, slow, "permission"},
		"status 403 without a code":    {&reply{status: 403, body: "no"}, connector.ClassRetryable, slow, "permission"},
		"a KMS key without permission": {fault(400, "KmsAccessDeniedException"), connector.ClassRetryable, slow, "permission"},
		"a disabled KMS key":           {fault(400, "KmsInvalidStateException"), connector.ClassRetryable, slow, "permission"},
		"no such state machine":        {fault(400, "StateMachineDoesNotExist"), connector.ClassRetryable, slow, "destination"},
		"a state machine being gone":   {fault(400, "StateMachineDeleting"), connector.ClassRetryable, slow, "destination"},
		"a wrong ARN":                  {fault(400, "InvalidArn"), connector.ClassRetryable, slow, "destination"},
		"the wrong type":               {fault(400, "StateMachineTypeNotSupported"), connector.ClassRetryable, slow, "destination"},
		"an input that is refused":     {fault(400, "InvalidExecutionInput"), connector.ClassRejected, 0, "input"},
		"a name that is refused":       {fault(400, "InvalidName"), connector.ClassRejected, 0, "input"},
		"a validation error":           {fault(400, "ValidationException"), connector.ClassRejected, 0, "input"},
		"status 413":                   {&reply{status: 413, body: "too large"}, connector.ClassRejected, 0, "input"},
		"a code from the future":       {fault(400, "SomethingNewException"), connector.ClassRetryable, slow, "unclassified"},
	} {
		t.Run(name, func(t *testing.T) {
			e, task := newEndpoint(t, "STANDARD"), newTask(t)
			s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
			e.script(func(call) *reply { return tc.reply })
			err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 7)))
			class, after := connector.Classify(err)
			if err == nil || class != tc.class || after != tc.after {
				t.Errorf("class %v after %v: %v", class, after, err)
			}
			failures := task.metrics.Value("stepfunctions_call_errors_total", "domain", "clientes", "reason", tc.reason)
			slowed := task.metrics.Value("stepfunctions_throttled_calls_total", "account", "000000000000", "region", "sa-east-1", "call", callStart)
			if throttled := tc.reason == "throttled"; failures+slowed != 1 || (slowed == 1) != throttled || connector.IsThrottled(err) != throttled {
				t.Errorf("%s is counted %v times as a failure and %v times as throttled", tc.reason, failures, slowed)
			}
			if n := len(e.log("StartExecution")); n != 1 {
				t.Errorf("%d attempts: the host owns retries", n)
			}
			for _, part := range []string{"domain clientes", testARN + "Clientes", "clientes-alteracoes-p3-o7-n1-e0-"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %s", err, part)
				}
			}
		})
	}
}

func TestEveryRowOfTheErrorTableHoldsForBothCalls(t *testing.T) {
	for kind, machines := range map[string]string{"standard": "STANDARD", "express": "EXPRESS"} {
		e, task := newEndpoint(t, machines), newTask(t)
		s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", kind, "batch.max.records", "1"))
		for code, want := range verdicts {
			s.router.domains[0].budgets[standard].pace, s.router.domains[0].budgets[express].pace = pace{}, pace{}
			e.script(func(call) *reply { return fault(400, code) })
			err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 7)))
			class, after := connector.Classify(err)
			ok := false
			switch want.action {
			case actAcknowledge:
				ok = err == nil
			case actRetry:
				ok = class == connector.ClassRetryable && after == 0
			case actRetrySlowly:
				ok = class == connector.ClassRetryable && after == s.settings.slowRetry && strings.Contains(err.Error(), want.remedy)
			case actReject:
				ok = class == connector.ClassRejected
			}
			if !ok || err != nil && !strings.Contains(err.Error(), code) {
				t.Errorf("%s of a %s start: class %v after %v: %v", code, kind, class, after, err)
			}
		}
	}
}

// frozen cuts records that make one call and freezes it.
func frozen(t testing.TB, s *Sink, records ...*connector.Record) []*connector.Record {
	t.Helper()
	batches, err := connectortest.Calls(s, records)
	if err != nil || len(batches) != 1 {
		t.Fatalf("%d calls, %v", len(batches), err)
	}
	return batches[0]
}

func TestMissingCredentialsAreRetriedSlowlyWithTheRemedy(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 7)))
	class, after := connector.Classify(err)
	if class != connector.ClassRetryable || after != 10*time.Second || !strings.Contains(err.Error(), "set AWS credentials") {
		t.Errorf("class %v after %v: %v", class, after, err)
	}
	if n := task.metrics.Value("stepfunctions_call_errors_total", "domain", "clientes", "reason", "permission"); n != 1 {
		t.Errorf("counted %v times", n)
	}
}

func TestAnEndpointThatIsNotThereIsRetried(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard"))
	e.Close()
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 7)))
	if class, _ := connector.Classify(err); class != connector.ClassRetryable {
		t.Errorf("class %v: %v", class, err)
	}
}

func TestEveryVerdictOfTheTableHasAMeaning(t *testing.T) {
	for code, v := range verdicts {
		if v.action == actRetrySlowly && v.remedy == "" {
			t.Errorf("%s waits for a person and tells them nothing", code)
		}
	}
	if v := classifyStatus(http.StatusTeapot); v.action != actRetrySlowly {
		t.Errorf("a status without meaning must not lose records: %+v", v)
	}
}
