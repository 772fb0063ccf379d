package api

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ServerTLS reads the TLS settings of https listeners from a worker's properties: the keys under
// prefix (listeners.https. or admin.listeners.https.), or the un-prefixed ssl.* keys when none has
// the prefix, as Kafka Connect does. Stores are PEM (KIP-651). A key of security that cannot be
// honoured is an error with its remedy, never ignored. Errors name keys and files, no contents.
func ServerTLS(keys map[string]string, prefix string) (*tls.Config, error) {
	k := sslKeysOf(keys, prefix)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	err := errors.Join(k.certificate(cfg), k.clients(cfg), k.versions(cfg), k.suites(cfg))
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

func sslKeysOf(keys map[string]string, prefix string) sslKeys {
	k := sslKeys{values: map[string]string{}}
	for name, v := range keys {
		if ssl, ok := strings.CutPrefix(name, prefix); ok && strings.HasPrefix(ssl, "ssl.") {
			k.prefix, k.values[ssl] = prefix, v
		}
	}
	if k.prefix == "" {
		for name, v := range keys {
			if strings.HasPrefix(name, "ssl.") {
				k.values[name] = v
			}
		}
	}
	return k
}

// sslKeys are the ssl.* settings of one listener.
type sslKeys struct {
	prefix string // put before the names in errors
	values map[string]string
}

func (k sslKeys) get(name string) string { return strings.TrimSpace(k.values[name]) }

func (k sslKeys) errorf(name, format string, args ...any) error {
	return fmt.Errorf("%s%s: %w", k.prefix, name, fmt.Errorf(format, args...))
}

// pem gives the text of a store that may be a file (location) or stand in the configuration (inline).
func (k sslKeys) pem(store, inline string) ([]byte, error) {
	if text := k.get(inline); text != "" {
		return []byte(text), nil
	}
	path := k.get("ssl." + store + ".location")
	if path == "" {
		return nil, nil
	}
	// Without a type Kafka assumes JKS; a file that is PEM is taken as what it is.
	if t := k.get("ssl." + store + ".type"); t != "" && !strings.EqualFold(t, "PEM") {
		return nil, k.errorf("ssl."+store+".type", "%s stores are not read for listeners; convert it to PEM (keytool -importkeystore -deststoretype PKCS12, "+
			"then openssl pkcs12 -nodes) and set the type to PEM", t)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, k.errorf("ssl."+store+".location", "%w", err)
	}
	if block, _ := pem.Decode(data); block == nil {
		return nil, k.errorf("ssl."+store+".location", "%s is not a PEM file; convert it with openssl pkcs12 -nodes", path)
	}
	return data, nil
}

func (k sslKeys) certificate(cfg *tls.Config) error {
	chain, err := k.pem("keystore", "ssl.keystore.certificate.chain")
	if err != nil {
		return err
	}
	if chain == nil {
		return k.errorf("ssl.keystore.location", "an https listener needs a PEM file with its private key and certificate chain")
	}
	key := chain // Kafka's PEM key store is one file with both
	if text := k.get("ssl.keystore.key"); text != "" {
		key = []byte(text)
	}
	if strings.Contains(string(key), "ENCRYPTED") {
		return k.errorf("ssl.key.password", "encrypted private keys are not read; decrypt it with openssl pkcs8 -in KEY and protect the file by its mode")
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return k.errorf("ssl.keystore.location", "%w", err)
	}
	cfg.Certificates = []tls.Certificate{cert}
	return nil
}

func (k sslKeys) clients(cfg *tls.Config) error {
	switch mode := k.get("ssl.client.auth"); mode {
	case "", "none":
		return nil
	case "requested":
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return k.errorf("ssl.client.auth", "%q is none of none, requested, required", mode)
	}
	trust, err := k.pem("truststore", "ssl.truststore.certificates")
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(trust) {
		return k.errorf("ssl.truststore.location", "ssl.client.auth=%s needs a PEM file with the certificates of the authorities that sign clients", k.get("ssl.client.auth"))
	}
	cfg.ClientCAs = pool
	return nil
}

func (k sslKeys) versions(cfg *tls.Config) error {
	text := k.get("ssl.enabled.protocols")
	if text == "" {
		return nil
	}
	names := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	cfg.MinVersion, cfg.MaxVersion = 0, 0
	for name := range strings.SplitSeq(text, ",") {
		v, ok := names[strings.TrimSpace(name)]
		if !ok {
			return k.errorf("ssl.enabled.protocols", "%q is not offered; TLSv1.2 and TLSv1.3 are", strings.TrimSpace(name))
		}
		if cfg.MinVersion == 0 || v < cfg.MinVersion {
			cfg.MinVersion = v
		}
		cfg.MaxVersion = max(cfg.MaxVersion, v)
	}
	return nil
}

// suites takes the names of Java, which are IANA's and Go's. Go always offers its TLS 1.3 suites.
func (k sslKeys) suites(cfg *tls.Config) error {
	text := k.get("ssl.cipher.suites")
	if text == "" {
		return nil
	}
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		all := tls.CipherSuites()
		i := slices.IndexFunc(all, func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return k.errorf("ssl.cipher.suites", "%q is not offered; leave the key out for Go's secure defaults", name)
		}
		if !slices.Contains(all[i].SupportedVersions, tls.VersionTLS12) {
			continue
		}
		cfg.CipherSuites = append(cfg.CipherSuites, all[i].ID)
	}
	if len(cfg.CipherSuites) == 0 && cfg.MinVersion == tls.VersionTLS12 {
		cfg.MinVersion = tls.VersionTLS13
	}
	return nil
}

// ClientTLS is how this worker reaches the https listeners of the others: with the same keys as its own listener,
// trusting the authorities of its trust store or, without one, those of the system (Kafka Connect's
// SSLUtils.createClientSideSslContextFactory).
func ClientTLS(keys map[string]string, prefix string) (*tls.Config, error) {
	k := sslKeysOf(keys, prefix)
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	chain, err := k.pem("keystore", "ssl.keystore.certificate.chain")
	if err == nil && chain != nil {
		err = k.certificate(cfg)
	}
	if err := errors.Join(err, k.versions(cfg), k.suites(cfg)); err != nil {
		return nil, err
	}
	trust, err := k.pem("truststore", "ssl.truststore.certificates")
	if err != nil || trust == nil {
		return cfg, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(trust) {
		return nil, k.errorf("ssl.truststore.location", "it holds no PEM certificate")
	}
	return cfg, nil
}
