package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is one server process that can be stopped and started again on the same ports and
// data. Its methods are safe for concurrent use.
type Server struct {
	spec  spec
	addr  string
	ports []*port // released by close

	mu   sync.Mutex // guards proc and serializes start and stop
	proc *process   // nil before the first start
}

// openServer gives a server a folder and n ports, and starts what build makes of them.
func openServer(ctx context.Context, name string, n int, build func(dir string, ports []*port) (*Server, error)) (*Server, error) {
	dir, err := os.MkdirTemp("", "stepconnect-"+strings.Fields(name)[0]+"-")
	if err != nil {
		return nil, fmt.Errorf("folder for %s: %w", name, err)
	}
	ports, err := takePorts(ctx, n)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := build(dir, ports)
	if err != nil {
		releasePorts(ports)
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s.ports = ports
	s.spec.name, s.spec.dir, s.spec.log = name, dir, filepath.Join(dir, "server.log")
	if err := s.Start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the server and removes all that it had.
func (s *Server) close() {
	s.Stop(10 * time.Second)
	releasePorts(s.ports)
	// Where this fails, a folder in the system's temporary folder is left.
	_ = os.RemoveAll(s.spec.dir)
}

// Addr is what clients are given: host:port of a broker, a URL or a DSN of others. It stays the
// same over restarts.
func (s *Server) Addr() string { return s.addr }

// Start starts the server unless it runs, and returns when it answers. A server that is not
// ready when ctx ends is killed; the error holds the end of its log.
func (s *Server) Start(ctx context.Context) error {
	p, err := s.launch()
	if err != nil {
		return err
	}
	if err := p.await(ctx); err != nil {
		p.end(syscall.SIGKILL, 0)
		return err
	}
	return nil
}

// launch starts the process, if need be, without waiting until it is ready.
func (s *Server) launch() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		return s.proc, nil
	}
	p, err := startProcess(s.spec)
	if err != nil {
		return nil, err
	}
	s.proc = p
	return p, nil
}

// Stop ends the server in order (a broker hands over its partitions first) and returns when
// it is gone; after grace it is killed. A stopped server is left alone.
func (s *Server) Stop(grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		_ = s.proc.signalGroup(syscall.SIGCONT)
		s.proc.end(s.spec.stop, grace)
	}
}

// Kill ends the server as kill -9 does and returns when it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil && s.proc.running() {
		s.proc.end(syscall.SIGKILL, 0)
	}
}

// Pause freezes the server as SIGSTOP does: its connections stay open and nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return fmt.Errorf("%s is not running", s.spec.name)
	}
	if err := s.proc.signalGroup(sig); err != nil {
		return fmt.Errorf("signal %s: %w", s.spec.name, err)
	}
	return nil
}

// Log is the file that the server's output goes to.
func (s *Server) Log() string { return s.spec.log }

// pid is for messages; 0 when the server does not run.
func (s *Server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

func (s *Server) describe() string {
	return fmt.Sprintf("%s at %s (pid %d)", s.spec.name, s.addr, s.pid())
}
