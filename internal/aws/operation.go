package aws

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Operation calls one operation of a service of AWS with the SDK's signer and credentials, but without the SDK's
// middleware, which costs more than all the rest of a call (docs/adr/20261128-lean-start-calls.md). Where to call, and
// every header that does not change, it learns from a request that the SDK makes and that is never sent, so
// endpoints, host prefixes and whatever else the SDK decides are the SDK's. It is safe for concurrent use.
type Operation struct {
	draw        Draw
	drawn       sync.Once // guards the making of form and unformed
	form        *form
	unformed    error // why there is no form
	credentials aws.CredentialsProvider
	transport   http.RoundTripper
	signer      *v4.Signer
	skew        atomic.Int64 // how far AWS's clock is ahead of this machine's, in nanoseconds
}

// Draw makes the SDK call the operation, with any input that it takes, by a client that sends nothing and as Nobody.
type Draw func(ctx context.Context, client HTTPClient) error

// HTTPClient is what clients of the SDK send by.
type HTTPClient = aws.HTTPClient

// Nobody gives the credentials of calls that are not sent.
var Nobody aws.CredentialsProvider = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "none", SecretAccessKey: "none", Source: "stepconnect"}, nil
})

// NewOperation makes an Operation that calls with the given credentials over t. Nothing is done until the first call.
func NewOperation(credentials aws.CredentialsProvider, t http.RoundTripper, draw Draw) *Operation {
	return &Operation{draw: draw, credentials: credentials, transport: t, signer: v4.NewSigner()}
}

// Answer is what came back. It is valid until the function that Call gave it to returns.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK says that the operation was carried out.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Do implements aws.HTTPClient by giving the answer that has already come, so that the SDK decodes it.
func (a *Answer) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(a.Status), StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header.Clone(), Body: io.NopCloser(strings.NewReader(string(a.Body))), ContentLength: int64(len(a.Body)), Request: r,
	}, nil
}

// Call makes one attempt with the body and hands the answer, whatever its status, to read. An error of its own means
// that no answer came: the call may or may not have arrived, unless it is a *CredentialsError. The body stays the caller's to release, at any time.
func (o *Operation) Call(ctx context.Context, body *Body, read func(*Answer) error) error {
	o.drawn.Do(func() { o.form, o.unformed = learn(context.WithoutCancel(ctx), o.draw) })
	if o.unformed != nil {
		return o.unformed
	}
	f := o.form
	credentials, err := o.credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("failed to sign request: %w", err)
	}
	req, err := f.request(ctx, body)
	if err != nil {
		return err
	}
	sum := body.sum()
	asked := time.Now()
	at := asked.Add(time.Duration(o.skew.Load()))
	if err := o.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), f.service, f.region, at); err != nil {
		_ = req.Body.Close()
		return &v4.SigningError{Err: err}
	}
	res, err := o.transport.RoundTrip(req)
	if err != nil {
		return unsent(req, err)
	}
	defer func() { _ = res.Body.Close() }()
	buf := answers.Get().(*answerBuffer)
	defer answers.Put(buf)
	a := Answer{Status: res.StatusCode, Header: res.Header}
	a.Body, err = buf.read(res.Body, res.ContentLength)
	if err != nil {
		return unsent(req, fmt.Errorf("reading the answer: %w", err))
	}
	o.observe(res.Header, asked, time.Now())
	err = read(&a)
	if !a.OK() && expired(err) {
		renew(ctx, o.credentials, credentials)
	}
	return err
}

// unsent is the error of a call without an answer, as the SDK has it.
func unsent(req *http.Request, err error) error {
	return &smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", URL: req.URL.String(), Err: err}}
}

// observe learns how far AWS's clock is ahead, from every answer, as the SDK does (RecordResponseTiming): a request whose time is
// more than five minutes off is refused.
func (o *Operation) observe(h http.Header, asked, answered time.Time) {
	const trusted = 15 * time.Minute // beyond it the answer may have waited anywhere
	if date := h.Get("Date"); date != "" && h.Get("Age") == "" && answered.Sub(asked) <= trusted {
		if at, err := http.ParseTime(date); err == nil {
			o.skew.Store(int64(at.Sub(answered)))
		}
	}
}

