package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/cmd/host"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
)

func TestThePreviewOfEveryRecordIsTheExecutionThatItStarted(t *testing.T) {
	d := &demo{out: io.Discard, events: 60, seed: 5, listener: "http://127.0.0.1:0"}
	t.Setenv("AWS_PROFILE", "") // the demo sets credentials of its own; this restores the environment
	if err := useDemoCredentials(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := d.startServers(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.startWorker(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- host.IgnoreStop(ctx, d.worker.Run(ctx)) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := d.stack.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := d.worker.AwaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.createConnector(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.write(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.watch(ctx); err != nil {
		t.Fatal(err)
	}
	started := map[string]string{} // input by name
	for _, m := range d.stack.States.Machines() {
		for _, x := range d.stack.States.Executions(m.ARN) {
			started[x.Name] = x.Input
		}
	}
	calls := len(d.stack.States.Log())
	for _, e := range d.written {
		status, body := ask(t, d.worker.URL, map[string]any{"connector": "consorcio", "topic": e.at.Topic, "partition": e.at.Partition, "offset": e.at.Offset})
		var got struct{ Preview stepfunctions.Preview }
		if err := json.Unmarshal(body, &got); err != nil || status != http.StatusOK {
			t.Fatalf("%v: %d %s", err, status, body)
		}
		p := got.Preview
		if e.Change == nil {
			if p.Decision != stepfunctions.DecisionFilter || !strings.Contains(p.Reason, "tombstone") {
				t.Errorf("a tombstone: %+v", p)
			}
			continue
		}
		if input, ok := started[p.Execution]; p.Decision != stepfunctions.DecisionStart || !ok || input != string(p.Input) {
			t.Errorf("%v: execution %s was started (%v) with %s, and the preview says %s", e.at, p.Execution, ok, input, p.Input)
		}
	}
	status, body := ask(t, d.worker.URL, map[string]any{"connector": "consorcio", "topic": "clientes-alteracoes", "offset": 1_000_000})
	if status != http.StatusNotFound || !strings.Contains(string(body), "no record at offset 1000000") {
		t.Errorf("past the end: %d %s", status, body)
	}
	status, body = ask(t, d.worker.URL, map[string]any{"connector": "consorcio", "topic": "clientes-alteracoes", "record": map[string]any{"value": "not Avro"}})
	if status != http.StatusOK || !strings.Contains(string(body), `"decision":"reject"`) {
		t.Errorf("a record that cannot be read: %d %s", status, body)
	}
	if n := len(d.stack.States.Log()); n != calls {
		t.Errorf("previews made %d calls", n-calls)
	}
}

func ask(t *testing.T, url string, body map[string]any) (int, []byte) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/connector-plugins/StepFunctionsSink/preview", url), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}
