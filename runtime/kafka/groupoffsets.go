package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// franz opens a client of franz-go under the same settings, for what the other library cannot do.
func (a *Admin) franz() (*kgo.Client, error) {
	opts, err := a.set.franz(a.cfg.Token)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(opts...)
}

// describeForeign describes a group of another kind than consumers': a cluster of JVM Connect workers, which leaves an
// empty group of its kind behind when it is stopped. By franz-go: confluent-kafka-go refuses to.
func (a *Admin) describeForeign(ctx context.Context, group string) (Group, error) {
	client, err := a.franz()
	if err != nil {
		return Group{}, err
	}
	defer client.Close()
	all, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err == nil {
		err = all.Error()
	}
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return Group{State: "Dead"}, nil
	case err != nil && (kerr.IsRetriable(err) || isNetwork(err)):
		return Group{}, connector.Retryable(err)
	case err != nil:
		return Group{}, err
	}
	g := Group{State: all[group].State}
	for _, m := range all[group].Members {
		one := Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
		if m.InstanceID != nil {
			one.InstanceID = *m.InstanceID
		}
		g.Members = append(g.Members, one)
	}
	return g, nil
}

// DeleteGroupOffsets removes the committed offsets of some partitions; what was never committed and
// a group that does not exist count as removed. A group with members that read the topics is ErrGroupActive.
//
// confluent-kafka-go has no such call (OffsetDelete, KIP-496), so this one goes by franz-go, with a
// client of its own under the same security settings.
func (a *Admin) DeleteGroupOffsets(ctx context.Context, group string, parts []task.Partition) error {
	if len(parts) == 0 {
		return nil
	}
	return asking(ctx, a, "delete offsets of group "+group, func(ctx context.Context, _ *ck.AdminClient) error {
		client, err := a.franz()
		if err != nil {
			return err
		}
		defer client.Close()
		set := kadm.TopicsSet{}
		for _, p := range parts {
			set.Add(p.Topic, p.ID)
		}
		res, err := kadm.NewClient(client).DeleteOffsets(ctx, group, set)
		if err == nil {
			err = res.Error()
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return nil
		case errors.Is(err, kerr.NonEmptyGroup), errors.Is(err, kerr.GroupSubscribedToTopic):
			return fmt.Errorf("%w: %w", ErrGroupActive, err)
		case kerr.IsRetriable(err) || isNetwork(err):
			return connector.Retryable(err)
		}
		return err
	})
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF)
}

// franz gives the same connection settings to the other client.
func (s settings) franz(token TokenFunc) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(s["bootstrap.servers"], ",")...)}
	if id := s["client.id"]; id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	switch p := s.protocol(); p {
	case "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		c, err := s.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	default:
		return nil, fmt.Errorf("security.protocol=%s is not known", p)
	}
	if !s.sasl() {
		return opts, nil
	}
	m, err := s.mechanism(token)
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.SASL(m)), nil
}

func (s settings) mechanism(token TokenFunc) (sasl.Mechanism, error) {
	user, pass := s["sasl.username"], s["sasl.password"]
	switch m := strings.ToUpper(s["sasl.mechanism"]); m {
	case "PLAIN":
		return plain.Auth{User: user, Pass: pass}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism(), nil
	case "OAUTHBEARER":
		if token == nil {
			return nil, errors.New("removing single offsets does not support sasl.oauthbearer.method=oidc: reset all offsets of the connector instead")
		}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			t, err := token(ctx)
			return oauth.Auth{Token: t.Value, Extensions: t.Extensions}, err
		}), nil
	default:
		return nil, fmt.Errorf("sasl.mechanism=%s is not supported; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", m)
	}
}

func (s settings) tls() (*tls.Config, error) {
	for _, k := range []string{"ssl.keystore.location", "ssl.crl.location", "ssl.key.password"} {
		if s[k] != "" {
			return nil, fmt.Errorf("removing single offsets does not support %s: use an unencrypted PEM key, or reset all offsets of the connector instead", k)
		}
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s["enable.ssl.certificate.verification"] == "false" {
		c.InsecureSkipVerify = true // as the user set it for every other client
	}
	ca, err := s.pem("ssl.ca.pem", "ssl.ca.location")
	if err != nil {
		return nil, err
	}
	if ca != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("ssl.ca.location or ssl.ca.pem holds no PEM certificate")
		}
	}
	if s["ssl.endpoint.identification.algorithm"] == "none" && !c.InsecureSkipVerify {
		verifyChainOnly(c)
	}
	chain, err := s.pem("ssl.certificate.pem", "ssl.certificate.location")
	if err != nil || chain == nil {
		return c, err
	}
	key, err := s.pem("ssl.key.pem", "ssl.key.location")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("ssl.certificate.* and ssl.key.*: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// verifyChainOnly keeps the check of the certificate's chain and drops that of the host name.
func verifyChainOnly(c *tls.Config) {
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("the broker showed no certificate")
		}
		o := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
		for _, cert := range cs.PeerCertificates[1:] {
			o.Intermediates.AddCert(cert)
		}
		_, err := cs.PeerCertificates[0].Verify(o)
		return err
	}
}

func (s settings) pem(inline, file string) ([]byte, error) {
	if v := s[inline]; v != "" {
		return []byte(v), nil
	}
	if s[file] == "" || s[file] == "probe" {
		return nil, nil
	}
	data, err := os.ReadFile(s[file])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return data, nil
}
