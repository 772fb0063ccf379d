package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Role says what a user may do.
type Role string

const (
	// ReadOnly may use every endpoint that changes nothing.
	ReadOnly Role = "read-only"
	// Admin may do everything. It is what every user of Kafka Connect's basic authentication may do.
	Admin Role = "admin"
)

// Principal is who a request comes from. The zero Principal is nobody: no authentication, or an open path.
type Principal struct {
	Name string
	Role Role
}

// Auth knows the users and tokens that may use the API. It is safe for concurrent use.
type Auth struct {
	users  map[string]credential
	tokens []token

	// Checking a password costs tens of milliseconds on purpose. A good one is remembered under a
	// keyed hash, so that a client that polls does not cost a core.
	cacheKey [32]byte
	mu       sync.Mutex // guards cache
	cache    map[[32]byte]Principal
	// checks bounds the cores that wrong passwords can take.
	checks chan struct{}
}

type credential struct {
	principal Principal
	hash      []byte // bcrypt
}

type token struct {
	principal Principal
	sum       [32]byte // SHA-256 of the token, which has the entropy that a password lacks
}

const maxCached = 1024

func newAuth() *Auth {
	a := &Auth{users: map[string]credential{}, cache: map[[32]byte]Principal{}, checks: make(chan struct{}, 2)}
	_, _ = rand.Read(a.cacheKey[:]) // never fails: crypto/rand ends the program instead
	return a
}

// identify gives who a request comes from, and whether that is somebody known.
func (a *Auth) identify(r *http.Request) (Principal, bool) {
	if name, password, ok := r.BasicAuth(); ok {
		return a.checkPassword(r.Context(), name, password)
	}
	if scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		return a.checkToken(strings.TrimSpace(value))
	}
	return Principal{}, false
}

// checkToken compares with every token in constant time, so that the time tells nothing.
func (a *Auth) checkToken(value string) (Principal, bool) {
	sum := sha256.Sum256([]byte(value))
	found, known := Principal{}, false
	for _, t := range a.tokens {
		if hmac.Equal(sum[:], t.sum[:]) {
			found, known = t.principal, true
		}
	}
	return found, known
}

func (a *Auth) checkPassword(ctx context.Context, name, password string) (Principal, bool) {
	key := a.cacheEntry(name, password)
	a.mu.Lock()
	p, hit := a.cache[key]
	a.mu.Unlock()
	if hit {
		return p, true
	}
	select {
	case a.checks <- struct{}{}:
		defer func() { <-a.checks }()
	case <-ctx.Done():
		return Principal{}, false
	}
	user, exists := a.users[name]
	if !exists {
		user = a.anyone()
	}
	if bcrypt.CompareHashAndPassword(user.hash, []byte(password)) != nil || !exists {
		return Principal{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= maxCached {
		clear(a.cache)
	}
	a.cache[key] = user.principal
	return user.principal, true
}

// anyone gives some user's credential to compare with when the user does not exist, so that a
// guesser cannot tell by the time which users do.
func (a *Auth) anyone() credential {
	for _, c := range a.users {
		return c
	}
	return credential{}
}

func (a *Auth) cacheEntry(name, password string) (key [32]byte) {
	mac := hmac.New(sha256.New, a.cacheKey[:])
	mac.Write([]byte(name))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	copy(key[:], mac.Sum(nil))
	return key
}

// authenticate lets known users in, and read-only ones only to what changes nothing. The refusal is
// that of Kafka Connect's BasicAuthSecurityRestExtension.
func (a *handler) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		readOnly := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if readOnly && isOpen(a.opts.OpenPaths, routedPath(r)) {
			next.ServeHTTP(w, r)
			return
		}
		p, known := a.opts.Auth.identify(r)
		if !known {
			w.Header().Add("WWW-Authenticate", `Basic realm="stepconnect", charset="UTF-8"`)
			w.Header().Add("WWW-Authenticate", `Bearer realm="stepconnect"`)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("User cannot access the resource."))
			return
		}
		if h, ok := r.Context().Value(holderKey{}).(*principalHolder); ok {
			h.Principal = p
		}
		if p.Role != Admin && !readOnly {
			writeErrorBody(w, http.StatusForbidden, needsAdmin(p))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func needsAdmin(p Principal) string {
	return "User " + p.Name + " has the role " + string(p.Role) + "; this request needs the role " + string(Admin)
}

func isOpen(open []string, path string) bool {
	for _, o := range open {
		if below, ok := strings.CutSuffix(o, "/*"); ok {
			if path == below || strings.HasPrefix(path, below+"/") {
				return true
			}
		} else if path == o || path == strings.TrimSuffix(o, "/") {
			return true
		}
	}
	return false
}

// principalHolder carries the user outwards, to the access log.
type principalHolder struct{ Principal }

type holderKey struct{}

func withHolder(ctx context.Context, h *principalHolder) context.Context {
	return context.WithValue(ctx, holderKey{}, h)
}

func principalOf(ctx context.Context) Principal {
	if h, ok := ctx.Value(holderKey{}).(*principalHolder); ok {
		return h.Principal
	}
	return Principal{}
}
