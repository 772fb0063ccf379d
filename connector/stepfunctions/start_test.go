package stepfunctions

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	sdkaws "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector/jsontext"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// wire is an HTTP client and transport that keeps the requests it is given and answers each the same.
type wire struct {
	answer   aws.Answer
	err      error
	requests []*http.Request
	bodies   []string
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	w.requests, w.bodies = append(w.requests, r), append(w.bodies, string(body))
	if w.err != nil {
		return nil, w.err
	}
	return w.answer.Do(r)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) { return w.Do(r) }

// operations are the two ways of each start.
var operations = map[string]sdkStart{"StartExecution": startBySDK, "StartSyncExecution": startSyncBySDK}

// literal is a change of the given JSON text.
func literal(text string) *prepared {
	return &prepared{literal: jsontext.AppendLiteral(nil, []byte(text))}
}

// bothWays starts the same execution by the SDK and by a starter.
func bothWays(t *testing.T, operation string, client *sfn.Client, w *wire) (bySDK, ours started, errSDK, errOurs error) {
	t.Helper()
	r := startRequest{
		machine: testARN + "Clientes:PROD", name: "clientes-alteracoes-p3-o7", domain: &domain{head: inputHead("clientes")},
		changes: []*prepared{literal(`{"nome":"Conceição \"a\" \\ <&> 日本","id":1}`), literal(`{"n":null}`)},
	}
	input, err := r.domain.input(r.changes)
	if err != nil {
		t.Fatal(err)
	}
	bySDK, errSDK = operations[operation](t.Context(), client, &sfn.StartSyncExecutionInput{StateMachineArn: &r.machine, Name: &r.name, Input: &input},
		func(o *sfn.Options) { o.HTTPClient = w })
	ours, errOurs = newStarter(operation, operations[operation], client, w).start(t.Context(), r)
	ours.free = false // is said of the request, not by the answer
	return bySDK, ours, errSDK, errOurs
}

// resigned is the Authorization that the SDK's signer gives a request that has arrived.
func resigned(t *testing.T, r *http.Request, body string, as sdkaws.Credentials) string {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	again := r.Clone(t.Context())
	again.Header = http.Header{}
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	for _, name := range strings.Split(list, ";") {
		if v := r.Header.Values(name); v != nil {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	region := strings.Split(scope, "/")[2]
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), as, again, hex.EncodeToString(sum[:]), "states", region, at); err != nil {
		t.Fatal(err)
	}
	return again.Header.Get("Authorization")
}

