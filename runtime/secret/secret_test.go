package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// twin answers as Secrets Manager and Parameter Store do.
type twin struct {
	*httptest.Server
	mu     sync.Mutex // guards the fields below
	values map[string]string
	fail   func(n int64) (status int, code string) // of call number n
	calls  atomic.Int64
}

func newTwin(t *testing.T, values map[string]string) *twin {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	w := &twin{values: values}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	return w
}

func (w *twin) set(name, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[name] = text
}

func (w *twin) failWith(fail func(n int64) (int, string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

func (w *twin) serve(rw http.ResponseWriter, r *http.Request) {
	n := w.calls.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	refuse := func(status int, code string) {
		rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
		rw.WriteHeader(status)
		_, _ = fmt.Fprintf(rw, `{"__type":%q,"message":"as AWS words it"}`, code)
	}
	if w.fail != nil {
		if status, code := w.fail(n); status != 0 {
			refuse(status, code)
			return
		}
	}
	var in struct {
		SecretID       string `json:"SecretId"`
		Name           string
		WithDecryption bool
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &in)
	switch target := r.Header.Get("X-Amz-Target"); target {
	case "secretsmanager.GetSecretValue":
		text, ok := w.values[in.SecretID]
		if !ok {
			refuse(400, "ResourceNotFoundException")
			return
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"Name": in.SecretID, "SecretString": text})
	case "AmazonSSM.GetParameter":
		text, ok := w.values[in.Name]
		switch {
		case !ok:
			refuse(400, "ParameterNotFound")
		case !in.WithDecryption:
			refuse(400, "ValidationException")
		default:
			_ = json.NewEncoder(rw).Encode(map[string]any{"Parameter": map[string]any{"Name": in.Name, "Value": text}})
		}
	default:
		refuse(400, "UnknownOperation "+target)
	}
}

func (w *twin) provider(t *testing.T, kind func(map[string]string) (*Provider, error), params ...string) *Provider {
	t.Helper()
	all := map[string]string{"region": "sa-east-1", "endpoint": w.URL}
	for i := 0; i < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	p, err := kind(all)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const arn = "arn:aws:secretsmanager:sa-east-1:000000000000:secret:prod/db-AbCdEf"

// placeholders are a path and a key as Kafka's pattern cuts them.
func TestPlaceholdersNameSecretsAndTheirFields(t *testing.T) {
	w := newTwin(t, map[string]string{
		"token": "plain text", "prod/db": `{"password": "pä\"ss", "port": 1433, "big": 12345678901234567890.50, "tls": true, "nested": {"a": 1}, "none": null}`,
		arn: `{"password": "by arn"}`, "/prod/db/password": "parameter", "/prod/db": `{"user": "sa"}`,
		"arn:aws:ssm:sa-east-1:000000000000:parameter/prod/db": `{"user": "shared"}`,
	})
	secrets, parameters := w.provider(t, SecretsManager), w.provider(t, ParameterStore)
	for _, c := range []struct {
		p               *Provider
		path, key, want string
	}{
		{secrets, "", "token", "plain text"},
		{secrets, "prod/db", "password", `pä"ss`},
		{secrets, "prod/db", "port", "1433"},
		{secrets, "prod/db", "big", "12345678901234567890.50"},
		{secrets, "prod/db", "tls", "true"},
		{secrets, "arn", "aws:secretsmanager:sa-east-1:000000000000:secret:prod/db-AbCdEf:password", "by arn"},
		{secrets, "arn", "aws:secretsmanager:sa-east-1:000000000000:secret:prod/db-AbCdEf", `{"password": "by arn"}`},
		{secrets, strings.ReplaceAll(arn, ":", "%3A"), "password", "by arn"},
		{parameters, "", "/prod/db/password", "parameter"},
		{parameters, "/prod/db", "user", "sa"},
		{parameters, "arn", "aws:ssm:sa-east-1:000000000000:parameter/prod/db:user", "shared"},
	} {
		got, ok, err := c.p.Lookup(t.Context(), c.path, c.key)
		if err != nil || !ok || got.Reveal() != c.want {
			t.Errorf("%s:%s is %q, %v, %v, want %q", c.path, c.key, got.Reveal(), ok, err, c.want)
		}
	}
	for _, c := range []struct{ path, key, want string }{
		{"prod/db", "missing", `secret prod/db: it has no key "missing"`},
		{"prod/db", "nested", "neither a text nor a number nor a boolean"},
		{"prod/db", "none", "neither a text nor a number nor a boolean"},
		{"token", "password", "secret token: it is not a JSON object"},
		{"", "nowhere", "secret nowhere: it does not exist in this account and region (ResourceNotFoundException)"},
		{"", "", "names nothing"},
	} {
		_, ok, err := secrets.Lookup(t.Context(), c.path, c.key)
		if ok || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:%s: %v, %v, want %q", c.path, c.key, ok, err, c.want)
		}
		for _, value := range []string{"plain text", "1433", "12345"} {
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("the error shows a value: %v", err)
			}
		}
	}
	if _, _, err := parameters.Lookup(t.Context(), "", "/nowhere"); err == nil || !strings.Contains(err.Error(), "parameter /nowhere: it does not exist") {
		t.Errorf("a parameter that does not exist: %v", err)
	}
}

