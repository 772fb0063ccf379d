package host

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
)

func run(t *testing.T, c *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func list() connector.Plugins {
	return connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}},
		Converters: []connector.ConverterPlugin{avro.Plugin()},
	}
}

func TestCheckFindsNoMistakeInTheShippedFiles(t *testing.T) {
	files := []string{"../../configs/worker/standalone.properties", "../../configs/connectors/consorcio.json"}
	if out, err := run(t, checkCommand(list(), Build{Version: "1.0.0"}), files...); err != nil || strings.Count(out, "no mistakes found") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestCheckOfAFolderFindsWhatTheLeaderWouldReport(t *testing.T) {
	dir := t.TempDir()
	shipped, err := os.ReadFile("../../configs/connectors/consorcio.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.json": string(shipped), "b.json": string(shipped),
		"c.json":    "{\"name\": \"c\",\n \"connector.class\": \"StepFunctionsSink\", \"topics\": \"t\",\n \"tasks.max\": \"0\"}",
		"notes.txt": "not a connector", "worker.yml": "a: 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err = run(t, checkCommand(list(), Build{Version: "1.0.0"}), dir)
	if err == nil {
		t.Fatal("no mistake found")
	}
	for _, want := range []string{"b.json: connector consorcio is declared in a.json too", "c.json:3: Invalid value 0 for configuration tasks.max", "worker.yml: connectors are declared in"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "a.json:") || strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("a file without a mistake is named in\n%v", err)
	}
}

func TestCheckListsEveryMistakeOfEveryFileWithItsLine(t *testing.T) {
	dir := t.TempDir()
	worker, sink := filepath.Join(dir, "worker.properties"), filepath.Join(dir, "sink.json")
	for path, text := range map[string]string{
		worker: "bootstrap.servers=localhost:9092\nkey.converter=Avro\nlisteners=foo\noffset.flush.interval.ms=soon\n",
		sink:   "{\"name\": \"s\", \"config\": {\n\"connector.class\": \"StepFunctionsSink\",\n\"tasks.max\": \"0\", \"domains\": \"a\"}}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := run(t, checkCommand(list(), Build{Version: "1.0.0"}), worker, sink)
	if err == nil {
		t.Fatal("no mistake found")
	}
	for _, want := range []string{
		worker + ":3: ", worker + ":4: Invalid value soon for configuration offset.flush.interval.ms", `Missing required configuration "value.converter"`,
		sink + ":3: Invalid value 0 for configuration tasks.max", "Must configure one of topics or topics.regex", "domain.a.state.machine.arn",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from\n%v", want, err)
		}
	}
}

func TestWhyTellsWhatWaitsInTheWholeCluster(t *testing.T) {
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "me" || password != "pw" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/status") {
			_, _ = w.Write([]byte(`{"name":"c","connector":{"state":"RUNNING","worker_id":"a"},"tasks":[{"id":1,"state":"RUNNING","worker_id":"b","warning":"stuck"}],"type":"sink"}`))
			return
		}
		_, _ = w.Write([]byte(`{"waiting":[{"worker_id":"b","task":1,"topic":"t","partition":2,"offset":7,"key":"sha256:00","since":"2026-11-24T00:00:00Z","attempts":3,"last_error":"refused","next_try":null,"unsettled":12}],` +
			`"missing_topics":["ghost"],"abandoned":[{"worker_id":"a","topic":"t","partition":1,"records":4,"since":"2026-11-24T00:00:00Z"}],"idle":false,"unanswered":[{"worker_id":"d","tasks":[2],"error":"no answer"}]}`))
	}))
	defer worker.Close()
	out, err := run(t, whyCommand(), "c", "--url", worker.URL, "--user", "me:pw")
	want := "c is RUNNING on a\ntask 1 is RUNNING on b\n  stuck\n" +
		"task 1, t-2: offset 7 (key sha256:00) waits since 2026-11-24T00:00:00Z, 3 tries, 12 records behind it: refused\n" +
		"topic ghost is subscribed and does not exist, or the client may not see it\n" +
		"t-1: a delivery of 4 records goes on at a since 2026-11-24T00:00:00Z although its task has ended or lost the partition\n" +
		"worker d, with tasks [2], does not answer: no answer\n"
	if err != nil || out != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, out, want)
	}
	if _, err := run(t, whyCommand(), "c", "--url", worker.URL); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without credentials: %v", err)
	}
}
