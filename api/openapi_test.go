package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestTheOpenAPIDocumentDescribesEveryRouteAndNoOther(t *testing.T) {
	doc := document(t)
	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = true
		}
	}
	served := map[string]bool{"GET /openapi.json": true, "GET /metrics": true}
	for _, rt := range routes() {
		served[rt.method+" "+rt.pattern] = true
	}
	for op := range described {
		if !served[op] {
			t.Errorf("%s is described and not served", op)
		}
	}
	for op := range served {
		if !described[op] {
			t.Errorf("%s is served and not described", op)
		}
	}
}

func TestWhatTakesABodyIsDescribedWithOne(t *testing.T) {
	doc := document(t)
	for _, rt := range routes() {
		op := doc.Paths.Find(rt.pattern).GetOperation(rt.method)
		if rt.takesBody != (op.RequestBody != nil) {
			t.Errorf("%s %s: takes a body %t, described with one %t", rt.method, rt.pattern, rt.takesBody, op.RequestBody != nil)
		}
		if rt.action != "" && op.Responses.Status(http.StatusForbidden) == nil {
			t.Errorf("%s %s: a write that does not describe 403", rt.method, rt.pattern)
		}
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	w := call(t, New(newMemHerder(), Options{Log: discardLog()}), "GET", "/openapi.json", "")
	if w.Code != 200 || w.Body.String() != string(OpenAPI()) || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestThePageLoadsNothingForeign(t *testing.T) {
	h := New(newMemHerder(), Options{Log: discardLog()})
	for path, contentType := range map[string]string{"/ui/": "text/html", "/ui/page.js": "text/javascript", "/ui/style.css": "text/css"} {
		w := call(t, h, "GET", path, "", "Accept", "text/html,*/*;q=0.8")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), contentType) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		policy := strings.Split(w.Header().Get("Content-Security-Policy"), "; ")
		if !slices.Contains(policy, "default-src 'none'") || strings.Contains(w.Header().Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: policy %v", path, policy)
		}
		for _, foreign := range []string{"http://", "https://", "innerHTML", "style=", "onclick"} {
			if strings.Contains(w.Body.String(), foreign) {
				t.Errorf("%s holds %q", path, foreign)
			}
		}
	}
	if w := call(t, h, "GET", "/ui", ""); w.Code != http.StatusFound || w.Header().Get("Location") != "/ui/" {
		t.Errorf("/ui: %d %s", w.Code, w.Header().Get("Location"))
	}
}
