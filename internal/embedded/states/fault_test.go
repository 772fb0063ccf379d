package states_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

const oneChange = `{"domain":"clientes","changes":[{"key":{"id":42},"kafka":{"topic":"clientes-alteracoes","partition":3,"offset":1234}}]}`

func TestTokenBucketsThrottleAndRefillByTheClock(t *testing.T) {
	clk := newClock()
	e := start(t, states.Options{Now: clk.Now, Limits: map[string]states.Limit{
		states.LimitStartStandard: {Bucket: 3, PerSecond: 2},
		states.LimitDescribe:      {Bucket: 1, PerSecond: 1},
	}})
	c := client(t, e)
	x := mustStart(t, c, pedidos, "n", "{}")
	mustStart(t, c, pedidos, "n", "{}") // a repeat spends a token
	mustStart(t, c, clientes, "n", "{}")
	_, err := c.StartExecution(t.Context(), startInput(pedidos, "n", "{}"))
	wantCode(t, err, "ThrottlingException")
	mustStart(t, c, produtos, "n", "{}") // Express has a bucket of its own

	describe := &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn}
	_, err = c.DescribeExecution(t.Context(), describe)
	wantCode(t, err, "")
	_, err = c.DescribeExecution(t.Context(), describe)
	wantCode(t, err, "ThrottlingException")

	clk.Advance(500 * time.Millisecond)
	mustStart(t, c, pedidos, "m", "{}")
	_, err = c.StartExecution(t.Context(), startInput(pedidos, "o", "{}"))
	wantCode(t, err, "ThrottlingException")
	clk.Advance(time.Hour)
	for _, name := range []string{"p", "q", "r"} {
		mustStart(t, c, pedidos, name, "{}")
	}
	_, err = c.StartExecution(t.Context(), startInput(pedidos, "s", "{}"))
	wantCode(t, err, "ThrottlingException") // no more than the bucket holds
	if s := e.Stats(); s.Outcomes["ThrottlingException"] != 4 || s.Executions != 7 {
		t.Fatalf("stats %+v", s)
	}
}

func TestEveryErrorCanBeAskedFor(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	for code, status := range map[string]int{
		"ExecutionLimitExceeded": 400, "ExecutionAlreadyExists": 400, "InvalidArn": 400, "InvalidExecutionInput": 400,
		"InvalidName": 400, "StateMachineDoesNotExist": 400, "StateMachineDeleting": 400, "ValidationException": 400,
		"KmsAccessDeniedException": 400, "KmsInvalidStateException": 400, "KmsThrottlingException": 400,
		"ThrottlingException": 400, "AccessDeniedException": 400, "ExpiredTokenException": 400,
		"UnrecognizedClientException": 400, "TooManyRequestsException": 429, "InternalFailure": 500, "ServiceUnavailableException": 503,
	} {
		e.SetHook(func(states.Call) states.Fault { return states.Fault{Code: code} })
		_, err := c.StartExecution(t.Context(), startInput(clientes, "n", "{}"))
		wantCode(t, err, code)
		var http interface{ HTTPStatusCode() int }
		if !errors.As(err, &http) || http.HTTPStatusCode() != status {
			t.Errorf("%s: %v, want HTTP status %d", code, err, status)
		}
	}
	if n := len(e.Executions(clientes)); n != 0 {
		t.Fatalf("%d executions after refusals only", n)
	}
}

func TestAnEffectMayBeFollowedByAnErrorOrAReset(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	e.SetRules(
		states.Rule{Name: "boom", Count: 1, Fault: states.Fault{Code: "InternalFailure", AfterEffect: true}},
		states.Rule{Name: "cut", Count: 1, Fault: states.Fault{Reset: true, AfterEffect: true}},
		states.Rule{Name: "early", Count: 1, Fault: states.Fault{Reset: true}},
	)
	_, err := c.StartExecution(t.Context(), startInput(pedidos, "boom", "{}"))
	wantCode(t, err, "InternalFailure")
	mustStart(t, c, pedidos, "boom", "{}") // the same execution
	for _, name := range []string{"cut", "early"} {
		if _, err = c.StartExecution(t.Context(), startInput(pedidos, name, "{}")); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Fatalf("%s: %v, want a connection reset", name, err)
		}
	}
	mustStart(t, c, pedidos, "cut", "{}")
	mustStart(t, c, pedidos, "early", "{}")
	var got []string
	for _, call := range e.Log() {
		effect := "-"
		if call.Effect != 0 {
			effect = "+"
		}
		got = append(got, call.Name+effect+call.Outcome)
	}
	want := "boom+InternalFailure boom-repeated cut+reset early-reset cut-repeated early+started"
	if strings.Join(got, " ") != want {
		t.Fatalf("log %v, want %s", got, want)
	}
}

