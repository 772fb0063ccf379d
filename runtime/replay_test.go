package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// The behaviour recorded from a Kafka Connect worker (test/conformance) is replayed on the herder, without HTTP
// and with a twin of the broker. What is about HTTP alone, and what needs plugins of other packages, is
// left to the run of the whole.

// notHere are the scenarios left out, and why.
var notHere = map[string]string{
	"root": "HTTP", "root-405": "HTTP", "accept-406": "HTTP", "unknown-path": "HTTP", "wrong-method": "HTTP", "trailing-slash": "HTTP",
	"head-options": "HTTP", "ctype-415": "HTTP", "json-malformed": "HTTP", "json-unknown-field": "HTTP", "json-missing-config": "HTTP",
	"json-config-nested": "HTTP", "json-types": "HTTP", "root-variants": "HTTP", "health-variants": "HTTP", "options": "HTTP",
	"tasks-config": "HTTP", "name-blank-put": "HTTP", "create-state-bogus": "HTTP", "internal": "HTTP",
	"dlq-converter": "converters", "dlq-transform": "transforms", "dlq-none": "converters", "errors-log": "log", "data-json-schema": "converters",
	"data-filter-predicate": "headers", "data-json": "converters",
	// The task commits its start position when it is assigned, so that the coordinator has confirmed its membership.
	"task-failed-poison": "start position", "offsets-none": "start position",
}

type scenario struct {
	ID    string            `json:"id"`
	Vars  map[string]string `json:"vars"`
	Steps []json.RawMessage `json:"steps"`
}

type step struct {
	Op         string                     `json:"op"`
	Method     string                     `json:"method"`
	Path       string                     `json:"path"`
	Query      string                     `json:"query"`
	JSON       json.RawMessage            `json:"json"`
	Raw        *string                    `json:"raw"`
	Compare    string                     `json:"cmp"`
	Accept     []int                      `json:"accept"`
	View       any                        `json:"view"`
	Eventually *struct{ Until condition } `json:"eventually"`
	Name       string                     `json:"name"`
	Topic      string                     `json:"topic"`
	Group      string                     `json:"group"`
	Expect     map[string]int64           `json:"expect"`
	Partitions int                        `json:"partitions"`
	Records    []struct {
		Key, Value *string
		Partition  int32
	} `json:"records"`
	Lines int  `json:"lines"`
	Sort  bool `json:"sort"`
}

type condition struct {
	Status int            `json:"status"`
	Body   any            `json:"body"`
	Exact  any            `json:"body_exact"`
	Count  map[string]int `json:"count"`
}

type observation struct {
	Status int   `json:"status"`
	Body   any   `json:"body"`
	Lines  []any `json:"lines"`
}

func readSuite(t *testing.T) (suite struct{ Scenarios []scenario }, golden struct {
	Scenarios map[string][]json.RawMessage
}) {
	t.Helper()
	for name, into := range map[string]any{"suite.json": &suite, "golden.json": &golden} {
		data, err := os.ReadFile("../test/conformance/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(name, err)
		}
	}
	return suite, golden
}

func TestTheRecordedBehaviourOfAKafkaConnectWorkerIsKept(t *testing.T) {
	suite, golden := readSuite(t)
	ran := 0
	for _, sc := range suite.Scenarios {
		if notHere[sc.ID] != "" {
			continue
		}
		ran++
		t.Run(sc.ID, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				replay(t, sc, golden.Scenarios[sc.ID], dir)
			})
		})
	}
	if ran < 95 {
		t.Errorf("only %d scenarios ran", ran)
	}
}

