package connector

import (
	"context"
	"encoding/hex"
	"strings"
)

// Trace is the place in a distributed trace that a record carries, or that a delivery has (W3C Trace Context).
// The zero value is none.
type Trace struct {
	ID      [16]byte
	Span    [8]byte
	Sampled bool
}

// IsZero tells whether there is no trace.
func (t Trace) IsZero() bool { return t.ID == [16]byte{} || t.Span == [8]byte{} }

// The headers that records carry a trace in: W3C's and AWS X-Ray's.
const (
	HeaderTraceParent = "traceparent"
	HeaderXRay        = "X-Amzn-Trace-Id"
)

// TraceOf reads the trace that a record's headers carry: traceparent where it is valid, else X-Amzn-Trace-Id. Of a header that
// repeats the last one counts.
func TraceOf(headers []RawHeader) Trace {
	var w3c, xray Trace
	for i := range headers {
		switch h := &headers[i]; {
		case strings.EqualFold(h.Key, HeaderTraceParent):
			w3c = parseTraceParent(string(h.Value))
		case strings.EqualFold(h.Key, HeaderXRay):
			xray = parseXRay(string(h.Value))
		}
	}
	if !w3c.IsZero() {
		return w3c
	}
	return xray
}

// parseTraceParent reads version-traceid-spanid-flags; none for anything else.
func parseTraceParent(s string) (t Trace) {
	// Later versions may add parts behind the four that every version has.
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || len(s) > 55 && (s[:2] == "00" || s[55] != '-') {
		return Trace{}
	}
	var version, flags [1]byte
	if !unhex(version[:], s[:2]) || version[0] == 0xff || !unhex(t.ID[:], s[3:35]) || !unhex(t.Span[:], s[36:52]) || !unhex(flags[:], s[53:55]) {
		return Trace{}
	}
	t.Sampled = flags[0]&1 == 1
	return t
}

// parseXRay reads Root=1-time-id;Parent=id;Sampled=0|1, in any order; none without a root and a parent.
func parseXRay(s string) (t Trace) {
	var root, parent bool
	for part := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case strings.EqualFold(key, "Root"):
			root = len(value) == 35 && value[:2] == "1-" && value[10] == '-' && unhex(t.ID[:4], value[2:10]) && unhex(t.ID[4:], value[11:])
		case strings.EqualFold(key, "Parent"):
			parent = len(value) == 16 && unhex(t.Span[:], value)
		case strings.EqualFold(key, "Sampled"):
			t.Sampled = value == "1"
		}
	}
	if !root || !parent {
		return Trace{}
	}
	return t
}

// unhex takes lower-case digits only, as W3C does.
func unhex(dst []byte, s string) bool {
	if strings.ToLower(s) != s {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil && len(s) == 2*len(dst)
}

// TraceID is the trace's id in hex.
func (t Trace) TraceID() string { return hex.EncodeToString(t.ID[:]) }

// SpanID is the span's id in hex.
func (t Trace) SpanID() string { return hex.EncodeToString(t.Span[:]) }

// XRay is the value of the header X-Amzn-Trace-Id.
func (t Trace) XRay() string {
	id, sampled := t.TraceID(), "0"
	if t.Sampled {
		sampled = "1"
	}
	return "Root=1-" + id[:8] + "-" + id[8:] + ";Parent=" + t.SpanID() + ";Sampled=" + sampled
}

// WithTrace gives Deliver's context the trace that the delivery belongs to.
func WithTrace(ctx context.Context, t Trace) context.Context {
	if t.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom gives the trace of a context, the zero value when it has none.
func TraceFrom(ctx context.Context) Trace {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t
}

type traceKey struct{}
