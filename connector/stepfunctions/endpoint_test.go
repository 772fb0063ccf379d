package stepfunctions

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// endpoint is a Step Functions endpoint over HTTP: it remembers executions by name and answers
// what a test scripts.
type endpoint struct {
	*httptest.Server
	mu      sync.Mutex // guards the rest
	calls   []call
	names   map[string]string // input by machine and name, of Standard executions
	kind    string            // of all machines: STANDARD or EXPRESS
	answer  func(call) *reply // nil, or a nil reply: as the real service
	stalled chan struct{}
}

type call struct {
	op, machine, name, input string
	host                     string
	trace                    string // X-Amzn-Trace-Id
}

type reply struct {
	status int
	header map[string]string
	body   any // text as it is, anything else as JSON
	hangUp bool
}

func fault(status int, code string) *reply {
	return &reply{status: status, body: map[string]string{"__type": code, "message": "scripted"}}
}

func newEndpoint(t testing.TB, kind string) *endpoint {
	e := &endpoint{names: map[string]string{}, kind: kind}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ StateMachineArn, Name, Input string }
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c := call{strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions."), in.StateMachineArn, in.Name, in.Input, r.Host, r.Header.Get("X-Amzn-Trace-Id")}
	e.mu.Lock()
	stalled := e.stalled
	e.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-r.Context().Done():
		}
		return
	}
	out := e.handle(c)
	if out.hangUp {
		panic(http.ErrAbortHandler)
	}
	for k, v := range out.header {
		w.Header().Set(k, v)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(out.status)
	if s, ok := out.body.(string); ok {
		_, _ = io.WriteString(w, s)
		return
	}
	_ = json.NewEncoder(w).Encode(out.body)
}

func (e *endpoint) handle(c call) *reply {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, c)
	if e.answer != nil {
		if r := e.answer(c); r != nil {
			return r
		}
	}
	switch c.op {
	case "DescribeStateMachine":
		return &reply{status: 200, body: map[string]any{"stateMachineArn": c.machine, "name": "m", "type": e.kind, "definition": "{}", "roleArn": "arn:aws:iam::000000000000:role/r", "creationDate": 1.5}}
	case "ListExecutions":
		return &reply{status: 200, body: map[string]any{"executions": []any{}}}
	case "StartSyncExecution":
		return &reply{status: 200, body: map[string]any{"executionArn": "arn:aws:states:sa-east-1:000000000000:express:m:n:1", "status": "SUCCEEDED", "startDate": 1.5, "stopDate": 1.5, "output": "{}"}}
	}
	if in, taken := e.names[c.machine+c.name]; taken && in != c.input {
		return fault(400, "ExecutionAlreadyExists")
	}
	e.names[c.machine+c.name] = c.input
	form := "execution"
	if e.kind == "EXPRESS" {
		form = "express"
	}
	return &reply{status: 200, body: map[string]any{"executionArn": "arn:aws:states:sa-east-1:000000000000:" + form + ":m:" + c.name, "startDate": 1.5}}
}

// script sets what the endpoint answers; nil replies leave it to the endpoint.
func (e *endpoint) script(answer func(call) *reply) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = answer
}

func (e *endpoint) log(ops ...string) []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []call
	for _, c := range e.calls {
		if slices.Contains(ops, c.op) {
			found = append(found, c)
		}
	}
	return found
}

func (e *endpoint) stall() func() {
	stalled := make(chan struct{})
	e.mu.Lock()
	e.stalled = stalled
	e.mu.Unlock()
	return sync.OnceFunc(func() {
		e.mu.Lock()
		e.stalled = nil
		e.mu.Unlock()
		close(stalled)
	})
}

const testARN = "arn:aws:states:sa-east-1:000000000000:stateMachine:"

// settingsFor gives the configuration of a connector with one domain for Clientes; pairs
// replace or add keys, an empty value removes one.
func settingsFor(e *endpoint, pairs ...string) map[string]string {
	raw := map[string]string{
		"connector.class":                   "StepFunctionsSink",
		"topics":                            "clientes-alteracoes,pedidos-alteracoes,produtos-alteracoes",
		"domains":                           "clientes",
		"domain.clientes.topics":            "clientes-alteracoes",
		"domain.clientes.state.machine.arn": testARN + "Clientes",
	}
	if e != nil {
		raw["aws.endpoint"] = e.URL
	}
	for i := 0; i < len(pairs); i += 2 {
		if raw[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(raw, pairs[i])
		}
	}
	return raw
}

type testTask struct {
	connector.TaskContext
	metrics *connectortest.Metrics
}

func newTask(t testing.TB) testTask {
	m := connectortest.NewMetrics()
	tc := connectortest.Context(t)
	tc.Metrics = m
	return testTask{tc, m}
}

func newSink(t testing.TB, tc connector.TaskContext, raw map[string]string) *Sink {
	t.Helper()
	cfg, err := Connector{}.Config().Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Connector{}.NewSink(t.Context(), cfg, tc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return s.(*Sink)
}

// change gives an event of one table without a schema, at an offset of partition 3.
func change(table, op, key string, offset int64) *connector.Record {
	topic := strings.ToLower(table) + "-alteracoes"
	row := object("id", key, "nome", "Conceição")
	before, after := any(nil), any(row)
	switch op {
	case "d":
		before, after = row, nil
	case "u":
		before = object("id", key, "nome", "Maria")
	}
	snapshot := "false"
	if op == "r" {
		snapshot = "true"
	}
	source := object("connector", "sqlserver", "name", "consorcio", "db", "ConsorcioDB", "schema", "dbo", "table", table,
		"ts_ms", connector.Number("1741957641537"), "snapshot", snapshot,
		"commit_lsn", fmt.Sprintf("0000002a:%08x:0023", offset), "change_lsn", fmt.Sprintf("0000002a:%08x:0002", offset),
		"event_serial_no", connector.Number("1"))
	return &connector.Record{
		Topic: topic, Partition: 3,
		Key:    connector.NewValue(nil, object("id", key)),
		Value:  connector.NewValue(nil, object("before", before, "after", after, "source", source, "op", op)),
		Origin: connector.Origin{Topic: topic, Partition: 3, Offset: offset, Key: []byte(key), Value: []byte(op)},
	}
}

func object(pairs ...any) *connector.MapValue {
	v := &connector.MapValue{}
	for i := 0; i < len(pairs); i += 2 {
		v.Entries = append(v.Entries, connector.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return v
}

func tombstone(table, key string, offset int64) *connector.Record {
	r := change(table, "d", key, offset)
	r.Value, r.Origin.Value = connector.Value{}, nil
	return r
}

// input is what tests read of an execution's input.
type input struct {
	Domain  string
	Changes []struct {
		Operation, Table string
		Kafka            struct{ Offset int64 }
	}
}

func offsetsOf(t testing.TB, text string) []int64 {
	t.Helper()
	var in input
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var o []int64
	for _, c := range in.Changes {
		o = append(o, c.Kafka.Offset)
	}
	return o
}
