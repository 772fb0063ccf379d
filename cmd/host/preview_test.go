package host

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPreviewAsksForAFileOrARunningConnectorAndShowsTheAnswerAsItIs(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"name":"c","config":{"connector.class":"StepFunctionsSink"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"preview":{"input":{"a":"<1.50>"}}}`)
	}))
	defer s.Close()
	dir := t.TempDir()
	file, record := filepath.Join(dir, "c.json"), filepath.Join(dir, "record.json")
	for path, text := range map[string]string{
		file:   `{"name":"c","config":{"connector.class":"StepFunctionsSink","topics":"t"}}`,
		record: `{"value":{"n":1.50}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"c", "t", "1", "7"}, {file, "t", "1", "7", "--record", record}} {
		if out, err := run(t, previewCommand(), append(args, "--url", s.URL+"/")...); err != nil || out != "{\"preview\":{\"input\":{\"a\":\"<1.50>\"}}}\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	want := []string{
		"GET /connectors/c",
		`POST /connector-plugins/StepFunctionsSink/preview {"connector":"c","offset":"7","partition":"1","topic":"t"}`,
		`POST /connector-plugins/StepFunctionsSink/preview {"config":{"connector.class":"StepFunctionsSink","name":"c","topics":"t"},"offset":"7","partition":"1","record":{"value":{"n":1.50}},"topic":"t"}`,
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
	if err := os.WriteFile(record, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, previewCommand(), file, "t", "1", "7", "--record", record); err == nil || !strings.Contains(err.Error(), "is not JSON") {
		t.Errorf("a broken record: %v", err)
	}
	if _, err := run(t, previewCommand(), filepath.Join(dir, "none.json"), "t", "1", "7"); err == nil {
		t.Error("a file that is not there is no mistake")
	}
}
