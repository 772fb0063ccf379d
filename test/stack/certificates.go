package stack

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Authority signs the certificates of a test.
type Authority struct {
	// File is the authority's own certificate in PEM.
	File string

	certificate *x509.Certificate
	der         []byte
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority that no server of a test knows by itself.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := newAuthority(filepath.Join(t.TempDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newAuthority(file string) (*Authority, error) {
	now := time.Now()
	a := &Authority{File: file, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stepconnect test authority"},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	if a.der, err = x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &a.key.PublicKey, a.key); err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	if err := os.WriteFile(file, pemOf("CERTIFICATE", a.der), 0o644); err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	return a, nil
}

// Issue writes a file with a key and a certificate for name, signed by a, and a's own: for servers on 127.0.0.1 and
// for clients. It is valid until a time that may have passed.
func (a *Authority) Issue(file, name string, until time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("issue a certificate: %w", err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: a.certificate.NotBefore, NotAfter: until,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, errCertificate := x509.CreateCertificate(rand.Reader, form, a.certificate, &key.PublicKey, a.key)
	keyDER, errKey := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(errCertificate, errKey); err != nil {
		return fmt.Errorf("issue a certificate: %w", err)
	}
	text := append(pemOf("PRIVATE KEY", keyDER), pemOf("CERTIFICATE", der)...)
	// By renaming, as Kubernetes does: nobody reads half a file.
	next := file + ".next"
	if err := os.WriteFile(next, append(text, pemOf("CERTIFICATE", a.der)...), 0o600); err != nil {
		return fmt.Errorf("issue a certificate: %w", err)
	}
	return os.Rename(next, file)
}

// Client writes a file with a client's key and certificate, as Issue does.
func (a *Authority) Client(t testing.TB, file string, until time.Time) string {
	t.Helper()
	if err := a.Issue(file, "consorcio", until); err != nil {
		t.Fatal(err)
	}
	return file
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Show makes the brokers show another certificate to clients that connect from now on. It may be of another authority or have
// ended.
func (c *KafkaCluster) Show(t testing.TB, by *Authority, until time.Time) {
	t.Helper()
	if err := by.Issue(c.serverFile(), serverName, until); err != nil {
		t.Fatal(err)
	}
	want, err := tls.LoadX509KeyPair(c.serverFile(), c.serverFile())
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Nodes {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.ports[3*i+1].addr()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		deadline := time.Now().Add(20 * time.Second)
		for !bytes.Equal(c.shown(t, i), want.Certificate[0]) {
			if time.Now().After(deadline) {
				t.Fatalf("node %d does not show its new certificate", i+1)
			}
			if err := readAgain(t.Context(), kadm.NewClient(client), int32(i+1), c.serverFile()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readAgain makes a broker read the file of its certificate: setting the same path again does that, once it was set at all.
func readAgain(ctx context.Context, admin *kadm.Client, node int32, path string) error {
	answers, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "listener.name.client.ssl.keystore.location", Value: &path}}, node)
	for _, a := range answers {
		err = errors.Join(err, a.Err)
	}
	if err != nil {
		return fmt.Errorf("show another certificate: %w", err)
	}
	return nil
}

// shown is the certificate that a node shows now.
func (c *KafkaCluster) shown(t testing.TB, node int) (der []byte) {
	t.Helper()
	seen := errors.New("seen")
	conn, err := (&tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, // it is looked at, and nothing is sent
		MinVersion:         tls.VersionTLS12,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			der = raw[0]
			return seen
		},
	}}).DialContext(t.Context(), "tcp", c.Nodes[node].Addr())
	if conn != nil {
		_ = conn.Close()
	}
	if !errors.Is(err, seen) {
		t.Fatalf("node %d shows no certificate: %v", node+1, err)
	}
	return der
}

// serverName is in the brokers' certificates. A broker takes a new certificate only with the same name.
const serverName = "localhost"

func (c *KafkaCluster) serverFile() string { return filepath.Join(c.dir, "server.pem") }
