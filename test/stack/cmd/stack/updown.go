package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What up leaves behind in the working directory, the top of the repository. The process that holds the
// servers locks lockFile for as long as it lives, and writes its id into it.
const (
	stateDir = ".stack"
	envFile  = stateDir + "/env"
	lockFile = stateDir + "/lock"
	logFile  = stateDir + "/log"
)

// up starts this program anew in a session of its own and waits until its servers are ready.
func up(ctx context.Context, servers string) error {
	if env, err := os.ReadFile(envFile); err == nil && holder() != 0 {
		say("stack: already up (stack down stops it)")
		return show(env)
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	if err := os.Remove(envFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("up: %w", err)
	}
	log, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("up: %w", err)
	}
	cmd := exec.Command(self, "serve", "-servers", servers) //nolint:noctx // this program, which has to outlive this process
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("up: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	env, err := awaitEnv(ctx, ended)
	said, _ := os.ReadFile(logFile)
	fmt.Fprint(os.Stderr, string(said))
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return fmt.Errorf("up: %w", err)
	}
	say("stack: addresses are in %s; `make stack-down` stops the servers", envFile)
	return show(env)
}

// awaitEnv returns the addresses once they are written.
func awaitEnv(ctx context.Context, ended <-chan error) ([]byte, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		env, err := os.ReadFile(envFile)
		if err == nil {
			return env, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("the servers could not be started: %w", err)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func show(env []byte) error {
	_, err := os.Stdout.Write(env)
	return err
}

// serve holds the servers until it is told to stop.
func serve(ctx context.Context, servers []string) error {
	lock, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("serve: another stack is up or starting here")
	}
	if err := errors.Join(lock.Truncate(0), write(lock, strconv.Itoa(os.Getpid()))); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	running, err := start(ctx, servers)
	if err != nil {
		return err
	}
	defer running.Close()
	// A reader sees the whole file or none.
	temporary := filepath.Join(stateDir, "env.new")
	content := strings.Join(running.Env(), "\n") + "\n"
	if err := errors.Join(os.WriteFile(temporary, []byte(content), 0o600), os.Rename(temporary, envFile)); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	<-ctx.Done()
	return os.Remove(envFile)
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holder gives the process that holds the servers, 0 when there is none.
func holder() int {
	lock, err := os.OpenFile(lockFile, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return 0 // nobody holds it: what it says is old
	}
	text, err := os.ReadFile(lockFile)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// down stops what up left running and returns when it is gone.
func down(ctx context.Context) error {
	pid := holder()
	if pid == 0 {
		say("stack: nothing is up")
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("down: signal process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for holder() != 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("down: process %d is still there: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
	say("stack: down")
	return nil
}
