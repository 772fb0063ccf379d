package registry

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// handler answers with a value or an error. The store's lock is held for those that read no body.
type handler func(r *http.Request) (any, *apiError)

// routes are the paths of the API.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	st := s.store
	free := func(pattern string, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if v, bad := h(r); bad != nil {
				refuse(w, bad)
			} else {
				write(w, http.StatusOK, v)
			}
		})
	}
	locked := func(pattern string, h handler) {
		free(pattern, func(r *http.Request) (any, *apiError) {
			st.mu.Lock()
			defer st.mu.Unlock()
			return h(r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			write(w, http.StatusOK, struct{}{})
			return
		}
		refuse(w, notFound(http.StatusNotFound, "HTTP 404 Not Found"))
	})
	free("POST /subjects/{subject}/versions", st.postVersion)
	free("POST /subjects/{subject}", st.lookup)
	locked("GET /subjects", st.getSubjects)
	locked("DELETE /subjects/{subject}", st.deleteSubject)
	locked("GET /subjects/{subject}/versions", st.getVersions)
	locked("GET /subjects/{subject}/versions/{version}", st.getVersion)
	locked("GET /subjects/{subject}/versions/{version}/schema", st.getVersionText)
	locked("GET /subjects/{subject}/versions/{version}/referencedby", st.getReferencedBy)
	locked("DELETE /subjects/{subject}/versions/{version}", st.deleteVersion)
	locked("GET /schemas/ids/{id}", st.getByID)
	locked("GET /schemas/ids/{id}/schema", st.getTextByID)
	locked("GET /schemas/ids/{id}/versions", st.getVersionsByID)
	locked("GET /schemas/ids/{id}/subjects", st.getSubjectsByID)
	locked("GET /schemas/guids/{guid}", st.getByGUID)
	free("GET /schemas/types", func(*http.Request) (any, *apiError) { return []string{"JSON", "PROTOBUF", "AVRO"}, nil })
	for _, pattern := range []string{"POST /compatibility/subjects/{subject}/versions", "POST /compatibility/subjects/{subject}/versions/{version}"} {
		free(pattern, func(*http.Request) (any, *apiError) { return map[string]bool{"is_compatible": true}, nil })
	}
	for _, path := range []string{"/config", "/config/{subject}"} {
		locked("GET "+path, st.getLevel)
		free("PUT "+path, st.putLevel)
		locked("DELETE "+path, st.deleteLevel)
	}
	for _, path := range []string{"/mode", "/mode/{subject}"} {
		locked("GET "+path, st.getMode)
		free("PUT "+path, st.putMode)
	}
	return mux
}

// read takes the body apart into v.
func read(r *http.Request, v any) *apiError {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 16<<20)).Decode(v); err != nil {
		return &apiError{http.StatusBadRequest, http.StatusBadRequest, "Unable to parse JSON: " + err.Error()}
	}
	return nil
}

func flag(r *http.Request, name string) bool { return r.URL.Query().Get(name) == "true" }

// postVersion registers. An id in the body counts in mode IMPORT only, as at Confluent.
func (st *store) postVersion(r *http.Request) (any, *apiError) {
	var body struct {
		Schema
		ID int `json:"id"`
	}
	if bad := read(r, &body); bad != nil {
		return nil, bad
	}
	subject := r.PathValue("subject")
	if body.ID != 0 && st.mode(subject) != "IMPORT" {
		return nil, unprocessable(42205, "Subject %s is not in import mode", subject)
	}
	done, bad := st.register(subject, body.Schema, body.ID, flag(r, "normalize"))
	if bad != nil {
		return nil, bad
	}
	return map[string]any{"id": done.ID, "version": done.Version, "guid": done.GUID}, nil
}

