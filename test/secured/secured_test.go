// Package secured runs workers against real brokers that ask who is there: SASL/SCRAM and SASL/OAUTHBEARER, over TLS.
package secured

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/runtime/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TestMain lets more tests run at a time than there are cores: they wait for tokens to end, most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// lives is how long a token lives, and quiet how many lives the quiet hour has. A client asks for a new token when a
// fifth of the old one's life is left, and a broker refuses to be asked twice within a second (KIP-368).
func lives() (life time.Duration, quiet int64) {
	return 15 * time.Second, int64(scale.N(2, 40))
}

// secured is a broker with a client of the test's own.
type secured struct {
	cluster *stack.KafkaCluster
	client  *kgo.Client
	name    string
}

func newSecured(t *testing.T, by sasl.Mechanism, o ...stack.KafkaOption) *secured {
	t.Helper()
	s := &secured{name: stack.Name(t), cluster: stack.PrivateKafka(t, 1, append(o, stack.WithTLS())...)}
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Bootstrap()), kgo.SASL(by), tlsConfig(t, s.cluster.Authority.File, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	for _, topic := range []string{s.name, s.dlq()} {
		if _, err := kadm.NewClient(s.client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *secured) dlq() string { return s.name + "-dlq" }

// properties are a distributed worker's, with the security of Java clients for the worker itself and for the
// consumers, producers and admin clients of its connectors, as in any connect-distributed.properties.
func (s *secured) properties(t *testing.T, security map[string]string) map[string]string {
	t.Helper()
	p := worker.Distributed(t, s.cluster.Bootstrap(), s.name)
	security = maps.Clone(security)
	security["security.protocol"] = "SASL_SSL"
	security["ssl.truststore.type"], security["ssl.truststore.location"] = "PEM", s.cluster.Authority.File
	for k, v := range security {
		for _, prefix := range []string{"", "consumer.", "producer.", "admin."} {
			p[prefix+k] = v
		}
	}
	return p
}

// connect has a connector write the topic to a file; what is no JSON goes to the dead letter queue.
func (s *secured) connect(t *testing.T, w *worker.Process) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "lines")
	res, err := w.Do(t.Context(), http.MethodPut, "/connectors/"+s.name+"/config", fmt.Sprintf(`{
		"connector.class": "FileStreamSink", "tasks.max": "1", "topics": %q, "file": %q,
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": %q, "errors.deadletterqueue.topic.replication.factor": "1"}`,
		s.name, file, s.dlq()))
	if err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("register the connector: %d %s %v", res.StatusCode, res.Body, err)
	}
	return file
}

// passes sends a line and a record that is no JSON and waits until the file and the dead letter queue have them.
func (s *secured) passes(t *testing.T, file, line string) {
	t.Helper()
	for _, value := range []string{`"` + line + `"`, "{" + line} {
		if err := s.client.ProduceSync(t.Context(), &kgo.Record{Topic: s.name, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	worker.Eventually(t, 30*time.Second, "the file holds "+line, func() bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte(line+"\n"))
	})
	s.client.AddConsumeTopics(s.dlq())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		for _, r := range s.client.PollFetches(ctx).Records() {
			if string(r.Value) == "{"+line {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the dead letter queue did not receive %q", "{"+line)
		}
	}
}

// offsetsCanBeRemoved uses the admin clients: librdkafka's, and the one for the request that it lacks.
func (s *secured) offsetsCanBeRemoved(t *testing.T, w *worker.Process) {
	t.Helper()
	if res, err := w.Do(t.Context(), http.MethodPut, "/connectors/"+s.name+"/stop", ""); err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatalf("stop: %d %s %v", res.StatusCode, res.Body, err)
	}
	res, err := w.Do(t.Context(), http.MethodPatch, "/connectors/"+s.name+"/offsets",
		fmt.Sprintf(`{"offsets":[{"partition":{"kafka_topic":%q,"kafka_partition":0},"offset":null}]}`, s.name))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("remove an offset: %d %s %v", res.StatusCode, res.Body, err)
	}
	if res, err = w.Get(t.Context(), "/connectors/"+s.name+"/offsets"); err != nil || string(res.Body) != `{"offsets":[]}` {
		t.Errorf("offsets are %s (%v), want none", res.Body, err)
	}
}

func TestEveryClientOfAWorkerLogsInBySCRAMOverTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t, scram.Auth{User: "consorcio", Pass: "s3nha"}.AsSha512Mechanism(), stack.WithSCRAM("consorcio", "s3nha"))
	w := worker.Start(t, s.properties(t, map[string]string{
		"sasl.mechanism":   "SCRAM-SHA-512",
		"sasl.jaas.config": `org.apache.kafka.common.security.scram.ScramLoginModule required username="consorcio" password="s3nha";`,
	}))
	s.passes(t, s.connect(t, w), "olá")
	s.offsetsCanBeRemoved(t, w)
	if strings.Contains(w.Log(), "s3nha") {
		t.Error("the log shows the password")
	}
}

