package stack

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// nobody is the account that PostgreSQL gets instead of root, under which it refuses to run.
const nobody = 65534

// postgres sets up and starts a PostgreSQL with logical replication on, as Debezium needs it.
// Its Addr is the DSN of the database postgres, as its superuser.
func (s *setup) postgres(ctx context.Context) (*Server, error) {
	bin, err := s.require(ctx, "PostgreSQL (initdb, postgres)", findPostgres, "postgresql")
	if err != nil {
		return nil, err
	}
	return openPostgres(ctx, "postgresql "+filepath.Base(filepath.Dir(bin)), func(string) (string, error) { return bin, nil })
}

// postgres18 sets up and starts a PostgreSQL 18 whatever the machine has.
func (s *setup) postgres18(ctx context.Context) (*Server, error) {
	installed, err := s.install(ctx, "postgres18.xml", s.postgresArchive)
	if err != nil {
		return nil, err
	}
	return openPostgres(ctx, "postgresql 18.3", func(dir string) (string, error) {
		// Its account may not be able to look into the cache.
		if err := os.CopyFS(filepath.Join(dir, "pgsql"), os.DirFS(installed)); err != nil {
			return "", fmt.Errorf("set up postgresql: %w", err)
		}
		return filepath.Join(dir, "pgsql", "bin"), nil
	})
}

// postgresArchive fetches the jar of a pom and unpacks the archive in it into dir.
func (s *setup) postgresArchive(ctx context.Context, pom, dir string) error {
	if err := s.jars(ctx, pom, dir); err != nil {
		return err
	}
	jars, err := filepath.Glob(filepath.Join(dir, "embedded-postgres-binaries-*.jar"))
	if err != nil || len(jars) != 1 {
		return fmt.Errorf("%s names %d jars of PostgreSQL, want 1 (%w)", pom, len(jars), err)
	}
	jar, err := zip.OpenReader(jars[0])
	if err != nil {
		return err
	}
	defer func() { _ = jar.Close() }()
	archives, err := fs.Glob(jar, "*.txz")
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("%s holds %d archives, want 1 (%w)", jars[0], len(archives), err)
	}
	archive, err := jar.Open(archives[0])
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }()
	cmd := exec.CommandContext(ctx, "tar", "-xJf", "-", "-C", dir)
	cmd.Stdin = archive
	return errors.Join(runQuietly(cmd), os.Remove(jars[0]))
}

// openPostgres starts the programs in the folder that bin gives, which may put them into the server's.
func openPostgres(ctx context.Context, name string, bin func(dir string) (string, error)) (*Server, error) {
	return openServer(ctx, name, 1, func(dir string, ports []*port) (*Server, error) {
		bin, err := bin(dir)
		if err != nil {
			return nil, err
		}
		data, account, err := initPostgres(ctx, bin, dir)
		if err != nil {
			return nil, err
		}
		dsn := "postgres://postgres@" + ports[0].addr() + "/postgres?sslmode=disable"
		return &Server{addr: dsn, spec: spec{
			argv: []string{filepath.Join(bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", ports[0].String(),
				"-c", "unix_socket_directories=", "-c", "wal_level=logical", "-c", "max_connections=200",
				// The data is thrown away with the server.
				"-c", "fsync=off", "-c", "full_page_writes=off"},
			account: account,
			ready:   func(ctx context.Context) error { return connects(ctx, dsn) },
			stop:    syscall.SIGINT, // fast shutdown: does not wait for clients
		}}, nil
	})
}

// initPostgres makes an empty database cluster in dir and says which account owns it (nil: ours).
func initPostgres(ctx context.Context, bin, dir string) (data string, account *syscall.Credential, err error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("set up postgresql: %w", err)
	}
	data = filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", nil, fmt.Errorf("set up postgresql: %w", err)
	}
	if os.Geteuid() == 0 {
		account = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(data, nobody, nobody); err != nil {
			return "", nil, fmt.Errorf("set up postgresql: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.Dir = dir
	cmd.Env = baseEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if err := runQuietly(cmd); err != nil {
		return "", nil, fmt.Errorf("set up postgresql: %w", err)
	}
	return data, account, nil
}

func connects(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
