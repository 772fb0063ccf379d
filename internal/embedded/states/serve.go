package states

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stepconnect/stepconnect/internal/embedded/loopback"
)

const (
	maxBody     = 1 << 20 // request size of the service quotas
	contentType = "application/x-amz-json-1.0"
	targetName  = "AWSStepFunctions."
)

// exchange is one call under way, owned by its handler.
type exchange struct {
	call  Call
	at    int // place in the log
	req   request
	fault Fault
	// badInput is why the input is refused; found before any lock is taken, told in its turn.
	badInput *apiError
}

// reply is how a call is answered.
type reply struct {
	body  any
	err   *apiError
	reset bool
}

// ServeHTTP answers clients of AWS at "/", and tests at paths that begin with "/_".
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_") {
		e.admin.ServeHTTP(w, r)
		return
	}
	x := &exchange{call: Call{Arrived: e.o.Now(), Trace: r.Header.Get("X-Amzn-Trace-Id")}}
	x.call.Target, _ = strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetName)
	x.call.AccessKey, x.call.Region = credential(r.Header.Get("Authorization"))
	x.at = e.ledger.arrive(&x.call)

	out := e.process(w, r, x)

	switch {
	case out.reset:
		x.call.Outcome = OutcomeReset
	case out.err != nil:
		x.call.Outcome = out.err.code
	case x.call.Outcome == "":
		x.call.Outcome = OutcomeOK
	}
	if r.Context().Err() != nil {
		e.ledger.leave(x.at, &x.call)
	}
	if e.o.Keep != KeepInputs {
		x.call.Input = "" // the hook and the rules have seen it
	}
	e.ledger.end(x.at, &x.call, e.o.Now())
	if out.reset {
		loopback.Reset(w)
	} else if err := write(w, out); err != nil {
		e.ledger.gone(x.at, &x.call)
	}
	e.ledger.write(x.call)
}

// process takes a call through the checks of the service in their order: protocol, credentials, quota,
// fault, and the action itself.
func (e *Endpoint) process(w http.ResponseWriter, r *http.Request, x *exchange) reply {
	if err := e.read(w, r, x); err != nil {
		return reply{err: err}
	}
	if err := e.authenticate(r, x.call); err != nil {
		return reply{err: err}
	}
	if !e.buckets.take(e.limitName(x.call), e.o.Now()) {
		return reply{err: newError(codeThrottling, "%s", messageOf(codeThrottling))}
	}
	x.fault = e.faultOf(x.call)
	if !e.pause(r.Context(), x, x.fault.Delay, x.fault.Until) {
		return reply{reset: true}
	}
	if x.fault.strikes() && !x.fault.AfterEffect {
		return reply{err: x.fault.err(), reset: x.fault.Reset}
	}
	out := e.act(r.Context(), x)
	if !e.pause(r.Context(), x, e.o.Latency, nil) {
		return reply{reset: true}
	}
	if x.fault.strikes() && x.fault.AfterEffect {
		return reply{err: x.fault.err(), reset: x.fault.Reset}
	}
	return out
}

// read takes the request apart and completes the log's entry.
func (e *Endpoint) read(w http.ResponseWriter, r *http.Request, x *exchange) *apiError {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return newError(codeTooLarge, "Request size exceeded %d bytes", maxBody)
	}
	if err != nil {
		e.ledger.leave(x.at, &x.call)
		return newError("SerializationException", "the body ended early")
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	known := strings.HasPrefix(r.Header.Get("X-Amz-Target"), targetName) && actions(x.call.Target)
	if r.Method != http.MethodPost || r.URL.Path != "/" || media != contentType || !known {
		return newError("UnknownOperationException", "")
	}
	if err := json.Unmarshal(body, &x.req); err != nil || !utf8.Valid(body) {
		return newError("SerializationException", "the body is no JSON object of this operation")
	}
	e.note(x)
	return nil
}

// note enters what the request says into the log: hook, rules and verifier see the call by it.
func (e *Endpoint) note(x *exchange) {
	c, q := &x.call, &x.req
	c.Machine, c.Name, c.Execution = text(q.StateMachineArn), text(q.Name), text(q.ExecutionArn)
	if c.Trace == "" { // the header wins (API reference)
		c.Trace = text(q.TraceHeader)
	}
	if q.Input != nil {
		input := []byte(*q.Input)
		c.Input, c.InputBytes, c.InputHash = *q.Input, len(input), sha256.Sum256(input)
		x.badInput = e.examine(c, input)
	}
	e.ledger.update(x.at, c, e.o.Keep == KeepInputs)
}

// examine finds the changes of an input and whether it is JSON.
func (e *Endpoint) examine(c *Call, input []byte) *apiError {
	if e.o.Keep == KeepHashes {
		return validInput(input)
	}
	extract := e.o.Extract
	if extract == nil {
		extract = Changes
	}
	changes, err := extract(input)
	if err != nil {
		c.Unread = err.Error()
		return validInput(input)
	}
	c.Changes = changes
	if e.o.Extract == nil {
		return nil // Changes has read it as JSON
	}
	return validInput(input)
}

// faultOf asks the rules, then the hook.
func (e *Endpoint) faultOf(c Call) Fault {
	if f, taken := e.rules.fault(c); taken {
		return f
	}
	if hook := *e.hook.Load(); hook != nil {
		return hook(c)
	}
	return Fault{}
}

// pause waits for d and until. It notes the moment the client goes away, and goes on: the service does
// not take back what it was asked for. It is false when the endpoint closes.
func (e *Endpoint) pause(ctx context.Context, x *exchange, d time.Duration, until <-chan struct{}) bool {
	if d <= 0 && until == nil {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	due, client := timer.C, ctx.Done()
	for due != nil || until != nil {
		select {
		case <-due:
			due = nil
		case <-until:
			until = nil
		case <-client:
			client = nil
			e.ledger.leave(x.at, &x.call)
		case <-e.done:
			return false
		}
	}
	return true
}

func write(w http.ResponseWriter, out reply) error {
	status, body := http.StatusOK, out.body
	if out.err != nil {
		status = out.err.status
		body = map[string]string{"__type": out.err.namespaced(), "message": out.err.message}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-Requestid", newID())
	w.WriteHeader(status)
	_, err = w.Write(data)
	return err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// newID is a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
