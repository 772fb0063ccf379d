package stack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// setupTimeout bounds fetching and starting a server, a cold cache on a slow network included.
const setupTimeout = 10 * time.Minute

// shared holds the servers that tests of this process started and use together. It is global because
// tests of one package share nothing else, and its servers are never closed here because no
// test knows itself to be the last: their guards end them with the process.
var shared struct {
	sync.Mutex
	addrs map[string]func() (string, error)
}

// Kafka gives the bootstrap servers of a broker that tests share. Topics are not created by
// themselves; take names that are yours alone (see [Name]).
func Kafka(t testing.TB) string { t.Helper(); return address(t, nameKafka) }

// Registry gives the URL of a schema registry with Confluent's API, which tests share.
func Registry(t testing.TB) string { t.Helper(); return address(t, nameRegistry) }

// Moto gives the endpoint of moto, an independent implementation of Step Functions' StartExecution,
// which tests share. Any credentials do. Executions stay RUNNING.
func Moto(t testing.TB) string { t.Helper(); return address(t, nameMoto) }

// Ministack gives the endpoint of ministack, an emulator that executes state machines, which
// tests share. Any credentials do.
func Ministack(t testing.TB) string { t.Helper(); return address(t, nameMinistack) }

// Postgres gives the DSN of a database of the test's own in a PostgreSQL that tests share, as
// superuser. The database is dropped at the test's end.
func Postgres(t testing.TB) string {
	t.Helper()
	server := address(t, namePostgres)
	name := strings.ReplaceAll(Name(t), "-", "_")
	execute := func(ctx context.Context, sql string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatalf("connect to postgresql: %v", err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	quoted := pgx.Identifier{name}.Sanitize()
	execute(t.Context(), "CREATE DATABASE "+quoted)
	t.Cleanup(func() {
		// FORCE ends what connections a failed test left open; t's own context is over by now.
		execute(context.WithoutCancel(t.Context()), "DROP DATABASE "+quoted+" WITH (FORCE)")
	})
	conf, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatalf("DSN of postgresql: %v", err)
	}
	password := ""
	if conf.Password != "" {
		password = ":" + conf.Password
	}
	return fmt.Sprintf("postgres://%s%s@%s:%d/%s?sslmode=disable", conf.User, password, conf.Host, conf.Port, name)
}

// Programs gives the folder of the programs, python among them, of a virtual environment with the packages that
// packages/<name>.txt pins. It is made once per machine.
func Programs(t testing.TB, name string) string {
	t.Helper()
	ctx, s := private(t)
	venv, err := s.install(ctx, name+".txt", s.venv)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(venv, "bin")
}

// KafkaTool runs a command-line tool of Apache Kafka, by the class that its script of bin/ starts, and gives what it printed. It fails t when
// the tool does.
func KafkaTool(t testing.TB, class string, args ...string) string {
	t.Helper()
	ctx, s := private(t)
	out, err := s.kafkaTool(ctx, class, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ConsumerGroups is the class of kafka-consumer-groups.sh.
const ConsumerGroups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"

// Keytool gives the path of Java's keytool, which Debian's Java runtimes bring.
func Keytool(t testing.TB) string {
	t.Helper()
	ctx, s := private(t)
	java, err := s.java(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if tool := filepath.Join(filepath.Dir(java), "keytool"); exists(tool) {
		return tool
	}
	tool, err := exec.LookPath("keytool")
	if err != nil {
		t.Fatal(&missingError{what: "keytool", command: "sudo apt-get install -y default-jre-headless"})
	}
	return tool
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// PrivateKafka starts a cluster of the test's own, of n nodes, each broker and controller. Its
// nodes may be stopped, killed and paused. It ends with the test.
func PrivateKafka(t testing.TB, n int, opts ...KafkaOption) *KafkaCluster {
	t.Helper()
	ctx, s := private(t)
	began := time.Now()
	cluster, err := s.kafka(ctx, n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("stack: private kafka at %s, ready after %s", cluster.Bootstrap(), time.Since(began).Round(100*time.Millisecond))
	t.Cleanup(func() {
		for _, node := range cluster.Nodes {
			logTail(t, node)
		}
		cluster.close()
	})
	return cluster
}

// PrivateRegistry starts a schema registry of the test's own, which may be stopped, killed and
// paused, and knows its schemas again when it is started again. It ends with the test.
func PrivateRegistry(t testing.TB) *Server {
	t.Helper()
	return privately(t, func(ctx context.Context, s *setup) (*Server, error) { return s.registry(ctx) })
}

// PrivatePostgres starts a PostgreSQL of the test's own, which may be stopped, killed and paused, and has its data
// again when it is started again. Its Addr is the DSN of the database postgres, as superuser. It ends with the test.
func PrivatePostgres(t testing.TB) *Server {
	t.Helper()
	return privately(t, func(ctx context.Context, s *setup) (*Server, error) { return s.postgres(ctx) })
}

// PrivatePostgres18 starts a PostgreSQL 18 of the test's own, for what newer servers than the machine's may do otherwise. There are
// binaries of it for Linux on amd64 alone.
func PrivatePostgres18(t testing.TB) *Server {
	t.Helper()
	skipShort(t)
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("needs Linux on amd64: there are no other binaries of PostgreSQL 18 among the test's packages")
	}
	return privately(t, func(ctx context.Context, s *setup) (*Server, error) { return s.postgres18(ctx) })
}

// PrivateMinistack starts an emulator of the test's own that executes state machines; it may be stopped, killed and paused, and
// knows nothing of what it knew when it is started again. It ends with the test.
func PrivateMinistack(t testing.TB, opts ...MinistackOption) *Server {
	t.Helper()
	return privately(t, func(ctx context.Context, s *setup) (*Server, error) { return s.ministack(ctx, opts...) })
}

// PrivateConnect starts a distributed worker of Apache Kafka Connect on the JVM, of the test's own, which may be stopped, killed and
// paused, and runs its connectors again when it is started again: a cluster of one, unless group.id and the internal topics are set
// to those of another. Its Addr is the URL of its REST API. It ends with the test.
func PrivateConnect(t testing.TB, bootstrap string, opts ...ConnectOption) *Server {
	t.Helper()
	name := Name(t)
	return privately(t, func(ctx context.Context, s *setup) (*Server, error) { return s.connect(ctx, bootstrap, name, opts...) })
}

// privately starts a server that belongs to t.
func privately(t testing.TB, open func(context.Context, *setup) (*Server, error)) *Server {
	t.Helper()
	ctx, s := private(t)
	began := time.Now()
	server, err := open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("stack: private %s, ready after %s", server.describe(), time.Since(began).Round(100*time.Millisecond))
	t.Cleanup(func() {
		logTail(t, server)
		server.close()
	})
	return server
}

// Tools gives a folder of programs that check and try the files of configs: aws, cfn-lint, and a python3 that knows
// sqlfluff.
func Tools(t testing.TB) string {
	t.Helper()
	ctx, s := private(t)
	venv, err := s.install(ctx, "tools.txt", s.venv)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(venv, "bin")
}

// private is what a server that belongs to t is set up with.
func private(t testing.TB) (context.Context, *setup) {
	t.Helper()
	skipShort(t)
	s, err := newSetup(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	t.Cleanup(cancel)
	return ctx, s
}

// logTail shows what a server said, where its test failed.
func logTail(t testing.TB, s *Server) {
	if t.Failed() {
		t.Logf("end of the log of %s:\n%s", s.spec.name, tail(s.spec.log, 20))
	}
}

// Name gives a name that no other test uses, made from t's: for topics, groups, subjects and
// state machines. It holds letters, digits and '-' only and has at most 50 characters.
func Name(t testing.TB) string {
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	if len(name) > 40 {
		name = name[:40]
	}
	return fmt.Sprintf("%s-%08x", strings.TrimRight(name, "-"), rand.Uint32())
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real server, which -short leaves out")
	}
}

// address gives the address of a shared server: the environment's, else that of the process's own.
func address(t testing.TB, name string) string {
	t.Helper()
	skipShort(t)
	sv, err := serviceNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	if addr := os.Getenv(sv.env); addr != "" {
		return addr
	}
	shared.Lock()
	if shared.addrs == nil {
		shared.addrs = map[string]func() (string, error){}
	}
	open := shared.addrs[name]
	if open == nil {
		// The server outlives the test that happens to ask first.
		open = sync.OnceValues(func() (string, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), setupTimeout)
			defer cancel()
			s, err := newSetup(t.Logf)
			if err != nil {
				return "", err
			}
			h, err := sv.start(ctx, s)
			if err != nil {
				return "", err
			}
			return h.addr, nil
		})
		shared.addrs[name] = open
	}
	shared.Unlock()
	addr, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
