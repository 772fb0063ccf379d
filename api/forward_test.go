package api

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/runtime"
)

// followerHerder leaves writes to the worker at url.
type followerHerder struct {
	*memHerder
	url    atomic.Pointer[string]
	synced atomic.Int32
}

func newFollower(url string) *followerHerder {
	f := &followerHerder{memHerder: newMemHerder()}
	f.url.Store(&url)
	return f
}

func (f *followerHerder) elsewhere() error { return &runtime.Elsewhere{URL: *f.url.Load()} }
func (f *followerHerder) Sync(context.Context) error {
	f.synced.Add(1)
	return nil
}
func (f *followerHerder) Create(context.Context, runtime.CreateRequest) (runtime.ConnectorInfo, error) {
	return runtime.ConnectorInfo{}, f.elsewhere()
}
func (f *followerHerder) PutConfig(context.Context, string, map[string]*string) (runtime.ConnectorInfo, bool, error) {
	return runtime.ConnectorInfo{}, false, f.elsewhere()
}
func (f *followerHerder) Delete(context.Context, string) error { return f.elsewhere() }
func (f *followerHerder) Pause(context.Context, string) error  { return f.elsewhere() }
func (f *followerHerder) Restart(context.Context, string, bool, bool) (*runtime.ConnectorStatus, error) {
	return nil, f.elsewhere()
}

// serveOn runs a handler and remembers the last request that reached it.
func serveOn(t *testing.T, h http.Handler) (base string, last *atomic.Pointer[http.Request]) {
	t.Helper()
	last = &atomic.Pointer[http.Request]{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, last
}

const forwardedConfig = `{"name":"c","config":{"connector.class":"FileStreamSink","topics":"t"}}`

func TestWhatAnotherWorkerServesIsAnsweredAsIfItWereServedHere(t *testing.T) {
	leader := newMemHerder()
	base, last := serveOn(t, New(leader, Options{}))
	f := newFollower(base)
	h := New(f, Options{Forward: &http.Client{}})

	w := call(t, h, "POST", "/connectors", forwardedConfig, "Authorization", "Basic xyz", "X-Other", "1")
	if w.Code != 201 || !strings.Contains(w.Body.String(), `"name":"c"`) || f.synced.Load() != 1 {
		t.Fatal(w.Code, w.Body)
	}
	if loc, err := url.Parse(w.Header().Get("Location")); err != nil || loc.Path != "/connectors/c" || strings.HasPrefix(w.Header().Get("Location"), base) {
		t.Error("the location is the other worker's: ", loc, err)
	}
	sent := last.Load()
	if sent.Header.Get("Authorization") != "Basic xyz" || sent.Header.Get("X-Other") != "" || sent.URL.Query().Get("forward") != "true" || sent.UserAgent() != "kafka-connect" {
		t.Errorf("%v %v", sent.URL, sent.Header)
	}
	if w := call(t, h, "POST", "/connectors", forwardedConfig); w.Code != 409 || !strings.Contains(w.Body.String(), "already exists") {
		t.Error("an error is passed on as it is: ", w.Code, w.Body)
	}
	if w := call(t, h, "PUT", "/connectors/c/config", `{"connector.class":"FileStreamSink","topics":"t"}`); w.Code != 200 || w.Header().Get("ETag") == "" {
		t.Error(w.Code, w.Header())
	}
	call(t, h, "POST", "/connectors/c/restart?includeTasks=true&onlyFailed=false", "")
	if q := last.Load().URL.Query(); q.Get("includeTasks") != "true" || q.Get("onlyFailed") != "false" {
		t.Error("the query is lost: ", q)
	}
	if w := call(t, h, "PUT", "/connectors/c/pause", ""); w.Code != 202 || w.Body.Len() != 0 {
		t.Error(w.Code, w.Body)
	}
	if w := call(t, h, "DELETE", "/connectors/c", ""); w.Code != 204 {
		t.Error(w.Code, w.Body)
	}
}

func TestARequestIsForwardedTwiceAtMost(t *testing.T) {
	leader := newMemHerder()
	base, last := serveOn(t, New(leader, Options{}))
	h := New(newFollower(base), Options{Forward: &http.Client{}})
	if w := call(t, h, "POST", "/connectors?forward=true", forwardedConfig); w.Code != 201 || last.Load().URL.Query().Get("forward") != "false" {
		t.Error(w.Code, last.Load().URL)
	}
	w := call(t, h, "POST", "/connectors?forward=false", forwardedConfig)
	if w.Code != 409 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "Cannot complete request because of a conflicting operation (e.g. worker rebalance)") {
		t.Error(w.Code, w.Body)
	}
	unknown := New(newFollower(""), Options{Forward: &http.Client{}})
	w = call(t, unknown, "POST", "/connectors?forward=true", forwardedConfig)
	if w.Code != 409 || !strings.Contains(w.Body.String(), "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.") {
		t.Error("only the first worker waits: ", w.Code, w.Body)
	}
}

