package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/stepconnect/stepconnect/runtime"
)

// checkType judges the type of an entity, or of none: nil for the one that the API consumes.
func checkType(contentType string) error {
	major, minor, ok := mediaType(contentType)
	if !ok {
		return runtime.BadRequest("The header Content-Type is not a media type: %q", contentType)
	}
	switch {
	case major == "*" || major == "application" && minor == "*":
		return errNoMediaType()
	case major != "application" || minor != "json":
		return errUnsupportedMediaType
	}
	return nil
}

// mediaType splits a media type or range, in lower case; its parameters must be sound.
func mediaType(text string) (major, minor string, ok bool) {
	t, _, err := mime.ParseMediaType(text)
	major, minor, slash := strings.Cut(t, "/")
	return major, minor, err == nil && slash && major != "" && minor != ""
}

// isEncoded says whether the body is compressed, which nothing here undoes (RFC 9110, section 8.4).
func isEncoded(r *http.Request) bool {
	coding := strings.TrimSpace(r.Header.Get("Content-Encoding"))
	return coding != "" && !strings.EqualFold(coding, "identity")
}

// acceptsJSON says whether a client that sent these Accept headers takes application/json, as Jersey judges it: a range that
// matches is enough, whatever its quality, a type without a subtype is one of any subtype, and no header takes everything. The
// error is of a header that cannot be read.
func acceptsJSON(accept []string) (bool, error) {
	list := strings.TrimSpace(strings.Join(accept, ","))
	if list == "" {
		return true, nil
	}
	taken := false
	for item := range strings.SplitSeq(list, ",") {
		media, params, _ := strings.Cut(item, ";")
		major, minor, _ := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "/")
		if major == "" || !soundQuality(params) {
			return false, runtime.BadRequest("The header Accept cannot be read at %q", strings.TrimSpace(item))
		}
		taken = taken || (major == "*" || major == "application") && (minor == "" || minor == "*" || minor == "json")
	}
	return taken, nil
}

// soundQuality looks at the parameter q: a number from 0 to 1 (RFC 9110, section 12.4.2).
func soundQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(k), "q") {
			continue
		}
		if q, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil || !(q >= 0 && q <= 1) {
			return false
		}
	}
	return true
}
