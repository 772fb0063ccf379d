package avro

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const (
	// maxBody is the longest answer that is read: a schema of that size is none.
	maxBody = 16 << 20
	// maxErrorBody is how much of an error's answer is read.
	maxErrorBody = 64 << 10
	accepted     = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json; q=0.9, application/json; q=0.8"
)

// newTransport makes the connections that a registry client uses. It reads the PEM files, and
// does not touch the network.
func newTransport(s settings) (*http.Transport, error) {
	c, err := s.tls.config()
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if s.proxy != "" {
		proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.proxy})
	}
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: s.connectTimeout}).DialContext,
		TLSHandshakeTimeout:   s.connectTimeout,
		ResponseHeaderTimeout: s.readTimeout,
		TLSClientConfig:       c,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
	}, nil
}

// roundTrip is a function as a RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bounded is a body of which at most left bytes are read. What is more is an error, or for
// the text of an error just left out.
type bounded struct {
	io.ReadCloser
	left int64
	cut  bool
}

// errTooLong says that a registry's answer is no schema.
var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxBody)

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if b.cut {
			return 0, io.EOF
		}
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// errNoObject says that an answer is not of a registry's form: srclient does not look at a null.
var errNoObject = errors.New("the answer is no JSON object")

// object checks that the answer of success is a JSON object, and leaves it to be read.
func object(r *http.Response) error {
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return nil
	}
	b := bufio.NewReader(r.Body)
	for {
		next, err := b.Peek(1)
		if err != nil {
			break // what reads on meets it again
		}
		if strings.IndexByte(" \t\r\n", next[0]) < 0 {
			if next[0] == '{' {
				break
			}
			r.Body.Close()
			return errNoObject
		}
		_, _ = b.Discard(1) // it was seen
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{b, r.Body}
	return nil
}

// bound limits what of the answer is read.
func bound(r *http.Response) {
	if r.StatusCode >= 200 && r.StatusCode <= 299 {
		r.Body = &bounded{ReadCloser: r.Body, left: maxBody}
	} else {
		r.Body = &bounded{ReadCloser: r.Body, left: maxErrorBody, cut: true}
	}
}
