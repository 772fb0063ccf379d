package conformance

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
)

var record = flag.Bool("record", false, "record testdata/odd-golden.json anew from a Kafka Connect worker on the JVM")

// odd holds what clients rarely send: broken paths, odd types, values and bodies of each endpoint.
var odd = recording{"testdata/odd-suite.json", "testdata/odd-golden.json", "odd-deviations.json"}

func TestADistributedWorkerAnswersOddRequestsAsKafkaConnectDid(t *testing.T) {
	run(t, "distributed", odd, distributedExcuses)
}

// TestTheOddRecordingIsOfKafkaConnect runs a Kafka Connect worker on the JVM, and holds it against the recording, or records it
// with -record.
func TestTheOddRecordingIsOfKafkaConnect(t *testing.T) {
	if !*record && !scale.Long() {
		t.Skip("runs with -record and in long mode")
	}
	bootstrap := stack.Kafka(t)
	python := python(t)
	work := filepath.Join(t.TempDir(), "work")
	for _, dir := range []string{filepath.Dir(work), work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	group := "connect-" + stack.Name(t)
	jvm := stack.PrivateConnect(t, bootstrap, stack.WithPlugins(stack.ConnectFile), stack.WithConnectProperty("group.id", group), stack.WithConnectProperty("config.storage.topic", group+"-configs"))
	mode := "--check"
	if *record {
		mode = "--record"
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/conformance.py", "--url", jvm.Addr(), "--bootstrap", bootstrap, "--suite", odd.suite, mode, odd.golden,
		"--workdir", work, "--worker-group", group, "--jobs", "4", "--config-topic", group+"-configs").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
