package secured

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is the token endpoint of an identity provider (RFC 6749, client credentials) that makes tokens as
// brokers of stack.WithOAuthBearer take them.
type issuer struct {
	life   time.Duration
	issued atomic.Int64
	refuse atomic.Bool
	server *httptest.Server
}

const clientSecret = "segredo-do-cliente"

func newIssuer(t *testing.T, life time.Duration) *issuer {
	i := &issuer{life: life}
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if id, secret, ok := r.BasicAuth(); i.refuse.Load() || !ok || id != "stepconnect" || secret != clientSecret {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"client stepconnect is disabled"}`)
			return
		}
		token, _ := i.token()
		if err := json.NewEncoder(w).Encode(map[string]any{
			"access_token": token, "token_type": "Bearer", "expires_in": int(i.life.Seconds()),
		}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.server.Close)
	return i
}

// token makes a token and tells when it ends.
func (i *issuer) token() (string, time.Time) {
	i.issued.Add(1)
	now := time.Now()
	expires := now.Add(i.life)
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // numbers and strings are always encoded
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]string{"alg": "none"}) + "." +
		part(map[string]any{"sub": "stepconnect", "iat": now.Unix(), "exp": expires.Unix()}) + ".", expires
}
