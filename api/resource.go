package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// resource is one path and its methods. Its checks come in the order of JAX-RS: method, type of
// the entity, accepted types (Jakarta RESTful Web Services 3.1, section 3.7.2).
type resource struct {
	a       *handler
	methods map[string]route
}

// request is what an endpoint sees.
type request struct {
	*http.Request
	body []byte // the entity; nil for routes that take none
}

// param gives a decoded path parameter. normalisePath has made sure that it decodes.
func (r *request) param(name string) string {
	v, err := url.PathUnescape(chi.URLParam(r.Request, name))
	if err != nil {
		return chi.URLParam(r.Request, name)
	}
	return v
}

// query gives the query's parameters as Jersey reads them: only & parts them, and what does not decode is passed over.
func (r *request) query() url.Values {
	values, _ := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B")) // what is sound of it
	return values
}

// flag reads a boolean query parameter as Java's Boolean.valueOf does: true in any case, else false; one without a value is absent.
func (r *request) flag(name string, absent bool) bool {
	values, ok := r.query()[name]
	if !ok || values[0] == "" {
		return absent
	}
	return strings.EqualFold(values[0], "true")
}

func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt, ok := res.methods[method]
	if !ok {
		refuseMethod(w, r, res.allow())
		return
	}
	start := time.Now()
	status, passed := http.StatusForbidden, false
	if p := principalOf(r.Context()); rt.action != "" && res.a.opts.Auth != nil && p.Role != Admin {
		writeErrorBody(w, status, needsAdmin(p)) // a read of what records hold: authenticate has seen to the writes
	} else {
		status, passed = res.serve(w, r, rt)
	}
	if rt.action != "" && !passed {
		res.a.audit(r, rt, status, time.Since(start))
	}
}

// refuseMethod answers OPTIONS, and all methods that a path does not have.
func refuseMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		return
	}
	writeFrameworkError(w, http.StatusMethodNotAllowed)
}

// serve runs a route to its end and gives the status it was answered with. passed says that nothing was done and that the
// worker which forwarded the request goes on with it.
func (res *resource) serve(w http.ResponseWriter, r *http.Request, rt route) (status int, passed bool) {
	timeout := rt.timeout
	if timeout == 0 {
		timeout = requestTimeout
	}
	var err error
	req := &request{Request: r}
	if types := r.Header.Values("Content-Type"); len(types) > 0 && !rt.anyType {
		if err := checkType(types[0]); err != nil {
			return res.a.writeError(w, r, err), false
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if req.body, err = res.a.readBody(w, r, rt); err != nil {
			return res.a.writeError(w, r, err), false
		}
	}
	switch taken, err := acceptsJSON(r.Header.Values("Accept")); {
	case err != nil:
		return res.a.writeError(w, r, err), false
	case !taken:
		return writeFrameworkError(w, http.StatusNotAcceptable), false
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), authorizationKey{}, r.Header.Values("Authorization")), timeout)
	defer cancel()
	req.Request = r.WithContext(ctx)
	var ans answer
	if !rt.early {
		err = res.a.herder.Started(ctx)
	}
	if err == nil {
		ans, err = res.a.attempt(ctx, req, rt)
	}
	if err != nil {
		var nothing *unserved
		return res.a.writeError(w, req.Request, err), errors.As(err, &nothing)
	}
	return ans.write(w, r), false
}

type authorizationKey struct{}

// Authorization gives the Authorization headers of the request that ctx belongs to: what is asked of another worker
// on its behalf is judged there by the same.
func Authorization(ctx context.Context) []string {
	values, _ := ctx.Value(authorizationKey{}).([]string)
	return values
}

// allow lists the methods of the resource, sorted, as OPTIONS and 405 tell them.
func (res *resource) allow() string {
	all := []string{http.MethodOptions}
	for m := range res.methods {
		all = append(all, m)
		if m == http.MethodGet {
			all = append(all, http.MethodHead)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// readBody reads the entity under the limits of size and time. A body that nobody asked for is judged by its type
// alone, as Kafka Connect does.
func (a *handler) readBody(w http.ResponseWriter, r *http.Request, rt route) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	// A recorder in tests has no connection to set a deadline on.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(a.opts.BodyTimeout))
	body, err := a.limitedBody(r)
	if err != nil {
		// The deadline stays: net/http reads on after the answer, to keep the connection.
		return nil, err
	}
	_ = connection.SetReadDeadline(time.Time{})
	switch {
	case !rt.takesBody || len(body) == 0:
		return nil, nil
	case len(r.Header.Values("Content-Type")) == 0 && !rt.anyType:
		return nil, errNoMediaType()
	case isEncoded(r):
		return nil, errUnsupportedMediaType
	}
	return body, nil
}

func (a *handler) limitedBody(r *http.Request) ([]byte, error) {
	if r.ContentLength > a.opts.MaxBody {
		drain(r.Body)
		return nil, errTooLarge(a.opts.MaxBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, a.opts.MaxBody+1))
	switch {
	case err != nil:
		return nil, &bodyError{err}
	case int64(len(body)) > a.opts.MaxBody:
		drain(r.Body)
		return nil, errTooLarge(a.opts.MaxBody)
	}
	return body, nil
}

// drainLimit is how much of a refused body is still taken in, so that a client that sends all
// before it reads sees the 413 and not a broken connection.
const drainLimit = 256 << 20

func drain(body io.Reader) {
	buf := make([]byte, 32<<10)
	for n := 0; n < drainLimit; {
		k, err := body.Read(buf)
		n += k
		if err != nil {
			return
		}
	}
}

// bodyError is a request whose entity could not be read from the connection.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "the request body could not be read: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
