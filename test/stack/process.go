package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// spec says how a process is run.
type spec struct {
	name string   // as printed, such as "kafka 4.3.1"
	argv []string // the command and its arguments
	env  []string // on top of baseEnv
	dir  string   // its working directory, removed by the guard when this process dies
	log  string   // file that its output is appended to
	// account runs it under another user and group; nil for our own.
	account *syscall.Credential
	// ready is tried until it gives nil.
	ready func(ctx context.Context) error
	// stop is the signal that ends the process in order.
	stop syscall.Signal
}

// process is a running child in a process group of its own.
type process struct {
	spec spec
	cmd  *exec.Cmd
	done chan struct{} // closed once the process is reaped and its group is gone
	err  error         // how it ended; read after done
}

// baseEnv is all that servers see of our environment: nothing of a person's settings changes them.
func baseEnv() []string {
	env := []string{"LANG=C.UTF-8", "TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// startProcess starts what s says, under a guard. It does not wait for readiness.
func startProcess(s spec) (*process, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", s.name, err)
	}
	defer log.Close()
	// No context ends a server: it may be shared by tests that end at different times.
	cmd := exec.Command(s.argv[0], s.argv[1:]...) //nolint:noctx // the arguments are this package's own
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.Env = append(baseEnv(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.account}
	return guarded(s, cmd)
}

// guarded starts cmd, which leads a process group of its own, and sees to its end.
func guarded(s spec, cmd *exec.Cmd) (*process, error) {
	g, err := newGuard(s.dir)
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		g.release()
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	p := &process{spec: s, cmd: cmd, done: make(chan struct{})}
	watchErr := g.watch(cmd.Process.Pid)
	go func() {
		p.err = cmd.Wait()
		_ = p.signalGroup(syscall.SIGKILL) // children that it left behind
		g.release()
		close(p.done)
	}()
	if watchErr != nil {
		p.end(syscall.SIGKILL, 0)
		return nil, fmt.Errorf("guard of %s: %w", s.name, watchErr)
	}
	return p, nil
}

// await returns once the process is ready, or with the end of its log when it is not before ctx
// ends.
func (p *process) await(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := p.spec.ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%w); its log ends with:\n%s", p.spec.name, exitReason(p.err), tail(p.spec.log, 30))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w); its log ends with:\n%s", p.spec.name, err, tail(p.spec.log, 30))
		case <-tick.C:
		}
	}
}

func exitReason(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig to the process alone.
func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// signalGroup sends sig to the process and all its children.
func (p *process) signalGroup(sig syscall.Signal) error {
	return syscall.Kill(-p.cmd.Process.Pid, sig)
}

// end sends sig, waits as long as grace, kills what is still there, and returns when nothing is.
func (p *process) end(sig syscall.Signal, grace time.Duration) {
	_ = p.signal(sig)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	}
	_ = p.signalGroup(syscall.SIGKILL)
	<-p.done
}

// tail gives the last lines of a file, indented.
func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "\t" + err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}
