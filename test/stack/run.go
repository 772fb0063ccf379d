package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Run runs a command with env on top of this process's environment, and returns its exit status. The
// command gets our output, no input, and a process group of its own, which ends with this process
// however that ends. When ctx ends, the group is interrupted as by Ctrl-C and killed after
// grace.
func Run(ctx context.Context, env, argv []string, grace time.Duration) (int, error) {
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // a person's own command; ctx interrupts its whole group below
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dir, err := os.MkdirTemp("", "stepconnect-run-")
	if err != nil {
		return 0, fmt.Errorf("folder for %s: %w", argv[0], err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p, err := guarded(spec{name: argv[0], dir: dir}, cmd)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.signalGroup(syscall.SIGINT)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
			p.end(syscall.SIGKILL, 0)
		}
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0, nil
	case !errors.As(p.err, &exit):
		return 0, fmt.Errorf("run %s: %w", argv[0], p.err)
	case exit.ExitCode() < 0: // ended by a signal: the shell's convention
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	default:
		return exit.ExitCode(), nil
	}
}
