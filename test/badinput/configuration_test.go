package badinput

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mistaken is a connector with a mistake of every kind, and what is to be said about each.
func mistaken() (config map[string]string, said []string) {
	return map[string]string{
			"name": "mistaken", "connector.class": "StepFunctionsSink", "tasks.max": "muitas", "topics": "a", "topics.regex": "b.*",
			"domains": "clientes", "domain.clientes.topics": "a", "domain.clientes.state.machine.arn": "Clientes",
			"errors.tolerance": "some", "batch.max.records": "0", "value.converter": "com.example.NoConverter",
		}, []string{
			"Invalid value muitas for configuration tasks.max", "topics and topics.regex are mutually exclusive options",
			"domain.clientes.state.machine.arn", "Invalid value some for configuration errors.tolerance",
			"Invalid value 0 for configuration batch.max.records", "com.example.NoConverter",
		}
}

func mustHold(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

func TestAConnectorWithSeveralMistakesIsRefusedWithAllOfThem(t *testing.T) {
	t.Parallel()
	x := &trial{t: t}
	config, said := mistaken()
	status, answer := x.call("POST", "/connectors", map[string]any{"name": "mistaken", "config": config})
	if status != 400 {
		t.Errorf("status %d", status)
	}
	var body struct {
		ErrorCode int `json:"error_code"`
		Message   string
	}
	if err := json.Unmarshal([]byte(answer), &body); err != nil || body.ErrorCode != 400 {
		t.Errorf("%v: %s", err, answer)
	}
	mustHold(t, body.Message, append(said, "Connector configuration is invalid and contains the following")...)
	if status, _ := x.call("GET", "/connectors/mistaken", nil); status != 404 {
		t.Errorf("the connector exists: status %d", status)
	}
}

// runWorker runs the command line with files and gives its exit status and output.
func runWorker(t *testing.T, files map[string]string, args ...string) (status int, output string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), asBinary+"=1")
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

const soundWorker = "bootstrap.servers=127.0.0.1:1\nlisteners=http://127.0.0.1:0\noffset.storage.file.filename=replay.json\n" +
	"key.converter=" + avroConverter + "\nkey.converter.schema.registry.url=http://127.0.0.1:1\n" +
	"value.converter=" + avroConverter + "\nvalue.converter.schema.registry.url=http://127.0.0.1:1\n"

func TestAConnectorFileWithSeveralMistakesEndsTheWorkerWithStatus3AndAllOfThem(t *testing.T) {
	t.Parallel()
	config, said := mistaken()
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	status, out := runWorker(t, map[string]string{"worker.properties": soundWorker, "connector.json": string(text)}, "standalone", "worker.properties", "connector.json")
	if status != 3 {
		t.Errorf("status %d", status)
	}
	mustHold(t, out, append(said, "connector.json:")...)
}

func TestConnectorFilesThatCannotBeReadAreAllNamed(t *testing.T) {
	t.Parallel()
	status, out := runWorker(t, map[string]string{"worker.properties": soundWorker, "a.json": `{"name": "a",`, "b.properties": "name=b\nx=\\uZZZZ\n"},
		"standalone", "worker.properties", "a.json", "b.properties", "missing.json")
	if status != 3 {
		t.Errorf("status %d", status)
	}
	mustHold(t, out, "a.json", "b.properties:2", "missing.json")
}

func TestAWorkerFileWithSeveralMistakesEndsTheWorkerWithStatus1AndAllOfThem(t *testing.T) {
	t.Parallel()
	status, out := runWorker(t, map[string]string{"worker.properties": "listeners=ftp://127.0.0.1:0\noffset.flush.interval.ms=nunca\n" +
		"connector.client.config.override.policy=Alguns\nkey.converter=" + avroConverter + "\ntopic.tracking.enable=talvez\n"}, "standalone", "worker.properties")
	if status != 1 {
		t.Errorf("status %d", status)
	}
	mustHold(t, out, "worker.properties:1: ", "worker.properties:2: ", "worker.properties:3: ", "worker.properties:5: ",
		"listeners", "nunca", "Alguns", "value.converter", "offset.storage.file.filename", "talvez")
}

func TestAWorkerFileThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	if status, out := runWorker(t, nil, "standalone", "worker.properties"); status != 1 || !strings.Contains(out, "worker.properties") {
		t.Errorf("status %d: %s", status, out)
	}
}
