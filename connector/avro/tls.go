package avro

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
)

// newTLSSettings reads the schema.registry.ssl.* keys. Stores must be PEM (KIP-651): Java's own
// formats are refused with the command that converts them.
func newTLSSettings(v config.Values) (tlsSettings, error) {
	s := tlsSettings{
		authorities:     v.String(keyTruststore),
		authoritiesText: v.Password(keyTruststoreText),
		identity:        v.String(keyKeystore),
		key:             v.Password(keyKeystoreKey),
		chain:           v.Password(keyKeystoreChain),
		anyHost:         v.Has(keyHostCheck) && v.String(keyHostCheck) == "",
	}
	var errs []error
	for _, store := range []struct{ location, typeKey, file string }{
		{keyTruststore, keyTruststore[:len(keyTruststore)-len("location")] + "type", "ca.pem"},
		{keyKeystore, keyKeystore[:len(keyKeystore)-len("location")] + "type", "client.pem"},
	} {
		kind := v.String(store.typeKey)
		if v.String(store.location) == "" || strings.EqualFold(kind, "PEM") {
			continue
		}
		errs = append(errs, fmt.Errorf("%s is %s; only PEM can be read: convert the store (keytool -importkeystore -srckeystore store.jks "+
			"-destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -nodes -out %s), name that file in %s and set %[1]s=PEM",
			store.typeKey, kind, store.file, store.location))
	}
	if v.Has(keyKeyPassword) {
		errs = append(errs, fmt.Errorf("%s is set; encrypted private keys cannot be read: decrypt it (openssl pkey -in key.pem -out plain.pem), "+
			"protect the file by its permissions, and remove the key", keyKeyPassword))
	}
	return s, errors.Join(errs...)
}

// config gives nil when nothing is set, so that the system's authorities count.
func (s tlsSettings) config() (*tls.Config, error) {
	if s == (tlsSettings{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.authorities != "" || s.authoritiesText != "" {
		text, source, err := content(s.authorities, s.authoritiesText, keyTruststore, keyTruststoreText)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", source)
		}
	}
	if err := s.addIdentity(c); err != nil {
		return nil, err
	}
	if s.anyHost {
		trustAnyHost(c)
	}
	return c, nil
}

func (s tlsSettings) addIdentity(c *tls.Config) error {
	if s.identity == "" && s.key == "" {
		return nil
	}
	text, source, err := content(s.identity, s.key, keyKeystore, keyKeystoreKey)
	if err != nil {
		return err
	}
	chain := text
	if s.identity == "" {
		chain = []byte(s.chain.Reveal())
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return fmt.Errorf("the private key in %s is encrypted and cannot be read: decrypt it with openssl pkey -in key.pem -out plain.pem", source)
		}
	}
	pair, err := tls.X509KeyPair(chain, text)
	if err != nil {
		return fmt.Errorf("%s holds no private key with its certificate chain in PEM: %w", source, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

// content reads the file, or gives the text of the other key when there is no file.
func content(file string, text config.Secret, fileKey, textKey string) (content []byte, source string, err error) {
	if file == "" {
		return []byte(text.Reveal()), textKey, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fileKey, fmt.Errorf("%s: %w", fileKey, err)
	}
	return b, fileKey, nil
}

// trustAnyHost checks the certificate's chain but not that it was issued for the host.
func trustAnyHost(c *tls.Config) {
	c.InsecureSkipVerify = true // VerifyConnection below does all of it but the name
	c.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
		for _, cert := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}
