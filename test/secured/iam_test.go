package secured

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stepconnect/stepconnect/runtime/kafka"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// tokens are what the broker takes: the worker's credentials are those of test/worker.
func tokens(life time.Duration) stack.IAMTokens {
	return stack.IAMTokens{AccessKey: "test", Secret: "test", Region: "sa-east-1", Life: life}
}

// sign makes the tokens of Amazon MSK's IAM as a worker does, and says that they live for as long as the broker takes them.
func sign(life time.Duration) kafka.TokenFunc {
	token := kafka.MSKToken(kafka.MSKIAM{Region: "sa-east-1"}, credentials.NewStaticCredentialsProvider("test", "test", ""))
	return func(ctx context.Context) (kafka.Token, error) {
		t, err := token(ctx)
		t.Expires = time.Now().Add(life)
		return t, err
	}
}

func signed(life time.Duration) sasl.Mechanism {
	return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		t, err := sign(life)(ctx)
		return oauth.Auth{Token: t.Value}, err
	})
}

// TestEveryClientOfAWorkerLogsInByIAM has a broker that computes the signatures of tokens again, and that makes clients log in
// again every few seconds.
func TestEveryClientOfAWorkerLogsInByIAM(t *testing.T) {
	t.Parallel()
	life, quiet := lives()
	s := newSecured(t, signed(time.Hour), stack.WithIAM(tokens(time.Hour), life/2))
	// 127.0.0.1 names no region, as a host of MSK does.
	w := worker.StartOf(t, "./cmd/stepconnect", []string{"AWS_REGION=sa-east-1"}, s.properties(t, map[string]string{
		"sasl.mechanism": "AWS_MSK_IAM", "sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;",
		"sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
	}))
	file := s.connect(t, w)
	s.passes(t, file, "antes")
	await(t, life, quiet/2) // the broker wants a new log-in twice in a life
	s.passes(t, file, "depois")
	s.offsetsCanBeRemoved(t, w)
}

// TestClientsThatSignTokensOutliveThem is the quiet hour with IAM: the broker refuses tokens that are older than a few seconds.
func TestClientsThatSignTokensOutliveThem(t *testing.T) {
	t.Parallel()
	life, quiet := lives()
	s := newSecured(t, signed(life), stack.WithIAM(tokens(life), life/2))
	outlive(t, s, sign(life), sign(life), life, quiet)
}

// TestATokenOfAnotherSecretIsRefused shows that the broker's check of the tests above bites.
func TestATokenOfAnotherSecretIsRefused(t *testing.T) {
	t.Parallel()
	s := newSecured(t, signed(time.Hour), stack.WithIAM(tokens(time.Hour), time.Hour))
	props := map[string]string{
		"bootstrap.servers": s.cluster.Bootstrap(), "security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "ssl.ca.location": s.cluster.Authority.File,
	}
	for name, token := range map[string]kafka.TokenFunc{
		"another secret": kafka.MSKToken(kafka.MSKIAM{Region: "sa-east-1"}, credentials.NewStaticCredentialsProvider("test", "other", "")),
		"another region": kafka.MSKToken(kafka.MSKIAM{Region: "us-east-1"}, credentials.NewStaticCredentialsProvider("test", "test", "")),
	} {
		admin, err := kafka.OpenAdmin(t.Context(), kafka.AdminConfig{Properties: maps.Clone(props), Token: token})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := admin.Partitions(ctx, s.name); err == nil {
			t.Errorf("a token of %s is taken", name)
		}
		cancel()
		closing(t, admin.Close)
	}
	log, err := os.ReadFile(s.cluster.Nodes[0].Log())
	if err != nil || !strings.Contains(string(log), "refuses a token: its signature is") || !strings.Contains(string(log), "refuses a token: its host is") {
		t.Errorf("the broker's log does not tell of the refusals (%v)", err)
	}
}

// tlsConfig trusts the brokers, and shows them a certificate where file names one.
func tlsConfig(t *testing.T, trust, file string) kgo.Opt {
	t.Helper()
	ca, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	c.RootCAs.AppendCertsFromPEM(ca)
	if file != "" {
		own, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return kgo.DialTLSConfig(c)
}
