package api

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// normalisePath brings a path into the one form that authentication and routing see, and refuses
// what Kafka Connect's Jetty refuses as ambiguous or suspicious (UriCompliance.DEFAULT of Jetty
// 12; recorded for %2F, %25 and %09): encoded slashes, percent signs and dot segments, empty
// segments, control characters, backslashes, and bytes that are no UTF-8.
func normalisePath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, problem := cleanPath(r.URL.EscapedPath())
		if problem != "" {
			writeErrorBody(w, http.StatusBadRequest, problem)
			return
		}
		rctx := chi.RouteContext(r.Context())
		rctx.RoutePath = path
		// Routes are found by path alone; each resource knows its methods, so that every 405 lists them.
		rctx.RouteMethod = http.MethodGet
		next.ServeHTTP(w, r)
	})
}

// cleanPath gives the escaped path with dot segments resolved, without a slash at its end, and
// each segment escaped in the same way; or what is wrong with it.
func cleanPath(escaped string) (path, problem string) {
	if !strings.HasPrefix(escaped, "/") {
		return "", "Bad request: the path does not begin with '/'"
	}
	segments := strings.Split(escaped[1:], "/")
	if last := len(segments) - 1; segments[last] == "" {
		segments = segments[:last] // "/connectors/" is "/connectors"
	}
	var out []string
	for _, raw := range segments {
		switch raw {
		case "":
			return "", "Bad request: ambiguous empty segment in the path"
		case ".":
			continue
		case "..":
			if len(out) == 0 {
				return "", "Bad request: the path leaves the root"
			}
			out = out[:len(out)-1]
			continue
		}
		segment, err := url.PathUnescape(raw)
		if err != nil {
			return "", "Bad request: invalid percent-encoding in the path"
		}
		if problem := checkSegment(segment); problem != "" {
			return "", problem
		}
		out = append(out, url.PathEscape(segment))
	}
	return "/" + strings.Join(out, "/"), ""
}

func checkSegment(s string) string {
	switch {
	case s == "." || s == "..":
		return "Bad request: ambiguous encoded dot segment in the path"
	case !utf8.ValidString(s):
		return "Bad request: the path is not UTF-8"
	}
	for _, c := range s {
		switch {
		case c == '/':
			return "Bad request: ambiguous encoded path separator (%2F)"
		case c == '%':
			return "Bad request: ambiguous encoded percent sign (%25)"
		case c < ' ' || c == 0x7f || c == '\\':
			return "Bad request: suspicious character in the path"
		}
	}
	return ""
}

// routedPath is the path that normalisePath made.
func routedPath(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePath }

// locationOf gives the path of a connector for Location: what a path segment may hold is left as it
// is, and so is '/', as recorded from Jersey's UriBuilder.
func locationOf(name string) string {
	const literal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/"
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("/connectors/")
	for i := range len(name) {
		if c := name[i]; strings.IndexByte(literal, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
