package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func TestTheCommandServesWhatItsFlagsSayUntilItIsInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t)
	defer http.DefaultClient.CloseIdleConnections()
	ctx, interrupt := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "calls.jsonl")
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-machine", "Clientes=STANDARD", "-machine", "Produtos=EXPRESS", "-hold", "-keep-inputs", "-logfile", file}, stdout, io.Discard)
	}()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url = strings.TrimSpace(url)

	body := `{"stateMachineArn":"arn:aws:states:sa-east-1:000000000000:stateMachine:Clientes","name":"n","input":"{}"}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AWSStepFunctions.StartExecution")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	remote := states.Remote{URL: url}
	if s, err := remote.Stats(ctx); err != nil || resp.StatusCode != http.StatusOK || s.Executions != 1 {
		t.Fatalf("%s, %+v, %v", resp.Status, s, err)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := states.ReadLog(f)
	if err != nil || len(log) != 1 || log[0].Input != "{}" || log[0].Status != states.Running {
		t.Fatalf("%+v, %v", log, err)
	}
}

func TestWrongFlagsAreToldBeforeAnythingStarts(t *testing.T) {
	for args, part := range map[string]string{
		"-keep all":               "want changes, inputs or hashes",
		"-machine A=FAST":         "neither STANDARD nor EXPRESS",
		"-listen 0.0.0.0:0":       "only loopback",
		"extra":                   "unexpected argument",
		"-logfile /no/such/place": "-logfile",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", args, err, part)
		}
	}
}
