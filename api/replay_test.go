package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

// The recorded suite (test/conformance) is replayed here without Kafka: every scenario whose
// answers do not depend on the data path or on the plugins' own keys. The rest runs against a worker.

type step struct {
	Op         string            `json:"op"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Query      string            `json:"query"`
	JSON       json.RawMessage   `json:"json"`
	Raw        *string           `json:"raw"`
	Headers    map[string]string `json:"headers"`
	Compare    string            `json:"cmp"`
	Accept     []int             `json:"accept"`
	View       any               `json:"view"`
	Eventually any               `json:"eventually"`
}

type observation struct {
	Status   int    `json:"status"`
	Type     string `json:"ctype"`
	Location string `json:"location"`
	Allow    string `json:"allow"`
	Body     any    `json:"body"`
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("../test/conformance/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

var replayed = strings.Fields(`root health root-405 accept-406 unknown-path wrong-method trailing-slash head-options ctype-415
	json-malformed json-unknown-field json-missing-config json-config-nested create-basic create-alias-fqcn create-state-running
	create-state-paused create-state-stopped create-state-lower create-state-bogus create-name-mismatch create-name-equal create-coercion
	create-name-empty create-name-absent create-name-space create-name-plus create-name-slash create-name-control create-name-trim
	create-no-class create-unknown-class create-duplicate put-create-update put-name-mismatch patch-basic patch-unknown unknown-reads
	unknown-writes list-plain list-expand tasks-config task-status restart-connector restart-flags restart-task pause-resume stop-resume
	delete-states offsets-none offsets-running offsets-text plugins-list plugins-query loggers loggers-errors root-variants
	health-variants options json-types coercion name-blank-put put-encoded put-same restart-params internal`)

func TestTheRecordedTransportScenariosAreAnsweredAsRecorded(t *testing.T) {
	var suite struct {
		Scenarios []struct {
			ID    string            `json:"id"`
			Vars  map[string]string `json:"vars"`
			Steps []json.RawMessage `json:"steps"`
		} `json:"scenarios"`
	}
	var golden struct {
		Scenarios map[string][]json.RawMessage `json:"scenarios"`
	}
	readJSON(t, "suite.json", &suite)
	readJSON(t, "golden.json", &golden)
	var deviations map[string]string
	data, err := os.ReadFile("../test/conformance/deviations.json")
	if err == nil {
		err = json.Unmarshal(data, &deviations)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, sc := range suite.Scenarios {
		if !slices.Contains(replayed, sc.ID) {
			continue
		}
		seen++
		t.Run(sc.ID, func(t *testing.T) {
			handler := New(newMemHerder(), Options{Log: discardLog()})
			vars := map[string]string{"nonce": "x1234567", "c": "cf-" + sc.ID + "-x1234567", "t": "cf-t-" + sc.ID + "-x1234567", "dir": "/tmp/cf"}
			for i, raw := range sc.Steps {
				text := substitute(string(raw), vars)
				var st step
				mustUnmarshal(t, []byte(text), &st)
				if st.Op != "" && st.Op != "http" {
					continue
				}
				var want observation
				mustUnmarshal(t, golden.Scenarios[sc.ID][i], &want)
				got := perform(t, handler, st, vars)
				if problem := compare(st, want, got); problem != "" {
					// Difference 1: what could not be read is the caller's mistake.
					if deviations[sc.ID] != "" && want.Status == 500 && got.Status == 400 && st.Compare == "error_code" {
						continue
					}
					t.Errorf("step %d %s %s?%s: %s", i+1, st.Method, st.Path, st.Query, problem)
				}
			}
		})
	}
	if seen != len(replayed) {
		t.Errorf("%d of %d scenarios are in the suite", seen, len(replayed))
	}
}

func substitute(s string, vars map[string]string) string {
	return regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := vars[m[2:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

func perform(t *testing.T, h http.Handler, st step, vars map[string]string) observation {
	t.Helper()
	var body io.Reader
	contentType := ""
	switch {
	case st.JSON != nil:
		body, contentType = bytes.NewReader(st.JSON), "application/json"
	case st.Raw != nil:
		body, contentType = strings.NewReader(*st.Raw), "application/json"
	}
	target := st.Path
	if st.Query != "" {
		target += "?" + st.Query
	}
	r := httptest.NewRequest(st.Method, target, body)
	r.Header.Set("Accept", "application/json")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for k, v := range st.Headers {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)

	got := observation{Status: w.Code, Type: strings.Split(w.Header().Get("Content-Type"), ";")[0]}
	if loc := w.Header().Get("Location"); loc != "" {
		if u, err := url.Parse(loc); err == nil {
			got.Location = normalText(u.EscapedPath(), vars)
		}
	}
	if st.Method == http.MethodOptions {
		allow := strings.Split(w.Header().Get("Allow"), ",")
		sort.Strings(allow)
		got.Allow = strings.Join(allow, ",")
	}
	if w.Body.Len() > 0 && st.Method != http.MethodHead {
		if json.Unmarshal(w.Body.Bytes(), &got.Body) != nil {
			got.Body = w.Body.String()
		}
		got.Body = view(normal(got.Body, "", vars), st.View)
	}
	return got
}

func normalText(s string, vars map[string]string) string {
	s = strings.ReplaceAll(s, vars["dir"], "~DIR~")
	s = strings.ReplaceAll(s, vars["nonce"], "~N~")
	return regexp.MustCompile(`(?s)available connectors are: .*`).ReplaceAllString(s, "available connectors are: <list>")
}

// normal replaces what differs between runs, as the conformance program does.
func normal(v any, key string, vars map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[normalText(k, vars)] = normal(x, k, vars)
		}
		return out
	case []any:
		for i := range v {
			v[i] = normal(v[i], key, vars)
		}
		return v
	case string:
		switch key {
		case "worker_id":
			return "<worker>"
		case "commit", "kafka_cluster_id", "version":
			return "<" + key + ">"
		}
		return normalText(v, vars)
	case float64:
		if key == "last_modified" {
			return "<ts>"
		}
	}
	return v
}

func view(body, spec any) any {
	options, _ := spec.(map[string]any)
	if spec == "own" {
		options = map[string]any{"own": true}
	}
	if list, ok := body.([]any); ok && options["classes"] != nil {
		list = slices.DeleteFunc(list, func(x any) bool { return !slices.Contains(options["classes"].([]any), x.(map[string]any)["class"]) })
		slices.SortFunc(list, func(a, b any) int {
			return strings.Compare(fmt.Sprint(a.(map[string]any)["type"]), fmt.Sprint(b.(map[string]any)["type"]))
		})
		return list
	}
	if m, ok := body.(map[string]any); ok && options["only"] != nil {
		out := map[string]any{}
		for _, k := range options["only"].([]any) {
			if v, has := m[k.(string)]; has {
				out[k.(string)] = v
			}
		}
		return out
	}
	return body
}

func compare(st step, want, got observation) string {
	if slices.Contains(st.Accept, got.Status) {
		return ""
	}
	if want.Status != got.Status {
		return fmt.Sprintf("status %d, want %d (body %v)", got.Status, want.Status, got.Body)
	}
	switch st.Compare {
	case "status":
		return ""
	case "allow":
		if want.Allow != got.Allow {
			return fmt.Sprintf("allow %s, want %s", got.Allow, want.Allow)
		}
		return ""
	}
	if want.Type != got.Type {
		return fmt.Sprintf("content type %q, want %q", got.Type, want.Type)
	}
	if want.Location != got.Location {
		return fmt.Sprintf("location %q, want %q", got.Location, want.Location)
	}
	same := reflect.DeepEqual(want.Body, got.Body)
	switch st.Compare {
	case "error_code":
		wantBody, _ := want.Body.(map[string]any)
		gotBody, _ := got.Body.(map[string]any)
		same = gotBody != nil && wantBody["error_code"] == gotBody["error_code"]
	case "shape", "subset":
		same = reflect.TypeOf(want.Body) == reflect.TypeOf(got.Body)
	}
	if !same && st.View == nil || !same && st.View != nil && st.Compare == "" && !subset(got.Body, want.Body) {
		return fmt.Sprintf("body\n got %s\nwant %s", encodeJSON(got.Body), encodeJSON(want.Body))
	}
	return ""
}

// subset allows for plugins that only a worker has.
func subset(got, want any) bool {
	list, ok := got.([]any)
	if !ok {
		return false
	}
	for _, x := range list {
		if !slices.ContainsFunc(want.([]any), func(y any) bool { return reflect.DeepEqual(x, y) }) {
			return false
		}
	}
	return true
}

func mustUnmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}