// TestTokensAreRenewedOverAQuietHour lets tokens and the connections that they opened end several times while nothing
// is written, and then wants every client of the worker to go on as if nothing had been.
func TestTokensAreRenewedOverAQuietHour(t *testing.T) {
	t.Parallel()
	life, quiet := lives()
	idp := newIssuer(t, life)
	s := newSecured(t, idp.mechanism(), stack.WithOAuthBearer(life/2))
	w := worker.Start(t, s.properties(t, map[string]string{
		"sasl.mechanism":                      "OAUTHBEARER",
		"sasl.oauthbearer.token.endpoint.url": idp.server.URL,
		"sasl.login.callback.handler.class":   "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
		"sasl.jaas.config":                    `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="stepconnect" clientSecret="` + clientSecret + `";`,
	}))
	file := s.connect(t, w)
	s.passes(t, file, "antes")
	assigned := strings.Count(w.Log(), `"partition assigned"`)
	await(t, life, quiet)
	s.passes(t, file, "depois")
	if n := strings.Count(w.Log(), `"partition assigned"`); n != assigned {
		t.Errorf("the partition was assigned %d times, want %d: the consumer left its group", n, assigned)
	}
	if strings.Contains(w.Log(), clientSecret) {
		t.Error("the log shows the client's secret")
	}
}

// await lets the quiet hour pass: there is no other condition than the time by which tokens have ended.
func await(t *testing.T, life time.Duration, times int64) {
	t.Helper()
	select {
	case <-time.After(time.Duration(times) * life):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// mechanism logs the test's own client in.
func (i *issuer) mechanism() sasl.Mechanism {
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		token, _ := i.token()
		return oauth.Auth{Token: token}, nil
	})
}

// reader takes every partition from its beginning.
type reader struct{ lost int }

func (r *reader) Assigned(_ context.Context, added []task.Assignment) ([]task.Position, error) {
	at := make([]task.Position, len(added))
	for i, a := range added {
		at[i] = task.Position{Partition: a.Partition, Offset: max(a.Committed, a.Low)}
	}
	return at, nil
}
func (r *reader) Revoked(context.Context, []task.Partition) {}
func (r *reader) Lost([]task.Partition)                     { r.lost++ }

// TestClientsThatAreGivenTokensOutliveThem is the quiet hour of the clients that sign their tokens themselves, as
// for IAM on Amazon MSK: what is signed differs (runtime/kafka tests that), how clients are given it does not.
func TestClientsThatAreGivenTokensOutliveThem(t *testing.T) {
	t.Parallel()
	life, quiet := lives()
	idp := newIssuer(t, life)
	s := newSecured(t, idp.mechanism(), stack.WithOAuthBearer(life/2))
	of := func(by *issuer) kafka.TokenFunc {
		return func(context.Context) (kafka.Token, error) {
			value, _ := by.token()
			return kafka.Token{Value: value, Principal: "stepconnect", Expires: time.Now().Add(life)}, nil
		}
	}
	token := of(idp)
	// The consumer's first token has ended before it is shown, as after a halt.
	next := of(&issuer{life: -time.Minute})
	outlive(t, s, token, func(ctx context.Context) (kafka.Token, error) {
		now := next
		next = token
		return now(ctx)
	}, life, quiet)
}

// outlive has each kind of client go on after a quiet time in which its tokens have ended several times. The consumer gets its
// tokens from first.
func outlive(t *testing.T, s *secured, token, first kafka.TokenFunc, life time.Duration, quiet int64) {
	t.Helper()
	props := map[string]string{
		"bootstrap.servers": s.cluster.Bootstrap(), "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "ssl.ca.location": s.cluster.Authority.File,
	}
	producer, err := kafka.OpenProducer(t.Context(), kafka.ProducerConfig{Properties: props, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, producer.Close)
	admin, err := kafka.OpenAdmin(t.Context(), kafka.AdminConfig{Properties: props, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, admin.Close)
	group := maps.Clone(props)
	group["group.id"] = s.name
	g := &reader{}
	source, err := kafka.OpenSource(t.Context(), kafka.SourceConfig{Properties: group, Topics: []string{s.name}, Group: g, Token: first})
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, source.Close)
	arrives := func(value string) {
		t.Helper()
		if _, err := admin.Partitions(t.Context(), s.name); err != nil {
			t.Errorf("admin client: %v", err)
		}
		if err := producer.Produce(t.Context(), task.Outgoing{Topic: s.name, Value: []byte(value), Timestamp: -1}); err != nil {
			t.Fatalf("producer: %v", err)
		}
		poll(t, source, 30*time.Second, func(got []task.Message) bool {
			return len(got) > 0 && string(got[len(got)-1].Value) == value
		})
		at := task.Position{Partition: task.Partition{Topic: s.name}, Offset: 0}
		if err := source.Commit(t.Context(), []task.Position{at}); err != nil {
			t.Errorf("commit: %v", err)
		}
	}
	arrives("antes")
	// An idle task goes on polling, which is where its client asks for tokens; the admin client is idle.
	began := time.Now()
	poll(t, source, time.Duration(quiet+1)*life, func([]task.Message) bool { return time.Since(began) > time.Duration(quiet)*life })
	arrives("depois")
	if g.lost > 0 {
		t.Errorf("the group took the partitions away %d times", g.lost)
	}
}

// poll polls until done.
func poll(t *testing.T, s *kafka.Source, within time.Duration, done func([]task.Message) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var got []task.Message
	for !done(got) {
		var err error
		if got, err = s.Poll(ctx, got, 100); err != nil || ctx.Err() != nil {
			t.Fatalf("poll: %v", errors.Join(err, ctx.Err(), s.Problem().Err))
		}
	}
}

func closing(t *testing.T, end func(context.Context) error) {
	t.Helper()
	if err := end(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
