package stepfunctions

import (
	"context"
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

// Who the names of ourNames belong to: connectortest.Context.
const testCluster, testConnector = "cluster", "under-test"

const roundTrip = 8 * time.Millisecond

func (h inProcess) Do(r *http.Request) (*http.Response, error) {
	time.Sleep(roundTrip)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) { return h.Do(r) }

func clientOf(e *states.Endpoint) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "sa-east-1", HTTPClient: inProcess{e}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// clientsOf is what a domain calls e by.
func clientsOf(e *states.Endpoint) *clients {
	client := clientOf(e)
	return &clients{sdk: client, standard: newStarter("StartExecution", startBySDK, client, inProcess{e})}
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
		names = append(names, Name(testCluster, "t", testConnector, &connector.Batch{Topic: "clientes-alteracoes", Partition: 1, Offsets: []int64{int64(from + i)}}, 0))
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
			d.clients = &clients{sdk: client}
		}
		s.sweeps = newSweeps(s.router.domains, set, task.TaskContext)

		fail(t, client, "Clientes", ourNames(0, 1200)[:600]...)
		time.Sleep(10 * time.Second)
		fail(t, client, "Clientes", slices.Concat(ourNames(600, 600), []string{"by-hand", "other-4711"})...)
		fail(t, client, "Pedidos", ourNames(5000, 3)...)
		fail(t, client, "Produtos", ourNames(6000, 3)...)
		if o := s.Outcomes(); o.Newest != nil || o.Counts != nil || !o.Swept.IsZero() || len(o.Statuses) != 3 {
			t.Errorf("before any sweep: %+v", o)
		}
		s.sweeps.start(t.Context())
		defer func() { s.sweeps.stop() }()
		time.Sleep(time.Minute)
		o := s.Outcomes()
		newest := o.Newest
		if len(newest) != maxNewest+3 || time.Since(o.Swept) > time.Minute {
			t.Fatalf("%d outcomes, swept %v ago", len(newest), time.Since(o.Swept))
		}
		if n := o.Counts["clientes"]["FAILED"]; n != 1200 || o.Counts["pedidos"]["TIMED_OUT"] != 3 || len(o.Counts) != 3 || len(o.Counts["produtos"]) != 3 {
			t.Errorf("counts %v", o.Counts)
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
		if newest = s.Outcomes().Newest; newest[0].Execution != ourNames(7000, 1)[0] || newest[0].Domain != "pedidos" || newest[0].Status != "TIMED_OUT" || newest[0].Started.IsZero() {
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
		s.router.domains[0].clients = &clients{sdk: client}
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
	own := ownName("cl", "consorcio")
	b := &connector.Batch{Topic: "clientes-alteracoes", Partition: 1, Offsets: []int64{7, 9}}
	byChange := func(cluster, connector string) string {
		name, ok, err := changeName(cluster, connector, parse(t, change("Clientes", "u", "42", 7)), 0)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return name
	}
	for name, want := range map[string]bool{
		Name("cl", "t", "consorcio", b, 0): true, Name("cl", "made-anew", "consorcio", b, 3): true, byChange("cl", "consorcio"): true,
		Name("cl", "t", "other", b, 0): false, Name("other", "t", "consorcio", b, 0): false, byChange("cl", "other"): false, byChange("other", "consorcio"): false,
		"by-hand": false, "": false, byChange("cl", "consorcio")[1:] + "0": false,
		"clientes-alteracoes-p1-o7-n2-e0-" + ownerTag("cl", "consorcio"): false,
	} {
		if own.MatchString(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestTwoConnectorsOnOneMachineSeeTheirOwnOutcomesOnly(t *testing.T) {
	e, err := states.Start(t.Context(), states.Options{Now: time.Now, Machines: []states.Machine{{Name: "Clientes", Run: states.Run{Status: states.Failed}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(e)
		started := map[string][]string{}
		for i, name := range []string{"consorcio", "auditoria"} {
			for offset := range int64(2 + i) {
				b := &connector.Batch{Topic: "clientes-alteracoes", Partition: 1, Offsets: []int64{offset}}
				started[name] = append(started[name], Name("cluster", "t", name, b, 0))
			}
			fail(t, client, "Clientes", started[name]...)
		}
		for name, want := range started {
			tc := newTask(t).TaskContext
			tc.Connector, tc.ClusterID = name, "cluster"
			s := newTaskSinkFor(t, tc, settingsFor(nil, "execution.type", "standard"))
			s.router.domains[0].clients = &clients{sdk: client}
			w := newSweeps(s.router.domains, s.settings, tc)
			if err := w.sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range w.newest {
				got = append(got, o.Execution)
			}
			slices.Sort(got)
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("%s sees %v, want %v", name, got, want)
			}
		}
	})
}
