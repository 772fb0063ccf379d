package registry

import (
	"net/http"
	"slices"
)

// The compatibility levels and modes are kept and told, and only mode IMPORT has an effect.

func (st *store) getLevel(r *http.Request) (any, *apiError) {
	subject := r.PathValue("subject")
	level := st.levels[subject]
	if level == "" && (flag(r, "defaultToGlobal") || subject == "") {
		level = st.levels[""]
	}
	if level == "" {
		return nil, notFound(40408, "Subject '%s' does not have subject-level compatibility configured", subject)
	}
	return map[string]string{"compatibilityLevel": level}, nil
}

func (st *store) putLevel(r *http.Request) (any, *apiError) {
	var body struct {
		Compatibility string `json:"compatibility"`
	}
	if bad := read(r, &body); bad != nil {
		return nil, bad
	}
	known := []string{"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}
	if !slices.Contains(known, body.Compatibility) {
		return nil, unprocessable(42203, "Invalid compatibility level. Valid values are none, backward, forward, full, "+
			"backward_transitive, forward_transitive, and full_transitive")
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.levels[r.PathValue("subject")] = body.Compatibility
	return body, nil
}

func (st *store) deleteLevel(r *http.Request) (any, *apiError) {
	subject := r.PathValue("subject")
	level, known := st.levels[subject]
	if !known {
		return nil, errNoSubject(subject)
	}
	delete(st.levels, subject)
	if subject == "" {
		st.levels[""] = "BACKWARD"
	}
	return map[string]string{"compatibilityLevel": level}, nil
}

func (st *store) getMode(r *http.Request) (any, *apiError) {
	subject := r.PathValue("subject")
	mode := st.modes[subject]
	if mode == "" && flag(r, "defaultToGlobal") {
		mode = st.modes[""]
	}
	if mode == "" {
		return nil, notFound(40409, "Subject '%s' does not have subject-level mode configured", subject)
	}
	return map[string]string{"mode": mode}, nil
}

func (st *store) putMode(r *http.Request) (any, *apiError) {
	var body struct {
		Mode string `json:"mode"`
	}
	if bad := read(r, &body); bad != nil {
		return nil, bad
	}
	if !slices.Contains([]string{"READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"}, body.Mode) {
		return nil, unprocessable(42204, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT.")
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.modes[r.PathValue("subject")] = body.Mode
	return body, nil
}

// mode is the one in force for a subject.
func (st *store) mode(subject string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	if m := st.modes[subject]; m != "" {
		return m
	}
	return st.modes[""]
}
