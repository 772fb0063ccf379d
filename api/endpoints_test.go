package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime"
)

var update = flag.Bool("update", false, "write the golden files")

const fileSink = `{"connector.class":"FileStreamSink","topics":"t","file":"/tmp/f"}`

// withConnectors gives a handler with the connectors "run", "stop" and one of an awkward name.
func withConnectors(t testing.TB) (http.Handler, *memHerder) {
	m := newMemHerder()
	h := New(m, Options{Log: discardLog()})
	for name, state := range map[string]string{"run": "RUNNING", "stop": "STOPPED", "é x?#+&=;,'(*)~!@$:ß漢😀": "PAUSED"} {
		body := fmt.Sprintf(`{"name":%q,"config":%s,"initial_state":%q}`, name, fileSink, state)
		if w := call(t, h, "POST", "/connectors", body); w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	return h, m
}

// exchange is a request; several make a transcript, whose answers are in testdata.
type exchange struct{ method, target, body, headers string }

func TestAnswersAreAsTheTranscriptsSay(t *testing.T) {
	transcripts := map[string][]exchange{
		"worker": {
			{"GET", "/", "", ""}, {"GET", "/health", "", ""}, {"HEAD", "/", "", ""}, {"OPTIONS", "/", "", ""},
			{"GET", "/", "", "Accept: text/html"}, {"POST", "/", "{}", ""}, {"BREW", "/connectors", "", ""}, {"TRACE", "/connectors", "", ""}, {"GET", "/nope", "", ""},
		},
		"connectors": {
			{"GET", "/connectors", "", ""}, {"GET", "/connectors?expand=status", "", ""}, {"GET", "/connectors?expand=info&expand=bogus", "", ""},
			{"GET", "/connectors?expand", "", ""}, {"GET", "/connectors?expand=status,info", "", ""},
			{"POST", "/connectors", `{"name":" new ","config":` + fileSink + `}`, ""},
			{"POST", "/connectors", `{"name":"new","config":` + fileSink + `}`, ""},
			{"POST", "/connectors", `{"name":"a/b ?#%","config":` + fileSink + `}`, ""},
			{"POST", "/connectors", `{"name":"x","config":{"name":"y"}}`, ""},
			{"GET", "/connectors/new", "", ""}, {"GET", "/connectors/new/status", "", ""}, {"GET", "/connectors/new/tasks", "", ""}, {"GET", "/connectors/new/waiting", "", ""}, {"GET", "/connectors/none/waiting", "", ""},
			{"GET", "/connectors/new/executions", "", ""}, {"GET", "/connectors/new/executions?status=failed,TIMED_OUT&status=ABORTED&limit=7&page=p", "", ""}, {"GET", "/connectors/none/executions", "", ""},
			{"GET", "/connectors/new/executions?limit=0", "", ""}, {"GET", "/connectors/new/executions?limit=many", "", ""},
			{"GET", "/connectors/new/tasks/0/status", "", ""}, {"GET", "/connectors/new/tasks/7/status", "", ""},
			{"GET", "/connectors/new/tasks/x/status", "", ""}, {"GET", "/connectors/new/tasks/99999999999/status", "", ""},
			{"PUT", "/connectors/new/pause", "", ""}, {"PUT", "/connectors/new/resume", "", ""}, {"PUT", "/connectors/new/stop", "", ""},
			{"PUT", "/connectors/new/pause", "x", "Content-Type: text/plain"}, {"PUT", "/connectors/new/pause", "", "Content-Type: text/plain"},
			{"POST", "/connectors/new/restart", "", ""}, {"POST", "/connectors/new/restart?includeTasks=TRUE", "", ""},
			{"POST", "/connectors/run/tasks/0/restart", "", ""}, {"POST", "/connectors/run/tasks/5/restart", "", ""},
			{"GET", "/connectors/new/topics", "", ""}, {"PUT", "/connectors/new/topics/reset", "", ""},
			{"DELETE", "/connectors/new", "", ""}, {"DELETE", "/connectors/new", "", ""}, {"GET", "/connectors/new", "", ""},
		},
		"dlq": {
			{"GET", "/connectors/run/dlq", "", ""}, {"GET", "/connectors/none/dlq", "", ""},
			{"GET", "/connectors/run/dlq?topic=t&partition=1&offset_min=2&offset_max=9&stage=TASK_PUT&exception_class=E&since=2026-11-28T00:00:00Z&until=2026-11-29T00:00:00-03:00&letter=0:7&state=all,open&limit=5&after=0:3", "", ""},
			{"GET", "/connectors/run/dlq?topik=t", "", ""}, {"GET", "/connectors/run/dlq?partition=-1", "", ""}, {"GET", "/connectors/run/dlq?since=yesterday", "", ""},
			{"GET", "/connectors/run/dlq?stage=PUT", "", ""}, {"GET", "/connectors/run/dlq?state=lost", "", ""}, {"GET", "/connectors/run/dlq?limit=0", "", ""}, {"GET", "/connectors/run/dlq?letter=7", "", ""}, {"GET", "/connectors/run/dlq?topic=", "", ""},
			{"GET", "/connectors/run/dlq/0/5", "", ""}, {"GET", "/connectors/run/dlq/0/6", "", ""}, {"GET", "/connectors/run/dlq/x/6", "", ""}, {"GET", "/connectors/run/dlq/0/-6", "", ""},
			{"POST", "/connectors/run/dlq/replay", `{"stage":"TASK_PUT","partition":1,"offset_min":"2","since":"2026-11-28T00:00:00Z"}`, ""}, {"GET", "/connectors/run/dlq/replay", "", ""},
			{"POST", "/connectors/run/dlq/replay", `{"all":true}`, ""}, {"POST", "/connectors/run/dlq/replay", `{"all":false}`, ""}, {"POST", "/connectors/run/dlq/replay", `{"everything":true}`, ""},
			{"POST", "/connectors/run/dlq/replay", `{"topic":null}`, ""}, {"POST", "/connectors/run/dlq/replay", `{"offset_max":1.5}`, ""}, {"POST", "/connectors/run/dlq/replay", `{"letter":"a:b"}`, ""}, {"POST", "/connectors/run/dlq/replay", ``, ""},
			{"POST", "/connectors/none/dlq/drop", `{"all":true}`, ""}, {"POST", "/connectors/run/dlq/drop", `{"letter":"00:7"}`, ""}, {"DELETE", "/connectors/run/dlq/replay", "", ""}, {"PUT", "/connectors/run/dlq/replay", "", ""},
		},
		"configuration": {
			{"GET", "/connectors/run/config", "", ""},
			{"PUT", "/connectors/run/config", `{"connector.class":"FileStreamSink","topics":"t","n":1.50,"big":12345678901234567890,"b":true,"z":null}`, ""},
			{"PUT", "/connectors/made/config", fileSink, ""},
			{"PUT", "/connectors/made/config", `{"connector.class":"FileStreamSink","name":"other"}`, ""},
			{"PATCH", "/connectors/made/config", `{"file":null,"x":"1"}`, ""},
			{"PATCH", "/connectors/none/config", `{"file":null}`, ""},
			{"PUT", "/connectors/made/config?dry_run=true", `{"connector.class":"FileStreamSink","topics":"t2","db.password":"hush"}`, ""},
			{"PUT", "/connectors/none/config?dry_run=true", fileSink, ""},
			{"PUT", "/connectors/none/config?dry_run=true", `{"connector.class":"FileStreamSink"}`, ""},
			{"PUT", "/connectors/none/config?dry_run=true", `{"topics":"t"}`, ""},
			{"PUT", "/connectors/none/config?dry_run=true", `{"connector.class":"Nope"}`, ""},
			{"PUT", "/connectors/none/config?dry_run=true", `{"connector.class":"FileStreamSink","name":"other"}`, ""},
			{"PATCH", "/connectors/none/config?dry_run=true", `{"x":"1"}`, ""},
			{"PATCH", "/connectors/made/config?dry_run=true", `{"x":null,"y":"2"}`, ""},
			{"GET", "/connectors/made/config", "", ""},
			{"PUT", "/connectors/made/config", fileSink, `If-Match: "stale"`},
			{"PUT", "/connectors/made/config", fileSink, `If-None-Match: *`},
			{"PUT", "/connectors/none/config", fileSink, `If-Match: *`},
		},
		"offsets": {
			{"GET", "/connectors/stop/offsets", "", ""},
			{"PATCH", "/connectors/stop/offsets", `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"0"},"offset":{"kafka_offset":9007199254740993}}]}`, ""},
			{"GET", "/connectors/stop/offsets", "", ""}, {"DELETE", "/connectors/stop/offsets", "", ""},
			{"PATCH", "/connectors/run/offsets", `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}`, ""},
			{"PATCH", "/connectors/stop/offsets", `{}`, ""}, {"PATCH", "/connectors/none/offsets", `{"offsets":null}`, ""},
			{"DELETE", "/connectors/none/offsets", "", ""}, {"GET", "/connectors/none/offsets", "", ""},
		},
		"plugins": {
			{"GET", "/connector-plugins", "", ""}, {"GET", "/connector-plugins?connectorsOnly=no", "", ""},
			{"GET", "/connector-plugins/FileStreamSink/config", "", ""}, {"GET", "/connector-plugins/Nope/config", "", ""},
			{"PUT", "/connector-plugins/FileStreamSink/config/validate", `{"connector.class":"FileStreamSink","file.password":"hush"}`, ""},
			{"PUT", "/connector-plugins/Other/config/validate", `{"connector.class":"FileStreamSink"}`, ""},
			{"PUT", "/connector-plugins/org.x.FileStreamSink/config/validate", `{"connector.class":"FileStreamSink"}`, ""},
			{"PUT", "/connector-plugins/Connector/config/validate", `{"connector.class":"Connector"}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"config":{"name":"c"},"topic":"t","partition":"3","offset":9007199254740993}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","record":{"key":{"id":1.50},"value":"<text>","headers":{"h":"x"},"timestamp":7}}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","record":{"key":null,"value_base64":"AAE="}}`, ""},
			{"POST", "/connector-plugins/Nope/preview", `{"connector":"c","topic":"t","offset":0}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"topic":"t","offset":0}`, ""}, {"POST", "/connector-plugins/X/preview", `{"connector":"c","offset":0}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t"}`, ""}, {"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","offset":-1}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","partition":4294967296,"offset":1}`, ""},
			{"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","record":{"valeu":1}}`, ""}, {"POST", "/connector-plugins/X/preview", `{"connector":"c","topic":"t","record":{"value_base64":"%%"}}`, ""},
		},
		"loggers": {
			{"GET", "/admin/loggers", "", ""}, {"GET", "/admin/loggers/root", "", ""}, {"GET", "/admin/loggers/nope", "", ""},
			{"PUT", "/admin/loggers/a.b", `{"level":"debug"}`, ""}, {"PUT", "/admin/loggers/a.b?scope=cluster", `{"level":"WARN"}`, ""},
			{"PUT", "/admin/loggers/a.b?scope=moon", `{"level":"WARN"}`, ""}, {"PUT", "/admin/loggers/a.b", `{}`, ""}, {"PUT", "/admin/loggers/a.b", `{"level":"LOUD"}`, ""},
			{"PUT", "/admin/loggers/a.b", `{"level":null}`, ""},
		},
		"internal": {
			{"POST", "/connectors/run/tasks", `[]`, ""}, {"POST", "/connectors/run/tasks", `x`, ""}, {"PUT", "/connectors/run/fence", "", ""},
			{"PUT", "/connectors/run/fence", "", "X-Connect-Authorization: AAAA\nX-Connect-Request-Signature-Algorithm: HmacSHA256"},
			{"PUT", "/connectors/run/fence", "", "X-Connect-Authorization: AAAA\nX-Connect-Request-Signature-Algorithm: HmacMD5"},
			{"PUT", "/connectors/run/fence", "", "X-Connect-Authorization: %%%\nX-Connect-Request-Signature-Algorithm: HmacSHA256"},
		},
		"paths": {
			{"GET", "/connectors/a%2Fb", "", ""}, {"GET", "/connectors/a%25b", "", ""}, {"GET", "/connectors/%09x", "", ""}, {"GET", "/connectors/%00", "", ""},
			{"GET", "/connectors/%ff", "", ""}, {"GET", "/connectors/a%5Cb", "", ""}, {"GET", "/connectors//status", "", ""}, {"GET", "//connectors", "", ""},
			{"GET", "/connectors/%2e%2e/admin", "", ""}, {"GET", "/connectors/../status", "", ""}, {"GET", "/..", "", ""}, {"GET", "/connectors/run{x}", "", ""},
			{"GET", "/%63onnectors", "", ""},
		},
	}
	for name, exchanges := range transcripts {
		t.Run(name, func(t *testing.T) {
			h, _ := withConnectors(t)
			var b strings.Builder
			for _, x := range exchanges {
				transcribe(t, h, x, &b)
			}
			golden(t, filepath.Join("testdata", name+".txt"), b.String())
		})
	}
}

func transcribe(t *testing.T, h http.Handler, x exchange, b *strings.Builder) {
	t.Helper()
	var headers []string
	for line := range strings.Lines(x.headers) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		headers = append(headers, k, v)
	}
	w := call(t, h, x.method, x.target, x.body, headers...)
	fmt.Fprintf(b, "> %s %s %s\n", x.method, x.target, x.body)
	if x.headers != "" {
		fmt.Fprintf(b, ">   %s\n", strings.ReplaceAll(x.headers, "\n", "\n>   "))
	}
	fmt.Fprintf(b, "< %d\n", w.Code)
	for _, k := range []string{"Allow", "Content-Type", "ETag", "Location"} {
		if v := w.Header().Get(k); v != "" {
			fmt.Fprintf(b, "<   %s: %s\n", k, v)
		}
	}
	if w.Body.Len() > 0 {
		fmt.Fprintf(b, "%s\n", w.Body)
	}
	b.WriteString("\n")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it)\ngot:\n%s", file, got)
	}
}

func TestNamesOfEveryUnicodeClassAreFoundUnderTheirLocation(t *testing.T) {
	h := New(newMemHerder(), Options{Log: discardLog()})
	for _, name := range []string{"a b", "été", "漢字", "😀", "a+b", "a?b#c", "a;b=c", "x\u200dy", "e\u0301", "\u202e", "\u00a0", "Ⅷ", "٣", "ﬁ", "\ufeff", "a.b..c", "~!@$&'()*,:", "{x}", `"q"`, "<&>", "[a]", "|^`"} {
		body := fmt.Sprintf(`{"name":%s,"config":%s}`, encodeJSON(name), fileSink)
		w := call(t, h, "POST", "/connectors", body)
		if w.Code != http.StatusCreated {
			t.Errorf("%q: %d %s", name, w.Code, w.Body)
			continue
		}
		location := w.Header().Get("Location")
		got := call(t, h, "GET", strings.TrimPrefix(location, "http://worker:8083"), "")
		if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), string(encodeJSON(config.Trim(name)))) {
			t.Errorf("%q at %s: %d %s", name, location, got.Code, got.Body)
		}
	}
}

