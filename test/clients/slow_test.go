package clients

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/worker"
)

// rss gives a process's resident memory in MB.
func rss(t *testing.T, w *worker.Process) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// TestThousandsOfSlowConnectionsTakeLittleAndOthersAreServed opens connections that never end their request.
func TestThousandsOfSlowConnectionsTakeLittleAndOthersAreServed(t *testing.T) {
	t.Parallel()
	n := scale.N(2000, 10000)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if int(limit.Cur) < n+100 {
		t.Fatalf("this process may open %d files; set ulimit -n to more than %d", limit.Cur, n+100)
	}
	w := worker.Start(t, worker.Properties(t, "127.0.0.1:1", "http://127.0.0.1:1"))
	before := rss(t, w)
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text := "GET /connectors HTTP/1.1\r\nHost: w\r\nX-Slow: "
		if i%2 == 0 {
			text = "POST /connectors HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":"
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns[i] = c
	}
	began := time.Now()
	res, err := w.Get(t.Context(), "/connectors")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("meanwhile: %d %v", res.StatusCode, err)
	}
	after := rss(t, w)
	t.Logf("%d slow connections: %d MB before, %d MB with them, another request took %v", n, before, after, time.Since(began).Round(time.Millisecond))
	if perConn := (after - before) << 10 / n; perConn > 64 {
		t.Errorf("a slow connection takes %d kB", perConn)
	}
	for i, c := range conns {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatalf("connection %d was not closed: %v", i, err)
		}
	}
	if res, err := w.Get(t.Context(), "/health"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("afterwards the worker's health is %d %v", res.StatusCode, err)
	}
}
