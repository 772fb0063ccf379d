package stack

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// guardScript waits for the end of its owner, which it sees as the end of its standard input: the
// kernel closes the pipe even after kill -9. Then it ends the process group that it was told and
// removes the directory. A second line means that the owner has done so itself.
const guardScript = `trap '' HUP INT TERM
read -r group || exit 0
read -r released && exit 0
kill -TERM "-$group" 2>/dev/null && sleep 1
kill -KILL "-$group" 2>/dev/null
rm -rf -- "$1"`

// guard is a shell that outlives this process just long enough to end what it started.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// newGuard starts a guard that will remove dir.
func newGuard(dir string) (*guard, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir) //nolint:noctx // it has to outlive every context
	// A group of its own keeps Ctrl-C from ending it before its time.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe to a guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// watch names the process group that must not outlive this process.
func (g *guard) watch(group int) error {
	_, err := io.WriteString(g.pipe, strconv.Itoa(group)+"\n")
	return err
}

// release ends the guard without any effect. The group's number may be reused from here on.
func (g *guard) release() {
	// Where the guard was killed, there is nothing left to release.
	_, _ = io.WriteString(g.pipe, "released\n")
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
