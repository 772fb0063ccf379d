// Package conformance runs the REST behaviour that was recorded from a Kafka Connect 4.3.1
// worker (testdata/golden.json) against a worker of ours and a real Kafka broker.
//
// deviations.json lists the scenarios that differ on purpose, each with its decision record. A listed
// scenario that does not differ fails the test too, so that the list stays short.
package conformance

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
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
)

// confluentKafka is the Kafka client of the conformance program.
const confluentKafka = "confluent-kafka==2.16.1"

// excuse is a difference that a mode has by design, in whichever scenario it occurs.
type excuse struct {
	line *regexp.Regexp
	why  string
}

// The recording is of a distributed worker. A standalone one differs in these, as a JVM
// standalone worker does.
var standaloneExcuses = []excuse{
	{regexp.MustCompile(`\((POST|PUT) /connectors\S*\): \$\.tasks: expected \d+ items`), "a standalone worker has made the tasks when it answers"},
	{regexp.MustCompile(`\$\.message: expected 'Unknown (connector|task): \S+', got '(Connector|Task) \S+ not found'`), "a restart tells an unknown connector or task in other words"},
	{regexp.MustCompile(`^step \d+ \((POST /connectors|GET /connectors/\$\{c\})\): status: .*"?consumer\.override\.group\.id`), "there is no worker group to conflict with"},
}

// recording is what a Kafka Connect 4.3.1 worker answered.
type recording struct {
	suite, golden string
	deviations    string
}

// public is the suite that came with its recording.
var public = recording{"testdata/suite.json", "testdata/golden.json", "deviations.json"}

func TestAStandaloneWorkerAnswersAsKafkaConnectDid(t *testing.T) {
	run(t, "standalone", public, standaloneExcuses)
}

