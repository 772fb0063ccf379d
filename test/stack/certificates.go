package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// writeCertificates makes an authority and a certificate of 127.0.0.1 and localhost signed by
// it: caFile holds the authority's certificate, serverFile the server's key and chain.
func writeCertificates(caFile, serverFile string) error {
	caKey, errCA := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, errServer := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(errCA, errServer); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stepconnect test authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, errCA := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	serverDER, errServer := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	keyDER, errKey := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(errCA, errServer, errKey); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	caPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	chain := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serverDER})...)
	chain = append(chain, caPEM...)
	return errors.Join(os.WriteFile(caFile, caPEM, 0o644), os.WriteFile(serverFile, chain, 0o600))
}
