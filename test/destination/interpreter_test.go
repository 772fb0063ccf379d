package destination

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
)

// interpreter executes state machines (ministack) whose tasks come back to this process.
type interpreter struct {
	url string

	mu     sync.Mutex // guards inside
	inside []string   // states inside a Map that were executed since they were last asked for
}

// taskError is an error as a service gives it to a state machine.
type taskError struct{ name, cause string }

func (e taskError) Error() string { return e.name + ": " + e.cause }

// interpret starts the interpreter, which ends with the test.
func interpret(t *testing.T, tasks func(resource string, arguments json.RawMessage) (any, error)) *interpreter {
	t.Helper()
	stack.Ministack(t) // has it installed
	python, err := filepath.Glob("../../.cache/stack/ministack-*/bin/python3")
	if err != nil || len(python) == 0 {
		t.Fatalf("ministack is installed nowhere under .cache/stack: %v", err)
	}
	in := &interpreter{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var task struct {
			Resource  string
			Arguments json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&task); err != nil {
			t.Errorf("task: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if task.Resource == "test:state" {
			in.entered(t, task.Arguments)
			_, _ = io.WriteString(w, `{"result":null}`)
			return
		}
		result, err := tasks(task.Resource, task.Arguments)
		answer := map[string]any{"result": result}
		if err != nil {
			answer = map[string]any{"error": "States.TaskFailed", "cause": err.Error()}
			if e := (taskError{}); errors.As(err, &e) {
				answer = map[string]any{"error": e.name, "cause": e.cause}
			}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Errorf("answer of a task: %v", err)
		}
	}))
	t.Cleanup(server.Close)

	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	log := filepath.Join(t.TempDir(), "interpreter.log")
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		// Waits for retries take no time.
		env := []string{"BIND_HOST=127.0.0.1", "GATEWAY_PORT=" + port, "TASKS_URL=" + server.URL, "SFN_WAIT_SCALE=0"}
		_, _ = stack.Run(ctx, env, []string{"sh", "-c", `exec "$0" testdata/interpreter.py >"$1" 2>&1`, python[0], log}, time.Second)
	})
	t.Cleanup(func() { stop(); done.Wait() })
	in.url = "http://" + addr
	await(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.url+"/_ministack/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	}, func() string {
		text, _ := os.ReadFile(log)
		return "the interpreter does not answer\n" + string(text)
	})
	return in
}

// await waits until done, and fails the test with what to say after half a minute.
func await(t *testing.T, done func() bool, say func() string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(30 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatal(say())
		}
	}
}

// entered notes a state inside a Map.
func (in *interpreter) entered(t *testing.T, arguments json.RawMessage) {
	var state struct {
		Name  string
		Bytes int
	}
	if err := json.Unmarshal(arguments, &state); err != nil {
		t.Errorf("state: %v", err)
	}
	if state.Bytes > maxState {
		t.Errorf("state %s gets or gives %d bytes", state.Name, state.Bytes)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.inside = append(in.inside, state.Name)
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// call calls Step Functions.
func (in *interpreter) call(t *testing.T, operation string, request, response any) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AWSStepFunctions."+operation)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/sa-east-1/states/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", operation, resp.StatusCode, text, err)
	}
	if err := json.Unmarshal(text, response); err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
}

// execution is how an execution ended.
type execution struct {
	Status, Output, Error, Cause string
	Path                         []string // the states it entered, in order
	Inside                       []string // the states inside its Maps, in any order
}

// maxState is the most bytes that a state's input or output may have (Step Functions quotas). The emulator
// does not hold to it, so the tests do.
const maxState = 262144

// machines are the state machines that a test made, by file and type.
type machines struct {
	in   *interpreter
	mu   sync.Mutex
	arns map[string]string
}

