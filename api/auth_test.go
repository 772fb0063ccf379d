package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

const refusal = "User cannot access the resource."

func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func tokenSum(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// people are ana (admin), rui (read-only), and the tokens of ci (admin) and dash (read-only).
func people(t testing.TB) *Auth {
	t.Helper()
	a := newAuth()
	users := "# people\n\nana:" + hashed(t, "a:b") + "\nrui:" + hashed(t, "pässword") + ":read-only\n"
	tokens := "ci:" + tokenSum("t0ken") + ":admin\ndash:" + tokenSum("look") + ":read-only\n"
	if err := a.ReadUsers("users", strings.NewReader(users)); err != nil {
		t.Fatal(err)
	}
	if err := a.ReadTokens("tokens", strings.NewReader(tokens)); err != nil {
		t.Fatal(err)
	}
	return a
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestWhoMayDoWhat(t *testing.T) {
	h := New(newMemHerder(), Options{Log: discardLog(), Auth: people(t), OpenPaths: []string{"/health", "/ui/*"}, AllowOrigin: "https://ops.example"})
	const create = `{"name":"c","config":` + fileSink + `}`
	for _, tc := range []struct {
		name, authorization, method, target, body string
		status                                    int
	}{
		{"nobody reads", "", "GET", "/connectors", "", 401},
		{"nobody learns which paths there are", "", "GET", "/nope", "", 401},
		{"an open path is open", "", "GET", "/health", "", 200},
		{"an open path with a slash", "", "GET", "/health/", "", 200},
		{"what is below an open path", "", "GET", "/ui/page.js", "", 200},
		{"an open path opens no other by way of dots", "", "GET", "/health/../connectors", "", 401},
		{"an open path is not open to writes", "", "POST", "/health", "{}", 401},
		{"an admin reads", basic("ana", "a:b"), "GET", "/connectors", "", 200},
		{"an admin writes", basic("ana", "a:b"), "POST", "/connectors", create, 201},
		{"a wrong password", basic("ana", "A:b"), "GET", "/connectors", "", 401},
		{"an unknown user", basic("eva", "a:b"), "GET", "/connectors", "", 401},
		{"an empty password", basic("ana", ""), "GET", "/connectors", "", 401},
		{"a reader reads", basic("rui", "pässword"), "GET", "/connectors", "", 200},
		{"a reader does not write", basic("rui", "pässword"), "DELETE", "/connectors/c", "", 403},
		{"a reader does not validate", basic("rui", "pässword"), "PUT", "/connector-plugins/FileStreamSink/config/validate", fileSink, 403},
		{"a token writes", "Bearer t0ken", "PUT", "/connectors/c/pause", "", 202},
		{"a token in another case of the scheme", "bearer t0ken", "GET", "/connectors", "", 200},
		{"a reader's token does not write", "Bearer look", "PUT", "/connectors/c/pause", "", 403},
		{"a wrong token", "Bearer t0ke", "GET", "/connectors", "", 401},
		{"an empty token", "Bearer ", "GET", "/connectors", "", 401},
		{"another scheme", "Digest x", "GET", "/connectors", "", 401},
		{"broken base64", "Basic !!!", "GET", "/connectors", "", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, w := ask(t, h, tc.method, tc.target, tc.body, "Authorization", tc.authorization)
			if w.Code != tc.status {
				t.Fatalf("%d, want %d: %s", w.Code, tc.status, w.Body)
			}
			if w.Code == 401 && (w.Body.String() != refusal || len(w.Header().Values("WWW-Authenticate")) != 2) {
				t.Errorf("%q %v", w.Body, w.Header())
			}
		})
	}
}

func TestAPreflightNeedsNoPassword(t *testing.T) {
	h := New(newMemHerder(), Options{Log: discardLog(), Auth: people(t), AllowOrigin: "https://ops.example"})
	_, w := ask(t, h, "OPTIONS", "/connectors", "", "Origin", "https://ops.example", "Access-Control-Request-Method", "POST")
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "https://ops.example" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestAPasswordIsRememberedAndAWrongOneIsNot(t *testing.T) {
	a := people(t)
	for range 2 {
		if _, known := a.checkPassword(t.Context(), "ana", "a:b"); !known {
			t.Fatal("refused")
		}
		if _, known := a.checkPassword(t.Context(), "ana", "wrong"); known {
			t.Fatal("let in")
		}
	}
	if len(a.cache) != 1 {
		t.Errorf("%d entries", len(a.cache))
	}
}

func TestMistakesInTheFilesAreReportedAtOnceByLineAndWithoutHashes(t *testing.T) {
	dir := t.TempDir()
	users, tokens := filepath.Join(dir, "users"), filepath.Join(dir, "tokens")
	write(t, users, "ana:hush\nnocolon\nrui:"+hashed(t, "x")+":boss\nok:"+hashed(t, "x")+"\nok:"+hashed(t, "y")+"\n:x\n")
	write(t, tokens, "ci:zz\nci:abcd\n")
	_, err := LoadAuth(users, tokens)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"users:1: user \"ana\": the password is not hashed with bcrypt", "users:2: expected user:hash", "users:3: user \"rui\": the role \"boss\" is neither read-only nor admin",
		"users:5: user \"ok\" stands in the file twice", "users:6: expected user:hash", "tokens:1: token \"ci\": expected the SHA-256", "tokens:2: token"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "$2a$") {
		t.Errorf("%v shows a hash", err)
	}
}

func TestFilesThatNobodyCouldUseAreRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "users")
	write(t, empty, "# nobody\n")
	if _, err := LoadAuth(empty, ""); err == nil || !strings.Contains(err.Error(), "rest.auth.basic.users.file") {
		t.Error(err)
	}
	if _, err := LoadAuth(filepath.Join(t.TempDir(), "none"), ""); err == nil || !strings.Contains(err.Error(), "rest.auth.basic.users.file") {
		t.Error(err)
	}
	if a, err := LoadAuth("", ""); a != nil || err != nil {
		t.Error(a, err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryWriteIsAuditedAndNoSecretIsLogged(t *testing.T) {
	var log bytes.Buffer
	h := New(newMemHerder(), Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Auth: people(t)})
	body := `{"name":"c 1","config":{"connector.class":"FileStreamSink","db.password":"hush"}}`
	ask(t, h, "POST", "/connectors", body, "Authorization", basic("ana", "a:b"))
	ask(t, h, "PUT", "/connectors/c%201/pause", "", "Authorization", "Bearer t0ken")
	ask(t, h, "DELETE", "/connectors/none", "", "Authorization", "Bearer t0ken")
	ask(t, h, "DELETE", "/connectors/c%201", "", "Authorization", "Bearer look")
	ask(t, h, "GET", "/connectors/c%201", "", "Authorization", "Bearer look")
	for _, want := range []string{
		`component=audit action=connector.create status=201 user=ana`,
		`component=audit action=connector.pause status=202 user=ci`, `connector="c 1"`,
		`component=audit action=connector.delete status=404 user=ci`,
		`component=access method=GET path=/connectors/c%201 status=200`, `user=dash`,
		`method=DELETE path=/connectors/c%201 status=403`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	for _, secret := range []string{"hush", "t0ken", "a:b", "Basic", "look"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, log.String())
		}
	}
}

