package api

import (
	"net/http"
	"strings"
)

// corsRules hold the cross-origin rules: access.control.allow.origin and .methods, and beyond
// Kafka Connect the refusal of writes that a page of a foreign origin makes a browser send. A
// worker on loopback without authentication would otherwise obey any page its operator visits.
type corsRules struct {
	any        bool
	origins    map[string]bool
	methods    string
	protection *http.CrossOriginProtection
}

func newCORS(opts Options) *corsRules {
	c := &corsRules{origins: map[string]bool{}, methods: "GET,POST,HEAD", protection: http.NewCrossOriginProtection()}
	for origin := range strings.SplitSeq(opts.AllowOrigin, ",") {
		switch origin = strings.TrimSpace(origin); origin {
		case "":
		case "*":
			c.any = true
		default:
			c.origins[strings.ToLower(origin)] = true
		}
	}
	var methods []string
	for m := range strings.SplitSeq(opts.AllowMethods, ",") {
		if m = strings.TrimSpace(m); m != "" {
			methods = append(methods, m)
		}
	}
	if len(methods) > 0 {
		c.methods = strings.Join(methods, ",")
	}
	return c
}

func (c *corsRules) allows(origin string) bool {
	return origin != "" && (c.any || c.origins[strings.ToLower(origin)])
}

func (c *corsRules) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		h := w.Header()
		if c.any || len(c.origins) > 0 {
			h.Add("Vary", "Origin")
		}
		switch {
		case c.allows(origin):
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag,Location,Retry-After")
			// Credentials for any origin would lend a visitor's password to every page there is.
			if !c.any {
				h.Set("Access-Control-Allow-Credentials", "true")
			}
		default:
			if err := c.protection.Check(r); err != nil {
				writeErrorBody(w, http.StatusForbidden, "A page of origin "+origin+" may not write to this worker; access.control.allow.origin names the origins that may")
				return
			}
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" && c.allows(origin) {
			h.Set("Access-Control-Allow-Methods", c.methods)
			h.Set("Access-Control-Allow-Headers", "Accept,Authorization,Content-Type,If-Match,If-None-Match,Origin,X-Requested-With")
			h.Set("Access-Control-Max-Age", "1800")
			// A preflight carries no credentials, so it ends here.
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}