func replay(t *testing.T, sc scenario, golden []json.RawMessage, dir string) {
	w := start(t, map[string]string{"group.id": "connect-conformance"})
	const nonce = "x1234567"
	vars := map[string]string{"nonce": nonce, "c": "cf-" + sc.ID + "-" + nonce, "t": "cf-t-" + sc.ID + "-" + nonce, "dir": dir, "group": "connect-conformance"}
	for i, raw := range sc.Steps {
		text := string(raw)
		for range 2 {
			for k, v := range vars {
				text = strings.ReplaceAll(text, "${"+k+"}", v)
			}
		}
		var st step
		must(t, json.Unmarshal([]byte(text), &st))
		want := strings.NewReplacer("~DIR~", dir, "~N~", nonce, "~HOST~", "127.0.0.1:8083").Replace(string(golden[i]))
		if st.Op != "" {
			w.operate(st, i)
			continue
		}
		var recorded observation
		must(t, json.Unmarshal([]byte(want), &recorded))
		got := w.perform(st)
		if callersMistake(sc.ID, recorded, got) {
			continue
		}
		if problem := differs(st, recorded, got); problem != "" {
			t.Errorf("step %d %s %s?%s: %s", i+1, st.Method, st.Path, st.Query, problem)
		}
	}
}

// callersMistake tells whether what was recorded as 500 is answered with 400 on purpose: docs/adr/20261128-known-500s-stay-500.md.
func callersMistake(id string, recorded, got observation) bool {
	was, _ := normal(recorded.Body, "", nil).(map[string]any)
	is, _ := normal(got.Body, "", nil).(map[string]any)
	before, _ := was["message"].(string)
	now, _ := is["message"].(string)
	return id == "offsets-negative" && recorded.Status == 500 && got.Status == 400 && strings.HasPrefix(now, before)
}

func (w *world) operate(st step, i int) {
	w.t.Helper()
	bytesOf := func(s *string) []byte {
		if s == nil {
			return nil
		}
		return []byte(*s)
	}
	switch st.Op {
	case "topic":
		w.broker.create(st.Name, st.Partitions)
	case "produce":
		for _, r := range st.Records {
			w.broker.produce(st.Topic, r.Partition, bytesOf(r.Key), bytesOf(r.Value), []connector.RawHeader{}...)
		}
	case "mkdir":
		must(w.t, os.MkdirAll(st.Path, 0o755))
	case "sleep":
		time.Sleep(3 * time.Second)
	case "file":
		eventually(w.t, fmt.Sprintf("step %d: %d lines in %s", i+1, st.Lines, filepath.Base(st.Path)), func() bool {
			b, err := os.ReadFile(st.Path)
			return err == nil && strings.Count(string(b), "\n") == st.Lines
		})
	case "committed":
		eventually(w.t, fmt.Sprintf("step %d: %v committed by %s", i+1, st.Expect, st.Group), func() bool {
			got := w.broker.committed(st.Group)
			return len(got) == len(st.Expect) && reflect.DeepEqual(got, st.Expect)
		})
	case "log", "metric", "consume", "topic_info":
	default:
		w.t.Fatalf("step %d: operation %s", i+1, st.Op)
	}
}

// perform asks the herder what a request would, again and again while the step says so.
func (w *world) perform(st step) observation {
	w.t.Helper()
	got := w.ask(st)
	if st.Eventually == nil {
		return got
	}
	for range 6000 {
		if st.Eventually.Until.holds(got) {
			return got
		}
		time.Sleep(10 * time.Millisecond)
		got = w.ask(st)
	}
	return got
}

func (c condition) holds(got observation) bool {
	if c.Status != 0 && got.Status != c.Status || c.Exact != nil && !reflect.DeepEqual(c.Exact, got.Body) {
		return false
	}
	for field, n := range c.Count {
		m, _ := got.Body.(map[string]any)
		if list, _ := m[field].([]any); len(list) != n {
			return false
		}
	}
	return c.Body == nil || contains(got.Body, c.Body)
}

// contains tells whether got holds everything that part has.
func contains(got, part any) bool {
	switch part := part.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		for k, v := range part {
			ok = ok && contains(m[k], v)
		}
		return ok
	case []any:
		l, ok := got.([]any)
		for _, v := range part {
			ok = ok && slices.ContainsFunc(l, func(g any) bool { return contains(g, v) })
		}
		return ok
	}
	return reflect.DeepEqual(got, part)
}