// run holds a worker of a mode against a recording.
func run(t *testing.T, mode string, rec recording, excuses []excuse) {
	if testing.Short() {
		t.Skip("needs a real broker, which -short leaves out")
	}
	bootstrap := stack.Kafka(t)
	python := python(t)
	binary := build(t)
	group := "connect-" + stack.Name(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	url := worker(t, binary, mode, filepath.Join(dir, "worker.log"), properties(mode, bootstrap, group))

	args := []string{"testdata/conformance.py", "--url", url, "--bootstrap", bootstrap, "--suite", rec.suite, "--check", rec.golden,
		"--deviations", rec.deviations, "--workdir", filepath.Join(dir, "work"), "--worker-group", group, "--jobs", "4",
		"--metrics", "prometheus:" + url + "/metrics", "--log", filepath.Join(dir, "worker.log")}
	if only := os.Getenv("STEPCONNECT_CONFORMANCE_ONLY"); only != "" {
		args = append(args, "--only", only)
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if judge(t, string(out), rec.deviations, excuses); t.Failed() {
		t.Logf("the worker's log ends with\n%s", tail(filepath.Join(dir, "worker.log")))
	}
}

// result is what the conformance program said of one scenario.
type result struct {
	failed, deviates bool
	differences      []string
}

var (
	resultLine    = regexp.MustCompile(`^(ok  |FAIL) (\S+) \(`)
	deviationLine = regexp.MustCompile(`^deviation (\S+): `)
	summaryLine   = regexp.MustCompile(`(?m)^\d+ passed, \d+ failed$`)
)

func readResults(out string) map[string]*result {
	results := map[string]*result{}
	of := func(id string) *result {
		if results[id] == nil {
			results[id] = &result{}
		}
		return results[id]
	}
	var last *result
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if m := deviationLine.FindStringSubmatch(line); m != nil {
			of(m[1]).deviates = true
		} else if m := resultLine.FindStringSubmatch(line); m != nil {
			last = of(m[2])
			last.failed = m[1] == "FAIL"
		} else if text, indented := strings.CutPrefix(line, "       "); indented && last != nil {
			last.differences = append(last.differences, text)
		}
	}
	return results
}

// judge fails for scenarios that differ without excuse, and for deviations that are none any
// more or have no record.
func judge(t *testing.T, out, deviations string, excuses []excuse) {
	t.Helper()
	data, err := os.ReadFile(deviations)
	if err != nil {
		t.Fatal(err)
	}
	var listed map[string]string
	if err := json.Unmarshal(data, &listed); err != nil {
		t.Fatalf("%s: %v", deviations, err)
	}
	if !summaryLine.MatchString(out) {
		t.Error("the conformance program did not come to its end")
	}
	for id, r := range readResults(out) {
		if listed[id] != "" && !r.deviates {
			t.Errorf("scenario %s is listed in %s and does not differ: remove it there", id, deviations)
		}
		for _, d := range r.differences {
			if r.failed && !slices.ContainsFunc(excuses, func(e excuse) bool { return e.line.MatchString(d) }) {
				t.Errorf("scenario %s: %s", id, d)
			}
		}
	}
	for id, record := range listed {
		if _, err := os.Stat(filepath.Join("..", "..", record)); err != nil {
			t.Errorf("%s: scenario %s: %v", deviations, id, err)
		}
	}
}

// properties is the worker that testdata/README.md asks for.
func properties(mode, bootstrap, group string) string {
	common := fmt.Sprintf(`bootstrap.servers=%s
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.flush.interval.ms=1000
connector.client.config.override.policy=All
`, bootstrap)
	if mode == "standalone" {
		return common + "offset.storage.file.filename=offsets\n"
	}
	return common + fmt.Sprintf(`group.id=%[1]s
config.storage.topic=%[1]s-configs
offset.storage.topic=%[1]s-offsets
status.storage.topic=%[1]s-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
scheduled.rebalance.max.delay.ms=0
connect.protocol=sessioned
`, group)
}

// worker runs a worker until the test ends, and gives its URL once it is healthy.
func worker(t *testing.T, binary, mode, log, properties string) string {
	t.Helper()
	dir := t.TempDir()
	addr := freeAddress(t)
	file := filepath.Join(dir, "worker.properties")
	if err := os.WriteFile(file, []byte(properties+"listeners=http://"+addr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	cmd := exec.Command(binary, mode, file)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { stop(t, cmd, ended, log) })

	url := "http://" + addr
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !healthy(ctx, url) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the worker ended (%v):\n%s", err, tail(log))
		case <-ctx.Done():
			t.Fatalf("the worker is not healthy after a minute:\n%s", tail(log))
		case <-tick.C:
		}
	}
	return url
}

// stop ends the worker as an operator does, and fails the test when it does not end in order.
func stop(t *testing.T, cmd *exec.Cmd, ended chan error, log string) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the worker ended with %v:\n%s", err, tail(log))
		}
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Errorf("the worker did not stop within a minute (%v):\n%s", <-ended, tail(log))
	}
}

func healthy(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// build makes the worker's program, or takes the one that STEPCONNECT_BIN names.
func build(t *testing.T) string {
	t.Helper()
	if binary := os.Getenv("STEPCONNECT_BIN"); binary != "" {
		path, err := filepath.Abs(binary)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	binary := filepath.Join(t.TempDir(), "stepconnect")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/stepconnect").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// python gives a Python that has the Kafka client, in an environment that is made once and kept in .cache.
func python(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "conformance", strings.NewReplacer("==", "-").Replace(confluentKafka)))
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(dir, "bin", "python")
	if exec.CommandContext(t.Context(), python, "-c", "import confluent_kafka").Run() == nil {
		return python
	}
	system, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("python3 3.11 or newer is missing: apt-get install python3 python3-venv (%v)", err)
	}
	for _, argv := range [][]string{
		{system, "-m", "venv", "--clear", dir},
		{python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", confluentKafka},
	} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return python
}

// tail gives the end of a file.
func tail(file string) []byte {
	data, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], nil)
}
