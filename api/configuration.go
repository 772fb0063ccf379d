package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/stepconnect/stepconnect/runtime"
)

// Beyond Kafka Connect, a configuration has an entity tag: GET, PUT and PATCH …/config send it as
// ETag, and PUT and PATCH with If-Match or If-None-Match are refused with 412 when somebody else was
// faster (RFC 9110, section 13.1). The tag is made of the configuration as it is shown, with secrets
// hidden: a write that keeps [hidden] keeps whatever secret is stored.

// getConfig answers GET …/config, or 304 when the client's copy is still right.
func (a *handler) getConfig(r *request) (answer, error) {
	info, err := a.herder.Connector(r.Context(), r.param("connector"))
	if err != nil {
		return answer{}, err
	}
	tag := entityTag(info.Config)
	if list := r.Header.Values("If-None-Match"); len(list) > 0 && tagMatches(list, tag) {
		return answer{status: http.StatusNotModified, etag: tag}, nil
	}
	return answer{status: http.StatusOK, body: info.Config, etag: tag}, nil
}

func (a *handler) putConfig(r *request) (answer, error) {
	name := r.param("connector")
	cfg, err := decodeStringMap(r.body)
	if err != nil {
		return answer{}, err
	}
	unlock, err := a.writes.lock(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	defer unlock()
	if err := a.checkPreconditions(r, name); err != nil {
		return answer{}, err
	}
	if r.flag("dry_run", false) {
		return a.dryRun(r.Context(), name, cfg)
	}
	info, created, err := a.herder.PutConfig(r.Context(), name, cfg)
	if err != nil {
		return answer{}, err
	}
	ans := answer{status: http.StatusOK, body: info, etag: entityTag(info.Config)}
	if created {
		ans.status, ans.location = http.StatusCreated, locationOf(name)
	}
	return ans, nil
}

// patchConfig answers PATCH …/config (KIP-477): null removes a key, anything else sets it.
func (a *handler) patchConfig(r *request) (answer, error) {
	name := r.param("connector")
	patch, err := decodeStringMap(r.body)
	if err != nil {
		return answer{}, err
	}
	unlock, err := a.writes.lock(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	defer unlock()
	if err := a.checkPreconditions(r, name); err != nil {
		return answer{}, err
	}
	if r.flag("dry_run", false) {
		return a.dryRunPatch(r.Context(), name, patch)
	}
	info, err := a.herder.PatchConfig(r.Context(), name, patch)
	return answer{status: http.StatusOK, body: info, etag: entityTag(info.Config)}, err
}

// checkPreconditions evaluates If-Match and If-None-Match against the stored configuration. The
// caller holds the connector's write lock, so the answer stays true until it has written.
func (a *handler) checkPreconditions(r *request, name string) error {
	match, noneMatch := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if len(match) == 0 && len(noneMatch) == 0 {
		return nil
	}
	tag := ""
	info, err := a.herder.Connector(r.Context(), name)
	switch {
	case err == nil:
		tag = entityTag(info.Config)
	case !isNotFound(err):
		return err
	}
	if len(match) > 0 && !tagMatches(match, tag) {
		if tag == "" {
			return preconditionFailed("Connector %s does not exist, so If-Match cannot hold", name)
		}
		return preconditionFailed("The configuration of connector %s has changed: its ETag is %s now. Read it again and repeat the change on it", name, tag)
	}
	if len(noneMatch) > 0 && tagMatches(noneMatch, tag) {
		return preconditionFailed("The configuration of connector %s exists with ETag %s, which If-None-Match excludes", name, tag)
	}
	return nil
}

func preconditionFailed(format string, args ...any) error {
	err := runtime.BadRequest(format, args...)
	err.Status = http.StatusPreconditionFailed
	return err
}

// entityTag is a strong tag: equal configurations have equal tags, on every worker and for ever.
func entityTag(cfg map[string]*string) string {
	sum := sha256.Sum256(encodeJSON(cfg)) // keys are encoded in order
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// tagMatches says whether a list of entity tags holds tag; "*" holds any that exists. Our tags hold no comma.
func tagMatches(headers []string, tag string) bool {
	if tag == "" {
		return false
	}
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		item = strings.TrimPrefix(strings.TrimSpace(item), "W/")
		if item == "*" || item == tag {
			return true
		}
	}
	return false
}

// nameLocks lets one write of a connector's configuration through at a time, so that a
// precondition that was checked still holds when the write is made.
type nameLocks struct {
	mu   sync.Mutex // guards held
	held map[string]*nameLock
}

type nameLock struct {
	turn chan struct{} // holds the one token of the name
	used int           // holders and waiters
}

// lock waits for the name's turn or the end of ctx.
func (l *nameLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*nameLock{}
	}
	lock := l.held[name]
	if lock == nil {
		lock = &nameLock{turn: make(chan struct{}, 1)}
		l.held[name] = lock
	}
	lock.used++
	l.mu.Unlock()

	release := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if lock.used--; lock.used == 0 {
			delete(l.held, name)
		}
	}
	select {
	case lock.turn <- struct{}{}:
		return func() { <-lock.turn; release() }, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}