func TestAValueIsAskedForOnceInItsTimeToLive(t *testing.T) {
	w := newTwin(t, map[string]string{"s": `{"a": "1", "b": "2"}`})
	p := w.provider(t, SecretsManager, "ttl.ms", "60000")
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for _, key := range []string{"a", "b"} {
				if _, _, err := p.Lookup(t.Context(), "s", key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := w.calls.Load(); n != 1 {
		t.Errorf("AWS was asked %d times", n)
	}
	w.set("s", `{"a": "new"}`)
	now = now.Add(59 * time.Second)
	if v, _, err := p.Lookup(t.Context(), "s", "a"); err != nil || v.Reveal() != "1" {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	now = now.Add(2 * time.Second)
	if v, _, err := p.Lookup(t.Context(), "s", "a"); err != nil || v.Reveal() != "new" {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	if p.TTL() != time.Minute {
		t.Errorf("the time to live is %v", p.TTL())
	}
}

func TestTroubleThatPassesIsWaitedOutAndOtherTroubleIsNamed(t *testing.T) {
	w := newTwin(t, map[string]string{"s": "v"})
	p := w.provider(t, SecretsManager, "ttl.ms", "1")
	w.failWith(func(n int64) (int, string) {
		if n < 3 {
			return 400, "ThrottlingException"
		}
		return 0, ""
	})
	if v, _, err := p.Lookup(t.Context(), "", "s"); err != nil || v.Reveal() != "v" || w.calls.Load() != 3 {
		t.Errorf("%q, %v after %d calls", v.Reveal(), err, w.calls.Load())
	}
	p.now = func() time.Time { return time.Now().Add(time.Hour) } // it has expired
	w.failWith(func(int64) (int, string) { return 503, "ServiceUnavailable" })
	if v, _, err := p.Lookup(t.Context(), "", "s"); err != nil || v.Reveal() != "v" {
		t.Errorf("while AWS is away: %q, %v", v.Reveal(), err)
	}
	_, _, err := p.Lookup(t.Context(), "", "never read")
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable {
		t.Errorf("a secret that was never read, while AWS is away: %v", err)
	}
	w.failWith(func(int64) (int, string) { return 400, "AccessDeniedException" })
	_, _, err = p.Lookup(t.Context(), "", "s")
	if class, _ := connector.Classify(err); err == nil || class == connector.ClassRetryable || !strings.Contains(err.Error(), "allow secretsmanager:GetSecretValue") {
		t.Errorf("a secret that may not be read any more: %v", err)
	}
	w.Close()
	_, _, err = p.Lookup(t.Context(), "", "another")
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestParametersThatCannotBeHonouredAreAllNamed(t *testing.T) {
	_, err := SecretsManager(map[string]string{"ttl.ms": "soon", "aws.secret.key": "hunter2", "NotFoundStrategy": "ignore", "colour": "red"})
	for _, want := range []string{"param.ttl.ms", "param.aws.secret.key: keys do not belong", "param.NotFoundStrategy", "param.colour is unknown"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error shows a secret")
	}
	if p, err := ParameterStore(map[string]string{"aws.region": "sa-east-1", "secret.ttl.ms": "3600000", "secret.prefix": "cdc/", "NotFoundStrategy": "fail"}); err != nil || p.TTL() != time.Hour || p.prefix != "cdc/" {
		t.Errorf("other providers' names: %v", err)
	}
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"a", "", arn, "arn:", "arn:aws:ssm:::parameter/x", "%3A"} {
		f.Add(s, "k")
	}
	f.Fuzz(func(t *testing.T, path, key string) {
		name, field := reference(path, key)
		if name == "" && path+key != "" && path != "" {
			t.Errorf("%q:%q names nothing, and a field %q of it", path, key, field)
		}
	})
}
