// Package aws is the one place where clients of AWS get their credentials, region, connections
// and endpoint. What it hands out makes one attempt a call: the host owns every retry.
package aws

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Config is the SDK's configuration, so that importers need not import the SDK's package of
// the same name.
type Config = aws.Config

// Load reads the default chain: environment, shared files, web identity (IRSA), Pod Identity,
// container and instance roles. region "" takes the chain's. It touches files, not the network:
// credentials are fetched by the first call, renewed by later ones, and an error of theirs
// reaches the caller of the client as a *CredentialsError.
func Load(ctx context.Context, region string) (Config, error) {
	opts := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Credentials != nil {
		cfg.Credentials = credentials{cfg.Credentials}
	}
	return cfg, nil
}

// CredentialsError is a call that was never sent because no credentials were to be had.
type CredentialsError struct{ Err error }

// Error gives the provider's message, which names the providers tried and holds no secret.
func (e *CredentialsError) Error() string { return "getting AWS credentials: " + e.Err.Error() }

// Unwrap gives the provider's error.
func (e *CredentialsError) Unwrap() error { return e.Err }

// credentials marks the errors of a provider. The chain's provider caches; so nothing is
// cached here.
type credentials struct{ chain aws.CredentialsProvider }

func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.chain.Retrieve(ctx)
	if err != nil {
		return got, &CredentialsError{err}
	}
	return got, nil
}

// renew drops cached credentials that AWS has refused, unless others have taken their place: the next call
// fetches new ones.
func renew(ctx context.Context, provider aws.CredentialsProvider, refused aws.Credentials) {
	if marked, ok := provider.(credentials); ok {
		provider = marked.chain
	}
	cache, ok := provider.(interface{ Invalidate() })
	if !ok {
		return
	}
	if now, err := provider.Retrieve(ctx); err == nil && now.AccessKeyID == refused.AccessKeyID && now.SessionToken == refused.SessionToken {
		cache.Invalidate()
	}
}

// Timeouts of a connection. Calls have their own, by their contexts: an answer may take
// minutes (StartSyncExecution), a connection may not.
const (
	dialTimeout = 5 * time.Second
	keepAlive   = 30 * time.Second
	idleTimeout = 90 * time.Second
)

// expiryWindow is how long before their end credentials of a role are renewed.
const expiryWindow = 5 * time.Minute

// NewTransport makes a transport that keeps up to conns connections to a host open and dials no
// more, as long as no more calls are open at once. The SDK's own keeps ten, so that more calls in flight
// than that dial again and again. Calls beyond conns get connections of their own, up to as many
// again: the host makes them while others hang (docs/adr/20261124-lent-slots-are-not-taken-back.md).
func NewTransport(conns int) *Transport {
	return &Transport{usual: transport(conns), beyond: transport(conns), conns: int64(conns)}
}

func transport(conns int) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   conns,
		MaxConnsPerHost:       conns,
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
	}
}

// Transport makes HTTP calls and keeps its connections under smithy-go 1.28.9. That closes the request's
// body as soon as the answer's header is there, and the body's WriteTo then gives io.EOF where net/http looks
// for bytes beyond Content-Length: a failed write to net/http, which closes the connection under an
// answer that is still being read. Without WriteTo the body is read, and all is well.
type Transport struct {
	// Watch is told of each call when its answer has begun or has failed to come; nil for nobody. Set it before the first
	// call. It must not block.
	Watch func(Call)

	usual, beyond *http.Transport
	conns         int64
	open          atomic.Int64 // calls whose answer has not begun
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, writes := r.Body.(io.WriterTo); writes {
		plain := *r
		plain.Body = struct{ io.ReadCloser }{r.Body}
		r = &plain
	}
	defer t.open.Add(-1)
	via := t.usual
	if t.open.Add(1) > t.conns {
		via = t.beyond
	}
	if t.Watch == nil {
		return via.RoundTrip(r)
	}
	began := time.Now()
	res, err := via.RoundTrip(r)
	c := Call{Operation: operation(r), Took: time.Since(began)}
	if res != nil {
		c.Status = res.StatusCode
	}
	t.Watch(c)
	return res, err
}

// Call is one call of AWS, seen on its connection.
type Call struct {
	Operation string // of AWS's API: StartExecution, AssumeRole, PutObject
	Status    int    // of HTTP; 0 when no answer came
	Took      time.Duration
}

// operation names what a request asks for. What is called here speaks AWS's JSON protocol, which names it, but for STS, of
// which AssumeRole alone is called, and S3.
func operation(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndexByte(target, '.')+1:]
	}
	switch r.Method {
	case http.MethodPost:
		return "AssumeRole"
	case http.MethodPut:
		return "PutObject"
	case http.MethodHead:
		return "HeadObject"
	}
	return "other"
}

// SetDial replaces how connections are made; for tests that answer for other hosts.
func (t *Transport) SetDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	t.usual.DialContext, t.beyond.DialContext = dial, dial
}

// SetProxy sends all calls through an HTTP proxy, whatever the environment says.
func (t *Transport) SetProxy(proxy *url.URL) {
	t.usual.Proxy, t.beyond.Proxy = http.ProxyURL(proxy), http.ProxyURL(proxy)
}

// CloseIdleConnections closes the connections that no call uses.
func (t *Transport) CloseIdleConnections() {
	t.usual.CloseIdleConnections()
	t.beyond.CloseIdleConnections()
}

// WithoutHostPrefix is an API option for clients with an endpoint of their own: the SDK would
// put the operation's prefix ("sync-") before its host. The switch works only inside the
// Initialize step; on the caller's context it does nothing.
func WithoutHostPrefix(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("WithoutHostPrefix",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			return next.HandleInitialize(smithyhttp.DisableEndpointHostPrefix(ctx, true), in)
		}), middleware.Before)
}
