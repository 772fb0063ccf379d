package loopback_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyThisMachineIsServed(t *testing.T) {
	for addr, ok := range map[string]bool{
		"": true, "127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true,
		"0.0.0.0:0": false, ":0": false, "example.com:80": false, "127.0.0.1": false,
	} {
		s, err := loopback.Listen(t.Context(), addr, http.NotFoundHandler(), nil)
		if err == nil {
			err = s.Close()
		} else if ok && strings.Contains(err.Error(), "assign requested address") {
			continue // a machine without IPv6
		}
		if (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestCloseWaitsForHandlersAndResetCutsTheConnection(t *testing.T) {
	inside, stopped := make(chan struct{}), make(chan struct{})
	left := false
	s, err := loopback.Listen(t.Context(), "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/reset" {
			loopback.Reset(w)
			return
		}
		close(inside)
		<-stopped
		left = true
	}), func() { close(stopped) })
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := get("/reset"); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("reset: %v", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- get("/wait") }()
	<-inside
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if !left {
		t.Error("Close returned before the handler did")
	}
	if err := <-answered; err != nil { // its handler was told to stop first: it may have been answered in time
		t.Logf("the waiting client: %v", err)
	}
}
