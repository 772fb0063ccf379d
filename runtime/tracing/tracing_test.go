package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// collector is an OpenTelemetry collector that keeps what it is sent.
type collector struct {
	*httptest.Server
	mu      sync.Mutex // guards the rest
	status  int
	path    string
	header  http.Header
	spans   []map[string]any
	service string
}

func newCollector(t *testing.T) *collector {
	c := &collector{status: http.StatusOK}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		var in struct {
			ResourceSpans []struct {
				Resource struct {
					Attributes []struct {
						Key   string
						Value struct{ StringValue string }
					}
				}
				ScopeSpans []struct{ Spans []map[string]any }
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		c.path, c.header = r.URL.Path, r.Header
		w.WriteHeader(c.status)
		if c.status != http.StatusOK {
			_, _ = io.WriteString(w, "not today")
			return
		}
		for _, rs := range in.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					c.service = a.Value.StringValue
				}
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func environment(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func newTracer(t *testing.T, log io.Writer, env func(string) string) *Tracer {
	t.Helper()
	cfg, on, err := FromEnvironment(env, "1.2.3")
	if err != nil || !on {
		t.Fatalf("on %v, %v", on, err)
	}
	return New(cfg, slog.New(slog.NewTextHandler(log, nil)))
}

// finish runs the tracer once around: what has ended is sent.
func finish(t *testing.T, tr *Tracer) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	tr.Run(ctx)
}

func carried(last byte, sampled bool) connector.Trace {
	return connector.Trace{ID: [16]byte{1, 15: last}, Span: [8]byte{2, 7: last}, Sampled: sampled}
}

var delivery = task.Span{Connector: "c", Task: 1, Topic: "t", Partition: 3, Offset: 42, Records: 3}

func TestADeliveryIsASpanOfItsRecordsTrace(t *testing.T) {
	c := newCollector(t)
	tr := newTracer(t, io.Discard, environment("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL, "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b", "OTEL_SERVICE_NAME", "consorcio"))
	own, end := tr.Begin(delivery, []connector.Trace{carried(1, true), carried(2, true), carried(3, false)})
	if own.ID != carried(1, true).ID || own.Span == carried(1, true).Span || !own.Sampled {
		t.Errorf("the delivery's own place is %+v", own)
	}
	end(errors.New("refused"))
	finish(t, tr)
	if c.path != "/v1/traces" || c.header.Get("api-key") != "a b" || c.service != "consorcio" || len(c.spans) != 1 {
		t.Fatalf("path %s, headers %v, service %s, spans %v", c.path, c.header, c.service, c.spans)
	}
	s := c.spans[0]
	for k, want := range map[string]any{
		"traceId": own.TraceID(), "spanId": own.SpanID(), "parentSpanId": carried(1, true).SpanID(), "name": "t deliver", "kind": float64(5),
	} {
		if s[k] != want {
			t.Errorf("%s is %v, want %v", k, s[k], want)
		}
	}
	if links := s["links"].([]any); len(links) != 2 || links[1].(map[string]any)["traceId"] != carried(3, false).TraceID() {
		t.Errorf("links: %v", links)
	}
	if st := s["status"].(map[string]any); st["code"] != float64(2) || st["message"] != "refused" {
		t.Errorf("status: %v", st)
	}
}

func TestSamplingFollowsTheParentElseTheRatio(t *testing.T) {
	c := newCollector(t)
	for ratio, want := range map[string][2]int{"0": {0, 0}, "1": {1000, 1000}, "0.25": {150, 350}} {
		c.spans = nil
		tr := newTracer(t, io.Discard, environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.URL+"/here", "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", ratio))
		for range 1000 {
			_, end := tr.Begin(delivery, nil)
			end(nil)
		}
		if n := len(tr.pending); n < want[0] || n > want[1] {
			t.Errorf("ratio %s: %d of 1000", ratio, n)
		}
		tr.pending = nil
		_, end := tr.Begin(delivery, []connector.Trace{carried(1, true)})
		end(nil)
		_, end = tr.Begin(delivery, []connector.Trace{carried(2, false)})
		end(nil)
		finish(t, tr)
		if len(c.spans) != 1 || c.path != "/here" {
			t.Errorf("ratio %s: of a sampled and an unsampled parent came %d spans at %s", ratio, len(c.spans), c.path)
		}
	}
}

func TestACollectorThatIsAwayCostsSpansAndNothingElse(t *testing.T) {
	c := newCollector(t)
	c.status = http.StatusServiceUnavailable
	var log strings.Builder
	tr := newTracer(t, &log, environment("OTEL_EXPORTER_OTLP_ENDPOINT", strings.Replace(c.URL, "http://", "http://user:geheim@", 1)))
	for range maxPending + 10 {
		_, end := tr.Begin(delivery, nil)
		end(nil)
	}
	if len(tr.pending) != maxPending {
		t.Errorf("%d spans wait", len(tr.pending))
	}
	finish(t, tr)
	for _, want := range []string{"not today", "OTEL_EXPORTER_OTLP_ENDPOINT", "spans=10"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "geheim") {
		t.Error("the log shows the password")
	}
}

func TestTheEnvironmentIsReadAsOpenTelemetrySays(t *testing.T) {
	for name, c := range map[string]struct {
		env  []string
		on   bool
		want string // of the endpoint, or in the error
	}{
		"nothing is set":     {nil, false, ""},
		"an endpoint":        {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"}, true, "http://c:4318/v1/traces"},
		"one with a path":    {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp"}, true, "https://c/otlp/v1/traces"},
		"one for traces":     {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/x"}, true, "http://d/x"},
		"the exporter alone": {[]string{"OTEL_TRACES_EXPORTER", "otlp"}, true, "http://localhost:4318/v1/traces"},
		"disabled":           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_SDK_DISABLED", "true"}, false, ""},
		"no exporter":        {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_EXPORTER", "none"}, false, ""},
		"another exporter":   {[]string{"OTEL_TRACES_EXPORTER", "zipkin"}, false, "OTEL_TRACES_EXPORTER=zipkin"},
		"gRPC":               {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false, "4318"},
		"no URL":             {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT is no"},
		"a broken header":    {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_HEADERS", "geheim"}, false, "OTEL_EXPORTER_OTLP_HEADERS: item 1"},
		"an unknown sampler": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_SAMPLER", "always"}, false, "OTEL_TRACES_SAMPLER=always"},
		"a ratio over 1":     {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "2"}, false, "OTEL_TRACES_SAMPLER_ARG=2"},
		"a timeout in words": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT", "soon"}, false, "OTEL_EXPORTER_OTLP_TIMEOUT=soon"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, on, err := FromEnvironment(environment(c.env...), "1")
			said := cfg.Endpoint
			if err != nil {
				said = err.Error()
			}
			if on != c.on || !on && c.want == "" && err != nil || !strings.Contains(said, c.want) {
				t.Errorf("on %v: %s", on, said)
			}
			if strings.Contains(said, "geheim") {
				t.Error("the error shows a header's value")
			}
		})
	}
}