func TestRulesSkipTakeEveryNthAndStop(t *testing.T) {
	e := start(t, states.Options{Seed: 7})
	c := client(t, e)
	e.SetRules(
		states.Rule{Target: "StopExecution", Fault: states.Fault{Code: "InternalFailure"}},
		states.Rule{Machine: "Pedidos", Fault: states.Fault{Code: "InternalFailure"}},
		states.Rule{Machine: clientes, Skip: 1, Every: 2, Count: 2, Fault: states.Fault{Code: "ThrottlingException"}},
	)
	var got []string
	for i := range 8 {
		_, err := c.StartExecution(t.Context(), startInput(clientes, string(rune('a'+i)), "{}"))
		got = append(got, code(err))
	}
	if want := ",,ThrottlingException,,ThrottlingException,,,"; strings.Join(got, ",") != want {
		t.Fatalf("codes %v", got)
	}
	if s := e.Rules(); s[2].Hits != 2 || s[0].Matched != 0 {
		t.Fatalf("rules %+v", s)
	}
	e.SetRules(states.Rule{Probability: 0.5, Fault: states.Fault{Code: "ThrottlingException"}})
	for i := range 200 {
		_, _ = c.StartExecution(t.Context(), startInput(clientes, "p"+string(rune('a'+i)), "{}"))
	}
	if n := e.Rules()[0].Hits; n < 60 || n > 140 {
		t.Fatalf("%d of 200 struck at a probability of one half", n)
	}
}

func TestAClientThatLeavesIsNotedAndItsCallTakesEffectAllTheSame(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	arrived, release := make(chan struct{}), make(chan struct{})
	e.SetHook(func(states.Call) states.Fault {
		close(arrived)
		return states.Fault{Until: release}
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	if _, err := c.StartExecution(ctx, startInput(pedidos, "n", oneChange)); err == nil {
		t.Fatal("answered before it was released")
	}
	if _, err := e.Wait(t.Context(), func(s states.Stats) bool { return s.Gone == 1 }); err != nil {
		t.Fatal(err)
	}
	if open := e.Log()[0]; open.Outcome != "" || !open.Gone || len(e.Executions(pedidos)) != 0 {
		t.Fatalf("while it waits: %+v", open)
	}
	e.SetHook(nil)
	close(release)
	if _, err := e.Wait(t.Context(), func(s states.Stats) bool { return s.Executions == 1 }); err != nil {
		t.Fatal(err)
	}
	mustStart(t, c, pedidos, "n", oneChange)
	log := e.Log()
	if !log[0].Gone || log[0].End > log[1].Seq || log[0].Outcome != states.OutcomeStarted || log[1].Outcome != states.OutcomeRepeated {
		t.Fatalf("log %+v", log)
	}
	if err := states.Verify(log, nil).Err(); err != nil {
		t.Fatalf("a retry after the client left is no overlap: %v", err)
	}
}

func TestTwoOpenCallsOfOneKeyAreSeen(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	arrived, release := make(chan struct{}, 2), make(chan struct{})
	e.SetHook(func(states.Call) states.Fault {
		arrived <- struct{}{}
		return states.Fault{Until: release}
	})
	done := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() {
			_, err := c.StartExecution(t.Context(), startInput(pedidos, name, oneChange))
			done <- err
		}()
		<-arrived
	}
	if s := e.Stats(); s.Open != 2 {
		t.Fatalf("stats %+v", s)
	}
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	r := states.Verify(e.Log(), nil)
	if len(r.Overlaps) != 1 || len(r.Duplicates) != 1 || len(r.Duplicates[0].Executions) != 2 {
		t.Fatalf("report %+v", r)
	}
}

func TestExpiredCredentialsFailUntilTheyAreRenewed(t *testing.T) {
	e := start(t, states.Options{RequireAuth: true})
	c := client(t, e)
	e.SetExpired("AKIDTEST", true)
	_, err := c.StartExecution(t.Context(), startInput(clientes, "n", "{}"))
	wantCode(t, err, "ExpiredTokenException")
	e.SetExpired("AKIDTEST", false)
	mustStart(t, c, clientes, "n", "{}")
	if call := e.Log()[1]; call.AccessKey != "AKIDTEST" || call.Region != "sa-east-1" {
		t.Fatalf("call %+v", call)
	}
}

// raw posts without the SDK.
func raw(t *testing.T, url string, header map[string]string, body string) (int, map[string]string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AWSStepFunctions.StartExecution")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("x-amzn-RequestId") == "" || resp.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("headers %v", resp.Header)
	}
	var answer map[string]string
	if err := json.Unmarshal(bytes.ReplaceAll(data, []byte("1795491912.123"), []byte(`"d"`)), &answer); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return resp.StatusCode, answer
}

