// Package clients drives a worker with programs that others wrote for Kafka Connect's REST API: published clients, which
// are installed as they are, and a tester that reads the OpenAPI document.
package clients

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPublishedClientsDriveAWorkerUnchanged is whether an operator's tools notice that this is not Kafka Connect.
func TestPublishedClientsDriveAWorkerUnchanged(t *testing.T) {
	t.Parallel()
	bin := stack.Programs(t, "clients")
	bootstrap := stack.Kafka(t)
	w := worker.Start(t, worker.Distributed(t, bootstrap, stack.Name(t)))
	for script, client := range map[string]string{
		"kafka_connect_py.py": "kafka-connect-py 1.0.0", "kafka_connect_api_client.py": "kafka-connect-api 0.5.10", "kafkaconnect_client.py": "kafkaconnect 1.3.1",
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			run(t, 2*time.Minute, filepath.Join(bin, "python"), testdata(t, script), w.URL, topic(t, bootstrap), filepath.Join(t.TempDir(), "out.txt"))
		})
	}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// topic makes a topic of two partitions with ten lines.
func topic(t *testing.T, bootstrap string) string {
	t.Helper()
	name := stack.Name(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 2, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for i := range 10 {
		records = append(records, &kgo.Record{Topic: name, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return name
}

// run runs a program and demands status 0.
func run(t *testing.T, within time.Duration, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = t.TempDir() // some leave folders behind
	cmd.Env = append(cmd.Environ(), "PYTHONDONTWRITEBYTECODE=1", "NO_COLOR=1", "COLUMNS=160")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}
