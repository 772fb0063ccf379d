package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/stepconnect/stepconnect/runtime"
)

// answer is what an endpoint gives back: a status, and for most a JSON body.
type answer struct {
	status   int
	body     any           // nil sends none
	location string        // of what was created, an absolute path
	etag     string        // entity tag of the configuration, quoted
	again    time.Duration // when to ask again; 0 when waiting does not help
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }
func noContent() answer  { return answer{status: http.StatusNoContent} }
func accepted() answer   { return answer{status: http.StatusAccepted} }

// write sends the answer and gives its status.
func (ans answer) write(w http.ResponseWriter, r *http.Request) int {
	if ans.location != "" {
		w.Header().Set("Location", absolute(r, ans.location))
	}
	if ans.etag != "" {
		w.Header().Set("ETag", ans.etag)
	}
	if ans.again > 0 {
		w.Header().Set("Retry-After", retryAfter(ans.again))
	}
	if ans.body == nil {
		w.Header()["Content-Type"] = nil
		w.WriteHeader(ans.status)
		return ans.status
	}
	writeJSON(w, ans.status, ans.body)
	return ans.status
}

// absolute completes a path with the address that the client used, as Jersey does for Location.
func absolute(r *http.Request, path string) string {
	if r.Host == "" {
		return path
	}
	if r.TLS != nil {
		return "https://" + r.Host + path
	}
	return "http://" + r.Host + path
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data := encodeJSON(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // the client is gone: the access log has the status
}

// encodeJSON leaves <, > and & as they are, as Jackson does. The bodies are our own types, which
// always encode.
func encodeJSON(body any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// errorBody is Kafka Connect's ErrorMessage.
type errorBody struct {
	ErrorCode int    `json:"error_code"`
	Message   string `json:"message"`
}

func writeErrorBody(w http.ResponseWriter, status int, message string) int {
	writeJSON(w, status, errorBody{status, message})
	return status
}

// writeFrameworkError answers as Jersey does where no endpoint was reached: its own text, and a
// JSON body without a Content-Type.
func writeFrameworkError(w http.ResponseWriter, status int) int {
	data := encodeJSON(errorBody{status, frameworkText(status)})
	w.Header()["Content-Type"] = nil
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data)
	return status
}

func frameworkText(status int) string {
	return "HTTP " + strconv.Itoa(status) + " " + http.StatusText(status)
}

// frameworkError is a refusal with Jersey's text and form.
type frameworkError int

func (e frameworkError) Error() string { return frameworkText(int(e)) }

// errNoMediaType is of an entity whose type is not said, or is a range: Jersey finds no reader for it.
func errNoMediaType() error {
	return &runtime.Error{Status: http.StatusUnsupportedMediaType, Message: frameworkText(http.StatusUnsupportedMediaType)}
}

const errUnsupportedMediaType = frameworkError(http.StatusUnsupportedMediaType)

func errTooLarge(limit int64) error {
	return &runtime.Error{Status: http.StatusRequestEntityTooLarge,
		Message: "The request body is larger than the " + strconv.FormatInt(limit, 10) + " bytes that this worker accepts"}
}

// startingAgain is when to ask a worker again that is starting.
const startingAgain = 5 * time.Second

// writeError maps an error to its answer: the one place that does.
func (a *handler) writeError(w http.ResponseWriter, r *http.Request, err error) int {
	var refused *runtime.Error
	var framework frameworkError
	var body *bodyError
	switch {
	case errors.As(err, &refused):
		if refused.RetryAfter > 0 {
			w.Header().Set("Retry-After", retryAfter(refused.RetryAfter))
		}
		return writeErrorBody(w, refused.Status, refused.Message)
	case errors.As(err, &framework):
		return writeFrameworkError(w, int(framework))
	case errors.As(err, &body):
		w.Header().Set("Connection", "close")
		return writeErrorBody(w, http.StatusRequestTimeout, err.Error())
	case errors.Is(err, context.DeadlineExceeded) && r.Context().Err() != nil:
		if stage := a.herder.Stage(); stage != "" {
			// Only while the worker starts; waiting helps then.
			w.Header().Set("Retry-After", retryAfter(startingAgain))
			return writeErrorBody(w, http.StatusInternalServerError, "Request timed out. "+stage)
		}
		return writeErrorBody(w, http.StatusInternalServerError, "Request timed out")
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return writeErrorBody(w, http.StatusInternalServerError, "Request interrupted")
	}
	a.log.ErrorContext(r.Context(), "REST request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return writeErrorBody(w, http.StatusInternalServerError, err.Error())
}

// retryAfter gives whole seconds, at least one: RFC 9110, section 10.2.3.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(int(math.Max(1, math.Ceil(d.Seconds()))))
}

func stack() string { return string(debug.Stack()) }
