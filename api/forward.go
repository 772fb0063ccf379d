package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stepconnect/stepconnect/runtime"
)

const (
	// forwardPatience bounds how long a request waits inside the server for a leader; a leader that has died is
	// replaced within a session timeout and a little.
	forwardPatience = 30 * time.Second
	forwardAgain    = 200 * time.Millisecond
	// forwardTimeout bounds one forwarded request: the other side's own limit and a little.
	forwardTimeout = requestTimeout + 5*time.Second

	messageNoLeader    = "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
	messageConflicting = "Cannot complete request because of a conflicting operation (e.g. worker rebalance)"
)

// syncer is a Herder that can wait for what another worker has written.
type syncer interface {
	Sync(ctx context.Context) error
}

// attempt runs an endpoint here or, when another worker has to serve it, there. While nobody knows who that is
// it waits, and tries again; then the answer is 409 with Retry-After.
func (a *handler) attempt(ctx context.Context, r *request, rt route) (answer, error) {
	deadline := time.Now().Add(forwardPatience)
	for {
		ans, err := rt.serve(a, r)
		var elsewhere *runtime.Elsewhere
		if !errors.As(err, &elsewhere) {
			return ans, err
		}
		ans, err = a.forward(ctx, r, elsewhere.URL)
		var again *notNow
		if !errors.As(err, &again) {
			return ans, err
		}
		if again.final || time.Now().After(deadline) {
			return answer{}, again.refusal()
		}
		select {
		case <-time.After(forwardAgain):
		case <-ctx.Done():
			return answer{}, again.refusal()
		}
	}
}

// notNow is of a request that nothing has been done about: it may be tried again.
type notNow struct {
	message string
	final   bool // not by this worker: who forwarded it does
}

func (e *notNow) Error() string { return e.message }

// refusal is the answer when it is given up. Of one that another worker forwarded it is no news: who forwarded it tries again, and
// has it in its audit log once.
func (e *notNow) refusal() error {
	err := &runtime.Error{Status: http.StatusConflict, Message: e.message, RetryAfter: time.Second}
	if e.final {
		return &unserved{err}
	}
	return err
}

// unserved is of a forwarded request that nothing was done about.
type unserved struct{ refused *runtime.Error }

func (e *unserved) Error() string { return e.refused.Error() }
func (e *unserved) Unwrap() error { return e.refused }

// forward sends the request once to the worker at base. A request that came forwarded may go on once more, since
// the leader may have changed on the way; after that it ends (Kafka Connect's forward parameter).
func (a *handler) forward(ctx context.Context, r *request, base string) (answer, error) {
	hop, forwarded := r.query()["forward"]
	next := "true"
	if forwarded {
		if !strings.EqualFold(hop[0], "true") {
			return answer{}, &notNow{messageConflicting, true}
		}
		next = "false"
	}
	if base == "" {
		// The first worker waits; the others tell it to.
		return answer{}, &notNow{messageNoLeader, forwarded}
	}
	if a.opts.Forward == nil {
		return answer{}, runtime.Internal("Error trying to forward REST request: this worker has no client for it")
	}
	sending, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	res, err := a.send(sending, r, base, next)
	switch {
	case err == nil:
	case refused(err), r.Method == http.MethodPut && !forwarded && ctx.Err() == nil:
		// Never sent; or it may have been done and may be done again.
		return answer{}, &notNow{messageNoLeader, forwarded}
	default:
		return answer{}, runtime.Internal("IO Error trying to forward REST request: %v", err)
	}
	return a.forwarded(ctx, res, forwarded)
}

// send repeats the request at the worker at base. Of the headers only those count that say who asks and under
// which condition.
func (a *handler) send(ctx context.Context, r *request, base, hop string) (*received, error) {
	query := r.query()
	query.Set("forward", hop)
	req, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(base, "/")+r.URL.EscapedPath()+"?"+query.Encode(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Authorization", "If-Match", "If-None-Match"} {
		for _, v := range r.Header.Values(name) {
			req.Header.Add(name, v)
		}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "kafka-connect")
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	}
	res, err := a.opts.Forward.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	return &received{res.StatusCode, res.Header, bytes.TrimSpace(body)}, nil
}

// received is the other worker's answer.
type received struct {
	status int
	header http.Header
	body   []byte
}

// refused tells whether a request was never sent.
func refused(err error) bool {
	var dial *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dial) && dial.Op == "dial"
}

// forwarded makes the other worker's answer this one's.
func (a *handler) forwarded(ctx context.Context, res *received, again bool) (answer, error) {
	switch {
	case res.status >= 400 && res.status < 600:
		var body errorBody
		if json.Unmarshal(res.body, &body) != nil || body.Message == "" {
			body = errorBody{res.status, frameworkText(res.status)}
		}
		if res.status == http.StatusConflict && (body.Message == messageNoLeader || body.Message == messageConflicting) {
			return answer{}, &notNow{body.Message, again}
		}
		seconds, _ := strconv.Atoi(res.header.Get("Retry-After"))
		return answer{}, &runtime.Error{Status: res.status, Message: body.Message, RetryAfter: time.Duration(seconds) * time.Second}
	case res.status < 200 || res.status >= 300:
		return answer{}, runtime.Internal("Unexpected status code when handling forwarded request: %d", res.status)
	}
	if s, ok := a.herder.(syncer); ok {
		if err := s.Sync(ctx); err != nil {
			a.log.DebugContext(ctx, "what another worker has written is not read yet", "error", err)
		}
	}
	ans := answer{status: res.status, etag: res.header.Get("ETag")}
	if u, err := url.Parse(res.header.Get("Location")); err == nil && u.Path != "" {
		ans.location = u.EscapedPath()
	}
	if len(res.body) > 0 {
		if !json.Valid(res.body) {
			return answer{}, runtime.Internal("Error trying to forward REST request: the other worker's answer is not JSON")
		}
		ans.body = json.RawMessage(res.body)
	}
	return ans, nil
}
