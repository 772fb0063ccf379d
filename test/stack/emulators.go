package stack

import (
	"context"
	"path/filepath"
	"syscall"
)

// moto sets up and starts moto's server. Its Addr is the endpoint of all AWS services. It keeps
// executions RUNNING and runs none: that is what makes it a witness of starts.
func (s *setup) moto(ctx context.Context) (*Server, error) {
	return s.emulator(ctx, "moto 5.2.5", "moto.txt", "/moto-api/", func(bin string, p *port) ([]string, []string) {
		return []string{filepath.Join(bin, "moto_server"), "-H", "127.0.0.1", "-p", p.String()}, nil
	})
}

// ministack sets up and starts ministack, which executes state machines. Its Addr is the
// endpoint of all AWS services.
func (s *setup) ministack(ctx context.Context) (*Server, error) {
	return s.emulator(ctx, "ministack 1.5.33", "ministack.txt", "/_ministack/health", func(bin string, p *port) ([]string, []string) {
		return []string{filepath.Join(bin, "ministack")}, []string{"BIND_HOST=127.0.0.1", "GATEWAY_PORT=" + p.String()}
	})
}

// emulator runs a program of a virtual environment that serves AWS's APIs on one port.
func (s *setup) emulator(ctx context.Context, name, requirements, health string, command func(bin string, p *port) (argv, env []string)) (*Server, error) {
	venv, err := s.install(ctx, requirements, s.venv)
	if err != nil {
		return nil, err
	}
	return openServer(ctx, name, 1, func(_ string, ports []*port) (*Server, error) {
		url := "http://" + ports[0].addr()
		argv, env := command(filepath.Join(venv, "bin"), ports[0])
		return &Server{addr: url, spec: spec{
			argv: argv, env: env,
			ready: func(ctx context.Context) error { return answers(ctx, url+health) },
			stop:  syscall.SIGTERM,
		}}, nil
	})
}
