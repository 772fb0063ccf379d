package stack

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownerVariable makes the test binary an owner of servers, for the test to kill.
const ownerVariable = "STEPCONNECT_STACK_OWNER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		ownServers(dir)
	}
	os.Exit(m.Run())
}

// ownServers starts a server that has a child, says its process id, and never ends by itself.
func ownServers(dir string) {
	p, err := startProcess(sleeper(dir))
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(strconv.Itoa(p.cmd.Process.Pid) + "\n"); err != nil {
		panic(err)
	}
	<-p.done
}

func sleeper(dir string) spec {
	return spec{
		name: "sleeper", argv: []string{"/bin/sh", "-c", "sleep 1000 & echo up; wait"},
		dir: dir, log: filepath.Join(dir, "log"), stop: syscall.SIGTERM,
		ready: func(context.Context) error { return errors.New("never") },
	}
}

func TestServersOfAKilledProcessEndAndTheirFolderGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // killed
	eventually(t, "the server's process group is gone", func() bool { return errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) })
	eventually(t, "its folder is gone", func() bool { _, err := os.Stat(dir); return errors.Is(err, fs.ErrNotExist) })
}

func TestAnEndedServerLeavesNoChild(t *testing.T) {
	p, err := startProcess(sleeper(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	p.end(syscall.SIGTERM, 10*time.Second)
	eventually(t, "the server's process group is gone", func() bool { return errors.Is(p.signalGroup(0), syscall.ESRCH) })
	if _, err := os.Stat(p.spec.dir); err != nil {
		t.Errorf("the folder of a server that was stopped in order is gone: %v", err)
	}
}

func TestAServerThatIsNeverReadyIsReportedWithTheEndOfItsLog(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"ended", "echo port is taken; exit 3", "ended before it was ready (exit status 3); its log ends with:\n\tport is taken"},
		{"hangs", "echo starting; sleep 1000", "is not ready (never); its log ends with:\n\tstarting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sleeper(t.TempDir())
			s.argv[2] = c.script
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := (&Server{spec: s}).Start(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want it to hold %q", err, c.want)
			}
		})
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so after 20 s: %s", what)
		case <-tick.C:
		}
	}
}
