package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

func TestARoleThatMayNotDescribeIsToldWhatItNeeds(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	e.script(func(c call) *reply {
		if c.op == "DescribeStateMachine" {
			return fault(400, "AccessDeniedException")
		}
		return nil
	})
	s := newSink(t, task.TaskContext, settingsFor(e))
	err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1)))
	class, after := connector.Classify(err)
	if class != connector.ClassRetryable || after != s.settings.slowRetry || !strings.Contains(err.Error(), "states:DescribeStateMachine on "+testARN+"Clientes") ||
		!strings.Contains(err.Error(), "domain.clientes.execution.type") {
		t.Errorf("class %v after %v: %v", class, after, err)
	}
	if n := len(e.log("StartExecution", "StartSyncExecution")); n != 0 {
		t.Errorf("%d starts of a type that nobody knows", n)
	}
	// Told the type, the same role delivers.
	s = newSink(t, task.TaskContext, settingsFor(e, "domain.clientes.execution.type", "standard"))
	if err := s.Deliver(t.Context(), frozen(t, s, change("Clientes", "u", "1", 1))); err != nil {
		t.Error(err)
	}
}

func TestAMachineThatIsDeletedUnderWayStopsItsDomainOnly(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard", "domains", "clientes,pedidos",
		"domain.pedidos.topics", "pedidos-alteracoes", "domain.pedidos.state.machine.arn", testARN+"Pedidos"))
	deliver := func(table string, offset int64) error {
		return s.Deliver(t.Context(), connectortest.Freeze(change(table, "u", "1", offset)))
	}
	for i, code := range []string{"", "StateMachineDeleting", "StateMachineDoesNotExist", ""} {
		e.script(func(c call) *reply {
			if code != "" && c.machine == testARN+"Pedidos" {
				return fault(400, code)
			}
			return nil
		})
		if err := deliver("Clientes", int64(i)); err != nil {
			t.Errorf("clientes while pedidos answers %q: %v", code, err)
		}
		err := deliver("Pedidos", int64(i))
		class, after := connector.Classify(err)
		if code == "" && err != nil || code != "" && (class != connector.ClassRetryable || after != s.settings.slowRetry) {
			t.Errorf("pedidos, %q: class %v after %v: %v", code, class, after, err)
		}
	}
}

