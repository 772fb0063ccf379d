package states_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientes = "arn:aws:states:sa-east-1:000000000000:stateMachine:Clientes"
	pedidos  = "arn:aws:states:sa-east-1:000000000000:stateMachine:Pedidos"
	produtos = "arn:aws:states:sa-east-1:000000000000:stateMachine:Produtos"
)

// machines are one of each kind: Clientes closes at once, Pedidos stays RUNNING, Produtos is Express.
func machines() []states.Machine {
	return []states.Machine{
		{Name: "Clientes"},
		{Name: "Pedidos", Run: states.Run{Hold: true}},
		{Name: "Produtos", Type: states.Express, Run: states.Run{Output: `{"ok":true}`}},
	}
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 3, 45, 12, 123_456_789, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t testing.TB, o states.Options) *states.Endpoint {
	t.Helper()
	if o.Machines == nil {
		o.Machines = machines()
	}
	e, err := states.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// client is the SDK's own client. Names with the prefix "sync-" are dialled at the endpoint too, so the
// host prefix of StartSyncExecution is not switched off.
func client(t testing.TB, e *states.Endpoint) *sfn.Client {
	t.Helper()
	addr := strings.TrimPrefix(e.URL(), "http://")
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return sfn.New(sfn.Options{
		BaseEndpoint:     aws.String(e.URL()),
		Region:           "sa-east-1",
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: hidingWriteTo{transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "not-a-secret"}, nil
		}),
	})
}

// hidingWriteTo keeps connections alive under smithy-go 1.28.9. It closes the request body as soon as the
// answer's header is there; its WriteTo then returns io.EOF, where net/http probes for bytes beyond
// Content-Length, which takes that for a failed write and closes the connection under the answer.
type hidingWriteTo struct{ http.RoundTripper }

func (h hidingWriteTo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		copied := *r
		copied.Body = struct{ io.ReadCloser }{r.Body}
		r = &copied
	}
	return h.RoundTripper.RoundTrip(r)
}

// code is the error code of an SDK error, "" for none, and the text of any other error.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return err.Error()
}

func wantCode(t testing.TB, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Fatalf("error code %q, want %q", got, want)
	}
}

func startInput(arn, name, input string) *sfn.StartExecutionInput {
	return &sfn.StartExecutionInput{StateMachineArn: &arn, Name: &name, Input: &input}
}

func mustStart(t testing.TB, c *sfn.Client, arn, name, input string) *sfn.StartExecutionOutput {
	t.Helper()
	out, err := c.StartExecution(t.Context(), startInput(arn, name, input))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
