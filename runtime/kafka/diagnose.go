package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const (
	diagnoseEvery = 5 * time.Second
	diagnoseWait  = 2 * time.Second
	// alertWait is how long a broker may take to refuse a certificate: by TLS 1.3 it does so after the handshake.
	alertWait = 500 * time.Millisecond
)

// tlsTrouble gives what is wrong with the certificates where librdkafka has no connection over TLS: its own words do not tell
// an unknown authority from a certificate that has ended, and "all brokers are down" comes behind them. nil when TLS is
// not in use, or not the cause. It connects once itself, and blocks for diagnoseWait at most.
func (s settings) tlsTrouble(ctx context.Context) error {
	if !strings.HasSuffix(s.protocol(), "SSL") {
		return nil
	}
	if err := s.ownCertificateEnded(time.Now()); err != nil {
		return err
	}
	c, err := s.tls()
	if err != nil {
		return nil // a store of a kind that only librdkafka reads
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseWait)
	defer cancel()
	for addr := range strings.SplitSeq(s["bootstrap.servers"], ",") {
		conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", strings.TrimSpace(addr))
		if err == nil {
			err = refusal(conn)
		}
		if err := s.certificateError(err); err != nil {
			return err
		}
	}
	return nil
}

// refusal waits for a broker's alert on a connection and closes it.
func refusal(conn net.Conn) error {
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(alertWait)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

// certificateError names the key at fault; nil for what is not about certificates.
func (s settings) certificateError(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
		alert   *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the brokers' certificate is of an authority that is not trusted (ssl.truststore.location, %s); add that authority's certificate: %w", s.trusted(), err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the brokers show a certificate that is not valid now; renew it there, and check this machine's clock: %w", err)
	case errors.As(err, &invalid), errors.As(err, &host):
		return fmt.Errorf("the brokers' certificate does not fit (bootstrap.servers, ssl.truststore.location, %s): %w", s.trusted(), err)
	case errors.As(err, &alert) && alert.Op == "remote error": // a TLS alert of the broker
		return fmt.Errorf("the brokers refuse this client's certificate (ssl.keystore.location, %s); it must be of an authority that they trust and valid now: %w", s.own(), err)
	}
	return nil
}

// ownCertificateEnded looks at the client's certificate itself: brokers do not say why they refuse one.
func (s settings) ownCertificateEnded(now time.Time) error {
	text, err := s.pem("ssl.certificate.pem", "ssl.certificate.location")
	if err != nil {
		return fmt.Errorf("ssl.keystore.location: %w", err)
	}
	for len(text) > 0 {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil
		}
		if text = rest; block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err == nil && now.After(leaf.NotAfter) {
			return fmt.Errorf("this client's certificate (ssl.keystore.location, %s) has expired, at %s; renew it", s.own(), leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return nil
	}
	return nil
}

func (s settings) trusted() string { return named(s, "ssl.ca.location", "the system's own") }
func (s settings) own() string     { return named(s, "ssl.certificate.location", "none or inline") }

func named(s settings, key, otherwise string) string {
	if v := s[key]; v != "" {
		return v
	}
	return otherwise
}

// certificateFiles are the settings that name files which librdkafka reads once, when a client opens.
func certificateFiles() []string {
	return []string{"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"}
}

// filesOf tells the present state of the certificate files: a mounted Secret changes under a client that lives.
func (s settings) filesOf() map[string]string {
	now := map[string]string{}
	for _, key := range certificateFiles() {
		if s[key] == "" {
			continue
		}
		info, err := os.Stat(s[key])
		if err != nil {
			continue // also where a file is being replaced
		}
		now[key] = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	return now
}

// replaced names the settings whose files are others than at the time of before, sorted.
func (s settings) replaced(before map[string]string) (keys []string) {
	for key, state := range s.filesOf() {
		if before[key] != state {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// lookEvery is how often the files of a client without a connection are looked at.
const lookEvery = time.Second

// certificates are those that a client was opened with. librdkafka reads the files once, and tells of a connection that it
// cannot make only now and then, so who has lost one looks by the clock.
type certificates struct {
	set    settings
	files  map[string]string
	lost   bool // a connection was lost since the client opened
	looked time.Time
}

func (s settings) certificates() certificates { return certificates{set: s, files: s.filesOf()} }

// note takes in an error of the client.
func (c *certificates) note(code ck.ErrorCode) { c.lost = c.lost || lostConnection(code) }

// replaced names the settings whose files are others by now, of a client that has lost a connection.
func (c *certificates) replaced() []string {
	now := time.Now()
	if !c.lost || now.Sub(c.looked) < lookEvery {
		return nil
	}
	c.looked = now
	return c.set.replaced(c.files)
}

// lostConnection tells errors that come when brokers cannot be reached.
func lostConnection(code ck.ErrorCode) bool {
	return code == ck.ErrSsl || code == ck.ErrTransport || code == ck.ErrAllBrokersDown
}
