package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// prometheusDocument names the package. Its version is the distribution's, which keeps one for its life.
const prometheusDocument = "prometheus.txt"

// unpackDebian fetches a distribution's package and unpacks it into dir: nothing is installed, no service is started.
func (s *setup) unpackDebian(ctx context.Context, file, dir string) error {
	name, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return &missingError{what: "Prometheus (prometheus, promtool)", command: "your package manager, so that both are on the path"}
	}
	fetch := exec.CommandContext(ctx, "apt-get", "download", "-q", string(firstLine(name)))
	fetch.Dir = dir
	if err := runQuietly(fetch); err != nil {
		if os.Geteuid() != 0 {
			return fmt.Errorf("%w (run apt-get update first?)", err)
		}
		update := exec.CommandContext(ctx, "apt-get", "update", "-q")
		again := exec.CommandContext(ctx, "apt-get", "download", "-q", string(firstLine(name)))
		again.Dir = dir
		if err := errors.Join(runQuietly(update), runQuietly(again)); err != nil {
			return err
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d packages were fetched, want 1 (%w)", len(found), err)
	}
	if err := runQuietly(exec.CommandContext(ctx, "dpkg-deb", "-x", found[0], dir)); err != nil {
		return err
	}
	return os.Remove(found[0])
}

func firstLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' {
			return b[:i]
		}
	}
	return b
}

// prometheusPrograms gives the folder that holds prometheus and promtool.
func (s *setup) prometheusPrograms(ctx context.Context) (string, error) {
	if tool, err := exec.LookPath("promtool"); err == nil {
		if _, err := exec.LookPath("prometheus"); err == nil {
			return filepath.Dir(tool), nil
		}
	}
	dir, err := s.install(ctx, prometheusDocument, s.unpackDebian)
	return filepath.Join(dir, "usr", "bin"), err
}

// Promtool gives the path of Prometheus' promtool.
func Promtool(t testing.TB) string {
	t.Helper()
	ctx, s := private(t)
	bin, err := s.prometheusPrograms(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, "promtool")
}

// PrivatePrometheus starts a Prometheus of the test's own with that configuration, and gives its URL. It ends with the test.
func PrivatePrometheus(t testing.TB, config string) string {
	t.Helper()
	server := privately(t, func(ctx context.Context, s *setup) (*Server, error) {
		bin, err := s.prometheusPrograms(ctx)
		if err != nil {
			return nil, err
		}
		return openServer(ctx, "prometheus", 1, func(dir string, ports []*port) (*Server, error) {
			file := filepath.Join(dir, "prometheus.yml")
			if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
				return nil, err
			}
			url := "http://" + ports[0].addr()
			return &Server{addr: url, spec: spec{
				argv: []string{filepath.Join(bin, "prometheus"), "--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
					"--web.listen-address=" + ports[0].addr(), "--log.level=warn"},
				ready: func(ctx context.Context) error { return answers(ctx, url+"/-/ready") },
				stop:  syscall.SIGTERM,
			}}, nil
		})
	})
	return server.Addr()
}
