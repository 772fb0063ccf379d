package api

import (
	"bufio"
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
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const anyPort = "http://127.0.0.1:0"

// running serves a herder for the time of a test and gives the URL.
func running(t *testing.T, h Herder, opts ServerOptions) *Server {
	t.Helper()
	if opts.Listeners == nil {
		opts.Listeners = []string{anyPort}
	}
	opts.API.Log = discardLog()
	s, err := Listen(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func status(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAServerReportsTheAddressesItBoundAndServesThem(t *testing.T) {
	s := running(t, newMemHerder(), ServerOptions{Listeners: []string{anyPort, "HTTP://localhost:0"}, AdminListeners: []string{anyPort}})
	if len(s.URLs()) != 2 || len(s.AdminURLs()) != 1 || strings.HasSuffix(s.URLs()[0], ":0") || !strings.HasPrefix(s.URLs()[1], "http://localhost:") {
		t.Fatal(s.URLs(), s.AdminURLs())
	}
	for _, tc := range []struct {
		url    string
		status int
	}{{s.URLs()[0] + "/connectors", 200}, {s.URLs()[1] + "/connectors", 200}, {s.URLs()[0] + "/admin/loggers", 404}, {s.AdminURLs()[0] + "/admin/loggers", 200}, {s.AdminURLs()[0] + "/connectors", 404}} {
		if code, body := status(t, http.DefaultClient, tc.url); code != tc.status {
			t.Errorf("%s: %d %s", tc.url, code, body)
		}
	}
}

func TestListenersThatAreWrongAreRefusedByName(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, tc := range []struct {
		listener, want string
	}{
		{"ftp://x:1", "listeners: \"ftp://x:1\": listeners must begin with http:// or https://"},
		{"http://127.0.0.1", "is not of the form http://host:port"},
		{"http://127.0.0.1:99999", "is not of the form http://host:port"},
		{"127.0.0.1:80", "is not of the form http://host:port"},
		{"http://127.0.0.1:0/x", "is not of the form http://host:port"},
		{"http://" + busy.Addr().String(), "listeners: cannot listen on"},
		{"http://:0", "rest.allow.unauthenticated=true"},
		{"http://0.0.0.0:0", "set rest.auth.basic.users.file"},
		{"http://[::]:0", "listen on http://127.0.0.1:8083"},
		{"http://worker.example:0", "can be reached from other machines"},
		{"https://127.0.0.1:0", "ssl.keystore.location: an https listener needs a PEM file"},
	} {
		if s, err := Listen(t.Context(), ServerOptions{Listeners: []string{tc.listener}}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.listener, err)
			if s != nil {
				_ = s.Close()
			}
		}
	}
}

func TestAnAddressForOtherMachinesIsAllowedWithAuthenticationOrOnDemand(t *testing.T) {
	for _, opts := range []ServerOptions{{AllowUnauthenticated: true}, {API: Options{Auth: people(t)}}} {
		opts.Listeners = []string{"http://:0"}
		s, err := Listen(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// certificate makes a key and a certificate signed by parent, or by itself.
func certificate(t *testing.T, name string, parent *tls.Certificate) (pemText string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true}
	signer, signKey := tmpl, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer, &key.PublicKey, signKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	cert, err = tls.X509KeyPair(certText, keyText)
	if err != nil {
		t.Fatal(err)
	}
	return string(keyText) + string(certText), cert
}

func TestMutualTLSLetsOnlyCertifiedClientsIn(t *testing.T) {
	dir := t.TempDir()
	caText, ca := certificate(t, "ca", nil)
	serverText, _ := certificate(t, "server", &ca)
	_, client := certificate(t, "client", &ca)
	_, stranger := certificate(t, "stranger", nil)
	write(t, filepath.Join(dir, "server.pem"), serverText)
	write(t, filepath.Join(dir, "ca.pem"), "-----BEGIN CERT"+after(caText, "-----BEGIN CERT"))
	keys := map[string]string{
		"listeners.https.ssl.keystore.location":   filepath.Join(dir, "server.pem"),
		"listeners.https.ssl.keystore.type":       "PEM",
		"listeners.https.ssl.truststore.location": filepath.Join(dir, "ca.pem"),
		"listeners.https.ssl.client.auth":         "required",
		"ssl.keystore.location":                   "/for/kafka.jks",
	}
	// Client certificates are authentication, so another address than loopback would do too.
	s := running(t, newMemHerder(), ServerOptions{Listeners: []string{"https://127.0.0.1:0"}, Keys: keys})
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	ask := func(certs ...tls.Certificate) (int, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(s.URLs()[0] + "/")
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if code, err := ask(client); err != nil || code != 200 {
		t.Errorf("certified: %d %v", code, err)
	}
	if _, err := ask(); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := ask(stranger); err == nil {
		t.Error("a stranger was let in")
	}
}

func TestTLSKeysThatCannotBeHonouredAreErrors(t *testing.T) {
	dir := t.TempDir()
	text, _ := certificate(t, "server", nil)
	good := filepath.Join(dir, "server.pem")
	write(t, good, text)
	write(t, filepath.Join(dir, "store.jks"), "\xfe\xed\xfe\xed")
	for _, tc := range []struct {
		name, want string
		keys       map[string]string
	}{
		{"a Java key store", "listeners.https.ssl.keystore.type: JKS stores are not read", map[string]string{"ssl.keystore.type": "JKS"}},
		{"a Java key store without its type", "is not a PEM file", map[string]string{"ssl.keystore.location": filepath.Join(dir, "store.jks")}},
		{"an encrypted key", "listeners.https.ssl.key.password", map[string]string{"ssl.keystore.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----"}},
		{"client certificates without authorities", "listeners.https.ssl.truststore.location: ssl.client.auth=required needs", map[string]string{"ssl.client.auth": "required"}},
		{"an unknown mode", `ssl.client.auth: "maybe" is none of none, requested, required`, map[string]string{"ssl.client.auth": "maybe"}},
		{"an old protocol", `ssl.enabled.protocols: "TLSv1.1" is not offered`, map[string]string{"ssl.enabled.protocols": "TLSv1.2,TLSv1.1"}},
		{"an unknown suite", `ssl.cipher.suites: "TLS_NONE" is not offered`, map[string]string{"ssl.cipher.suites": "TLS_NONE"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys := map[string]string{"listeners.https.ssl.keystore.location": good}
			for k, v := range tc.keys {
				keys["listeners.https."+k] = v
			}
			if _, err := ServerTLS(keys, "listeners.https."); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("%v", err)
			}
		})
	}
	cfg, err := ServerTLS(map[string]string{"ssl.keystore.location": good, "ssl.enabled.protocols": "TLSv1.3", "ssl.cipher.suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, "listeners.https.")
	if err != nil || cfg.MinVersion != tls.VersionTLS13 || len(cfg.CipherSuites) != 1 {
		t.Errorf("%+v %v", cfg, err)
	}
}

func TestABodyOf100MegabytesIsAnsweredWith413(t *testing.T) {
	s := running(t, newMemHerder(), ServerOptions{})
	for name, body := range map[string]io.Reader{
		"with its length": bytes.NewReader(make([]byte, 100<<20)),
		"in chunks":       io.LimitReader(zeros{}, 100<<20),
	} {
		resp, err := http.Post(s.URLs()[0]+"/connectors", "application/json", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 413 || !strings.Contains(string(text), `"error_code":413`) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestSlowClientsAreCutOffAndOthersServed(t *testing.T) {
	s := running(t, newMemHerder(), ServerOptions{ReadHeaderTimeout: 500 * time.Millisecond, API: Options{BodyTimeout: 500 * time.Millisecond}})
	addr := strings.TrimPrefix(s.URLs()[0], "http://")
	var conns []net.Conn
	for i := range 400 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text := "GET /connectors HTTP/1.1\r\nHost: w\r\nX-Slow: "
		if i%2 == 0 {
			text = "POST /connectors HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":"
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if code, _ := status(t, http.DefaultClient, s.URLs()[0]+"/health"); code != 200 {
		t.Errorf("%d meanwhile", code)
	}
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("connection %d was not closed: %v", i, err)
		}
		if i%2 == 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 408 ")) {
			t.Fatalf("connection %d: %s", i, answer)
		}
	}
}

func TestHeadersThatAreTooLargeAreRefused(t *testing.T) {
	s := running(t, newMemHerder(), ServerOptions{})
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URLs()[0]+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

// gated lets a test hold a request inside the herder.
type gated struct {
	*memHerder
	entered chan struct{}
	leave   chan struct{}
}

func (g gated) Connectors(ctx context.Context) ([]string, error) {
	close(g.entered)
	select {
	case <-g.leave:
		return []string{"c"}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestAStopLetsRequestsFinish(t *testing.T) {
	g := gated{newMemHerder(), make(chan struct{}), make(chan struct{})}
	s, err := Listen(t.Context(), ServerOptions{Listeners: []string{anyPort}, API: Options{Log: discardLog()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var ran error
	wg.Go(func() { ran = s.Run(ctx, g) })
	wg.Go(func() {
		resp, err := http.Get(s.URLs()[0] + "/connectors")
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != `["c"]` {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
	<-g.entered
	stop()
	// The listener is closed before the request is let go on.
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URLs()[0], "http://"))
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(g.leave)
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	if ran != nil {
		t.Error(ran)
	}
}

func TestAStopCutsOffWhatOutlastsTheDrainTime(t *testing.T) {
	g := gated{newMemHerder(), make(chan struct{}), make(chan struct{})}
	s, err := Listen(t.Context(), ServerOptions{Listeners: []string{anyPort}, DrainTimeout: 50 * time.Millisecond, API: Options{Log: discardLog()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx, g); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		resp, err := http.Get(s.URLs()[0] + "/connectors")
		if err == nil {
			_ = resp.Body.Close()
		}
	})
	<-g.entered
	stop()
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
}

func TestAListenerThatFailsEndsTheServer(t *testing.T) {
	s, err := Listen(t.Context(), ServerOptions{Listeners: []string{anyPort, anyPort}, API: Options{Log: discardLog()}})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.sockets[0].Listener.Close()
	if err := s.Run(t.Context(), newMemHerder()); err == nil || !strings.Contains(err.Error(), "the REST listener http://127.0.0.1:") {
		t.Error(err)
	}
}

func TestConcurrentConditionalWritesLetOneThrough(t *testing.T) {
	h, _ := withConnectors(t)
	_, w := ask(t, h, "GET", "/connectors/run/config", "")
	tag := w.Header().Get("ETag")
	var wg sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		wg.Go(func() {
			body := fmt.Sprintf(`{"connector.class":"FileStreamSink","topics":"t%d"}`, i)
			_, w := ask(t, h, "PUT", "/connectors/run/config", body, "If-Match", tag)
			codes[i] = w.Code
		})
	}
	wg.Wait()
	let := 0
	for _, c := range codes {
		if c == 200 {
			let++
		} else if c != 412 {
			t.Error(c)
		}
	}
	if let != 1 {
		t.Errorf("%d writes were let through: %v", let, codes)
	}
	_, w = ask(t, h, "GET", "/connectors/run/config", "", "If-None-Match", tag)
	if w.Code != 200 {
		t.Error(w.Code)
	}
	_, again := ask(t, h, "GET", "/connectors/run/config", "", "If-None-Match", "W/"+w.Header().Get("ETag"))
	if again.Code != 304 || again.Body.Len() != 0 {
		t.Error(again.Code, again.Body)
	}
}

func TestAWaitForAConnectorsWriteLockEndsWithTheRequest(t *testing.T) {
	var l nameLocks
	unlock, err := l.lock(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, "c"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	unlock()
	if len(l.held) != 0 {
		t.Error(l.held)
	}
}

func TestPathsThatNoRequestShouldHaveDoNotHarmTheServer(t *testing.T) {
	s := running(t, newMemHerder(), ServerOptions{})
	for _, target := range []string{"*", "/%zz", "/%", "http://x/connectors", "/\x00", "/connectors/\xff", "/" + strings.Repeat("a/", 1000)} {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URLs()[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "OPTIONS %s HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n", target)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode >= 500 {
			t.Errorf("%q: %v %v", target, resp, err)
		} else {
			_ = resp.Body.Close()
		}
		_ = c.Close()
	}
}

// after is what follows mark in text.
func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}
