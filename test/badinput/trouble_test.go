package badinput

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// soon is how long it may take until trouble is told: 10 s, which a loaded machine need not keep.
var soon = scale.D(30*time.Second, 10*time.Second)

// trouble is something outside of the worker that is not as the configuration says.
type trouble struct {
	name   string
	said   []string // the key at fault, the remote's own words, the remedy
	metric string   // a series that is above 0 while it lasts
	// make gives a trial in that trouble, and what puts it right.
	make func(t *testing.T) (x *trial, cure func())
}

func troubles() []trouble {
	refused := func(code string) func(t *testing.T) (*trial, func()) {
		return func(t *testing.T) (*trial, func()) {
			x := newTrial(t, map[string]string{"execution.type": "standard"})
			world.faults.Store(x.machine, states.Fault{Code: code})
			return x, func() { world.faults.Delete(x.machine) }
		}
	}
	const permission = `stepconnect_stepfunctions_call_errors_total{connector="$",domain="clientes",reason="permission",task="0"}`
	return []trouble{
		{"a role without the permission", []string{"AccessDeniedException", "check the credentials", "states:StartExecution"}, permission, refused("AccessDeniedException")},
		{"an expired token", []string{"ExpiredTokenException", "check the credentials and this machine's clock"}, permission, refused("ExpiredTokenException")},
		{"a registry with another password", []string{"basic.auth.user.info", "status 401"}, `stepconnect_task_retries_total{connector="$",operation="key_converter",task="0"}`,
			func(t *testing.T) (*trial, func()) {
				x, r := newRegistryTrial(t, registry.Options{}, map[string]string{"errors.retry.timeout": "-1", "errors.retry.delay.max.ms": "500"})
				r.SetFault(func(*http.Request) registry.Fault {
					return registry.Fault{Status: http.StatusUnauthorized, Code: 40101, Message: "User cannot access this resource"}
				})
				return x, func() { r.SetFault(nil) }
			}},
		{"a registry with a certificate of another authority", []string{"schema.registry.ssl.truststore.location", "x509: certificate signed by unknown authority"},
			`stepconnect_task_retries_total{connector="$",operation="key_converter",task="0"}`, wrongAuthority},
	}
}

// wrongAuthority puts a registry behind TLS with a certificate that the worker's truststore does not know, until cure.
func wrongAuthority(t *testing.T) (*trial, func()) {
	x, r := newRegistryTrial(t, registry.Options{}, map[string]string{"errors.retry.timeout": "-1", "errors.retry.delay.max.ms": "500"})
	target, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	known := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(known.Close)
	// The same server, which shows the certificate of another authority until it is put right.
	other := foreignCertificate(t)
	var right atomic.Bool
	own := known.TLS.Certificates[0]
	front := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	front.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{other}}
		if right.Load() {
			c.Certificates[0] = own
		}
		return c, nil
	}}
	front.StartTLS()
	t.Cleanup(front.Close)
	store := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(store, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"key", "value"} {
		x.config[role+".converter.schema.registry.url"] = front.URL
		x.config[role+".converter.schema.registry.ssl.truststore.location"] = store
		x.config[role+".converter.schema.registry.ssl.truststore.type"] = "PEM"
	}
	return x, func() { right.Store(true) }
}

// foreignCertificate is for this host, of an authority of its own.
func foreignCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTroubleWithCredentialsIsToldSoonAndHealsByItself(t *testing.T) {
	t.Parallel()
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, cure := c.make(t)
			x.send(x.good(1))
			x.create(nil)
			began := time.Now()
			worker.Eventually(t, soon, "the status and the log tell of it", func() bool {
				s := x.status()
				for _, text := range c.said {
					if !strings.Contains(s.Warning, text) || !strings.Contains(world.log.about(x.name), text) {
						return false
					}
				}
				return true
			})
			t.Logf("told after %s: %s", time.Since(began).Round(100*time.Millisecond), x.status().Warning)
			_, waiting := x.call(http.MethodGet, "/connectors/"+x.name+"/waiting", nil)
			series := strings.ReplaceAll(c.metric, "$", x.name)
			_, metrics := x.call(http.MethodGet, "/metrics", nil)
			if !strings.Contains(waiting, c.said[0]) {
				t.Errorf("GET /waiting does not tell of it: %s", waiting)
			}
			if _, rest, found := strings.Cut(metrics, series+" "); !found || strings.HasPrefix(rest, "0\n") {
				t.Errorf("%s does not tell of it", series)
			}
			cure()
			x.awaitStarted(0)
			x.awaitCommitted(1)
			x.await("nothing is told any more", func(s taskStatus) bool { return s.State == "RUNNING" && s.Warning == "" })
		})
	}
}