// answered calls read when an answer has been read to its end.
type answered struct{ read func() }

func (a answered) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		res.Body = &answeredBody{res.Body, a.read}
	}
	return res, err
}

type answeredBody struct {
	io.ReadCloser
	read func()
}

func (b *answeredBody) Close() error {
	defer b.read()
	return b.ReadCloser.Close()
}

func TestARequestThatNobodyServesYetIsAuditedOnceByTheWorkerThatWasAsked(t *testing.T) {
	var there, here bytes.Buffer
	// Who asks goes away when the worker has got an answer and waits to try again.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logTo := func(b *bytes.Buffer) Options {
		return Options{Forward: &http.Client{Transport: answered{cancel}}, Log: slog.New(slog.NewTextHandler(b, nil))}
	}
	base, last := serveOn(t, New(newFollower(""), logTo(&there)))
	r := httptest.NewRequestWithContext(ctx, "POST", "/connectors", strings.NewReader(forwardedConfig))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	New(newFollower(base), logTo(&here)).ServeHTTP(w, r)
	if w.Code != 409 || last.Load() == nil {
		t.Fatal(w.Code, w.Body)
	}
	audited := func(b *bytes.Buffer) int { return strings.Count(b.String(), "component=audit") }
	if audited(&here) != 1 || audited(&there) != 0 || !strings.Contains(there.String(), "component=access") {
		t.Errorf("%d lines where it was asked, %d where it was forwarded to", audited(&here), audited(&there))
	}
	there.Reset()
	if w := call(t, New(newFollower(""), logTo(&there)), "POST", "/connectors?forward=false", `{"name":`); w.Code != 400 || audited(&there) != 1 {
		t.Error("a request that is refused is audited: ", w.Code, there.String())
	}
}

func TestARequestWaitsForALeaderAndThenEndsWithRetryAfter(t *testing.T) {
	leader := newMemHerder()
	base, _ := serveOn(t, New(leader, Options{}))
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for _, first := range []string{"", dead.URL} {
		f := newFollower(first)
		h := New(f, Options{Forward: &http.Client{}})
		time.AfterFunc(300*time.Millisecond, func() { f.url.Store(&base) })
		if w := call(t, h, "PUT", "/connectors/c/config", `{"connector.class":"FileStreamSink","topics":"t"}`); w.Code != 201 && w.Code != 200 {
			t.Error(w.Code, w.Body)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", "/connectors", strings.NewReader(forwardedConfig))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	New(newFollower(""), Options{Forward: &http.Client{}}).ServeHTTP(w, r)
	if w.Code != 409 || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code, w.Body)
	}
}

func TestAConnectionThatBreaksInsideAWriteThatCannotBeRepeatedIsAnError(t *testing.T) {
	base, _ := serveOn(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	w := call(t, New(newFollower(base), Options{Forward: &http.Client{}}), "POST", "/connectors", forwardedConfig)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "IO Error trying to forward REST request: ") {
		t.Error(w.Code, w.Body)
	}
}

// askingHerder asks other workers on behalf of the request.
type askingHerder struct {
	*memHerder
	heard chan []string
}

func (h askingHerder) Waiting(ctx context.Context, _ string) (runtime.Waiting, error) {
	h.heard <- Authorization(ctx)
	return runtime.Waiting{}, nil
}

func TestWhatIsAskedOnBehalfOfARequestCarriesItsAuthorization(t *testing.T) {
	h := askingHerder{newMemHerder(), make(chan []string, 1)}
	r := httptest.NewRequest(http.MethodGet, "/connectors/c/waiting", nil)
	r.Header.Set("Authorization", "Bearer abc")
	New(h, Options{Log: slog.New(slog.DiscardHandler)}).ServeHTTP(httptest.NewRecorder(), r)
	if got := <-h.heard; len(got) != 1 || got[0] != "Bearer abc" {
		t.Errorf("the herder heard %v", got)
	}
	if got := Authorization(t.Context()); got != nil {
		t.Errorf("a context of no request has %v", got)
	}
}
