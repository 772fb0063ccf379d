package secured

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newMutual is a broker that asks for client certificates, with a client of the test's own. file is a good one.
func newMutual(t *testing.T) (s *secured, file string) {
	t.Helper()
	s = &secured{name: stack.Name(t), cluster: stack.PrivateKafka(t, 1, stack.WithClientCertificates())}
	file = s.cluster.Authority.Client(t, filepath.Join(t.TempDir(), "client.pem"), soonEnough())
	var err error
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Bootstrap()), tlsConfig(t, s.cluster.Authority.File, file)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	for _, topic := range []string{s.name, s.dlq()} {
		if _, err := kadm.NewClient(s.client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	return s, file
}

func soonEnough() time.Time { return time.Now().Add(time.Hour) }

// mutual are a worker's properties with security.protocol=SSL for all of its clients.
func (s *secured) mutual(t *testing.T, stores map[string]string) map[string]string {
	t.Helper()
	p := worker.Distributed(t, s.cluster.Bootstrap(), s.name)
	for _, prefix := range []string{"", "consumer.", "producer.", "admin."} {
		p[prefix+"security.protocol"] = "SSL"
		for k, v := range stores {
			p[prefix+k] = v
		}
	}
	return p
}

const storePassword = "s3nha-do-arquivo"

// run runs a program of the stores' owner.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func TestEveryClientOfAWorkerShowsItsCertificate(t *testing.T) {
	t.Parallel()
	s, file := newMutual(t)
	dir := t.TempDir()
	p12 := filepath.Join(dir, "client.p12")
	run(t, "openssl", "pkcs12", "-export", "-in", file, "-out", p12, "-passout", "pass:"+storePassword, "-name", "consorcio")
	pem := map[string]string{"ssl.truststore.type": "PEM", "ssl.truststore.location": s.cluster.Authority.File}
	for name, keys := range map[string]map[string]string{
		"PEM":    {"ssl.keystore.type": "PEM", "ssl.keystore.location": file},
		"PKCS12": {"ssl.keystore.type": "PKCS12", "ssl.keystore.location": p12, "ssl.keystore.password": storePassword},
	} {
		stores := maps.Clone(pem)
		maps.Copy(stores, keys)
		w := worker.Start(t, s.mutual(t, stores))
		s.passes(t, s.connect(t, w), name)
		if name == "PEM" { // of PKCS12 the removal of single offsets is refused, with what to do
			s.offsetsCanBeRemoved(t, w)
		}
		if res, err := w.Do(t.Context(), http.MethodDelete, "/connectors/"+s.name, ""); err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatalf("delete: %d %s %v", res.StatusCode, res.Body, err)
		}
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(w.Log(), storePassword) {
			t.Errorf("%s: the log shows the password", name)
		}
	}
	t.Run("JKS, by the commands that the worker names", func(t *testing.T) { s.convertsJKS(t, t.TempDir(), p12) })
}

var quoted = regexp.MustCompile(`"(keytool [^"]*)"`)

