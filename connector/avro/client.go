package avro

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/riferrei/srclient"

	"github.com/stepconnect/stepconnect/connector"
)

// document is a schema as a registry holds it.
type document struct {
	text string
	kind string // "" is AVRO
	refs []srclient.Reference
}

// client asks a schema registry. It is safe for concurrent use.
type client struct {
	settings  settings
	transport *http.Transport
	through   http.RoundTripper // transport, but for tests
	// preferred is the index of the endpoint that answered last.
	preferred atomic.Int32
	// watch is told of each call with the status of its answer, 0 for none; nil for nobody.
	watch func(status int, took time.Duration)
}

func newClient(s settings) (*client, error) {
	t, err := newTransport(s)
	if err != nil {
		return nil, err
	}
	return &client{settings: s, transport: t, through: t}, nil
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// String names the registry, without credentials.
func (c *client) String() string {
	urls := make([]string, len(c.settings.endpoints))
	for i, e := range c.settings.endpoints {
		urls[i] = e.url
	}
	return strings.Join(urls, ", ")
}

// schema fetches the schema that id refers to.
func (c *client) schema(ctx context.Context, id schemaID) (document, error) {
	if id.guid != "" {
		return c.ask(ctx, id.String(), func(h *http.Client, base string) (document, error) {
			return byGUID(ctx, h, base, id.guid)
		})
	}
	return c.ask(ctx, id.String(), func(h *http.Client, base string) (document, error) {
		return fromClient(lookup(h, base).GetSchema(int(id.id)))
	})
}

// version fetches a version of a subject, which a reference names.
func (c *client) version(ctx context.Context, r srclient.Reference) (document, error) {
	what := fmt.Sprintf("subject %s version %d", r.Subject, r.Version)
	return c.ask(ctx, what, func(h *http.Client, base string) (document, error) {
		return fromClient(lookup(h, base).GetSchemaByVersion(r.Subject, r.Version))
	})
}

// lookup gives a registry client for one call. It costs next to nothing, and so the call's
// context, credentials and status travel with its transport: srclient takes no context and hides
// the status.
func lookup(h *http.Client, base string) *srclient.SchemaRegistryClient {
	s := srclient.NewSchemaRegistryClient(base, srclient.WithClient(h))
	s.CachingEnabled(false)
	s.CodecCreationEnabled(false)
	return s
}

func fromClient(s *srclient.Schema, err error) (document, error) {
	if err != nil {
		return document{}, err
	}
	d := document{text: s.Schema(), refs: s.References()}
	if t := s.SchemaType(); t != nil {
		d.kind = string(*t)
	}
	return d, nil
}

// byGUID asks for a schema by its GUID, which srclient cannot.
func byGUID(ctx context.Context, h *http.Client, base, guid string) (document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/schemas/guids/"+guid, nil)
	if err != nil {
		return document{}, err
	}
	resp, err := h.Do(req)
	if err != nil {
		return document{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return document{}, err
	}
	var answer struct {
		Schema     string               `json:"schema"`
		SchemaType string               `json:"schemaType"`
		References []srclient.Reference `json:"references"`
		ErrorCode  int                  `json:"error_code"`
		Message    string               `json:"message"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return document{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return document{}, srclient.Error{Code: answer.ErrorCode, Message: answer.Message}
	}
	return document{text: answer.Schema, kind: answer.SchemaType, refs: answer.References}, nil
}

// ask calls the endpoints, the one that answered last first, until one gives a definite answer;
// then again after a wait, as max.retries says. Its errors are classified.
func (c *client) ask(ctx context.Context, what string, call func(*http.Client, string) (document, error)) (document, error) {
	wait := c.settings.wait
	for attempt := 0; ; attempt++ {
		var last *failure
		first := int(c.preferred.Load())
		for i := range c.settings.endpoints {
			at := (first + i) % len(c.settings.endpoints)
			d, failed := c.once(ctx, c.settings.endpoints[at], call)
			if failed == nil || !failed.transient() {
				c.preferred.Store(int32(at))
				return d, failed.classified(what)
			}
			last = failed
		}
		if attempt >= c.settings.retries || pause(ctx, wait/2+rand.N(wait/2+1)) != nil {
			return document{}, last.classified(what)
		}
		wait = min(2*wait, c.settings.maxWait)
	}
}

// once makes one call to one endpoint.
func (c *client) once(ctx context.Context, e endpoint, call func(*http.Client, string) (document, error)) (document, *failure) {
	failed := failure{endpoint: e}
	h := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := c.through.RoundTrip(c.authorized(r.WithContext(ctx), e))
		if err == nil {
			failed.status = resp.StatusCode
			bound(resp)
			err = object(resp)
		}
		if err != nil {
			return nil, err
		}
		return resp, nil
	})}
	began := time.Now()
	d, err := call(h, e.url)
	if c.watch != nil {
		c.watch(failed.status, time.Since(began))
	}
	if err == nil && d.text == "" {
		err = errors.New("the answer holds no schema")
	}
	if err != nil {
		failed.err = err
		return document{}, &failed
	}
	return d, nil
}

// authorized adds the credentials, which must not follow a redirect to another host.
func (c *client) authorized(r *http.Request, e endpoint) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", accepted)
	if !strings.HasPrefix(r.URL.String(), e.url+"/") {
		return r
	}
	switch {
	case c.settings.bearer != "":
		r.Header.Set("Authorization", "Bearer "+c.settings.bearer.Reveal())
	case e.user != "":
		r.SetBasicAuth(e.user, e.password.Reveal())
	}
	return r
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// failure is why an endpoint gave no schema.
type failure struct {
	endpoint endpoint
	status   int // 0 when there was no answer
	err      error
}

// transient reports whether the same or another endpoint may answer at once.
func (f *failure) transient() bool {
	switch {
	case errors.Is(f.err, errTooLong):
		return false
	case f.status == 0, f.status >= 500, f.status == http.StatusRequestTimeout, f.status == http.StatusTooManyRequests:
		return true
	}
	return f.status >= 200 && f.status <= 299 // an answer that broke off, or was no schema
}

// classified maps what a registry said to a class. Only a clear no is Rejected: all else may
// heal, when the registry or the configuration does.
func (f *failure) classified(what string) error {
	if f == nil {
		return nil
	}
	at := "schema registry " + f.endpoint.url
	switch f.status {
	case http.StatusNotFound:
		return connector.Rejected(fmt.Errorf("%s does not know %s (%s): it was deleted, or the record was written with another registry; see %s: %w",
			at, what, f.message(), keyURL, ErrUnknown))
	case http.StatusUnauthorized, http.StatusForbidden:
		return connector.Retryable(fmt.Errorf("%s refused %s with status %d (%s): check %s and %s, or %s and %s",
			at, what, f.status, f.message(), keyBasicSource, keyUserInfo, keyBearerSource, keyBearerToken))
	case 0:
		if _, distrusted := errors.AsType[*tls.CertificateVerificationError](f.err); distrusted {
			return connector.Retryable(fmt.Errorf("%s is not trusted and was not asked for %s; check %s, and the host name in %s: %w", at, what, keyTruststore, keyURL, f.err))
		}
		return connector.Retryable(fmt.Errorf("%s cannot be reached for %s; see %s: %w", at, what, keyURL, f.err))
	}
	return connector.Retryable(fmt.Errorf("%s did not give %s: status %d (%s)", at, what, f.status, f.message()))
}

// message is what the registry itself said, in short.
func (f *failure) message() string {
	text := ""
	var said srclient.Error
	if errors.As(f.err, &said) {
		if text = said.Message; said.Code != 0 {
			text = fmt.Sprintf("%s; error code %d", text, said.Code)
		}
	} else if f.err != nil {
		text = f.err.Error()
	}
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
