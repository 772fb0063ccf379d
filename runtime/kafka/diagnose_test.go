package kafka

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestACertificatesTroubleNamesTheKeyAtFault(t *testing.T) {
	s := settings{"ssl.ca.location": "/ca.pem", "ssl.certificate.location": "/own.pem"}
	for name, c := range map[string]struct {
		err  error
		want string // "" for nothing to do with certificates
	}{
		"an unknown authority":      {x509.UnknownAuthorityError{}, "ssl.truststore.location, /ca.pem"},
		"the broker's has ended":    {x509.CertificateInvalidError{Reason: x509.Expired, Detail: "then"}, "renew it there"},
		"another use":               {x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, "does not fit"},
		"another host":              {x509.HostnameError{Host: "b-1", Certificate: &x509.Certificate{}}, "bootstrap.servers"},
		"an alert":                  {&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, "ssl.keystore.location, /own.pem"},
		"a connection that is cut":  {&net.OpError{Op: "read", Err: io.EOF}, ""},
		"a connection that is good": {os.ErrDeadlineExceeded, ""},
		"none":                      {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.certificateError(c.err)
			if (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.Error(), c.want) {
				t.Errorf("%v, want %q", got, c.want)
			}
			if got != nil && !errors.Is(got, c.err) && !strings.Contains(got.Error(), c.err.Error()) {
				t.Errorf("%v does not hold the cause", got)
			}
		})
	}
}

func TestAClientCertificateThatHasEndedIsSeenBeforeAnyConnection(t *testing.T) {
	root := (*issuer)(nil).issue(t, "root", true)
	leaf := root.issue(t, "connect", false)
	s := settings{"ssl.certificate.pem": leaf.keyPEM(t) + leaf.certPEM() + root.certPEM()}
	if err := s.ownCertificateEnded(time.Now()); err != nil {
		t.Error(err)
	}
	if err := s.ownCertificateEnded(time.Now().Add(2 * time.Hour)); err == nil || !strings.Contains(err.Error(), "ssl.keystore.location") || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := (settings{"ssl.certificate.pem": text}).ownCertificateEnded(time.Now()); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFilesThatAreReplacedAreNamed(t *testing.T) {
	dir := t.TempDir()
	s := settings{"ssl.ca.location": filepath.Join(dir, "ca.pem"), "ssl.key.location": filepath.Join(dir, "key.pem")}
	for _, path := range s {
		if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := s.filesOf()
	if keys := s.replaced(before); len(keys) > 0 {
		t.Errorf("%v, want none", keys)
	}
	if err := os.WriteFile(s["ssl.key.location"], []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s["ssl.ca.location"]); err != nil { // being replaced
		t.Fatal(err)
	}
	if keys := s.replaced(before); !slices.Equal(keys, []string{"ssl.key.location"}) {
		t.Errorf("%v, want ssl.key.location", keys)
	}
}
