package host

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthEndsWellOnlyWhereTheWorkerSaysSo(t *testing.T) {
	status := http.StatusOK
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"status":"as the test wants"}`))
	}))
	out, err := run(t, healthCommand(), "--url", worker.URL+"/")
	if err != nil || !strings.Contains(out, "as the test wants") {
		t.Errorf("%v: %s", err, out)
	}
	status = http.StatusInternalServerError
	if _, err := run(t, healthCommand(), "--url", worker.URL); err == nil || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), "as the test wants") {
		t.Errorf("a worker that answers 500 is healthy: %v", err)
	}
	worker.Close()
	if _, err := run(t, healthCommand(), "--url", worker.URL); err == nil {
		t.Error("a worker that is gone is healthy")
	}
}