func TestOurStartAsksWhatTheSDKsAsks(t *testing.T) {
	for name, tc := range map[string]struct {
		region, endpoint string
		env              map[string]string
		off              bool   // no host prefix
		host             string // of StartExecution
		sync             string // of StartSyncExecution
	}{
		"a region":              {region: "sa-east-1", host: "states.sa-east-1.amazonaws.com", sync: "sync-states.sa-east-1.amazonaws.com"},
		"China":                 {region: "cn-north-1", host: "states.cn-north-1.amazonaws.com.cn", sync: "sync-states.cn-north-1.amazonaws.com.cn"},
		"FIPS":                  {region: "us-east-1", env: map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, host: "states-fips.us-east-1.amazonaws.com", sync: "sync-states-fips.us-east-1.amazonaws.com"},
		"FIPS in GovCloud":      {region: "us-gov-west-1", env: map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, host: "states.us-gov-west-1.amazonaws.com", sync: "sync-states.us-gov-west-1.amazonaws.com"},
		"dual stack":            {region: "sa-east-1", env: map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"}, host: "states.sa-east-1.api.aws", sync: "sync-states.sa-east-1.api.aws"},
		"our endpoint":          {region: "sa-east-1", endpoint: "http://127.0.0.1:8080", host: "127.0.0.1:8080", sync: "127.0.0.1:8080"},
		"an endpoint in a path": {region: "sa-east-1", endpoint: "https://vpce.example:8443/base/sfn", host: "vpce.example:8443", sync: "vpce.example:8443"},
		"the usual port":        {region: "sa-east-1", endpoint: "https://vpce.example:443", host: "vpce.example", sync: "vpce.example"},
		"the environment's endpoint": {region: "sa-east-1", env: map[string]string{"AWS_ENDPOINT_URL_SFN": "https://states.example"},
			host: "states.example", sync: "states.example"},
		"a session, an application": {region: "sa-east-1", env: map[string]string{"AWS_SESSION_TOKEN": "token", "AWS_SDK_UA_APP_ID": "consorcio"},
			host: "states.sa-east-1.amazonaws.com", sync: "sync-states.sa-east-1.amazonaws.com"},
		"a prefix that is off": {region: "sa-east-1", off: true, host: "states.sa-east-1.amazonaws.com", sync: "states.sa-east-1.amazonaws.com"},
	} {
		for operation := range operations {
			t.Run(name+"/"+operation, func(t *testing.T) {
				newEndpoint(t, "STANDARD") // for its environment
				for k, v := range tc.env {
					t.Setenv(k, v)
				}
				cfg, err := aws.Load(t.Context(), tc.region)
				if err != nil {
					t.Fatal(err)
				}
				set := newClientSet(cfg, &settings{endpoint: tc.endpoint, noHostPrefix: tc.off}, 1)
				defer set.close()
				w := &wire{answer: aws.Answer{Status: 200, Header: http.Header{}, Body: []byte(`{"executionArn":"a","status":"SUCCEEDED","startDate":1,"stopDate":1}`)}}
				_, _, errSDK, errOurs := bothWays(t, operation, set.client(cfg, tc.region), w)
				if errSDK != nil || errOurs != nil {
					t.Fatalf("SDK: %v, ours: %v", errSDK, errOurs)
				}
				want := tc.host
				if operation == "StartSyncExecution" {
					want = tc.sync
				}
				sameRequests(t, w, want, cfg)
			})
		}
	}
}

func sameRequests(t *testing.T, w *wire, host string, cfg aws.Config) {
	t.Helper()
	bySDK, ours := w.requests[0], w.requests[1]
	hostOf := func(r *http.Request) string {
		if r.Host != "" {
			return r.Host
		}
		return r.URL.Host
	}
	if bySDK.URL.String() != ours.URL.String() || hostOf(bySDK) != hostOf(ours) || hostOf(ours) != host || bySDK.Method != ours.Method || bySDK.ContentLength <= 0 || ours.ContentLength != int64(len(w.bodies[1])) {
		t.Errorf("SDK: %s %s at %s, ours: %s %s at %s, want %s", bySDK.Method, bySDK.URL, hostOf(bySDK), ours.Method, ours.URL, hostOf(ours), host)
	}
	as, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range w.requests {
		if got, want := r.Header.Get("Authorization"), resigned(t, r, w.bodies[i], as); got != want {
			t.Errorf("request %d is signed %s, want %s", i, got, want)
		}
	}
	for _, list := range []http.Header{bySDK.Header, ours.Header} {
		for _, own := range []string{"Authorization", "X-Amz-Date", "Content-Length"} {
			list.Del(own)
		}
	}
	for _, left := range []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"} {
		if bySDK.Header.Get(left) == "" {
			t.Errorf("the SDK does not send %s any more", left)
		}
		bySDK.Header.Del(left)
	}
	// The SDK also names where the credentials come from.
	agent := strings.Fields(bySDK.Header.Get("User-Agent"))
	for i, part := range agent {
		if ours := strings.Fields(ours.Header.Get("User-Agent")); i >= len(ours) || ours[i] != part && !strings.HasPrefix(part, "m/") {
			t.Errorf("user agents: SDK %q, ours %q", agent, ours)
		}
	}
	bySDK.Header.Del("User-Agent")
	ours.Header.Del("User-Agent")
	if d := cmp.Diff(bySDK.Header, ours.Header); d != "" {
		t.Errorf("headers, SDK's and ours: %s", d)
	}
	var bodies [2]map[string]string
	for i := range bodies {
		if err := json.Unmarshal([]byte(w.bodies[i]), &bodies[i]); err != nil {
			t.Fatalf("%v in %s", err, w.bodies[i])
		}
	}
	if d := cmp.Diff(bodies[0], bodies[1]); d != "" || len(bodies[0]) != 3 {
		t.Errorf("bodies, SDK's and ours: %s", d)
	}
}

