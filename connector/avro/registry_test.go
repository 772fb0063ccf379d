package avro

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/connector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a schema registry in memory: answers by path.
type server struct {
	*httptest.Server
	calls   atomic.Int64
	answers sync.Map // path -> any: marshalled
	// before, when set, may answer in place of the server by returning true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if s.before != nil && s.before(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	answer, ok := s.answers.Load(r.URL.Path)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		answer = map[string]any{"error_code": 40403, "message": "Schema not found"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *server) put(path, schema string) {
	s.answers.Store(path, map[string]any{"schema": schema})
}

func framed(id uint32, datum ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{magicID}, id), datum...)
}

// open makes a value converter with these keys; waits between retries are short.
func open(t *testing.T, keys map[string]string) connector.Converter {
	t.Helper()
	c, err := tryOpen(keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func tryOpen(keys map[string]string) (connector.Converter, error) {
	all := map[string]string{keyRetryWait: "1", keyRetryMaxWait: "2"}
	for k, v := range keys {
		all[k] = v
	}
	plugin := Plugin()
	v, err := plugin.Config.Parse(all)
	if err != nil {
		return nil, err
	}
	return plugin.New(v, false)
}

func toJSON(t testing.TB, c connector.Converter, data []byte) string {
	t.Helper()
	v, err := c.Convert(t.Context(), "t", nil, data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.AppendJSON(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wantClass(t *testing.T, err error, want connector.Class, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if class, _ := connector.Classify(err); class != want {
		t.Errorf("class %d, want %d: %v", class, want, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestSixtyFourConvertsOfOneSchemaMakeOneFetch(t *testing.T) {
	s := newServer(t)
	s.put("/schemas/ids/7", `"string"`)
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.before = func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(arrived) })
		<-release
		return false
	}
	plugin := Plugin()
	v, err := plugin.Config.Parse(map[string]string{keyURL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 64 {
		c, err := plugin.New(v, i%2 == 0) // keys and values share the cache too
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		group.Go(func() {
			if got := toJSON(t, c, framed(7, 2, 'x')); got != `"x"` {
				t.Errorf("got %s", got)
			}
		})
	}
	<-arrived
	close(release)
	group.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls to the registry, want 1", n)
	}
}

func TestTheNextURLIsTriedWhenOneIsDown(t *testing.T) {
	down, up := newServer(t), newServer(t)
	down.Close()
	up.put("/schemas/ids/1", `"long"`)
	c := open(t, map[string]string{keyURL: down.URL + "," + up.URL + "/"})
	if got := toJSON(t, c, framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
}

func TestAServerErrorIsTriedAgainUntilItHeals(t *testing.T) {
	s := newServer(t)
	s.put("/schemas/ids/1", `"long"`)
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if s.calls.Load() > 2 {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	c := open(t, map[string]string{keyURL: s.URL})
	if got := toJSON(t, c, framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
	if n := s.calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestARegistryThatStaysDownIsRetryableAndNotRemembered(t *testing.T) {
	s := newServer(t)
	s.put("/schemas/ids/1", `"long"`)
	var healed atomic.Bool
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if healed.Load() {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html>try later</html>")
		return true
	}
	c := open(t, map[string]string{keyURL: s.URL})
	_, err := c.Convert(t.Context(), "t", nil, framed(1, 4))
	wantClass(t, err, connector.ClassRetryable, "schema id 1", s.URL, "503")
	if n := s.calls.Load(); n != 4 {
		t.Errorf("%d calls, want 4: one and max.retries more", n)
	}
	healed.Store(true)
	if got := toJSON(t, c, framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
}

func TestAnUnknownSchemaIsRejectedAndAskedForAgainOnlyLater(t *testing.T) {
	s := newServer(t)
	cfg := map[string]string{keyURL: s.URL}
	c := open(t, cfg)
	now := time.Now()
	c.(*Converter[schemaID]).Programs.now = func() time.Time { return now }
	for range 3 {
		_, err := c.Convert(t.Context(), "t", nil, framed(9, 4))
		wantClass(t, err, connector.ClassRejected, "schema id 9", s.URL, "40403")
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	s.put("/schemas/ids/9", `"long"`)
	now = now.Add(unknownFor)
	if got := toJSON(t, c, framed(9, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
}

func TestACancelledConvertReturnsAtOnceAndTheFetchServesTheOthers(t *testing.T) {
	s := newServer(t)
	s.put("/schemas/ids/1", `"long"`)
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	s.before = func(http.ResponseWriter, *http.Request) bool {
		arrived <- struct{}{}
		<-release
		return false
	}
	c := open(t, map[string]string{keyURL: s.URL})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.Convert(ctx, "t", nil, framed(1, 4))
		failed <- err
	}()
	<-arrived
	cancel()
	err := <-failed
	wantClass(t, err, connector.ClassRetryable, "schema id 1")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("not context.Canceled: %v", err)
	}
	close(release)
	if got := toJSON(t, c, framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1: the first fetch went on", n)
	}
}

func TestCloseEndsAFetchThatHangs(t *testing.T) {
	s := newServer(t)
	arrived := make(chan struct{}, 1)
	s.before = func(_ http.ResponseWriter, r *http.Request) bool {
		arrived <- struct{}{}
		<-r.Context().Done()
		return true
	}
	c, err := tryOpen(map[string]string{keyURL: s.URL, keyRetries: "0"})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := c.Convert(t.Context(), "t", nil, framed(1, 4))
		failed <- err
	}()
	<-arrived
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wantClass(t, <-failed, connector.ClassRetryable)
}

func TestAnAnswerOfAHundredMegabytesIsNotRead(t *testing.T) {
	s := newServer(t)
	var sent atomic.Int64
	s.before = func(w http.ResponseWriter, _ *http.Request) bool {
		chunk := []byte(strings.Repeat("{", 1<<20))
		for range 100 {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				break
			}
		}
		return true
	}
	c := open(t, map[string]string{keyURL: s.URL})
	_, err := c.Convert(t.Context(), "t", nil, framed(1, 4))
	wantClass(t, err, connector.ClassRetryable, "longer than")
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	s.Close()
	if n := sent.Load(); n > 2*maxBody {
		t.Errorf("%d bytes were sent", n)
	}
}

func TestASchemaOfAnotherFormatOrThatIsInvalidIsRejectedForGood(t *testing.T) {
	s := newServer(t)
	s.answers.Store("/schemas/ids/1", map[string]any{"schema": `syntax = "proto3";`, "schemaType": "PROTOBUF"})
	s.put("/schemas/ids/2", `{"type":"record","name":"A","fields":[{"name":"a","type":"B"}]}`)
	c := open(t, map[string]string{keyURL: s.URL})
	for range 2 {
		_, err := c.Convert(t.Context(), "t", nil, framed(1, 4))
		wantClass(t, err, connector.ClassRejected, "schema id 1", "PROTOBUF")
		_, err = c.Convert(t.Context(), "t", nil, framed(2, 4))
		wantClass(t, err, connector.ClassRejected, "schema id 2", `fields[0].type: unknown type "B"`)
	}
	if n := s.calls.Load(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestReferencesAreFetchedInTheirOrderAndOnce(t *testing.T) {
	s := newServer(t)
	ref := func(name, subject string) map[string]any {
		return map[string]any{"name": name, "subject": subject, "version": 1}
	}
	s.answers.Store("/schemas/ids/1", map[string]any{
		"schema":     `{"type":"record","name":"r.A","fields":[{"name":"b","type":"r.B"},{"name":"c","type":"r.C"}]}`,
		"references": []any{ref("r.B", "b/ção"), ref("r.C", "c")},
	})
	s.answers.Store("/subjects/b/ção/versions/1", map[string]any{
		"schema":     `{"type":"record","name":"r.B","fields":[{"name":"c","type":"C"}]}`,
		"references": []any{ref("r.C", "c")},
	})
	s.put("/subjects/c/versions/1", `{"type":"record","name":"r.C","fields":[{"name":"n","type":"int"}]}`)
	c := open(t, map[string]string{keyURL: s.URL})
	if got := toJSON(t, c, framed(1, 2, 4)); got != `{"b":{"c":{"n":1}},"c":{"n":2}}` {
		t.Errorf("got %s", got)
	}
	if n := s.calls.Load(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestTheHeaderWithAGUIDComesBeforeThePrefix(t *testing.T) {
	s := newServer(t)
	s.put("/schemas/guids/01020304-0506-0708-090a-0b0c0d0e0f10", `"long"`)
	c := open(t, map[string]string{keyURL: s.URL})
	header := []byte{magicGUID, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	headers := []connector.RawHeader{{Key: headerKeySchema, Value: []byte("not ours")}, {Key: headerValueSchema, Value: header}}
	v, err := c.Convert(t.Context(), "t", headers, []byte{0})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := v.AppendJSON(nil, nil); err != nil || string(text) != "0" {
		t.Errorf("got %s, %v", text, err)
	}
	header[16]++
	_, err = c.Convert(t.Context(), "t", headers, []byte{0})
	wantClass(t, err, connector.ClassRejected, "schema guid 01020304-0506-0708-090a-0b0c0d0e0f11", "40403")
}

func TestATombstoneNeedsNoRegistry(t *testing.T) {
	c := open(t, map[string]string{keyURL: "http://127.0.0.1:1"})
	v, err := c.Convert(t.Context(), "t", nil, nil)
	if err != nil || !v.IsNull() || v.Schema() != nil {
		t.Errorf("%v, %v", v, err)
	}
}

func TestCredentialsAreSentAndNeverShown(t *testing.T) {
	const password = "s3cr3t+pw"
	basic := "Basic YW5hOnMzY3IzdCtwdw=="
	s := newServer(t)
	s.put("/schemas/ids/1", `"long"`)
	var want string
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == want {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error_code":40101,"message":"Unauthorized"}`)
		return true
	}
	host := strings.TrimPrefix(s.URL, "http://")
	cases := map[string]struct {
		want string
		keys map[string]string
	}{
		"basic from the URL":    {basic, map[string]string{keyURL: "http://ana:" + password + "@" + host}},
		"basic from its key":    {basic, map[string]string{keyURL: s.URL, keyBasicSource: "USER_INFO", keyUserInfo: "ana:" + password}},
		"basic, older key":      {basic, map[string]string{keyURL: s.URL, keyBasicSource: "USER_INFO", "schema.registry." + keyUserInfo: "ana:" + password}},
		"bearer":                {"Bearer " + password, map[string]string{keyURL: s.URL, keyBearerSource: "STATIC_TOKEN", keyBearerToken: password}},
		"bearer comes first":    {"Bearer " + password, map[string]string{keyURL: "http://a:b@" + host, keyBearerSource: "STATIC_TOKEN", keyBearerToken: password}},
		"none when not for use": {"", map[string]string{keyURL: s.URL, keyUserInfo: "ana:" + password, keyBearerToken: password}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want = tc.want
			if got := toJSON(t, open(t, tc.keys), framed(1, 4)); got != "2" {
				t.Errorf("got %s", got)
			}
			want = "something else"
			_, err := open(t, tc.keys).Convert(t.Context(), "t", nil, framed(1, 4))
			wantClass(t, err, connector.ClassRetryable, "401", keyUserInfo, keyBearerToken)
			if strings.Contains(err.Error(), password) {
				t.Errorf("the password is in: %v", err)
			}
		})
	}
	_, err := open(t, map[string]string{keyURL: "http://ana:" + password + "@127.0.0.1:1"}).Convert(t.Context(), "t", nil, framed(1, 4))
	wantClass(t, err, connector.ClassRetryable, "127.0.0.1:1", "schema id 1")
	if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "ana") {
		t.Errorf("credentials are in: %v", err)
	}
}

func TestCredentialsDoNotFollowARedirectToAnotherServer(t *testing.T) {
	other, s := newServer(t), newServer(t)
	other.put("/schemas/ids/1", `"long"`)
	var leaked atomic.Bool
	other.before = func(_ http.ResponseWriter, r *http.Request) bool {
		leaked.Store(r.Header.Get("Authorization") != "")
		return false
	}
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	c := open(t, map[string]string{keyURL: s.URL, keyBearerSource: "STATIC_TOKEN", keyBearerToken: "x"})
	if got := toJSON(t, c, framed(1, 4)); got != "2" || leaked.Load() {
		t.Errorf("got %s, leaked %v", got, leaked.Load())
	}
}

func TestTheRegistryIsReachedOverMutualTLSWithPEMFiles(t *testing.T) {
	s := &server{}
	s.Server = httptest.NewUnstartedServer(s)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.put("/schemas/ids/1", `"long"`)

	cert := s.TLS.Certificates[0]
	dir := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	key, err := pkcs8(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	keys := map[string]string{
		keyURL: s.URL, keyTruststore: write("ca.pem", authority), "schema.registry.ssl.truststore.type": "PEM",
		keyKeystore: write("client.pem", append(key, authority...)), "schema.registry.ssl.keystore.type": "PEM",
	}
	if got := toJSON(t, open(t, keys), framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
	inline := map[string]string{keyURL: s.URL, keyTruststoreText: string(authority), keyKeystoreKey: string(key), keyKeystoreChain: string(authority)}
	if got := toJSON(t, open(t, inline), framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
	byName := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	keys[keyURL], keys[keyRetries] = byName, "0"
	_, err = open(t, keys).Convert(t.Context(), "t", nil, framed(1, 4))
	wantClass(t, err, connector.ClassRetryable, "localhost")
	keys[keyHostCheck] = ""
	if got := toJSON(t, open(t, keys), framed(1, 4)); got != "2" {
		t.Errorf("got %s", got)
	}
}

func TestMistakesInTheConfigurationAreNamedWithTheirKeys(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pem")
	cases := map[string]struct {
		keys map[string]string
		want []string
	}{
		"no URL":               {map[string]string{}, []string{keyURL}},
		"no HTTP URL":          {map[string]string{keyURL: "registry:8081"}, []string{keyURL}},
		"a Java truststore":    {map[string]string{keyURL: "https://r", keyTruststore: "/x.jks"}, []string{"truststore.type", "JKS", "keytool", "PEM"}},
		"a PKCS12 keystore":    {map[string]string{keyURL: "https://r", keyKeystore: "/x.p12", "schema.registry.ssl.keystore.type": "PKCS12"}, []string{"keystore.type", "PKCS12", "openssl"}},
		"an encrypted key":     {map[string]string{keyURL: "https://r", keyKeyPassword: "x"}, []string{keyKeyPassword, "openssl"}},
		"a file that is gone":  {map[string]string{keyURL: "https://r", keyTruststore: missing, "schema.registry.ssl.truststore.type": "PEM"}, []string{keyTruststore, missing}},
		"no user info":         {map[string]string{keyURL: "https://r", keyBasicSource: "USER_INFO"}, []string{keyBasicSource, keyUserInfo}},
		"no token":             {map[string]string{keyURL: "https://r", keyBearerSource: "STATIC_TOKEN"}, []string{keyBearerSource, keyBearerToken}},
		"an unknown source":    {map[string]string{keyURL: "https://r", keyBasicSource: "SASL_INHERIT"}, []string{keyBasicSource}},
		"no room in the cache": {map[string]string{keyURL: "https://r", keyCacheSize: "0"}, []string{keyCacheSize}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := tryOpen(tc.keys)
			if err == nil {
				_ = c.Close()
				t.Fatal("no error")
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
}

func TestTheCacheHoldsNoMoreThanItsSize(t *testing.T) {
	s := newServer(t)
	c := open(t, map[string]string{keyURL: s.URL, keyCacheSize: "3"})
	for id := range uint32(10) {
		s.put(fmt.Sprintf("/schemas/ids/%d", id), `"long"`)
		toJSON(t, c, framed(id, 4))
		if n := len(*c.(*Converter[schemaID]).Programs.known.Load()); n > 3 {
			t.Fatalf("%d entries", n)
		}
	}
}

func pkcs8(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}
