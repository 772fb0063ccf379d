package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The parts of an ExportTraceServiceRequest that are used, in OTLP's JSON encoding: ids in hex, 64-bit integers as text.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope      `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
	otlpSpan struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		Parent     string      `json:"parentSpanId,omitempty"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes"`
		Links      []link      `json:"links,omitempty"`
		Status     status      `json:"status"`
	}
	link struct {
		TraceID string `json:"traceId"`
		SpanID  string `json:"spanId"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		Text   *string `json:"stringValue,omitempty"`
		Number *string `json:"intValue,omitempty"`
	}
)

const (
	kindConsumer = 5
	statusError  = 2
)

func text(key, v string) attribute { return attribute{key, value{Text: &v}} }

func number(key string, n int64) attribute {
	v := strconv.FormatInt(n, 10)
	return attribute{key, value{Number: &v}}
}

func encode(resourceOf map[string]string, spans []span) ([]byte, error) {
	rs := resourceSpans{ScopeSpans: []scopeSpans{{Scope: scope{"stepconnect"}}}}
	for _, k := range slices.Sorted(maps.Keys(resourceOf)) {
		rs.Resource.Attributes = append(rs.Resource.Attributes, text(k, resourceOf[k]))
	}
	for i := range spans {
		s := &spans[i]
		o := otlpSpan{
			TraceID: s.trace.TraceID(), SpanID: s.trace.SpanID(), Name: s.name, Kind: kindConsumer,
			Start: strconv.FormatInt(s.start.UnixNano(), 10), End: strconv.FormatInt(s.end.UnixNano(), 10),
			Attributes: []attribute{
				text("messaging.system", "kafka"), text("messaging.operation.type", "process"), text("messaging.destination.name", s.batch.Topic),
				text("messaging.destination.partition.id", strconv.Itoa(int(s.batch.Partition))), number("messaging.kafka.offset", s.batch.Offset),
				number("messaging.batch.message_count", int64(s.batch.Records)),
				text("stepconnect.connector", s.batch.Connector), number("stepconnect.task", int64(s.batch.Task)),
			},
		}
		if s.parent != [8]byte{} {
			o.Parent = hex.EncodeToString(s.parent[:])
		}
		for _, l := range s.links {
			o.Links = append(o.Links, link{l.TraceID(), l.SpanID()})
		}
		if s.err != nil {
			o.Status = status{statusError, strings.ToValidUTF8(s.err.Error(), "\uFFFD")}
		}
		rs.ScopeSpans[0].Spans = append(rs.ScopeSpans[0].Spans, o)
	}
	return json.Marshal(request{[]resourceSpans{rs}})
}

// send posts spans, in one attempt.
func (c *Config) send(ctx context.Context, spans []span) error {
	body, err := encode(c.Resource, spans)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 300))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s: %q", res.Status, said)
	}
	return nil
}
