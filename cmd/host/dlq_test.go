package host

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheDLQCommandsAskTheRESTAPI(t *testing.T) {
	var asked []string
	ends := 0
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		const op = `{"id":"x","action":"replay","topic":"dlq","filter":{},"requested":"2026-11-28T00:00:00Z","ended":ENDED,"state":"STATE","counts":{"replayed":2,"failed":1,"passed":3,"unplaced":0},"remaining":4,"error":"slow"}`
		running := strings.NewReplacer("ENDED", "null", "STATE", "RUNNING").Replace(op)
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/connectors/a c/dlq/replay":
			if ends++; ends > 1 {
				running = strings.NewReplacer("ENDED", `"2026-11-28T00:00:01Z"`, "STATE", "DONE").Replace(op)
			}
			_, _ = io.WriteString(w, `{"operations":[`+running+`]}`)
		case r.Method == http.MethodGet && r.URL.Path == "/connectors/a c/dlq":
			_, _ = io.WriteString(w, `{"topic":"dlq","records":[{"partition":0,"offset":5,"state":"open","origin":{"topic":"t","partition":1,"offset":9},"stage":"TASK_PUT","exception_class":"E","exception_message":"two\nlines","attempts":2},
				{"partition":0,"offset":6,"state":"unplaced","origin":null,"problem":"no headers"}],"next":"0:6"}`)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"record":{"a":"<1>"}}`)
		case strings.HasSuffix(r.URL.Path, "/drop"):
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"message":"busy"}`)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, running)
		}
	}))
	defer worker.Close()
	for _, tt := range []struct{ args, asks, out, err string }{
		{"list a c --state open,dropped --topic t --limit 3 --after 0:1", "GET /connectors/a%20c/dlq?after=0%3A1&limit=3&state=open&state=dropped&topic=t",
			"0:5  open  t-1@9  TASK_PUT E (given up 2 times): two lines\n0:6  unplaced  place unknown    (given up 0 times): no headers\nmore: --after 0:6\n", ""},
		{"show a c 0:5", "GET /connectors/a%20c/dlq/0/5", "{\n  \"record\": {\n    \"a\": \"<1>\"\n  }\n}\n", ""},
		{"show a c 5", "", "", `"5" is not partition:offset`},
		{"replay a c --stage TASK_PUT --offset-min 3", `POST /connectors/a%20c/dlq/replay {"offset_min":"3","stage":"TASK_PUT"}`,
			"x  replay  RUNNING: 2 replayed, 1 failed again, 3 not matched, 0 without their place, 4 offsets to go (slow)\n", ""},
		{"drop a c --all", `POST /connectors/a%20c/dlq/drop {"all":true}`, "", "409 Conflict: {\"message\":\"busy\"}"},
		{"cancel a c", "DELETE /connectors/a%20c/dlq/replay", "x  replay  RUNNING: 2 replayed, 1 failed again, 3 not matched, 0 without their place, 4 offsets to go (slow)\n", ""},
	} {
		asked = nil
		args := strings.Fields(strings.Replace(tt.args, " a c", " a_c", 1))
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "a_c", "a c")
		}
		out, err := run(t, dlqCommand(), append(args, "--url", worker.URL+"/")...)
		if got := strings.Join(asked, "|"); got != tt.asks {
			t.Errorf("%s asks %q", tt.args, got)
		}
		if tt.err == "" && (err != nil || out != tt.out) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v\n%s", tt.args, err, out)
		}
	}
	out, err := run(t, dlqCommand(), "replay", "a c", "--all", "--wait", "--url", worker.URL)
	if err != nil || !strings.Contains(out, "x  replay  DONE") || strings.Count(out, "RUNNING") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	if !json.Valid([]byte(strings.TrimPrefix(asked[len(asked)-3], "POST /connectors/a%20c/dlq/replay "))) {
		t.Error(asked)
	}
}