// ask is what the api package does with a request, without HTTP.
func (w *world) ask(st step) observation {
	w.t.Helper()
	body, status, err := w.dispatch(st)
	var refused *Error
	switch {
	case errors.As(err, &refused):
		status, body = refused.Status, map[string]any{"error_code": refused.Status, "message": refused.Message}
	case err != nil:
		status, body = 500, map[string]any{"error_code": 500, "message": err.Error()}
	}
	o := observation{Status: status}
	if body != nil {
		b, err := json.Marshal(body)
		must(w.t, err)
		must(w.t, json.Unmarshal(b, &o.Body))
	}
	return o
}

func (w *world) dispatch(st step) (body any, status int, err error) {
	ctx, h := w.t.Context(), w.Herder
	var parts []string
	for p := range strings.SplitSeq(strings.Trim(st.Path, "/"), "/") {
		p, err := url.PathUnescape(p)
		must(w.t, err)
		parts = append(parts, p)
	}
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	q, err := url.ParseQuery(st.Query)
	must(w.t, err)
	flag := func(name string) bool { return strings.EqualFold(q.Get(name), "true") }
	cfg := func() map[string]*string { return coerced(w.t, st.JSON) }
	name := at(1)
	switch key := st.Method + " " + at(0) + "/" + at(2); {
	case key == "GET health/":
		return h.Health(ctx), 200, nil
	case at(0) == "connector-plugins" && at(1) == "":
		p, err := h.Plugins(ctx, !strings.EqualFold(q.Get("connectorsOnly"), "false") && !q.Has("connectorsOnly") || flag("connectorsOnly"))
		return p, 200, err
	case at(0) == "connector-plugins" && at(3) == "validate":
		if st.Raw != nil {
			return nil, 0, Internal("HTTP")
		}
		v, err := h.Validate(ctx, name, cfg())
		return v, 200, err
	case at(0) == "connector-plugins":
		k, err := h.PluginConfig(ctx, name, "")
		return k, 200, err
	case at(0) == "admin":
		return w.dispatchLoggers(st, at(2), cfg)
	case key == "GET connectors/" && name == "" && q.Has("expand"):
		return w.expand(q["expand"]), 200, nil
	case key == "GET connectors/" && name == "":
		l, err := h.Connectors(ctx)
		return l, 200, err
	case key == "POST connectors/":
		var req struct {
			Name   string
			State  string `json:"initial_state"`
			Config json.RawMessage
		}
		must(w.t, json.Unmarshal(st.JSON, &req))
		i, err := h.Create(ctx, CreateRequest{Name: req.Name, Config: coerced(w.t, req.Config), InitialState: req.State})
		return i, 201, err
	}
	return w.dispatchConnector(st, name, at(2), at(3), at(4), flag, cfg)
}

func (w *world) dispatchLoggers(st step, name string, cfg func() map[string]*string) (any, int, error) {
	ctx, h := w.t.Context(), w.Herder
	switch {
	case name == "":
		l, err := h.Loggers(ctx)
		return l, 200, err
	case st.Method == "GET":
		l, err := h.Logger(ctx, name)
		return l, 200, err
	}
	level := cfg()["level"]
	if level == nil {
		return nil, 0, BadRequest("Desired 'level' parameter was not specified in request.")
	}
	n, err := h.SetLogger(ctx, name, *level, false)
	return n, 200, err
}

func (w *world) expand(what []string) any {
	out := map[string]map[string]any{}
	names, err := w.Connectors(w.t.Context())
	must(w.t, err)
	for _, n := range names {
		out[n] = map[string]any{}
		if slices.Contains(what, "status") {
			out[n]["status"], err = w.Status(w.t.Context(), n)
			must(w.t, err)
		}
		if slices.Contains(what, "info") {
			out[n]["info"], err = w.Connector(w.t.Context(), n)
			must(w.t, err)
		}
	}
	return out
}

