// Package worker runs the built binary as a process of its own, so that tests can kill it.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries are made once for the test process; the first caller waits for the compiler.
var binaries struct {
	mu sync.Mutex // guards by
	by map[string]func() (string, error)
}

// build makes the binary of a package, "./cmd/stepconnect" for example.
func build(pkg string) (string, error) {
	binaries.mu.Lock()
	if binaries.by == nil {
		binaries.by = map[string]func() (string, error){}
	}
	made := binaries.by[pkg]
	if made == nil {
		made = sync.OnceValues(func() (string, error) { return compile(pkg) })
		binaries.by[pkg] = made
	}
	binaries.mu.Unlock()
	return made()
}

func compile(pkg string) (string, error) {
	dir, err := os.MkdirTemp("", "stepconnect-binary-")
	if err != nil {
		return "", err
	}
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(dir, "stepconnect")
	cmd := exec.Command("go", "build", "-o", path, pkg) //nolint:noctx // made once, for all tests of the process
	cmd.Dir = filepath.Dir(filepath.Dir(filepath.Dir(here)))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the worker: %w\n%s", err, out)
	}
	return path, nil
}

// Process is a worker process.
type Process struct {
	URL string // of its REST API
	cmd *exec.Cmd
	log string
	end chan error
}

// Properties are a worker's: converters, the REST listener on a free port, and a replay file.
func Properties(t testing.TB, bootstrap, registry string) map[string]string {
	t.Helper()
	return map[string]string{
		"bootstrap.servers": bootstrap, "listeners": "http://" + freeAddress(t),
		"key.converter": "io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url": registry,
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": registry,
		"offset.storage.file.filename": filepath.Join(t.TempDir(), "replay.json"), "offset.flush.interval.ms": "1000",
	}
}

// Distributed are the properties of a worker of the cluster group, whose internal topics are named after it.
func Distributed(t testing.TB, bootstrap, group string) map[string]string {
	t.Helper()
	return map[string]string{
		"bootstrap.servers": bootstrap, "listeners": "http://" + freeAddress(t), "group.id": group,
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
		"config.storage.topic": group + "-configs", "offset.storage.topic": group + "-offsets", "status.storage.topic": group + "-status",
		"config.storage.replication.factor": "1", "offset.storage.replication.factor": "1", "status.storage.replication.factor": "1",
		"offset.flush.interval.ms": "1000",
	}
}

func freeAddress(t testing.TB) string {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start runs a worker with connectors from files and waits until it is healthy. It is killed at
// the end of the test if it still runs; its log is shown when the test failed.
func Start(t testing.TB, props map[string]string, connectors ...map[string]string) *Process {
	t.Helper()
	p := Launch(t, props, connectors...)
	p.Await(t)
	return p
}

// KeepLogs is the variable of the environment that names a folder where workers' logs are kept whole, for whoever looks
// for the cause of a failure.
const KeepLogs = "STEPCONNECT_TEST_KEEP_LOGS"

// Launch is Start without the wait. A worker whose properties have a group.id is distributed.
func Launch(t testing.TB, props map[string]string, connectors ...map[string]string) *Process {
	t.Helper()
	return launch(t, "./cmd/stepconnect", nil, props, connectors)
}

// StartOf is Start of another binary: a package of this module that calls host.Main, with more in its environment.
func StartOf(t testing.TB, pkg string, env []string, props map[string]string, connectors ...map[string]string) *Process {
	t.Helper()
	p := launch(t, pkg, env, props, connectors)
	p.Await(t)
	return p
}

func launch(t testing.TB, pkg string, env []string, props map[string]string, connectors []map[string]string) *Process {
	t.Helper()
	binary, err := build(pkg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"standalone", filepath.Join(dir, "worker.properties")}
	if props["group.id"] != "" {
		args[0] = "distributed"
	}
	write(t, args[1], properties(props))
	for i, c := range connectors {
		path := filepath.Join(dir, fmt.Sprintf("connector-%d.json", i))
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
		args = append(args, path)
	}
	p := &Process{URL: props["listeners"], log: filepath.Join(dir, "worker.log"), end: make(chan error, 1)}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(binary, args...) //nolint:noctx // killed by the cleanup below
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	p.cmd.Env = append(p.cmd.Env, env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.end <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.Kill()
		if keep := os.Getenv(KeepLogs); keep != "" {
			name := fmt.Sprintf("%s-%s-%d.log", strings.ReplaceAll(t.Name(), "/", "-"), p.URL[strings.LastIndexByte(p.URL, ':')+1:], p.PID())
			if err := os.Rename(p.log, filepath.Join(keep, name)); err != nil {
				t.Error(err)
			}
		} else if t.Failed() {
			t.Logf("end of the worker's log:\n%s", p.LogTail())
		}
	})
	return p
}

func properties(m map[string]string) []byte {
	var lines []string
	for k, v := range m {
		lines = append(lines, k+"="+strings.ReplaceAll(v, `\`, `\\`))
	}
	sort.Strings(lines)
	return []byte(strings.Join(lines, "\n") + "\n")
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the worker is healthy.
func (p *Process) Await(t testing.TB) {
	t.Helper()
	Eventually(t, 60*time.Second, "the worker is healthy", func() bool {
		select {
		case err := <-p.end:
			p.end <- err
			t.Fatalf("the worker ended: %v\n%s", err, p.LogTail())
		default:
		}
		res, err := p.Get(t.Context(), "/health")
		return err == nil && res.StatusCode == http.StatusOK
	})
}

// Kill is kill -9. It returns when the process is gone; a process that has ended stays so.
func (p *Process) Kill() { _ = p.signal(syscall.SIGKILL) }

// Stop is SIGTERM; it gives the process's error, nil for status 0.
func (p *Process) Stop() error { return p.signal(syscall.SIGTERM) }

// Signal sends s and does not wait.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) signal(s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s)
	err := <-p.end
	p.end <- err
	return err
}

// Ended waits for the process to end by itself and gives its error.
func (p *Process) Ended(t testing.TB, within time.Duration) error {
	t.Helper()
	select {
	case err := <-p.end:
		p.end <- err
		return err
	case <-time.After(within):
		t.Fatalf("the worker has not ended within %v", within)
		return nil
	}
}

// Log is what the worker wrote.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// LogTail is the end of what the worker wrote.
func (p *Process) LogTail() string {
	text := p.Log()
	return text[max(0, len(text)-6000):]
}

// Response is an answer of the REST API with its body read.
type Response struct {
	StatusCode int
	Header     http.Header
	Body       []byte
}

// Get asks the REST API.
func (p *Process) Get(ctx context.Context, path string) (Response, error) {
	return p.Do(ctx, http.MethodGet, path, "")
}

// Do calls the REST API with a JSON body, "" for none.
func (p *Process) Do(ctx context.Context, method, path, body string) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return Response{res.StatusCode, res.Header, bytes.TrimSpace(b)}, err
}

// TaskState gives the state and trace of a connector's task.
func (p *Process) TaskState(t testing.TB, connector string, task int) (state, trace string) {
	t.Helper()
	res, err := p.Get(t.Context(), fmt.Sprintf("/connectors/%s/tasks/%d/status", connector, task))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", ""
	}
	var s struct{ State, Trace string }
	if err := json.Unmarshal(res.Body, &s); err != nil {
		t.Fatal(err)
	}
	return s.State, s.Trace
}

// ErrNever is what Eventually reports.
var ErrNever = errors.New("condition did not come about")

// Eventually waits for a condition, asked every 20 ms.
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%v within %v: %s", ErrNever, within, what)
		}
	}
}
