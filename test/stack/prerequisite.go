package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// setup finds or fetches what the servers are made of.
type setup struct {
	cache string // folder of the repository that keeps what was fetched
	logf  func(format string, args ...any)
}

// missingError is a prerequisite that the machine lacks, with the command that installs it.
type missingError struct {
	what    string // "Maven (mvn)"
	command string // "apt-get install -y maven"
}

func (e *missingError) Error() string {
	return fmt.Sprintf("%s is missing; install it with: %s", e.what, e.command)
}

// errNotFound is what a find function gives for something that the machine lacks.
var errNotFound = errors.New("not found")

// require gives what find finds. As root on a Debian-like machine what is missing is installed
// first; anywhere else the error names the command.
func (s *setup) require(ctx context.Context, what string, find func(context.Context) (string, error), packages ...string) (string, error) {
	path, err := find(ctx)
	if !errors.Is(err, errNotFound) {
		return path, err
	}
	missing := &missingError{what: what, command: "sudo apt-get install -y " + strings.Join(packages, " ")}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", missing
	}
	s.logf("stack: %s is missing: apt-get install %s", what, strings.Join(packages, " "))
	if err := s.aptInstall(ctx, packages); err != nil {
		return "", fmt.Errorf("%w (tried: %w)", missing, err)
	}
	path, err = find(ctx)
	if errors.Is(err, errNotFound) {
		return "", missing
	}
	return path, err
}

// aptInstall is safe to call from several processes at once.
func (s *setup) aptInstall(ctx context.Context, packages []string) error {
	unlock, err := s.lock(ctx, "apt-get")
	if err != nil {
		return err
	}
	defer unlock()
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := runQuietly(cmd); err != nil {
			return err
		}
	}
	return nil
}

// runQuietly runs cmd and puts the end of its output into the error.
func runQuietly(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	return fmt.Errorf("%s: %w:\n\t%s", strings.Join(cmd.Args, " "), err, strings.Join(lines[max(0, len(lines)-15):], "\n\t"))
}
