package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

var loadDocument = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(OpenAPI())
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// document is the OpenAPI document, validated.
func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// call asks a handler, and holds the answer against the OpenAPI document.
func call(t testing.TB, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r, w := ask(t, h, method, target, body, headers...)
	checkAnswer(t, r, w)
	return w
}

// ask asks a handler.
func ask(t testing.TB, h http.Handler, method, target, body string, headers ...string) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, reader)
	r.Host = "worker:8083"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return r, w
}

// checkAnswer fails when the document does not allow the answer to a request that it describes.
func checkAnswer(t testing.TB, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	doc := document(t)
	pattern, item := describe(doc, r.URL)
	if item == nil {
		return
	}
	op := item.GetOperation(r.Method)
	if op == nil {
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route:   &routers.Route{Spec: doc, Path: pattern, PathItem: item, Method: r.Method, Operation: op},
		},
		Status: w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("%s %s: the document does not allow %d %s: %v", r.Method, r.URL, w.Code, w.Body, err)
	}
}

// describe finds the path of the document that a URL falls under.
func describe(doc *openapi3.T, u *url.URL) (string, *openapi3.PathItem) {
	got := strings.Split(strings.TrimSuffix(path.Clean(u.EscapedPath()), "/"), "/")
	for pattern, item := range doc.Paths.Map() {
		want := strings.Split(strings.TrimSuffix(pattern, "/"), "/")
		same := len(got) == len(want)
		for i := 0; same && i < len(got); i++ {
			same = got[i] == want[i] || strings.HasPrefix(want[i], "{")
		}
		if same {
			return pattern, item
		}
	}
	return "", nil
}