// convertsJKS starts a worker with Java's own stores, does what its refusals say, and starts it again.
func (s *secured) convertsJKS(t *testing.T, dir, p12 string) {
	keys, trust := filepath.Join(dir, "client.jks"), filepath.Join(dir, "trust.jks")
	keytool := stack.Keytool(t)
	run(t, keytool, "-importkeystore", "-srckeystore", p12, "-srcstorepass", storePassword, "-destkeystore", keys, "-deststoretype", "JKS", "-deststorepass", storePassword)
	run(t, keytool, "-importcert", "-noprompt", "-alias", "ca", "-file", s.cluster.Authority.File, "-keystore", trust, "-storetype", "JKS", "-storepass", storePassword)
	refused := worker.Launch(t, s.mutual(t, map[string]string{
		"ssl.truststore.location": trust, "ssl.truststore.password": storePassword, "ssl.keystore.location": keys, "ssl.keystore.password": storePassword,
	}))
	if err := refused.Ended(t, 30*time.Second); err == nil {
		t.Fatal("a worker with JKS stores ended well")
	}
	log := refused.Log()
	if strings.Contains(log, storePassword) {
		t.Error("the log shows the password")
	}
	done := map[string]bool{}
	for _, m := range quoted.FindAllStringSubmatch(strings.ReplaceAll(log, `\"`, `"`), -1) {
		if done[m[1]] {
			continue
		}
		done[m[1]] = true
		command := strings.Replace(m[1], "keytool", keytool, 1)
		switch {
		case strings.Contains(command, "-importkeystore"):
			command += " -srcstorepass " + storePassword + " -deststorepass " + storePassword
		default:
			command = strings.Replace(command, " >", " -storepass "+storePassword+" >", 1)
		}
		sh := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, `\u003e`, ">"))
		sh.Dir = dir
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	if len(done) != 2 {
		t.Fatalf("%d commands are named, want two: %s", len(done), log)
	}
	w := worker.Start(t, s.mutual(t, map[string]string{
		"ssl.truststore.type": "PEM", "ssl.truststore.location": filepath.Join(dir, "ca.pem"),
		"ssl.keystore.type": "PKCS12", "ssl.keystore.location": filepath.Join(dir, "client.p12"), "ssl.keystore.password": storePassword,
	}))
	s.passes(t, s.connect(t, w), "JKS")
}

// soon is how long it may take until trouble is told: 10 s, which a loaded machine need not keep.
var soon = scale.D(30*time.Second, 10*time.Second)

// place replaces a file in one step, as Kubernetes does with those of a Secret.
func place(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".next", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".next", to); err != nil {
		t.Fatal(err)
	}
}

// TestAWorkerGoesOnWithReplacedCertificates has the brokers change to another authority, restarts them, so that no connection of
// before is left, and replaces the worker's files: each of its clients must read them anew by itself.
func TestAWorkerGoesOnWithReplacedCertificates(t *testing.T) {
	t.Parallel()
	s, file := newMutual(t)
	trust := filepath.Join(t.TempDir(), "trust.pem")
	place(t, s.cluster.Authority.File, trust)
	w := worker.Start(t, s.mutual(t, map[string]string{
		"ssl.truststore.type": "PEM", "ssl.truststore.location": trust, "ssl.keystore.type": "PEM", "ssl.keystore.location": file,
	}))
	sink := s.connect(t, w)
	s.passes(t, sink, "antes")
	other := stack.NewAuthority(t)
	s.cluster.Show(t, other, soonEnough())
	s.cluster.Nodes[0].Stop(20 * time.Second)
	if err := s.cluster.Nodes[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, 60*time.Second, "the worker has met the new authority", func() bool {
		return strings.Contains(w.Log(), "certificate verify failed")
	})
	place(t, other.File, trust)
	s.client.Close()
	var err error
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Bootstrap()), tlsConfig(t, trust, file)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	worker.Eventually(t, 60*time.Second, "the worker writes to its config topic again", func() bool {
		res, err := w.Do(t.Context(), http.MethodPut, "/connectors/"+s.name+"/pause", "")
		if err != nil || res.StatusCode != http.StatusAccepted {
			return false
		}
		res, err = w.Do(t.Context(), http.MethodPut, "/connectors/"+s.name+"/resume", "")
		return err == nil && res.StatusCode == http.StatusAccepted
	})
	s.passes(t, sink, "depois")
	s.offsetsCanBeRemoved(t, w)
}