// answersOf are answers that a start may get.
func answersOf() map[string]aws.Answer {
	header := func(pairs ...string) http.Header {
		h := http.Header{"X-Amzn-Requestid": {"r-1"}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	answer := func(status int, h http.Header, body string) aws.Answer {
		return aws.Answer{Status: status, Header: h, Body: []byte(body)}
	}
	all := map[string]aws.Answer{
		"started":                 answer(200, header(), `{"executionArn":"arn:aws:states:sa-east-1:000000000000:execution:m:n","startDate":1.5}`),
		"blanks and unknown keys": answer(200, header(), " {\n \"new\" : [ {\"a\":\"]\\\"\"} , 1 ] ,\t\"executionArn\" : \"a\\u0041\\n\" , \"x\" : true } \r\n"),
		"nothing known":           answer(200, header(), `{}`),
		"no body":                 answer(200, header(), ""),
		"cut off":                 answer(200, header(), `{"executionArn":"arn:aws:st`),
		"a number for the ARN":    answer(200, header(), `{"executionArn":7}`),
		"null for the ARN":        answer(200, header(), `{"executionArn":null,"status":null,"startDate":null}`),
		"an array":                answer(200, header(), `[]`),
		"HTML":                    answer(200, header(), `<html>`),
		"succeeded":               answer(200, header(), `{"billingDetails":{"billedDurationInMilliseconds":100,"billedMemoryUsedInMB":64},"executionArn":"a","input":"{\"a\":\"\\\"\"}","output":"{\"failed\":[{\"index\":0}],\"nome\":\"Concei\u00e7\u00e3o \ud83d\udc69\"}","startDate":1.5,"status":"SUCCEEDED","stopDate":2}`),
		"failed":                  answer(200, header(), `{"cause":"a \"cause\"","error":"Lambda.Unknown","executionArn":"a","startDate":1.5,"status":"FAILED","stopDate":2}`),
		"timed out":               answer(200, header(), `{"executionArn":"a","startDate":1.5,"status":"TIMED_OUT","stopDate":2}`),
		"the code in a header":    answer(400, header("X-Amzn-ErrorType", "ThrottlingException:http://internal"), `{"message":"slow down"}`),
		"a wait":                  answer(400, header("X-Amz-Retry-After", "1500"), `{"__type":"ThrottlingException"}`),
		"a namespaced code":       answer(400, header(), `{"__type":"com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists","message":"Execution Already Exists: 'x'"}`),
		"an error without a body": answer(503, header(), ""),
		"an error in HTML":        answer(502, header(), `<html>Bad Gateway</html>`),
		"too large":               answer(413, header(), ""),
		"elsewhere":               answer(307, header("Location", "https://states.example"), ""),
		"forbidden":               answer(403, header(), `{"Message":"not authorized"}`),
	}
	for code := range verdicts {
		all["code "+code] = answer(400, header(), `{"__type":"`+code+`","message":"scripted","reason":"none"}`)
	}
	return all
}

func TestAnAnswerMeansToUsWhatItMeansToTheSDK(t *testing.T) {
	client := sfn.New(sfn.Options{Region: "sa-east-1", Credentials: aws.Nobody, Retryer: sdkaws.NopRetryer{}})
	for name, answer := range answersOf() {
		for operation := range operations {
			t.Run(name+"/"+operation, func(t *testing.T) {
				bySDK, ours, errSDK, errOurs := bothWays(t, operation, client, &wire{answer: answer})
				if operation == "StartExecution" { // its answers have no more
					bySDK, ours = started{execution: bySDK.execution}, started{execution: ours.execution}
				}
				if bySDK != ours {
					t.Errorf("SDK: %+v, ours: %+v", bySDK, ours)
				}
				sameErrors(t, errSDK, errOurs)
			})
		}
	}
}

func sameErrors(t *testing.T, bySDK, ours error) {
	t.Helper()
	if (bySDK == nil) != (ours == nil) {
		t.Fatalf("SDK: %v, ours: %v", bySDK, ours)
	}
	if bySDK == nil {
		return
	}
	if bySDK.Error() != ours.Error() || classify(bySDK) != classify(ours) {
		t.Errorf("SDK: %v (%+v)\nours: %v (%+v)", bySDK, classify(bySDK), ours, classify(ours))
	}
	var a, b smithy.APIError
	if errors.As(bySDK, &a) != errors.As(ours, &b) || a != nil && (a.ErrorCode() != b.ErrorCode() || a.ErrorMessage() != b.ErrorMessage() || a.ErrorFault() != b.ErrorFault()) {
		t.Errorf("SDK: %#v, ours: %#v", a, b)
	}
}

func TestACallThatGetsNoAnswerFailsLikeTheSDKs(t *testing.T) {
	client := sfn.New(sfn.Options{Region: "sa-east-1", Credentials: aws.Nobody, Retryer: sdkaws.NopRetryer{}})
	_, _, bySDK, ours := bothWays(t, "StartExecution", client, &wire{err: io.ErrUnexpectedEOF})
	if !errors.Is(ours, io.ErrUnexpectedEOF) || classify(bySDK) != classify(ours) || !strings.HasPrefix(ours.Error(), "operation error SFN: StartExecution, ") {
		t.Errorf("SDK: %v, ours: %v", bySDK, ours)
	}
	noCredentials := sdkaws.CredentialsProviderFunc(func(context.Context) (sdkaws.Credentials, error) {
		return sdkaws.Credentials{}, &aws.CredentialsError{Err: errors.New("no provider")}
	})
	client = sfn.New(sfn.Options{Region: "sa-east-1", Credentials: noCredentials, Retryer: sdkaws.NopRetryer{}})
	_, _, bySDK, ours = bothWays(t, "StartExecution", client, &wire{})
	if v := classify(ours); v != classify(bySDK) || v.reason != reasonPermission {
		t.Errorf("SDK: %v, ours: %v", bySDK, ours)
	}
	client = sfn.New(sfn.Options{Region: "not a region", Credentials: aws.Nobody, Retryer: sdkaws.NopRetryer{}})
	_, _, bySDK, ours = bothWays(t, "StartExecution", client, &wire{})
	sameErrors(t, bySDK, ours)
}

// FuzzAnswer holds our reading of an answer against encoding/json's.
func FuzzAnswer(f *testing.F) {
	for _, a := range answersOf() {
		f.Add(a.Body)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := readStarted(text)
		if !ok || !json.Valid(text) {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%v, but read as %+v", err, got)
		}
		for name, value := range map[string]string{"executionArn": got.execution, "status": string(got.status), "error": got.failure, "cause": got.cause, "output": got.output} {
			if s, given := want[name].(string); s != value && !(given && bytes.Count(text, []byte(name)) > 1) {
				t.Errorf("%s is %q, want %v", name, value, want[name])
			}
		}
	})
}

func TestABodyHasTheSizeThatWasForeseen(t *testing.T) {
	s := anywhere(t)
	read := programs{}
	for n := range 4 {
		j, err := s.load(frozen(t, s, read.vector(t, "clientes-alteracoes", "clientes-u", int64(n))))
		if err != nil {
			t.Fatal(err)
		}
		r := j.request()
		b := r.body()
		if want := len(`{"input":,"name":"","stateMachineArn":""}`) + j.size + len(r.name) + len(r.machine); b.Size() != want {
			t.Errorf("%d bytes, foreseen %d", b.Size(), want)
		}
		b.Release()
	}
}