func TestTheProtocolIsChecked(t *testing.T) {
	clk := newClock()
	e := start(t, states.Options{Now: clk.Now, RequireAuth: true})
	signed := "AWS4-HMAC-SHA256 Credential=AKID/20261124/sa-east-1/states/aws4_request, SignedHeaders=host, Signature=00"
	ok := `{"stateMachineArn":"` + clientes + `","name":"n","input":"{}"}`
	cases := []struct {
		name   string
		header map[string]string
		body   string
		status int
		kind   string
	}{
		{"a well-formed call", nil, ok, 200, ""},
		{"no signature", map[string]string{"Authorization": ""}, ok, 400, "com.amazon.coral.service#MissingAuthenticationTokenException"},
		{"half a signature", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=AKID"}, ok, 400, "com.amazon.coral.service#IncompleteSignatureException"},
		{"no date", map[string]string{"X-Amz-Date": ""}, ok, 400, "com.amazon.coral.service#IncompleteSignatureException"},
		{"another call", map[string]string{"X-Amz-Target": "AWSStepFunctions.CreateStateMachine"}, ok, 400, "com.amazon.coral.service#UnknownOperationException"},
		{"another service", map[string]string{"X-Amz-Target": "DynamoDB.StartExecution"}, ok, 400, "com.amazon.coral.service#UnknownOperationException"},
		{"another content type", map[string]string{"Content-Type": "text/plain"}, ok, 400, "com.amazon.coral.service#UnknownOperationException"},
		{"no JSON", nil, "{", 400, "com.amazon.coral.service#SerializationException"},
		{"a number for a name", nil, `{"name":1}`, 400, "com.amazon.coral.service#SerializationException"},
		{"no ARN", nil, "{}", 400, "com.amazon.coral.validate#ValidationException"},
		{"the name is taken", nil, ok, 400, "com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists"},
		{"more than a mebibyte", nil, `{"input":"` + strings.Repeat(`\"`, 1<<19) + `"}`, 413, "com.amazon.coral.service#RequestEntityTooLargeException"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			header := map[string]string{"Authorization": signed, "X-Amz-Date": "20261124T034512Z"}
			for k, v := range tc.header {
				header[k] = v
			}
			status, answer := raw(t, e.URL(), header, tc.body)
			if status != tc.status || answer["__type"] != tc.kind {
				t.Fatalf("%d %v, want %d %s", status, answer, tc.status, tc.kind)
			}
			if tc.kind == "" && (answer["startDate"] != "d" || answer["executionArn"] != "arn:aws:states:sa-east-1:000000000000:execution:Clientes:n") {
				t.Fatalf("answer %v", answer)
			}
		})
	}
}

func TestTheTraceHeaderIsKept(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	in := startInput(pedidos, "n", "{}")
	in.TraceHeader = aws.String("Root=1-5759e988-bd862e3fe1be46a994272793")
	out, err := c.StartExecution(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: out.ExecutionArn})
	if err != nil || *d.TraceHeader != *in.TraceHeader || d.InputDetails.Included || d.Input != nil {
		t.Fatalf("%+v, %v", d, err)
	}
}