// create makes a state machine of a file of configs, as CloudFormation's DefinitionSubstitutions do.
func (m *machines) create(t *testing.T, file, kind string) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if arn, ok := m.arns[file+kind]; ok {
		return arn
	}
	text, err := os.ReadFile("../../configs/statemachines/" + file + ".asl.json")
	if err != nil {
		t.Fatal(err)
	}
	definition := strings.NewReplacer("${ClusterArn}", "arn:aws:rds:sa-east-1:000000000000:cluster:consorcio", "${Database}", "consorcio",
		"${WriterSecretArn}", "writer", "${PublisherSecretArn}", "publisher", "${ParkingQueueUrl}", "queue", "${EventBusName}", "consorcio",
		"${OutboxAge}", "0 seconds", "${ExecutionType}", kind).Replace(string(text))
	if i := strings.Index(definition, "${"); i >= 0 {
		t.Fatalf("%s: a substitution that the test does not know: %.40s", file, definition[i:])
	}
	var made struct{ StateMachineArn string }
	m.in.call(t, "CreateStateMachine", map[string]any{"name": stack.Name(t), "definition": definition, "type": kind, "roleArn": "arn:aws:iam::000000000000:role/states"}, &made)
	m.arns[file+kind] = made.StateMachineArn
	return made.StateMachineArn
}

// run executes a machine to its end.
func (m *machines) run(t *testing.T, file, kind string, input any) execution {
	t.Helper()
	arn := m.create(t, file, kind)
	text := throughDoubles(t, input)
	if len(text) > maxState {
		t.Fatalf("the input has %d bytes", len(text))
	}
	var started struct{ ExecutionArn string }
	var end execution
	if kind == "EXPRESS" {
		var sync struct{ ExecutionArn, Status, Output, Error, Cause string }
		m.in.call(t, "StartSyncExecution", map[string]any{"stateMachineArn": arn, "input": string(text)}, &sync)
		started.ExecutionArn = sync.ExecutionArn
		end = execution{Status: sync.Status, Output: sync.Output, Error: sync.Error, Cause: sync.Cause}
	} else {
		m.in.call(t, "StartExecution", map[string]any{"stateMachineArn": arn, "input": string(text)}, &started)
		await(t, func() bool {
			m.in.call(t, "DescribeExecution", map[string]any{"executionArn": started.ExecutionArn}, &end)
			return end.Status != "RUNNING"
		}, func() string { return "the execution does not end" })
	}
	end.Path = m.history(t, started.ExecutionArn)
	m.in.mu.Lock()
	defer m.in.mu.Unlock()
	end.Inside, m.in.inside = m.in.inside, nil
	return end
}

// throughDoubles writes an input whose numbers have passed through doubles, as they do in JSONata.
func throughDoubles(t *testing.T, input any) []byte {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	var doubles any
	if err := json.Unmarshal(text, &doubles); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(doubles); err != nil {
		t.Fatal(err)
	}
	return text
}

// history gives the states that an execution entered, and holds their inputs and outputs to the limit.
func (m *machines) history(t *testing.T, arn string) []string {
	t.Helper()
	var history struct {
		Events []struct {
			StateEnteredEventDetails *struct{ Name, Input string }
			StateExitedEventDetails  *struct{ Name, Output string }
		}
	}
	m.in.call(t, "GetExecutionHistory", map[string]any{"executionArn": arn, "maxResults": 1000}, &history)
	var path []string
	for _, e := range history.Events {
		if d := e.StateEnteredEventDetails; d != nil {
			path = append(path, d.Name)
			if len(d.Input) > maxState {
				t.Errorf("state %s gets %d bytes", d.Name, len(d.Input))
			}
		}
		if d := e.StateExitedEventDetails; d != nil && len(d.Output) > maxState {
			t.Errorf("state %s gives %d bytes", d.Name, len(d.Output))
		}
	}
	return path
}

func (e execution) String() string {
	return fmt.Sprintf("%s %s %s %s by %s", e.Status, e.Error, e.Cause, e.Output, strings.Join(e.Path, ", "))
}
