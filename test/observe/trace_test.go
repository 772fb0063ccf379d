package observe

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/worker"
)

// span is what is asked here of one, by the names of OTLP's JSON.
type span struct {
	TraceID      string
	SpanID       string
	ParentSpanID string
	Name         string
}

// collector keeps the spans that it is sent by OTLP over HTTP. No OpenTelemetry collector is among the real servers.
type collector struct {
	url   string
	mu    sync.Mutex // guards spans
	spans []span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []span } }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("the collector is sent %s: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range in.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// of gives the one span of a trace.
func (c *collector) of(trace string) (span, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.spans, func(s span) bool { return s.TraceID == trace })
	if i < 0 {
		return span{}, false
	}
	return c.spans[i], true
}

// startOf is the call that started the execution of a record.
func startOf(s *embedded.Stack, at broker.Offset) (states.Call, bool) {
	calls := s.States.Log()
	i := slices.IndexFunc(calls, func(c states.Call) bool {
		return slices.ContainsFunc(c.Changes, func(ch states.Change) bool {
			return ch.Topic == at.Topic && ch.Partition == at.Partition && ch.Offset == at.Offset
		})
	})
	if i < 0 {
		return states.Call{}, false
	}
	return calls[i], true
}

// TestATraceGoesFromTheRecordToTheExecution follows one trace from a record's header over the worker's span to the header of
// the call that starts the execution, where X-Ray takes it up.
func TestATraceGoesFromTheRecordToTheExecution(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	const xrayTrace, xrayParent = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
	collected := newCollector(t)
	p, s := live(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collected.url)
	company, producer := source(t, s)
	defer producer.Close()
	send := func(value []byte, headers ...broker.Header) broker.Offset {
		t.Helper()
		events, err := company.Transaction()
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			value = events[0].Value
		}
		at, err := producer.Send(t.Context(), broker.Record{Topic: events[0].Topic, Key: events[0].Key, Value: value, Headers: headers})
		if err != nil {
			t.Fatal(err)
		}
		return at[0]
	}

	for _, c := range []struct {
		header                   broker.Header
		trace, parent, root, way string
	}{
		{broker.Header{Key: "traceparent", Value: []byte("00-" + trace + "-" + parent + "-01")}, trace, parent, "Root=1-0af76519-16cd43dd8448eb211c80319c", "W3C"},
		{broker.Header{Key: "X-Amzn-Trace-Id", Value: []byte("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=" + xrayParent + ";Sampled=1")}, xrayTrace, xrayParent,
			"Root=1-5759e988-bd862e3fe1be46a994272793", "X-Ray"},
	} {
		at := send(nil, c.header)
		var call states.Call
		worker.Eventually(t, 60*time.Second, "the record becomes an execution", func() (is bool) { call, is = startOf(s, at); return is })
		var own span
		worker.Eventually(t, 30*time.Second, "the collector has its span", func() (is bool) { own, is = collected.of(c.trace); return is })
		if own.ParentSpanID != c.parent || own.Name != at.Topic+" deliver" {
			t.Errorf("%s: the span is %+v, want a child of %s", c.way, own, c.parent)
		}
		if want := c.root + ";Parent=" + own.SpanID + ";Sampled=1"; call.Trace != want {
			t.Errorf("%s: the execution was started under %q, want %q", c.way, call.Trace, want)
		}
	}

	at := send(nil)
	worker.Eventually(t, 60*time.Second, "a record without a trace becomes an execution under a trace of its own", func() bool {
		call, is := startOf(s, at)
		return is && strings.HasPrefix(call.Trace, "Root=1-") && strings.HasSuffix(call.Trace, ";Sampled=1")
	})

	const broken = "1af7651916cd43dd8448eb211c80319c"
	send([]byte("no Avro"), broker.Header{Key: "traceparent", Value: []byte("00-" + broken + "-" + parent + "-01")})
	worker.Eventually(t, 60*time.Second, "the log line of a bad record names its trace", func() bool {
		return slices.ContainsFunc(strings.Split(p.Log(), "\n"), func(line string) bool {
			var l map[string]any
			return json.Unmarshal([]byte(line), &l) == nil && l["trace_id"] == broken && l["level"] == "ERROR"
		})
	})
}
