package stepfunctions

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// inProcess answers a client's calls without a network, so that both run on virtual time.
type inProcess struct{ http.Handler }

const roundTrip = 8 * time.Millisecond

func (h inProcess) Do(r *http.Request) (*http.Response, error) {
	time.Sleep(roundTrip)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func clientOf(e *states.Endpoint) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "sa-east-1", HTTPClient: inProcess{e}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// fail starts executions whose machine fails them.
func fail(t *testing.T, c *sfn.Client, machine string, names ...string) {
	t.Helper()
	arn, input := testARN+machine, "{}"
	for _, name := range names {
		if _, err := c.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &arn, Name: &name, Input: &input}); err != nil {
			t.Fatal(err)
		}
	}
}

func ourNames(from, n int) (names []string) {
	for i := range n {
		names = append(names, Name("c", "t", "consorcio", &connector.Batch{Topic: "clientes-alteracoes", Partition: 1, Offsets: []int64{int64(from + i)}}, 0))
	}
	return names
}

func TestEveryFailureIsShownWithinTwoSweepsAndTheQuotaIsKept(t *testing.T) {
	e, err := states.Start(t.Context(), states.Options{Now: time.Now, Machines: []states.Machine{
		{Name: "Clientes", Run: states.Run{Status: states.Failed, Error: "Erro"}},
		{Name: "Pedidos", Run: states.Run{Status: states.TimedOut}},
		{Name: "Produtos"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	synctest.Test(t, func(t *testing.T) {
		e.SetLimits(states.LimitsOf("sa-east-1"))
		task := newTask(t)
		raw := settingsFor(nil, "execution.type", "standard", "domains", "clientes,pedidos,outra,produtos,expressa")
		for _, d := range []string{"pedidos", "outra", "produtos", "expressa"} {
			raw["domain."+d+".topics"] = d
			raw["domain."+d+".state.machine.arn"] = testARN + strings.ToUpper(d[:1]) + d[1:]
		}
		raw["domain.outra.state.machine.arn"] = testARN + "Clientes"
		raw["domain.expressa.execution.type"] = "express"
		cfg, err := Connector{}.Config().Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		set, err := newSettings(cfg, "consorcio")
		if err != nil {
			t.Fatal(err)
		}
		s, client := newTaskSink(set, task.TaskContext), clientOf(e)
		for _, d := range s.router.domains {
			d.clients = &clients{start: client}
		}
		s.sweeps = newSweeps(s.router.domains, set, task.TaskContext)

		fail(t, client, "Clientes", ourNames(0, 1200)[:600]...)
		time.Sleep(10 * time.Second)
		fail(t, client, "Clientes", slices.Concat(ourNames(600, 600), []string{"by-hand", "other-4711"})...)
		fail(t, client, "Pedidos", ourNames(5000, 3)...)
		fail(t, client, "Produtos", ourNames(6000, 3)...)
		if newest, swept := s.Outcomes(); newest != nil || !swept.IsZero() {
			t.Errorf("before any sweep: %d, %v", len(newest), swept)
		}
		s.sweeps.start(t.Context())
		defer func() { s.sweeps.stop() }()
		time.Sleep(time.Minute)
		newest, swept := s.Outcomes()
		if len(newest) != maxNewest || time.Since(swept) > time.Minute {
			t.Fatalf("%d outcomes, swept %v ago", len(newest), time.Since(swept))
		}
		for i := range newest[1:] {
			if newest[i+1].Stopped.After(newest[i].Stopped) {
				t.Fatal("the newest are not first")
			}
		}
		for labels, want := range map[[2]string]float64{{"clientes", "FAILED"}: 1200, {"pedidos", "TIMED_OUT"}: 3, {"produtos", "FAILED"}: 0, {"outra", "FAILED"}: 0} {
			if n := task.metrics.Value("stepfunctions_unsuccessful_executions", "domain", labels[0], "status", labels[1]); n != want {
				t.Errorf("%v: %v, want %v", labels, n, want)
			}
		}
		fail(t, client, "Pedidos", ourNames(7000, 1)...)
		time.Sleep(2 * time.Minute)
		if newest, _ = s.Outcomes(); newest[0].Execution != ourNames(7000, 1)[0] || newest[0].Domain != "pedidos" || newest[0].Status != "TIMED_OUT" || newest[0].Started.IsZero() {
			t.Errorf("the newest is %+v", newest[0])
		}
		var last time.Time
		for _, c := range e.Log() {
			if c.Target != "ListExecutions" {
				continue
			}
			if c.Arrived.Sub(last) < sweepPause {
				t.Fatalf("two calls within %v", c.Arrived.Sub(last))
			}
			last = c.Arrived
		}
	})
}

func TestASweepThatFailsKeepsWhatIsKnownAndSaysSoOnce(t *testing.T) {
	e, err := states.Start(t.Context(), states.Options{Now: time.Now, Machines: []states.Machine{{Name: "Clientes", Run: states.Run{Status: states.Failed}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	synctest.Test(t, func(t *testing.T) {
		task := newTask(t)
		s := newTaskSinkFor(t, task.TaskContext, settingsFor(nil, "execution.type", "standard"))
		client := clientOf(e)
		s.router.domains[0].clients = &clients{start: client}
		fail(t, client, "Clientes", ourNames(0, 2)...)
		w := newSweeps(s.router.domains, s.settings, task.TaskContext)
		if err := w.sweep(t.Context()); err != nil || len(w.newest) != 2 {
			t.Fatalf("%d, %v", len(w.newest), err)
		}
		swept := w.swept
		e.SetHook(func(c states.Call) states.Fault {
			if c.Target == "ListExecutions" {
				return states.Fault{Code: "AccessDeniedException"}
			}
			return states.Fault{}
		})
		if err := w.sweep(t.Context()); err == nil || len(w.newest) != 2 || w.swept != swept {
			t.Errorf("%d, %v, %v", len(w.newest), w.swept, err)
		}
		throttles := 0
		e.SetHook(func(c states.Call) states.Fault {
			if throttles++; throttles < sweepTries {
				return states.Fault{Code: "ThrottlingException"}
			}
			return states.Fault{}
		})
		if err := w.sweep(t.Context()); err != nil || !w.swept.After(swept) {
			t.Errorf("throttled now and then: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.sweep(ctx); err == nil {
			t.Error("a sweep goes on after its end")
		}
	})
}

func newTaskSinkFor(t *testing.T, tc connector.TaskContext, raw map[string]string) *Sink {
	t.Helper()
	cfg, err := Connector{}.Config().Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	set, err := newSettings(cfg, tc.Connector)
	if err != nil {
		t.Fatal(err)
	}
	return newTaskSink(set, tc)
}

func TestOnlyTaskZeroSweeps(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	for task, sweeps := range map[int]bool{0: true, 1: false} {
		tc := newTask(t).TaskContext
		tc.Task = task
		if s := newSink(t, tc, settingsFor(e)); (s.sweeps != nil) != sweeps {
			t.Errorf("task %d sweeps: %v", task, !sweeps)
		}
	}
	if s := newSink(t, newTask(t).TaskContext, settingsFor(e, "outcomes.sweep.interval.ms", "-1")); s.sweeps != nil {
		t.Error("sweeps that are off")
	}
}

func TestOurNamesAreKnownFromOthers(t *testing.T) {
	byChange := "Clientes-update-0000002a_00000250_0023-" + strings.Repeat("0af1", 8)
	for name, want := range map[string]bool{
		ourNames(0, 1)[0]: true, byChange: true, "by-hand": false, "": false, byChange[1:] + "0": false,
		fmt.Sprintf("a-p0-o1-n1-e0-%016d", 1): true, fmt.Sprintf("a-p0-o1-n1-%016d", 1): false,
	} {
		if ourName.MatchString(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