// expired says that AWS no longer takes the credentials that a call was signed with.
func expired(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	code := api.ErrorCode()
	return code == "ExpiredToken" || code == "ExpiredTokenException"
}

// form is what all requests of an operation have in common.
type form struct {
	url             url.URL
	host            string
	header          http.Header
	service, region string // that requests are signed for
}

// learn has the SDK make a request and takes its form.
func learn(ctx context.Context, draw Draw) (*form, error) {
	var c catcher
	if err := draw(ctx, &c); err != nil {
		return nil, err
	}
	if c.request == nil {
		return nil, errors.New("the SDK made no request")
	}
	f := &form{url: *c.request.URL, host: c.request.Host, header: c.request.Header.Clone()}
	_, scope, _ := strings.Cut(f.header.Get("Authorization"), "Credential=")
	parts := strings.Split(scope, "/") // access key, date, region, service, aws4_request
	if len(parts) < 5 {
		return nil, errors.New("the SDK does not sign requests with Signature Version 4")
	}
	f.region, f.service = parts[2], parts[3]
	// What belongs to that one request, and what tells AWS about the attempts of the SDK's own retries.
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "Content-Length", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"} {
		f.header.Del(name)
	}
	return f, nil
}

// catcher keeps the request that it is asked to send, and answers an empty object.
type catcher struct{ request *http.Request }

func (c *catcher) Do(r *http.Request) (*http.Response, error) {
	c.request = r
	return (&Answer{Status: http.StatusOK, Header: http.Header{}, Body: []byte("{}")}).Do(r)
}

// perRequest is how many headers a request has besides those of its form: date, token, authorization, trace.
const perRequest = 4

func (f *form) request(ctx context.Context, body *Body) (*http.Request, error) {
	reader, err := body.Open()
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(f.header)+perRequest)
	for name, values := range f.header {
		header[name] = values
	}
	if trace := traceHeader(ctx); trace != "" {
		header[traceName] = []string{trace}
	}
	at := f.url // the signer writes to it
	return (&http.Request{
		Method: http.MethodPost, URL: &at, Host: f.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		// The transport asks for the body again when it has not sent a byte of it, as when AWS has closed an idle connection.
		Body: reader, GetBody: body.Open, ContentLength: int64(body.Size()),
	}).WithContext(ctx), nil
}

// traceName is AWS X-Ray's header. It is not signed.
const traceName = "X-Amzn-Trace-Id"

type traceKey struct{}

// WithTraceHeader makes the calls of an Operation under ctx carry value as X-Amzn-Trace-Id; "" for none.
func WithTraceHeader(ctx context.Context, value string) context.Context {
	return context.WithValue(ctx, traceKey{}, value)
}

func traceHeader(ctx context.Context) string {
	value, _ := ctx.Value(traceKey{}).(string)
	return value
}

// answerBuffer is where answers are read to.
type answerBuffer struct{ bytes []byte }

var answers = sync.Pool{New: func() any { return &answerBuffer{make([]byte, 0, 1<<10)} }}

const (
	// maxAnswer is far over the largest: StartSyncExecution repeats the input beside an output of the same limit.
	maxAnswer       = 16 << 20
	maxPooledAnswer = 1 << 20
)

// read gives the whole of an answer's body of size bytes, -1 when that is not known, in the buffer where it fits.
func (b *answerBuffer) read(body io.Reader, size int64) ([]byte, error) {
	into := b.bytes[:0]
	if size > int64(cap(into)) && size <= maxAnswer {
		into = make([]byte, 0, size)
	}
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := body.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if cap(into) <= maxPooledAnswer {
			b.bytes = into
		}
		switch {
		case errors.Is(err, io.EOF):
			return into, nil
		case err != nil:
			return nil, err
		case len(into) > maxAnswer:
			return nil, fmt.Errorf("it is longer than %d bytes", maxAnswer)
		}
	}
}
