package pipeline

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// trouble is what a proxy does to the calls that come through it.
type trouble int32

const (
	none      trouble = iota
	throttled         // refused: too many
	failing           // refused: the service is broken
	reset             // the connection is reset before the call is passed on
	lost              // the call is passed on, and the connection reset instead of an answer
)

func (x trouble) String() string {
	return [...]string{"none", "throttled", "failing", "reset", "answers lost"}[x]
}

// proxy stands between the workers and AWS.
type proxy struct {
	url     string
	target  string
	trouble atomic.Int32
	hurt    atomic.Int64 // calls that had trouble
}

func newProxy(t testing.TB, target string) *proxy {
	p := &proxy{target: target}
	s := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	p.url = s.URL
	return p
}

// makes changes what happens to calls from now on.
func (p *proxy) makes(x trouble) { p.trouble.Store(int32(x)) }

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	x := trouble(p.trouble.Load())
	if x != none {
		p.hurt.Add(1)
	}
	switch x {
	case throttled:
		refuse(w, http.StatusBadRequest, "ThrottlingException")
		return
	case failing:
		refuse(w, http.StatusInternalServerError, "InternalServerException")
		return
	case reset:
		hangUp(w)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), r.Body)
	if err != nil {
		refuse(w, http.StatusBadGateway, "ServiceUnavailable")
		return
	}
	req.Header = r.Header.Clone()
	req.ContentLength = r.ContentLength
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		hangUp(w) // the emulator is away
		return
	}
	defer resp.Body.Close()
	if x == lost {
		_, _ = io.Copy(io.Discard, resp.Body)
		hangUp(w)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"__type":"`+code+`","message":"the proxy of the test"}`)
}

// hangUp resets the connection.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