func (w *world) dispatchConnector(st step, name, what, more, last string, flag func(string) bool, cfg func() map[string]*string) (any, int, error) {
	ctx, h := w.t.Context(), w.Herder
	switch key := st.Method + " " + what; key {
	case "GET ":
		i, err := h.Connector(ctx, name)
		return i, 200, err
	case "HEAD ":
		_, err := h.Connector(ctx, name)
		return nil, 200, err
	case "DELETE ":
		return nil, 204, h.Delete(ctx, name)
	case "GET config":
		i, err := h.Connector(ctx, name)
		return i.Config, 200, err
	case "PUT config":
		i, created, err := h.PutConfig(ctx, name, cfg())
		return i, map[bool]int{true: 201, false: 200}[created], err
	case "PATCH config":
		i, err := h.PatchConfig(ctx, name, cfg())
		return i, 200, err
	case "GET status":
		s, err := h.Status(ctx, name)
		return s, 200, err
	case "PUT pause":
		return nil, 202, h.Pause(ctx, name)
	case "PUT resume":
		return nil, 202, h.Resume(ctx, name)
	case "PUT stop":
		return nil, 204, h.Stop(ctx, name)
	case "POST restart":
		s, err := h.Restart(ctx, name, flag("includeTasks"), flag("onlyFailed"))
		if s == nil {
			return nil, 204, err
		}
		return s, 202, err
	case "GET topics":
		l, err := h.Topics(ctx, name)
		return map[string]any{name: map[string]any{"topics": l}}, 200, err
	case "PUT topics":
		return nil, 202, h.ResetTopics(ctx, name)
	case "GET offsets":
		o, err := h.Offsets(ctx, name)
		return o, 200, err
	case "DELETE offsets":
		m, err := h.ResetOffsets(ctx, name)
		return m, 200, err
	case "PATCH offsets":
		return w.alter(st, name)
	case "GET tasks", "POST tasks":
		return w.dispatchTask(st, name, more, last)
	}
	return nil, 0, NotFound("HTTP 404 Not Found")
}

func (w *world) dispatchTask(st step, name, id, what string) (any, int, error) {
	ctx, h := w.t.Context(), w.Herder
	if id == "" {
		l, err := h.Tasks(ctx, name)
		return l, 200, err
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return nil, 0, NotFound("HTTP 404 Not Found")
	}
	if what == "restart" {
		return nil, 204, h.RestartTask(ctx, name, n)
	}
	s, err := h.TaskStatus(ctx, name, n)
	return s, 200, err
}

func (w *world) alter(st step, name string) (any, int, error) {
	if st.Compare == "error_code" && (st.Raw != nil || strings.Contains(string(st.JSON), "bogus")) {
		return nil, 0, Internal("HTTP")
	}
	var body Offsets
	must(w.t, json.Unmarshal(st.JSON, &body))
	m, err := w.AlterOffsets(w.t.Context(), name, body.Offsets)
	return m, 200, err
}

// coerced turns numbers and booleans into texts as they are written.
func coerced(t *testing.T, raw json.RawMessage) map[string]*string {
	t.Helper()
	var m map[string]json.RawMessage
	must(t, json.Unmarshal(raw, &m))
	out := map[string]*string{}
	for k, v := range m {
		s := strings.Trim(string(v), `"`)
		if v[0] == '"' {
			must(t, json.Unmarshal(v, &s))
		}
		out[k] = &s
		if string(v) == "null" {
			out[k] = nil
		}
	}
	return out
}

var regexText = regexp.MustCompile(`(?s)Invalid regex: .*?(\nYou can also find|$)`)

