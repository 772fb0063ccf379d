package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          map[string]string
	}{
		{"separators", "a=1\nb:2\nc 3\nd = 4\ne\n", map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": ""}},
		{"comments and blank lines, which are not continued", "# a=1 \\\nb=2\n! c=3\n\n  # d=4\n", map[string]string{"b": "2"}},
		{"continued lines", "a=1,\\\n   2,\\\n\t3\nb=x\\\\\nc=y", map[string]string{"a": "1,2,3", "b": `x\`, "c": "y"}},
		{"escapes", `a\:b=c\=d` + "\n" + `u=\u00e9` + "\n" + `p=C:\\temp`, map[string]string{"a:b": "c=d", "u": "é", "p": `C:\temp`}},
		{"placeholders of config providers stay", "p=${file:/x.properties:pw}\nq=a${b}c", map[string]string{"p": "${file:/x.properties:pw}", "q": "a${b}c"}},
		{"a JAAS line", "sasl.jaas.config=org.x.PlainLoginModule required username=\"u\" password=\"p=;\";", map[string]string{"sasl.jaas.config": `org.x.PlainLoginModule required username="u" password="p=;";`}},
		{"UTF-8", "a=São Paulo", map[string]string{"a": "São Paulo"}},
		{"ISO-8859-1", "a=S\xe3o Paulo", map[string]string{"a": "São Paulo"}},
		{"of a key given twice the last value counts", "a=1\na=2", map[string]string{"a": "2"}},
		{"line ends of other systems", "a=1\r\nb=2\rc=3", map[string]string{"a": "1", "b": "2", "c": "3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := LoadProperties(write(t, "x.properties", tt.content))
			must(t, err)
			if d := cmp.Diff(tt.want, f.Values); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAllMistakesOfAFileAreListedWithTheirLines(t *testing.T) {
	path := write(t, "w.properties", "key.converter=String\nx=\\u00zz\nvalue.converter=String\ny=\\u12\n")
	_, err := LoadProperties(path)
	var fe *FileError
	if !errors.As(err, &fe) || len(fe.Problems) != 2 || fe.Problems[0].Line != 2 || fe.Problems[1].Line != 4 {
		t.Errorf("%v", err)
	}
	path = write(t, "w.properties", "# a worker\nlisteners=http://0.0.0.0:8083\nvalue.converter=String\nofset.flush=\\\n  1\noffset.flush.interval.ms=soon\nrest.advertised.port=70000\nconfig.providers=vault\n")
	_, _, err = LoadWorkerConfig(t.Context(), path, false, nil)
	if !errors.As(err, &fe) {
		t.Fatal(err)
	}
	want := []string{
		path + `: Missing required configuration "key.converter" which has no default value.`,
		path + `: Missing required configuration "offset.storage.file.filename" which has no default value.`,
		path + ":2: listeners: http://0.0.0.0:8083 can be reached from other hosts without authentication; set rest.auth.basic.users.file or rest.auth.bearer.tokens.file, listen on 127.0.0.1, or set rest.allow.unauthenticated=true",
		path + ":6: Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG",
		path + ":7: Invalid value 70000 for configuration rest.advertised.port: Value must be no more than 65535",
	}
	lines := strings.Split(err.Error(), "\n")
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("missing %q in\n%s", w, err)
		}
	}
	if len(lines) != len(want)+1 || !strings.Contains(err.Error(), `config.providers.vault.class: "" is no config provider`) {
		t.Errorf("%d lines:\n%s", len(lines), err)
	}
	if _, err := LoadProperties(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestConnectorsAreReadFromFilesAsConnectStandaloneReadsThem(t *testing.T) {
	want := cfgOf("name", "c", "connector.class", "FileStreamSink", "tasks.max", "1")
	for _, tt := range []struct {
		name, file, content string
		want                CreateRequest
	}{
		{"flat JSON", "c.json", `{"name": "c", "connector.class": "FileStreamSink", "tasks.max": 1}`, CreateRequest{Name: "c", Config: want}},
		{"the body of a create request, unknown fields ignored", "c.json", `{"name": "c", "x": [], "initial_state": "STOPPED", "config": {"name": "c", "connector.class": "FileStreamSink", "tasks.max": "1"}}`, CreateRequest{Name: "c", Config: want, InitialState: "STOPPED"}},
		{"properties", "c.properties", "name=c\nconnector.class=FileStreamSink\ntasks.max=1\n", CreateRequest{Name: "c", Config: want}},
		{"a null", "c.json", `{"name":"c","file":null}`, CreateRequest{Name: "c", Config: map[string]*string{"name": want["name"], "file": nil}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := LoadConnectorFile(write(t, tt.file, tt.content))
			must(t, err)
			if d := cmp.Diff(tt.want, f.Request); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMistakesInConnectorFilesAreNamedWithTheirLines(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"broken JSON", "{\n \"name\": \"c\",\n \"x\": oops\n}", ":3: invalid character 'o'"},
		{"a missing brace", "{\n \"name\": \"c\"", ":2: unexpected end of JSON input"},
		{"nested values, all of them", "{\n \"name\": \"c\",\n \"a\": {},\n \"b\": []\n}", ":4: the value of \"b\" must be"},
		{"two names", "{\n \"name\": \"c\",\n \"config\": {\n  \"name\": \"d\"}\n}", ":4: Connector name configuration in 'config' doesn't match"},
		{"text after the object", "{\"name\": \"c\"}\n}", ":2: invalid character '}' after top-level value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "c.json", tt.content)
			_, err := LoadConnectorFile(path)
			var fe *FileError
			if !errors.As(err, &fe) || !strings.Contains(err.Error(), path+tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzConnectorFile(f *testing.F) {
	f.Add([]byte(`{"name":"c","config":{"a":1}}`))
	f.Add([]byte("name=c\\\n x\n\\u00e9=1"))
	f.Add([]byte(`{"config":{"name":null}}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "c")
		must(t, os.WriteFile(path, content, 0o600))
		got, err := LoadConnectorFile(path)
		if (err == nil) == (got == nil) {
			t.Fatal(got, err)
		}
	})
}
