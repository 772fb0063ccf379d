package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets up start this test's binary as the process that holds the servers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
	}
	os.Exit(m.Run())
}

func TestTheExitStatusOfRunIsTheCommands(t *testing.T) {
	needsServers(t)
	for _, c := range []struct {
		name, script string
		want         int
	}{
		{"success", `test -n "$STEPFUNCTIONS_ENDPOINT"`, 0},
		{"failure", "exit 3", 3},
		{"killed", "kill -KILL $$", 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := run(t.Context(), []string{"run", "-servers", "moto", "--", "/bin/sh", "-c", c.script})
			if err != nil || got != c.want {
				t.Errorf("run gives %d (%v), want %d", got, err, c.want)
			}
		})
	}
}

func TestACommandThatIsInterruptedEndsItsWholeGroup(t *testing.T) {
	needsServers(t)
	pipe := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		f, err := os.OpenFile(pipe, os.O_RDONLY, 0) // until the command opens the other end
		if err != nil {
			t.Error(err)
			return
		}
		_ = f.Close()
	}()
	got, err := run(ctx, []string{"run", "-servers", "moto", "--", "/bin/sh", "-c", `: > "` + pipe + `"; sleep 1000; exit 5`})
	if err != nil || got != 130 {
		t.Errorf("run gives %d (%v), want 130", got, err)
	}
}

func TestUpLeavesServersRunningAndDownStopsThem(t *testing.T) {
	needsServers(t)
	dir, err := os.MkdirTemp(filepath.Join("..", "..", "..", "..", ".cache"), "updown-") // inside the repository, whose cache is used
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Chdir(dir)
	t.Cleanup(func() { _ = down(context.WithoutCancel(t.Context())) })
	if err := up(t.Context(), "moto"); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(envFile)
	if err != nil {
		t.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(string(env)), "STEPFUNCTIONS_ENDPOINT=")
	if !ok {
		t.Fatalf("%s holds %q, want STEPFUNCTIONS_ENDPOINT=…", envFile, env)
	}
	if !reachable(t, url) {
		t.Errorf("nothing answers at %s after up", url)
	}
	holding := holder()
	if err := up(t.Context(), "moto"); err != nil || holder() != holding {
		t.Errorf("a second up gives %v and process %d, want the servers of process %d", err, holder(), holding)
	}
	if err := down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reachable(t, url) {
		t.Errorf("%s still answers after down", url)
	}
	if _, err := os.Stat(envFile); err == nil {
		t.Errorf("%s is still there after down", envFile)
	}
}

func TestWrongArgumentsAreAnsweredWithTheUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"start"}, {"run"}, {"up", "kafka"}, {"run", "-x"}} {
		if _, err := run(t.Context(), args); !errors.Is(err, errUsage) {
			t.Errorf("stack %v gives %v, want the usage", args, err)
		}
	}
}

func needsServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real server, which -short leaves out")
	}
}

func reachable(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/moto-api/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil
}