func TestAWebIdentityTokenThatIsReplacedIsReadAnew(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	var mu sync.Mutex // guards used and expired
	var used []string
	expired := ""
	both := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err == nil && r.PostForm.Get("Action") == "AssumeRoleWithWebIdentity" {
			_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
				<AccessKeyId>of-%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration>
				</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
				r.PostForm.Get("WebIdentityToken"), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
			return
		}
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(rest, "/")
		mu.Lock()
		used = append(used, key)
		refuse := key == expired
		mu.Unlock()
		if refuse {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`)
			return
		}
		e.ServeHTTP(w, r)
	}))
	defer both.Close()
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/irsa")
	t.Setenv("AWS_ENDPOINT_URL_STS", both.URL)
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "aws.endpoint", both.URL, "aws.region", "sa-east-1", "execution.type", "standard"))
	deliver := func(offset int64) error {
		return s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", offset)))
	}
	// The file is not there yet at the start of the pod.
	if err := deliver(1); err == nil || !strings.Contains(err.Error(), "set AWS credentials") {
		t.Fatalf("without a token: %v", err)
	}
	write("one")
	if err := deliver(1); err != nil {
		t.Fatal(err)
	}
	write("two")
	mu.Lock()
	expired = "of-one"
	mu.Unlock()
	err := deliver(2)
	if class, _ := connector.Classify(err); class != connector.ClassRetryable {
		t.Fatalf("expired: class %v, %v", class, err)
	}
	if err := deliver(2); err != nil {
		t.Fatal(err)
	}
	if last := used[len(used)-1]; last != "of-two" {
		t.Errorf("the last call was made with %s", last)
	}
}

func TestANameThatIsNotFoundIsRetried(t *testing.T) {
	newEndpoint(t, "STANDARD") // for its environment
	was := net.DefaultResolver
	defer func() { net.DefaultResolver = was }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("the name server is not there")
	}}
	s := newSink(t, newTask(t).TaskContext, settingsFor(nil, "aws.endpoint", "http://states.test.invalid", "execution.type", "standard"))
	err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1)))
	if class, after := connector.Classify(err); class != connector.ClassRetryable || after != 0 || !strings.Contains(err.Error(), "states.test.invalid") {
		t.Errorf("class %v after %v: %v", class, after, err)
	}
}

func TestAnExpressCallIsWaitedForLongerThanItsMachineRuns(t *testing.T) {
	if syncTimeout <= 5*time.Minute {
		t.Errorf("an Express execution may run 5 minutes, and the call is given up after %v", syncTimeout)
	}
	e := newEndpoint(t, "EXPRESS")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "express", "aws.request.timeout.ms", "20"))
	release := e.stall()
	asked := make(chan error, 1)
	go func() {
		asked <- s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1)))
	}()
	select {
	case err := <-asked:
		t.Fatalf("given up after the timeout of other calls: %v", err)
	case <-time.After(200 * time.Millisecond): // ten times that timeout
	}
	release()
	if err := <-asked; err == nil {
		t.Error("a stalled call that ended without an answer counts as delivered")
	}
}

func TestDeliveredTwiceEveryInputIsTheSameByteForByte(t *testing.T) {
	for _, pairs := range [][]string{
		{}, {"input.format", "flat"}, {"input.format", "envelope"}, {"input.before", "changed"}, {"input.before", "never"}, {"input.changed.fields", "true"},
		{"value.decimal.format", "number", "value.int64.format", "string", "value.time.format", "raw", "value.binary.format", "hex"},
		{"columns.mask", "Clientes.nome"}, {"columns.hash", "Clientes.*", "columns.hash.key", "segredo"}, {"columns.exclude", "Clientes.nome"}, {"columns.include", "Clientes.id"},
		{"execution.name", "change"}, {"batch.max.records", "10"},
	} {
		t.Run(strings.Join(pairs, " "), func(t *testing.T) {
			e := newEndpoint(t, "STANDARD")
			for n := range 2 { // another worker's task, later
				tc := newTask(t).TaskContext
				tc.Task, tc.MaxInFlight = 3*n, 8+n
				s := newSink(t, tc, settingsFor(e, append([]string{"execution.type", "standard"}, pairs...)...))
				for i, op := range []string{"c", "u", "d", "r"} {
					for _, batch := range [][]*connector.Record{{change("Clientes", op, "1", int64(10*i))}} {
						if err := s.Deliver(t.Context(), connectortest.Freeze(batch...)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			log := e.log("StartExecution")
			if len(log) != 8 {
				t.Fatalf("%d calls", len(log))
			}
			for i := range 4 {
				if a, b := log[i], log[i+4]; a != b {
					t.Errorf("first %+v\nthen  %+v", a, b)
				}
			}
		})
	}
}

func TestAWholeRunDialsNoMoreThanItsCallsAtOnce(t *testing.T) {
	e, task := newEndpoint(t, "STANDARD"), newTask(t)
	var dialled atomic.Int64
	counting := httptest.NewUnstartedServer(e)
	counting.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			dialled.Add(1)
		}
	}
	counting.Start()
	defer counting.Close()
	const atOnce, each = 16, 60
	task.MaxInFlight = atOnce
	answers := []string{"", "ExecutionAlreadyExists", "InvalidExecutionInput", "InternalFailure"}
	var calls atomic.Int64
	e.script(func(call) *reply {
		if code := answers[calls.Add(1)%int64(len(answers))]; code != "" {
			return fault(400, code)
		}
		return nil
	})
	s := newSink(t, task.TaskContext, settingsFor(nil, "aws.endpoint", counting.URL, "execution.type", "standard"))
	var all sync.WaitGroup
	for k := range atOnce {
		all.Go(func() {
			for i := range each {
				_ = s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", fmt.Sprint(k), int64(1000*k+i))))
			}
		})
	}
	all.Wait()
	if n := calls.Load(); n != atOnce*each {
		t.Errorf("%d calls", n)
	}
	// A few more than calls at once: see TestConnectionsAreReusedByMoreCallsAtOnceThanTheSDKKeepsConnections.
	if n := dialled.Load(); n > atOnce+8 {
		t.Errorf("%d connections for %d calls at once", n, atOnce)
	}
}
