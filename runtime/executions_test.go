package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// outcomesOf makes n outcomes, newest first, of which two each stopped at the same moment.
func outcomesOf(n int, t0 time.Time) connector.Outcomes {
	out := connector.Outcomes{Statuses: []string{"FAILED", "ABORTED"}, Swept: t0, Counts: map[string]map[string]int{"d": {"FAILED": n, "ABORTED": 0}}}
	for i := range n {
		status := out.Statuses[i%2]
		out.Newest = append(out.Newest, connector.Outcome{Domain: "d", Status: status, Execution: fmt.Sprint(i), ARN: fmt.Sprintf("arn:%03d", i), Stopped: t0.Add(-time.Duration(i/2) * time.Second)})
	}
	return out
}

func TestPagesOfExecutionsJoinWithoutGapsWhileNewOnesComeIn(t *testing.T) {
	t0 := time.Date(2026, 11, 27, 12, 0, 0, 123456789, time.UTC)
	out := outcomesOf(101, t0)
	var got []string
	q := ExecutionsQuery{Limit: 10}
	for pages := 1; ; pages++ {
		after, err := parsePage(q.Page)
		if err != nil {
			t.Fatal(err)
		}
		p := page(out, q, after, t0.Add(90*time.Second))
		if *p.SweepAge != 90 || !p.SweptAt.Equal(t0) || p.Counts["d"]["FAILED"] != 101 {
			t.Fatalf("%+v", p)
		}
		for _, o := range p.Executions {
			got = append(got, o.Execution)
		}
		if p.Next == nil {
			if pages != 11 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		q.Page = *p.Next
		out.Newest = append([]connector.Outcome{{Status: "FAILED", Execution: "new", ARN: "a", Stopped: t0.Add(time.Duration(pages) * time.Second)}}, out.Newest...)
	}
	for i := range 101 {
		if i >= len(got) || got[i] != fmt.Sprint(i) {
			t.Fatalf("execution %d of %v", i, got)
		}
	}
	if len(got) != 101 {
		t.Errorf("%d executions", len(got))
	}
	only := page(outcomesOf(10, t0), ExecutionsQuery{Statuses: []string{"aborted"}}, nil, t0)
	if len(only.Executions) != 5 || only.Next != nil || only.Executions[0].Status != "ABORTED" {
		t.Errorf("by status: %+v", only)
	}
	for _, bad := range []string{"x", "%%%", "YQ", "YSBi"} {
		if _, err := parsePage(bad); err == nil {
			t.Errorf("page %q is taken", bad)
		}
	}
}

func TestTheWorkerOfTaskZeroTellsWhatBecameOfDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t", "tasks.max", "2"))
		w.awaitTasks("c", "RUNNING", 2)
		answer, err := w.Executions(t.Context(), "c", ExecutionsQuery{})
		if err != nil || answer.SweptAt != nil || answer.Warning == "" || answer.Executions == nil || answer.Counts == nil {
			t.Errorf("before a sweep: %+v, %v", answer, err)
		}
		w.sink.set(func(p *probe) { p.outcomes = outcomesOf(3, time.Now()) })
		answer, err = w.Executions(t.Context(), "c", ExecutionsQuery{Statuses: []string{"failed"}, Limit: 1})
		if err != nil || len(answer.Executions) != 1 || answer.Next == nil || answer.Warning != "" {
			t.Errorf("%+v, %v", answer, err)
		}
		if text, _ := json.Marshal(answer); !strings.Contains(string(text), `"sweep_age_seconds":0`) {
			t.Errorf("%s", text)
		}
		_, err = w.Executions(t.Context(), "c", ExecutionsQuery{Statuses: []string{"RUNNING"}})
		requireError(t, err, 400, `status "RUNNING" is none of FAILED, ABORTED: executions are listed that ended without success`)
		_, err = w.Executions(t.Context(), "c", ExecutionsQuery{Limit: 1001})
		requireError(t, err, 400, "limit must be from 1 to 1000, or left out for 100")
		_, err = w.Executions(t.Context(), "none", ExecutionsQuery{})
		requireError(t, err, 404, "Connector none not found")
		must(t, w.Stop(t.Context(), "c"))
		if answer, err = w.Executions(t.Context(), "c", ExecutionsQuery{}); err != nil || !strings.Contains(answer.Warning, "no task") {
			t.Errorf("stopped: %+v, %v", answer, err)
		}
		w.create("f", cfgOf("connector.class", "FileStreamSink", "topics", "t", "file", t.TempDir()+"/f"))
		w.awaitTasks("f", "RUNNING", 1)
		if _, err = w.Executions(t.Context(), "f", ExecutionsQuery{}); err == nil || !strings.Contains(err.Error(), "has no outcomes") {
			t.Errorf("a sink without outcomes: %v", err)
		}
	})
}

func TestExecutionsAreAskedOfTheWorkerThatRunsTaskZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		w.Herder.cluster = &ClusterOptions{} // as one of several, of which another has the task
		defer func() { w.Herder.cluster = nil }()
		w.view.setPlan(ClusterPlan{Members: map[string]string{"b:1": "http://b:1"}, Assignment: Assignment{Tasks: map[TaskID]string{{Connector: "c", Task: 0}: "b:1"}}})
		_, err := w.Executions(t.Context(), "c", ExecutionsQuery{})
		var elsewhere *Elsewhere
		if !errors.As(err, &elsewhere) || elsewhere.URL != "http://b:1" {
			t.Errorf("%v", err)
		}
	})
}