func (st *store) lookup(r *http.Request) (any, *apiError) {
	var body Schema
	if bad := read(r, &body); bad != nil {
		return nil, bad
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	subject, deleted := r.PathValue("subject"), flag(r, "deleted")
	if _, bad := st.versions(subject, deleted); bad != nil {
		return nil, bad
	}
	s, bad := st.canonical(body, flag(r, "normalize"))
	if bad != nil {
		return nil, bad
	}
	e, known := st.find(subject, s.content(), deleted)
	if !known {
		return nil, notFound(40403, "Schema not found")
	}
	return st.registered(subject, e), nil
}

func (st *store) getSubjects(r *http.Request) (any, *apiError) {
	names := []string{}
	for _, subject := range slices.Sorted(maps.Keys(st.subjects)) {
		if _, bad := st.versions(subject, flag(r, "deleted")); bad == nil {
			names = append(names, subject)
		}
	}
	return names, nil
}

func (st *store) getVersions(r *http.Request) (any, *apiError) {
	all, bad := st.versions(r.PathValue("subject"), flag(r, "deleted"))
	if bad != nil {
		return nil, bad
	}
	return numbers(all), nil
}

func numbers(all []entry) []int {
	list := make([]int, len(all))
	for i, e := range all {
		list[i] = e.version
	}
	return list
}

// requested is the version that the path names.
func (st *store) requested(r *http.Request) (Registered, *apiError) {
	subject := r.PathValue("subject")
	e, bad := st.version(subject, r.PathValue("version"), flag(r, "deleted"))
	if bad != nil {
		return Registered{}, bad
	}
	return st.registered(subject, e), nil
}

func (st *store) getVersion(r *http.Request) (any, *apiError) {
	v, bad := st.requested(r)
	return v, bad
}

func (st *store) getVersionText(r *http.Request) (any, *apiError) {
	v, bad := st.requested(r)
	return json.RawMessage(v.Text), bad
}

func (st *store) getReferencedBy(r *http.Request) (any, *apiError) {
	v, bad := st.requested(r)
	if bad != nil {
		return nil, bad
	}
	ids := []int{}
	for id, s := range st.byID {
		if slices.ContainsFunc(s.References, func(f Reference) bool { return f.Subject == v.Subject && f.Version == v.Version }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (st *store) deleteSubject(r *http.Request) (any, *apiError) {
	subject, permanent := r.PathValue("subject"), flag(r, "permanent")
	all, bad := st.versions(subject, permanent)
	if bad != nil {
		return nil, bad
	}
	if permanent && slices.ContainsFunc(all, func(e entry) bool { return !e.deleted }) {
		return nil, notFound(40405, "Subject '%s' was not deleted first before being permanently deleted", subject)
	}
	st.remove(subject, permanent, func(entry) bool { return true })
	return numbers(all), nil
}

func (st *store) deleteVersion(r *http.Request) (any, *apiError) {
	subject, permanent := r.PathValue("subject"), flag(r, "permanent")
	e, bad := st.version(subject, r.PathValue("version"), permanent)
	if bad != nil {
		return nil, bad
	}
	if permanent && !e.deleted {
		return nil, notFound(40407, "Subject '%s' Version %d was not deleted first before being permanently deleted", subject, e.version)
	}
	st.remove(subject, permanent, func(x entry) bool { return x.version == e.version })
	return e.version, nil
}

// requestedID is the schema whose id the path names.
func (st *store) requestedID(r *http.Request) (int, Schema, *apiError) {
	id, err := strconv.Atoi(r.PathValue("id"))
	s, known := st.byID[id]
	if err != nil || !known {
		return 0, Schema{}, errNoSchema(r.PathValue("id"))
	}
	return id, s, nil
}

// byIdentity is how a schema is answered that was asked for by id or GUID.
type byIdentity struct {
	Schema
	GUID string `json:"guid"`
}

func (st *store) getByID(r *http.Request) (any, *apiError) {
	_, s, bad := st.requestedID(r)
	return byIdentity{s.wire(), s.guid()}, bad
}

func (st *store) getTextByID(r *http.Request) (any, *apiError) {
	_, s, bad := st.requestedID(r)
	return json.RawMessage(s.Text), bad
}

func (st *store) getVersionsByID(r *http.Request) (any, *apiError) {
	id, _, bad := st.requestedID(r)
	if bad != nil {
		return nil, bad
	}
	pairs := []map[string]any{}
	for _, u := range st.users(id) {
		pairs = append(pairs, map[string]any{"subject": u.Subject, "version": u.Version})
	}
	return pairs, nil
}

func (st *store) getSubjectsByID(r *http.Request) (any, *apiError) {
	id, _, bad := st.requestedID(r)
	if bad != nil {
		return nil, bad
	}
	names := []string{}
	for _, u := range st.users(id) {
		names = append(names, u.Subject)
	}
	return slices.Compact(names), nil
}

func (st *store) getByGUID(r *http.Request) (any, *apiError) {
	for _, id := range slices.Sorted(maps.Keys(st.byID)) {
		if s := st.byID[id]; s.guid() == r.PathValue("guid") {
			return byIdentity{s.wire(), s.guid()}, nil
		}
	}
	return nil, errNoSchema(r.PathValue("guid"))
}
