package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kfake"
)

// issuer is a certificate with its key, which may sign others.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (by *issuer) issue(t *testing.T, name string, ca bool) *issuer {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if name == "elsewhere" {
		tpl.IPAddresses = nil
	}
	if ca {
		tpl.KeyUsage |= x509.KeyUsageCertSign
	}
	if by == nil {
		by = &issuer{tpl, key}
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tpl, by.cert, key.Public(), by.key))
	return &issuer{must[*x509.Certificate](t)(x509.ParseCertificate(der)), key}
}

func (by *issuer) certPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: by.cert.Raw}))
}

func (by *issuer) keyPEM(t *testing.T) string {
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(by.key))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// tlsCluster asks for a client certificate under root and shows one for host.
func tlsCluster(t *testing.T, root *issuer, host string) *kfake.Cluster {
	server := root.issue(t, host, false)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	return cluster(t, kfake.SeedTopics(1, "pedidos"), kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{server.cert.Raw}, PrivateKey: server.key}},
		ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
}

// TestMutualTLS uses Java's properties from the file to the broker, with both client libraries.
func TestMutualTLS(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", true)
	middle := root.issue(t, "middle", true)
	leaf := middle.issue(t, "connect", false)
	chain := leaf.certPEM() + middle.certPEM()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": file("ca.pem", root.certPEM()),
		"ssl.keystore.type": "PEM", "ssl.keystore.location": file("client.pem", leaf.keyPEM(t)+chain)}
	inline := map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.certificates": strings.ReplaceAll(root.certPEM(), "\n", " "),
		"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": chain, "ssl.keystore.key": strings.ReplaceAll(leaf.keyPEM(t), "\n", " ")}
	anyHost := map[string]string{"ssl.endpoint.identification.algorithm": ""}
	for name, c := range map[string]struct {
		host  string
		props []map[string]string
	}{
		"PEM files":                      {"127.0.0.1", []map[string]string{files}},
		"PEM in the properties":          {"127.0.0.1", []map[string]string{inline}},
		"another host's name, unchecked": {"elsewhere", []map[string]string{files, anyHost}},
	} {
		t.Run(name, func(t *testing.T) {
			k := tlsCluster(t, root, c.host)
			java := client(k)
			for _, m := range c.props {
				for key, v := range m {
					java[key] = v
				}
			}
			res, err := Translate(java)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			a := admin(t, res.Properties)
			if err := a.AlterGroupOffsets(ctx, "g", []task.Position{at("pedidos", 0, 1, "")}); err != nil {
				t.Fatal(err)
			}
			if err := a.DeleteGroupOffsets(ctx, "g", []task.Partition{{Topic: "pedidos"}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("another host's name, checked", func(t *testing.T) {
		k := tlsCluster(t, root, "elsewhere")
		java := client(k)
		for key, v := range files {
			java[key] = v
		}
		res, err := Translate(java)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := admin(t, res.Properties).ClusterID(ctx); err == nil {
			t.Error("connected")
		}
		if err := admin(t, res.Properties).DeleteGroupOffsets(ctx, "g", []task.Partition{{Topic: "pedidos"}}); err == nil {
			t.Error("connected")
		}
	})
}

// taker is a client that takes tokens, in memory.
type taker struct {
	tokens   []string
	failures []string
}

func (f *taker) SetOAuthBearerToken(t ck.OAuthBearerToken) error {
	f.tokens = append(f.tokens, t.TokenValue)
	return nil
}

func (f *taker) SetOAuthBearerTokenFailure(text string) error {
	f.failures = append(f.failures, text)
	return nil
}

func TestATokenIsRenewedWhenFourFifthsOfItsLifeHavePassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, fail := 0, error(nil)
		k := tokenKeeper{fetch: func(context.Context) (Token, error) {
			n++
			return Token{Value: fmt.Sprint("geheim", n), Expires: time.Now().Add(15 * time.Minute)}, fail
		}}
		var to taker
		keep := func(after time.Duration) error {
			time.Sleep(after)
			return k.keep(t.Context(), &to)
		}
		for _, after := range []time.Duration{0, 11 * time.Minute, 2 * time.Minute} {
			if err := keep(after); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Join(to.tokens, " ") != "geheim1 geheim2" {
			t.Errorf("%v", to.tokens)
		}
		fail = errors.New("sts is down")
		if err := keep(12 * time.Minute); err == nil || len(to.failures) != 1 {
			t.Error(err, to.failures)
		}
		fail = nil
		if err := keep(0); err != nil || len(to.tokens) != 3 {
			t.Error(err, to.tokens)
		}
	})
}

func TestEveryClientAsksForItsToken(t *testing.T) {
	c := cluster(t)
	var asked atomic.Int32
	token := func(context.Context) (Token, error) {
		asked.Add(1)
		return Token{}, errors.New("no credentials")
	}
	props := member(c, "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER")
	s, err := OpenSource(t.Context(), SourceConfig{Properties: props, Group: &recorder{}, Topics: []string{"pedidos"}, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	poll(t, s, func([]task.Message) bool { return s.Problem().Err != nil })
	if p := s.Problem().Err; !strings.Contains(p.Error(), "no credentials") {
		t.Error(p)
	}
	delete(props, "group.id")
	p, err := OpenProducer(t.Context(), ProducerConfig{Properties: props, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	eventually(t, "the producer asks", func() bool { return asked.Load() >= 2 })
	a, err := OpenAdmin(t.Context(), AdminConfig{Properties: props, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	if _, err := a.Topics(t.Context()); err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Error(err)
	}
}

func TestMSKTokensAreSignedForTheCluster(t *testing.T) {
	creds := aws.CredentialsProvider(credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "geheim", ""))
	o := MSKIAM{Region: mskRegion("boot-1.c1.kafka-serverless.sa-east-1.amazonaws.com:9098")}
	tok, err := MSKToken(o, creds)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	url, err := base64.RawURLEncoding.DecodeString(tok.Value)
	if err != nil || !strings.Contains(string(url), "kafka.sa-east-1.amazonaws.com") || !strings.Contains(string(url), "Action=kafka-cluster%3AConnect") {
		t.Errorf("%s, %v", url, err)
	}
	if left := time.Until(tok.Expires); left < 14*time.Minute || left > 15*time.Minute {
		t.Errorf("expires in %v", left)
	}
	for _, text := range []string{fmt.Sprint(tok), fmt.Sprintf("%+v", tok), fmt.Sprintf("%#v", tok)} {
		if strings.Contains(text, tok.Value) {
			t.Errorf("printed: %s", text)
		}
	}
	if _, err := MSKToken(MSKIAM{}, creds)(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Error(err)
	}
}

func TestARefusedTokenEndsPollOnlyWhenNewerOnesAreRefusedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusal := ck.NewError(ck.ErrAuthentication, `SASL authentication error: {"status":"invalid_token"}`, false)
		open := func(mechanism string) *Source {
			return &Source{set: settings{"sasl.mechanism": mechanism}, log: orDiscard(nil), logged: map[ck.ErrorCode]time.Time{}}
		}
		s := open("OAUTHBEARER")
		for range 3 {
			if err := s.trouble(t.Context(), refusal); err != nil || s.Trouble() == nil {
				t.Fatalf("%v ends Poll and %v waits, want a wait for the next token", err, s.Trouble())
			}
			time.Sleep(tokenPatience / 3)
		}
		s.well()
		if err := s.trouble(t.Context(), refusal); err != nil {
			t.Fatalf("%v after a sign of life, want a wait for the next token", err)
		}
		time.Sleep(tokenPatience)
		if err := s.trouble(t.Context(), refusal); err == nil || !strings.Contains(err.Error(), "invalid_token") {
			t.Errorf("error %v after %s, want the refusal", err, tokenPatience)
		}
		if err := open("SCRAM-SHA-512").trouble(t.Context(), refusal); err == nil {
			t.Error("a password is refused, and Poll goes on")
		}
	})
}
