package avro

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

const goldenFile = "testdata/cases.txt"

// TestGolden runs the cases of the file against a registry of their own. Lines "<schema <path> " put there what the registry
// answers: a schema, "<status> <body>", or "401-unless <Authorization, _ for blanks> <schema>". In the file http://registry is that registry, https://registry the same
// over TLS with a certificate of the authority in the file CA and for clients that show a certificate, and http://down none.
func TestGolden(t *testing.T) {
	plain, secure := newServer(t), &server{}
	secure.Server = httptest.NewUnstartedServer(secure)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	names := identities(t, secure.TLS.Certificates[0])
	names["http://registry"], names["https://registry"] = plain.URL, secure.URL
	names["https://localhost"] = strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)
	names["http://down"], names["down:1"] = "http://127.0.0.1:1", "127.0.0.1:1"
	names["http://ana:segredo@registry"] = strings.Replace(plain.URL, "http://", "http://ana:segredo@", 1)
	names["proxy-host"], names["1080"], _ = strings.Cut(strings.TrimPrefix(plain.URL, "http://"), ":")
	convertertest.Golden(t, goldenFile, func(t *testing.T, c *convertertest.Case) []string {
		for _, s := range []*server{plain, secure} {
			s.before = answersOf(t, c)
		}
		return convertertest.Outcome(t, Plugin(), c, convertertest.Value, names)
	})
}

func TestEveryKeyAndErrorTextOfTheAvroConverterOccursInACase(t *testing.T) {
	convertertest.RequireEveryKey(t, Plugin().Config, goldenFile)
	convertertest.RequireEveryErrorText(t, map[string]string{
		"waiting for %s of %s":                         "TestACancelledConvertReturnsAtOnceAndTheFetchServesTheOthers",
		"the converter was closed before":              "TestCloseEndsAFetchThatHangs",
		"the answer is longer than":                    "TestAnAnswerOfAHundredMegabytesIsNotRead",
		"the value's JSON is longer than":              "TestAValueWhoseJSONWouldBeHugeIsRefused",
		"records and unions with more than":            "TestAValueOfFewBytesDoesNotBecomeHuge",
		"more than %d parts without bytes":             "TestBytesThatContradictTheSchemaAreErrorsWithPathAndByte",
		"%s of schema registry %v refers to more than": "TestASchemaThatRefersToThousandsOfOthersIsRefused",
	}, goldenFile)
}

// answersOf gives what a registry answers in a case.
func answersOf(t *testing.T, c *convertertest.Case) func(http.ResponseWriter, *http.Request) bool {
	t.Helper()
	answers := map[string]string{}
	for _, line := range c.Input {
		if rest, ok := strings.CutPrefix(line, "<schema "); ok {
			path, text, _ := strings.Cut(rest, " ")
			answers[path] = text
		}
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		text, ok := answers[r.URL.Path]
		if !ok {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		word, body, _ := strings.Cut(text, " ")
		if word == "401-unless" {
			var wanted string
			if wanted, text, _ = strings.Cut(body, " "); r.Header.Get("Authorization") != strings.ReplaceAll(wanted, "_", " ") {
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
			word = ""
		}
		if status, err := strconv.Atoi(word); err == nil {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"schema": text})
		return true
	}
}

// identities writes the PEM files of the tests, and gives the names of them and of their texts.
func identities(t *testing.T, cert tls.Certificate) convertertest.Names {
	t.Helper()
	dir, names := t.TempDir(), convertertest.Names{}
	write := func(name string, text []byte) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		names["/pem/"+name] = file
		names["PEM:"+name] = string(text)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	key, err := pkcs8(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca", authority)
	write("key", key)
	write("client", append(append([]byte{}, key...), authority...))
	write("encrypted", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}))
	write("empty", []byte("# no certificate\n"))
	names["/pem/missing"] = filepath.Join(dir, "missing")
	return names
}

func TestAValueWhoseJSONWouldBeHugeIsRefused(t *testing.T) {
	for _, schema := range []string{`{"type":"record","name":"R","fields":[{"name":"f","type":"int"}]}`, `{"type":"array","items":"int"}`} {
		p := jsonPass{pass: pass{in: []byte{2, 2, 0}}, f: &connector.Format{}, start: -maxJSON - 1} // as if that much were written
		if _, _, err := mustCompile(t, schema).top.node.json(&p, nil, 0); err == nil || !strings.Contains(err.Error(), "the value's JSON is longer than 268435456 bytes") {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func TestASchemaThatRefersToThousandsOfOthersIsRefused(t *testing.T) {
	s := newServer(t)
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		_, version, _ := strings.Cut(r.URL.Path, "/versions/")
		n, _ := strconv.Atoi(version)
		_ = json.NewEncoder(w).Encode(map[string]any{"schema": `"int"`, "references": []any{map[string]any{"name": "N", "subject": "s", "version": n + 1}}})
		return true
	}
	_, err := open(t, map[string]string{keyURL: s.URL}).Convert(t.Context(), "t", nil, framed(1, 4))
	wantClass(t, err, connector.ClassRejected, "schema id 1 of schema registry "+s.URL, "refers to more than 1000 others")
	if n := s.calls.Load(); n > maxRefs+1 {
		t.Errorf("%d calls", n)
	}
}