// failing answers every question with one error.
type failing struct {
	*memHerder
	err error
}

func (f failing) Connectors(context.Context) ([]string, error) { return nil, f.err }

func TestErrorsAreMappedInOnePlace(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status int
		body   string
		retry  string
	}{
		{"a refusal keeps its status and text", runtime.Conflict("busy <&>"), 409, `{"error_code":409,"message":"busy <&>"}`, ""},
		{"a refusal that was wrapped keeps them too", fmt.Errorf("asking: %w", runtime.NotFound("gone")), 404, `{"error_code":404,"message":"gone"}`, ""},
		{"waiting helps", &runtime.Error{Status: 409, Message: "wait", RetryAfter: 1500 * time.Millisecond}, 409, `{"error_code":409,"message":"wait"}`, "2"},
		{"waiting a moment is a second", &runtime.Error{Status: 503, Message: "wait", RetryAfter: time.Millisecond}, 503, `{"error_code":503,"message":"wait"}`, "1"},
		{"all else is 500", errors.New("disk on fire"), 500, `{"error_code":500,"message":"disk on fire"}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := New(failing{newMemHerder(), tc.err}, Options{Log: discardLog()})
			_, w := ask(t, h, "GET", "/connectors", "")
			if w.Code != tc.status || w.Body.String() != tc.body || w.Header().Get("Retry-After") != tc.retry {
				t.Errorf("%d %q %s", w.Code, w.Header().Get("Retry-After"), w.Body)
			}
		})
	}
}

// hanging waits for the end of every request.
type hanging struct{ *memHerder }

func (hanging) Connectors(ctx context.Context) ([]string, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("listing: %w", ctx.Err())
}

func (hanging) Health(ctx context.Context) runtime.Health {
	<-ctx.Done()
	return runtime.Health{Status: "unhealthy", Message: "Worker was unable to handle this request and may be unable to handle other requests."}
}

func TestARequestTimesOutAfter90SecondsAndHealthAfterTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(hanging{newMemHerder()}, Options{Log: discardLog()})
		start := time.Now()
		w := call(t, h, "GET", "/connectors", "")
		if took := time.Since(start); took != 90*time.Second || w.Code != 500 || w.Body.String() != `{"error_code":500,"message":"Request timed out"}` {
			t.Errorf("after %v: %d %s", took, w.Code, w.Body)
		}
		start = time.Now()
		w = call(t, h, "GET", "/health", "")
		if took := time.Since(start); took != 10*time.Second || w.Code != 500 || !strings.Contains(w.Body.String(), "unhealthy") {
			t.Errorf("after %v: %d %s", took, w.Code, w.Body)
		}
	})
}

type starting struct{ *memHerder }

func (starting) Health(context.Context) runtime.Health {
	return runtime.Health{Status: "starting", Message: "Worker is still starting up."}
}

func (starting) Connectors(context.Context) ([]string, error) { panic("a defect") }

// unstarted knows nothing of the cluster yet.
type unstarted struct{ *memHerder }

func (unstarted) Started(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (unstarted) Stage() string                     { return "The worker is currently looking around." }

func TestAWorkerThatStartsAnswersNothingThatItDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(unstarted{newMemHerder()}, Options{Log: discardLog()})
		start := time.Now()
		w := call(t, h, "GET", "/connectors", "")
		if took := time.Since(start); took != 90*time.Second || w.Code != 500 || w.Header().Get("Retry-After") != "5" ||
			w.Body.String() != `{"error_code":500,"message":"Request timed out. The worker is currently looking around."}` {
			t.Errorf("after %v: %d %v %s", took, w.Code, w.Header(), w.Body)
		}
		start = time.Now()
		for _, path := range []string{"/", "/health", "/connector-plugins", "/admin/loggers", "/openapi.json"} {
			if w := call(t, h, "GET", path, ""); w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("what needs no state has waited for %v", took)
		}
	})
}

func TestAStartingWorkerAnswersHealthWith503(t *testing.T) {
	w := call(t, New(starting{newMemHerder()}, Options{Log: discardLog()}), "GET", "/health", "")
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || w.Body.String() != `{"status":"starting","message":"Worker is still starting up."}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestADefectIsAnsweredWith500(t *testing.T) {
	w := call(t, New(starting{newMemHerder()}, Options{Log: discardLog()}), "GET", "/connectors", "")
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"error_code":500`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// vanishing lists a connector that is gone when it is asked for.
type vanishing struct{ *memHerder }

func (v vanishing) Connectors(ctx context.Context) ([]string, error) {
	names, err := v.memHerder.Connectors(ctx)
	return append(names, "ghost"), err
}

func TestAConnectorThatGoesAwayMeanwhileIsLeftOutOfTheExpandedList(t *testing.T) {
	h := New(vanishing{newMemHerder()}, Options{Log: discardLog()})
	if w := call(t, h, "GET", "/connectors?expand=info", ""); w.Body.String() != "{}" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheAdminEndpointsCanBeMovedOrSwitchedOff(t *testing.T) {
	off := New(newMemHerder(), Options{Log: discardLog(), Admin: AdminOff})
	only := New(newMemHerder(), Options{Log: discardLog(), Admin: AdminOnly})
	for _, tc := range []struct {
		h      http.Handler
		path   string
		status int
	}{{off, "/admin/loggers", 404}, {off, "/connectors", 200}, {only, "/admin/loggers", 200}, {only, "/connectors", 404}, {only, "/ui/", 404}} {
		if _, w := ask(t, tc.h, "GET", tc.path, ""); w.Code != tc.status {
			t.Errorf("%s: %d, want %d", tc.path, w.Code, tc.status)
		}
	}
}

func TestAllowListsAreSorted(t *testing.T) {
	for pattern, res := range (&handler{}).resources() {
		methods := strings.Split(res.allow(), ",")
		if !slices.IsSorted(methods) {
			t.Errorf("%s: %v", pattern, methods)
		}
	}
}