// normal replaces what differs from run to run as the recording does.
func normal(v any, key string, parent map[string]any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = normal(x, k, v)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, normal(x, key, parent))
		}
		if key == "topics" || key == "offsets" {
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	case string:
		name, _ := parent["name"].(string)
		switch {
		case key == "worker_id":
			return "<worker>"
		case key == "trace" || key == "version" || key == "documentation":
			return "<" + key + ">"
		case (key == "value" || key == "default_value") && strings.HasSuffix(name, "plugin.version") && regexp.MustCompile(`^\d`).MatchString(v):
			return "<version>"
		}
		v = strings.TrimPrefix(v, "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: ")
		if head, _, ok := strings.Cut(v, "available connectors are: "); ok {
			v = head + "available connectors are: <list>"
		}
		return regexText.ReplaceAllString(v, "Invalid regex: <java>$1")
	case float64:
		if key == "last_modified" {
			return "<ts>"
		}
	}
	return v
}

// project keeps what the scenario is about, as conformance.py's view does.
func project(body, spec any) any {
	s, _ := spec.(map[string]any)
	if name, ok := spec.(string); ok {
		s = map[string]any{name: true}
	}
	if s == nil {
		return body
	}
	list, _ := body.([]any)
	m, _ := body.(map[string]any)
	if classes, ok := s["classes"].([]any); ok {
		var out []any
		for _, p := range list {
			if slices.Contains(classes, p.(map[string]any)["class"]) {
				out = append(out, p)
			}
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(pluginOrder(a), pluginOrder(b)) })
		return out
	}
	if _, ok := s["keydefs"]; ok && list != nil {
		out := map[string]any{}
		for _, k := range list {
			k := k.(map[string]any)
			delete(k, "documentation")
			out[k["name"].(string)] = k
		}
		return out
	}
	if configs, ok := m["configs"].([]any); ok {
		m["configs"] = projectConfigs(m, configs, s)
		if s["errors"] == true {
			return map[string]any{"name": m["name"], "error_count": m["error_count"], "errors": m["configs"]}
		}
	}
	if only, ok := s["only"].([]any); ok {
		out := map[string]any{}
		for _, k := range only {
			if v, ok := m[k.(string)]; ok {
				out[k.(string)] = v
			}
		}
		return out
	}
	return body
}

func pluginOrder(p any) string {
	m := p.(map[string]any)
	return fmt.Sprint(m["type"], m["class"])
}

func projectConfigs(m map[string]any, configs []any, s map[string]any) any {
	byName := map[string]map[string]any{}
	for _, c := range configs {
		c := c.(map[string]any)
		byName[c["value"].(map[string]any)["name"].(string)] = c
	}
	out := map[string]any{}
	switch {
	case s["names"] == true:
		var names []any
		for _, n := range sortedKeys(byName) {
			names = append(names, n)
		}
		return names
	case s["errors"] == true:
		for n, c := range byName {
			if errs := c["value"].(map[string]any)["errors"].([]any); len(errs) > 0 {
				out[n] = errs
			}
		}
		return out
	case s["defs"] != nil:
		for _, n := range s["defs"].([]any) {
			if c, ok := byName[n.(string)]; ok {
				if d, ok := c["definition"].(map[string]any); ok {
					delete(d, "documentation")
				}
				out[n.(string)] = c
			}
		}
		return out
	}
	_ = m
	return configs
}

func differs(st step, want, got observation) string {
	if got.Status != want.Status && !slices.Contains(st.Accept, got.Status) {
		return fmt.Sprintf("status %d, recorded %d: %v", got.Status, want.Status, got.Body)
	}
	if st.Compare == "status" || st.Compare == "error_code" {
		return ""
	}
	g := project(normal(got.Body, "", nil), st.View)
	r := normal(want.Body, "", nil)
	if st.Compare == "subset" && contains(g, r) || st.Compare == "shape" {
		return ""
	}
	if !reflect.DeepEqual(g, r) {
		gb, _ := json.Marshal(g)
		rb, _ := json.Marshal(r)
		return fmt.Sprintf("\n got      %s\n recorded %s", gb, rb)
	}
	return ""
}
