package aws

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func filled(letter byte, size int) *Body {
	b := NewBody()
	for part := bytes.Repeat([]byte{letter}, min(size, 997)); b.Size()+len(part) < size; {
		b.Add(part)
	}
	b.AddCopy(bytes.Repeat([]byte{letter}, size-b.Size()))
	return b
}

func open(t *testing.T, b *Body) io.ReadCloser {
	t.Helper()
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestABodyIsReadAgainFromItsBeginning(t *testing.T) {
	b := filled('a', 10_000)
	for range 2 {
		r := open(t, b)
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 10_000 || r.Close() != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	b.Release()
}

func TestNothingIsSentOfABodyThatMayNotGo(t *testing.T) {
	var bodies atomic.Int64 // that have arrived whole
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			bodies.Add(1)
		} else if n > 0 {
			t.Errorf("%d bytes have arrived", n)
		}
	}))
	no := errors.New("not now")
	for _, tc := range []struct {
		may  error
		want int64
	}{{nil, 1}, {no, 1}, {nil, 2}} {
		b := filled('a', 10_000)
		b.Before(func() error { return tc.may })
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, open(t, b))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength, r.GetBody = int64(b.Size()), b.Open
		res, err := server.Client().Do(r)
		if err == nil {
			err = res.Body.Close()
		}
		if !errors.Is(err, tc.may) || bodies.Load() != tc.want {
			t.Errorf("%v: %v, and %d bodies have arrived, want %d", tc.may, err, bodies.Load(), tc.want)
		}
		b.Release()
	}
	server.Close() // waits for its handlers
}

func TestABufferIsFreeWhenItsMakerAndEveryReaderHaveLetGo(t *testing.T) {
	for name, order := range map[string]func(maker, first, second func()){
		"the maker first": func(m, a, b func()) { m(); a(); b() },
		"the maker last":  func(m, a, b func()) { a(); b(); m() },
		"closed twice":    func(m, a, b func()) { a(); a(); a(); m(); b() },
	} {
		t.Run(name, func(t *testing.T) {
			b := filled('a', 100)
			readers := []io.ReadCloser{open(t, b), open(t, b)}
			last := b.holders.Load()
			seen := []int32{}
			note := func() { seen = append(seen, b.holders.Load()) }
			order(func() { b.Release(); note() }, func() { _ = readers[0].Close(); note() }, func() { _ = readers[1].Close(); note() })
			if last != 3 || seen[len(seen)-1] != 0 {
				t.Errorf("%d holders, then %v", last, seen)
			}
			for _, s := range seen[:len(seen)-1] {
				if s == 0 {
					t.Errorf("free too early: %v", seen)
				}
			}
			if _, err := readers[0].Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("reading what is closed: %v", err)
			}
			if _, err := b.Open(); !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("opening what is gone: %v", err)
			}
		})
	}
}

// late is a transport that gives up at once and reads the body afterwards, which http.RoundTripper allows.
type late struct{ reads sync.WaitGroup }

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	want := r.Header.Get("Letter")[0]
	l.reads.Go(func() {
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if bytes.Count(buf[:n], []byte{want}) != n {
				panic(fmt.Sprintf("read %q of a body of %c", buf[:n], want))
			}
			if err != nil {
				_ = r.Body.Close()
				return
			}
		}
	})
	return nil, errors.New("gave up")
}

func TestATransportThatReadsOnAfterAnErrorReadsNobodyElsesBytes(t *testing.T) {
	transport := &late{}
	for i := range 2000 {
		letter := byte('a' + i%26)
		b := filled(letter, 4000)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1", open(t, b))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Letter", string(letter))
		if res, err := transport.RoundTrip(req); err == nil {
			_ = res.Body.Close()
			t.Fatal("no error")
		}
		b.Release()
	}
	transport.reads.Wait()
}

// Calls are cut short at random moments while their buffers are used by others.
func TestNoRequestCarriesBytesOfAnother(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				buf, want := make([]byte, 3000), r.Header.Get("Letter")[0]
				for {
					n, err := r.Body.Read(buf)
					if bytes.Count(buf[:n], []byte{want}) != n {
						t.Errorf("a body of %c holds %.40q", want, buf[:n])
					}
					if err != nil {
						return
					}
				}
			}))
			srv.EnableHTTP2 = http2
			srv.StartTLS()
			defer srv.Close()
			transport := NewTransport(8)
			defer transport.CloseIdleConnections()
			for _, t := range []*http.Transport{transport.usual, transport.beyond} {
				t.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
			}
			var all sync.WaitGroup
			for worker := range 16 {
				all.Go(func() {
					for range 40 {
						post(t, transport, srv.URL, byte('a'+worker), time.Duration(rand.IntN(4000))*time.Microsecond)
					}
				})
			}
			all.Wait()
		})
	}
}

func post(t *testing.T, transport http.RoundTripper, url string, letter byte, patience time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := filled(letter, 100_000)
	defer b.Release()
	reader, err := b.Open()
	if err != nil {
		t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, reader)
	if err != nil {
		t.Error(err)
		return
	}
	req.GetBody, req.ContentLength = b.Open, int64(b.Size())
	req.Header.Set("Letter", string(letter))
	res, err := transport.RoundTrip(req)
	if err != nil {
		return // cut short
	}
	_ = res.Body.Close()
}

func TestATypicalBodyTakesNoMemoryOfItsOwn(t *testing.T) {
	part := bytes.Repeat([]byte("a"), 1000)
	filled('a', 80_000).Release()
	const reader = 1 // what Open makes
	if n := testing.AllocsPerRun(100, func() {
		b := NewBody()
		b.Add(part)
		b.AddCopy(part)
		r, _ := b.Open()
		_ = r.Close()
		b.Release()
	}); n > reader+1 { // a garbage collection may empty the pool
		t.Errorf("%v allocations", n)
	}
}