// TestTroubleWithCertificatesIsToldSoonAndHealsWithoutARestart has a connector's clients meet each kind of wrong certificate.
func TestTroubleWithCertificatesIsToldSoonAndHealsWithoutARestart(t *testing.T) {
	t.Parallel()
	s, file := newMutual(t)
	good := map[string]string{"ssl.truststore.type": "PEM", "ssl.truststore.location": s.cluster.Authority.File, "ssl.keystore.type": "PEM", "ssl.keystore.location": file}
	w := worker.Start(t, s.mutual(t, good))
	s.passes(t, s.connect(t, w), "antes") // every client of the worker is connected
	other := stack.NewAuthority(t)
	ended := time.Now().Add(-time.Minute)
	dir := t.TempDir()
	trust, own := filepath.Join(dir, "trust.pem"), filepath.Join(dir, "own.pem")
	place := func(from, to string) { t.Helper(); place(t, from, to) }
	for _, c := range []struct {
		name       string
		make, cure func()
		said       []string
	}{
		{"brokers of another authority", func() { s.cluster.Show(t, other, soonEnough()) }, func() { s.cluster.Show(t, s.cluster.Authority, soonEnough()) },
			[]string{"ssl.truststore.location", "unknown authority"}},
		{"brokers whose certificate has ended", func() { s.cluster.Show(t, s.cluster.Authority, ended) }, func() { s.cluster.Show(t, s.cluster.Authority, soonEnough()) },
			[]string{"brokers", "certificate has expired"}},
		{"a trust store of another authority", func() { place(other.File, trust) }, func() { place(s.cluster.Authority.File, trust) },
			[]string{"ssl.truststore.location", "unknown authority"}},
		{"a client certificate of another authority", func() { other.Client(t, own, soonEnough()) }, func() { s.cluster.Authority.Client(t, own, soonEnough()) },
			[]string{"ssl.keystore.location"}},
		{"a client certificate that has ended", func() { s.cluster.Authority.Client(t, own, ended) }, func() { s.cluster.Authority.Client(t, own, soonEnough()) },
			[]string{"ssl.keystore.location", "expired"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			place(s.cluster.Authority.File, trust)
			place(file, own)
			c.make()
			began := time.Now()
			sink := filepath.Join(t.TempDir(), "lines")
			name := fmt.Sprintf("%s-%d", s.name, began.UnixNano())
			res, err := w.Do(t.Context(), http.MethodPut, "/connectors/"+name+"/config", fmt.Sprintf(`{"connector.class":"FileStreamSink","tasks.max":"1","topics":%q,"file":%q,
				"consumer.override.ssl.truststore.location":%q,"consumer.override.ssl.keystore.location":%q}`, s.name, sink, trust, own))
			if err != nil || res.StatusCode != http.StatusCreated {
				t.Fatalf("register the connector: %d %s %v", res.StatusCode, res.Body, err)
			}
			told := func() string {
				res, err := w.Get(t.Context(), "/connectors/"+name+"/status")
				if err != nil {
					t.Fatal(err)
				}
				return string(res.Body)
			}
			metric := func(value string) bool {
				res, err := w.Get(t.Context(), "/metrics")
				return err == nil && strings.Contains(string(res.Body), fmt.Sprintf("stepconnect_task_kafka_client_trouble{connector=%q,task=\"0\"} %s\n", name, value))
			}
			defer func() {
				if t.Failed() {
					t.Logf("status: %s", told())
					c.cure()
				}
				if res, err := w.Do(t.Context(), http.MethodDelete, "/connectors/"+name, ""); err != nil || res.StatusCode != http.StatusNoContent {
					t.Errorf("delete: %d %s %v", res.StatusCode, res.Body, err)
				}
			}()
			worker.Eventually(t, soon, "status, log and metric tell of it", func() bool {
				status := told()
				for _, text := range c.said {
					if !strings.Contains(status, text) || !strings.Contains(w.Log(), text) {
						return false
					}
				}
				return metric("1")
			})
			t.Logf("told after %s: %s", time.Since(began).Round(100*time.Millisecond), told())
			c.cure()
			if err := s.client.ProduceSync(t.Context(), &kgo.Record{Topic: s.name, Value: []byte(c.name)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			worker.Eventually(t, 60*time.Second, "records flow, and nothing is told any more", func() bool {
				text, err := os.ReadFile(sink)
				return err == nil && strings.Contains(string(text), c.name) && !strings.Contains(told(), "warning") && metric("0")
			})
		})
	}
}
