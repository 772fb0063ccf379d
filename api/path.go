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
		raw := r.URL.RawPath // as it was sent, unless that is the one way to send it
		if raw == "" {
			raw = r.URL.EscapedPath()
		}
		path, problem := cleanPath(raw)
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

// cleanPath gives the escaped path without a slash at its end, each segment escaped in the same way; or what is wrong with
// it. Dot segments are names like others to Jersey: nothing is resolved. A semicolon is a part of a name: Jersey takes what follows
// for parameters, and then cannot find a connector where its own Location says.
func cleanPath(escaped string) (path, problem string) {
	if !strings.HasPrefix(escaped, "/") {
		return "", "Bad request: the path does not begin with '/'"
	}
	segments := strings.Split(escaped[1:], "/")
	if last := len(segments) - 1; segments[last] == "" {
		segments = segments[:last] // "/connectors/" is "/connectors"
	}
	if leavesRoot(segments) {
		return "", "Bad request: the path leaves the root"
	}
	var out []string
	for _, raw := range segments {
		switch {
		case raw == "":
			return "", "Bad request: ambiguous empty segment in the path"
		case raw == "." || raw == "..":
			out = append(out, raw)
			continue
		case strings.ContainsAny(raw, "\"<>\\^`{|}[]"):
			return "", "Bad request: a character in the path must be percent-encoded"
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

func leavesRoot(segments []string) bool {
	depth := 0
	for _, s := range segments {
		switch s {
		case ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return false
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
// is, and so are '/' and what looks like percent-encoding, as recorded from Jersey's UriBuilder.
func locationOf(name string) string {
	const literal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/"
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("/connectors/")
	for i := range len(name) {
		if c := name[i]; strings.IndexByte(literal, c) >= 0 || c == '%' && i+2 < len(name) && isHex(name[i+1]) && isHex(name[i+2]) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
