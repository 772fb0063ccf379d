package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Cost is what a process has used over its whole life.
type Cost struct {
	CPU time.Duration // user and system
	RSS int           // peak, in MB, of the program alone: ru_maxrss would be no less than this process's, which Linux carries over exec
}

// Process is a child process whose cost is counted when it has ended. It dies with its parent.
type Process struct {
	cmd    *exec.Cmd
	stderr *tail
	peak   atomic.Int64 // resident memory, in kB
	ended  chan struct{}
	err    error
}

// peakInterval is how often the peak is read of a process that may end by itself; what grows after the last reading is missed.
const peakInterval = 50 * time.Millisecond

// Start runs a command; what it writes to standard output goes to stdout.
func Start(ctx context.Context, stdout io.Writer, argv ...string) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), stderr: &tail{}, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.stderr
	p.cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=sa-east-1", "AWS_EC2_METADATA_DISABLED=true")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		if err := p.cmd.Wait(); err != nil {
			p.err = fmt.Errorf("%s: %w\n%s", argv[0], err, p.stderr)
		}
	}()
	go p.watchPeak()
	return p, nil
}

func (p *Process) watchPeak() {
	tick := time.NewTicker(peakInterval)
	defer tick.Stop()
	for {
		p.readPeak()
		select {
		case <-tick.C:
		case <-p.ended:
			return
		}
	}
}

// readPeak asks the kernel for the peak of the program that runs; one that has ended has none.
func (p *Process) readPeak() {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return
	}
	if kb, ok := highWater(string(status)); ok {
		p.peak.Store(kb)
	}
}

// highWater finds VmHWM, in kB, in /proc/PID/status.
func highWater(status string) (kb int64, ok bool) {
	for line := range strings.Lines(status) {
		if text, found := strings.CutPrefix(line, "VmHWM:"); found {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			return kb, err == nil
		}
	}
	return 0, false
}

// Stop asks the process to end, waits, and gives its cost.
func (p *Process) Stop() (Cost, error) {
	p.readPeak()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return Cost{}, err
	}
	return p.Wait()
}

// Wait waits for the process to end by itself and gives its cost.
func (p *Process) Wait() (Cost, error) {
	<-p.ended
	state := p.cmd.ProcessState
	return Cost{CPU: state.UserTime() + state.SystemTime(), RSS: int(p.peak.Load() >> 10)}, p.err
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// endpoint is a Step Functions endpoint in a process of its own.
type endpoint struct {
	*Process
	url string
}

// startEndpoint runs the binary of sfn-endpoint and waits for the URL it prints.
func startEndpoint(ctx context.Context, binary string, args ...string) (*endpoint, error) {
	r, w := io.Pipe()
	p, err := Start(ctx, w, append([]string{binary}, args...)...)
	if err != nil {
		return nil, err
	}
	go func() {
		<-p.ended
		_ = w.Close()
	}()
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		_, ended := p.Stop()
		return nil, errors.Join(err, ended)
	}
	return &endpoint{p, strings.TrimSpace(url)}, nil
}

// tail keeps the last bytes written to it, for the error of a process that failed.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 4096
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - keep; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String is what was kept. The process has ended when it is asked for.
func (t *tail) String() string { return string(bytes.TrimSpace(t.buf)) }
