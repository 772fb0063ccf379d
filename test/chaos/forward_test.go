package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestEveryWorkerAnswersForTheTaskThatKnows asks each of two workers for the executions that failed, which the worker of task 0
// alone has seen, and for the preview of a record by the stored configuration.
func TestEveryWorkerAnswersForTheTaskThatKnows(t *testing.T) {
	t.Parallel()
	f := newFlow(t, states.Run{Status: states.Failed, Error: "CPFInvalido"})
	workers, _ := workersOfACluster(t, f, 2, map[string]string{"outcomes.sweep.interval.ms": "2000"})
	f.awaitSpread(t, workers[0], 2)
	f.write(t, 40)
	f.await(t, "every change is started", func(s states.Stats) bool { return s.Changes == len(f.expected) })
	name := f.connector(nil)["name"]
	type answer struct {
		Executions []struct{ Status, Error string }
		Counts     map[string]map[string]int
		Warning    string
	}
	failed := 0
	for _, m := range f.endpoint.Machines() {
		failed += len(f.endpoint.Executions(m.ARN))
	}
	for i, w := range workers {
		var got answer
		worker.Eventually(t, 60*time.Second, fmt.Sprintf("worker %d lists the %d executions that failed", i, failed), func() bool {
			res, err := w.Get(t.Context(), "/connectors/"+name+"/executions?limit=1000&status=failed")
			got = answer{}
			return err == nil && res.StatusCode == http.StatusOK && json.Unmarshal(res.Body, &got) == nil && len(got.Executions) == failed
		})
		if got.Executions[0].Status != "FAILED" {
			t.Errorf("worker %d: the newest execution is %+v, want FAILED", i, got.Executions[0])
		}
		at := f.expected[0]
		res, err := w.Do(t.Context(), http.MethodPost, "/connector-plugins/StepFunctionsSink/preview",
			fmt.Sprintf(`{"connector":%q,"topic":%q,"partition":%d,"offset":%d}`, name, at.Topic, at.Partition, at.Offset))
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(res.Body), at.Topic) {
			t.Errorf("worker %d: preview: %d %s %v", i, res.StatusCode, res.Body, err)
		}
	}
}
