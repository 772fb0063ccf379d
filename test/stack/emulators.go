package stack

import (
	"context"
	_ "embed"
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

// ministackLauncher starts ministack with a cluster of Aurora that is a PostgreSQL of ours.
//
//go:embed ministack.py
var ministackLauncher string

// MinistackOption changes how PrivateMinistack sets up its emulator.
type MinistackOption func(*ministackOptions)

type ministackOptions struct{ env []string }

// WithAurora makes a cluster in AWS's account 000000000000 whose RDS Data API runs statements on the PostgreSQL at host:port,
// as the user and in the database that a call's secret and Database say.
func WithAurora(cluster, address string) MinistackOption {
	return func(o *ministackOptions) { o.env = append(o.env, "CLUSTER="+cluster, "POSTGRES="+address) }
}

// WithEvents appends every entry that PutEvents takes to a file, a line of JSON each, before its caller has the answer: what AWS
// would deliver however the emulator ends.
func WithEvents(file string) MinistackOption {
	return func(o *ministackOptions) { o.env = append(o.env, "EVENTS="+file) }
}

// ministack sets up and starts ministack, which executes state machines. Its Addr is the
// endpoint of all AWS services, its region sa-east-1. What it knows is in its memory alone.
func (s *setup) ministack(ctx context.Context, opts ...MinistackOption) (*Server, error) {
	o := &ministackOptions{}
	for _, opt := range opts {
		opt(o)
	}
	return s.emulator(ctx, "ministack 1.5.33", "ministack.txt", "/_ministack/health", func(bin string, p *port) ([]string, []string) {
		return []string{filepath.Join(bin, "python3"), "-c", ministackLauncher},
			append(o.env, "BIND_HOST=127.0.0.1", "GATEWAY_PORT="+p.String(), "MINISTACK_REGION=sa-east-1", "SFTP_ENABLED=0")
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