func TestCrossOriginRules(t *testing.T) {
	for _, tc := range []struct {
		name, allow, method, origin, site string
		status                            int
		allowed                           string
	}{
		{"a page of a foreign origin does not write", "", "POST", "https://evil.example", "cross-site", 403, ""},
		{"nor where the browser tells the origin alone", "", "POST", "https://evil.example", "", 403, ""},
		{"it may ask, and the browser hides the answer", "", "GET", "https://evil.example", "cross-site", 200, ""},
		{"the worker's own page writes", "", "POST", "http://worker:8083", "same-origin", 201, ""},
		{"a program writes", "", "POST", "", "", 201, ""},
		{"an allowed origin writes", "https://a.example, https://ops.example", "POST", "https://ops.example", "cross-site", 201, "https://ops.example"},
		{"another does not", "https://ops.example", "POST", "https://evil.example", "cross-site", 403, ""},
		{"any origin, where that is wanted", "*", "POST", "https://evil.example", "cross-site", 201, "https://evil.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := New(newMemHerder(), Options{Log: discardLog(), AllowOrigin: tc.allow})
			body := ""
			if tc.method == "POST" {
				body = `{"name":"c","config":` + fileSink + `}`
			}
			_, w := ask(t, h, tc.method, "/connectors", body, "Origin", tc.origin, "Sec-Fetch-Site", tc.site)
			if w.Code != tc.status || w.Header().Get("Access-Control-Allow-Origin") != tc.allowed {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if tc.allow == "*" && w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials for any origin")
			}
		})
	}
}

func TestResponseHeadersAreSentWithEveryAnswer(t *testing.T) {
	rules, err := ParseResponseHeaders(`set X-A: 1, "add Cache-Control: no-cache, no-store", add X-A: 2, setDate Expires: 0`)
	if err != nil {
		t.Fatal(err)
	}
	h := New(newMemHerder(), Options{Log: discardLog(), ResponseHeaders: rules})
	for _, path := range []string{"/", "/nope"} {
		_, w := ask(t, h, "GET", path, "")
		if got := w.Header(); strings.Join(got.Values("X-A"), ",") != "1,2" || got.Get("Cache-Control") != "no-cache, no-store" || !strings.HasSuffix(got.Get("Expires"), "GMT") {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, bad := range []string{"put X: 1", "set X", "set : 1", "set X Y: 1", "setDate X: soon", `set "X: 1`} {
		if _, err := ParseResponseHeaders(bad); err == nil || !strings.Contains(err.Error(), "response.http.headers.config") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
