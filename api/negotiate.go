package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// isJSON says whether a Content-Type is the one that the API consumes.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

// isEncoded says whether the body is compressed, which nothing here undoes (RFC 9110, section 8.4).
func isEncoded(r *http.Request) bool {
	coding := strings.TrimSpace(r.Header.Get("Content-Encoding"))
	return coding != "" && !strings.EqualFold(coding, "identity")
}

// acceptsJSON says whether a client that sent these Accept headers takes application/json: the
// most specific range that matches decides (RFC 9110, section 12.5.1). No header takes everything.
func acceptsJSON(accept []string) bool {
	list := strings.TrimSpace(strings.Join(accept, ","))
	if list == "" {
		return true
	}
	best, taken := -1, false
	for item := range strings.SplitSeq(list, ",") {
		media, params, _ := strings.Cut(item, ";")
		rank := specificity(strings.ToLower(strings.TrimSpace(media)))
		if rank < 0 || rank < best {
			continue
		}
		q := quality(params)
		taken = q > 0 || rank == best && taken
		best = rank
	}
	return taken
}

// specificity ranks how closely a media range names application/json; -1 is no match. "*" alone is
// what java.net.HttpURLConnection sends.
func specificity(media string) int {
	switch media {
	case "application/json":
		return 2
	case "application/*":
		return 1
	case "*/*", "*":
		return 0
	}
	return -1
}

func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
