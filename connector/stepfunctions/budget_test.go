package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func TestThePaceIsCutByThrottlingAndRisesByItself(t *testing.T) {
	t0 := time.Unix(1_700_000_000, 0)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	var p pace
	if p.rate(t0) != 0 {
		t.Fatalf("the zero pace allows %v", p.rate(t0))
	}
	if !p.throttled(t0, at(-1), 100) {
		t.Fatal("the first throttled call changes nothing")
	}
	for _, tc := range []struct{ after, want float64 }{{0, 80}, {5, 90}, {10, 100}, {15, 120}, {20, 140}, {30, 220}, {121, 0}} {
		if got := p.rate(at(tc.after)); math.Abs(got-tc.want) > 1e-6 {
			t.Errorf("%v s after the cut: %v, want %v", tc.after, got, tc.want)
		}
	}
	if p.throttled(at(1), t0, 100) || p.throttled(at(1), at(-1), 100) {
		t.Error("a call that was under way at the cut cuts again")
	}
	if !p.throttled(at(10), at(9), 500) || p.rate(at(10)) != 80 {
		t.Errorf("cut again: %v", p.rate(at(10)))
	}
	for i := range 100 {
		p.throttled(at(float64(20+i)), at(float64(20+i)-.5), 100)
	}
	if got := p.rate(at(119)); got != paceLeast {
		t.Errorf("after 100 cuts %v", got)
	}
	if got := p.rate(at(150)); got <= 2*paceLeast {
		t.Errorf("the least rate does not rise: %v", got)
	}
}

// offered gives out changes that come in at a steady rate, as the host's scheduler does: what waits goes
// together, up to 100 in an execution.
type offered struct {
	rate  float64
	from  time.Time
	mu    sync.Mutex // guards taken
	taken int
}

func (o *offered) next() []*connector.Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	var batch []*connector.Record
	for range min(o.lag(), 100) {
		batch = append(batch, change("Clientes", "u", fmt.Sprint("k", o.taken), int64(o.taken)))
		o.taken++
	}
	return batch
}

func (o *offered) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lag()
}

func (o *offered) lag() int { return int(time.Since(o.from).Seconds()*o.rate) - o.taken }

// deliverAll is a worker of the host: it tries each batch until it is delivered.
func deliverAll(t *testing.T, s *Sink, queue *offered, end time.Time) {
	for time.Now().Before(end) {
		batch := queue.next()
		if batch == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		connectortest.Freeze(batch...)
		for backoff := 100 * time.Millisecond; ; backoff *= 2 {
			err := s.Deliver(t.Context(), batch)
			if err == nil {
				break
			}
			if class, _ := connector.Classify(err); class != connector.ClassRetryable {
				t.Error(err)
				return
			}
			time.Sleep(backoff)
		}
	}
}

func TestStartsSettleAtWhatAWSAllowsAndLagStaysBounded(t *testing.T) {
	for name, tasks := range map[string]int{"one task": 1, "six tasks share a quota": 6} {
		t.Run(name, func(t *testing.T) {
			e, err := states.Start(t.Context(), states.Options{Machines: []states.Machine{{Name: "Clientes"}}, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = e.Close() }()
			synctest.Test(t, func(t *testing.T) {
				e.SetLimits(states.LimitsOf("sa-east-1")) // full as of the virtual clock's start
				queue := &offered{rate: 1000, from: time.Now()}
				half, end := queue.from.Add(20*time.Second), queue.from.Add(60*time.Second)
				var all sync.WaitGroup
				var worst [3]int // lag in each third
				all.Go(func() {
					for i := range 60 {
						time.Sleep(time.Second - time.Millisecond)
						worst[i/20] = max(worst[i/20], queue.waiting())
					}
				})
				for range tasks {
					s := newTaskSinkFor(t, newTask(t).TaskContext, settingsFor(nil, "execution.type", "standard"))
					s.router.domains[0].clients = clientsOf(e)
					for range 60 / tasks {
						all.Go(func() { deliverAll(t, s, queue, end) })
					}
				}
				all.Wait()
				judge(t, e, queue, half, end)
				if worst[2] > max(worst[0], 200) {
					t.Errorf("the lag does not fall: at most %v changes in each third of the minute", worst)
				}
				t.Logf("at most %v changes wait in each third of the minute", worst)
			})
		})
	}
}

// judge looks at the calls between two moments, and at every change.
func judge(t *testing.T, e *states.Endpoint, queue *offered, from, to time.Time) {
	started, throttled := 0, 0
	for _, c := range e.Log() {
		switch {
		case c.Arrived.Before(from) || c.Arrived.After(to):
		case c.Outcome == states.OutcomeStarted:
			started++
		case c.Outcome == "ThrottlingException":
			throttled++
		default:
			t.Fatalf("%+v", c)
		}
	}
	rate := float64(started) / to.Sub(from).Seconds()
	share := float64(throttled) / float64(started+throttled)
	t.Logf("%.1f starts/s, %.2f %% throttled, lag %d changes", rate, 100*share, queue.lag())
	if share > 0.10 {
		t.Errorf("%.1f %% of the calls were throttled", 100*share)
	}
	if rate < 135 || rate > 165 {
		t.Errorf("%.1f starts/s where 150 are allowed", rate)
	}
	if queue.lag() > 2000 {
		t.Errorf("%d changes wait", queue.lag())
	}
	want := states.Expected{Ranges: []states.Range{{Topic: "clientes-alteracoes", Partition: 3, From: 0, To: int64(queue.taken)}}}
	if r := states.Verify(e.Log(), want.All()); r.Missing != nil || r.Duplicates != nil || r.Unexpected != nil {
		t.Errorf("%d missing, %d twice, %d unexpected of %d changes", len(r.Missing), len(r.Duplicates), len(r.Unexpected), queue.taken)
	}
}

func TestAConnectorsLimitIsDividedByTheTasksShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := newTask(t)
		share := 0.25
		task.Share = func() float64 { return share }
		b := newBudgets(40, task.TaskContext)
		one, other := b.of(quota{"1", "r", callStart}), b.of(quota{"2", "r", callStart})
		take := func(n int) time.Duration {
			from := time.Now()
			for i := range n {
				if _, err := []*budget{one, other}[i%2].take(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(from)
		}
		if took := take(101); took != 10*time.Second {
			t.Errorf("a quarter of 40 a second: 101 starts of two quotas take %v", took)
		}
		if v := task.metrics.Value("stepfunctions_start_budget", "account", "1", "region", "r", "call", callStart); v != 10 {
			t.Errorf("the budget shown is %v", v)
		}
		if v := task.metrics.Value("stepfunctions_budget_wait_seconds_total", "account", "1", "region", "r", "call", callStart); v < 4.9 || v > 5.1 {
			t.Errorf("waited %v s", v)
		}
		share = 1
		if took := take(100); took > 2600*time.Millisecond {
			t.Errorf("with the whole share 100 starts take %v", took)
		}
		share = 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := one.take(ctx); err == nil {
			if _, err = one.take(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("without a share: %v", err)
			}
		}
	})
}

func TestTasksOfOneProcessLendEachOtherTheirShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		common := map[string]any{}
		var all []*budget
		var tasks []*budgets
		for range 3 {
			task := newTask(t)
			task.Share = func() float64 { return 0.25 } // the last quarter belongs to another process
			task.Common = func(key string, create func() any) any {
				if common[key] == nil {
					common[key] = create()
				}
				return common[key]
			}
			b := newBudgets(40, task.TaskContext)
			tasks, all = append(tasks, b), append(all, b.of(quota{"1", "r", callStart}))
		}
		rate := func(busy ...*budget) float64 {
			const each = 300
			from := time.Now()
			var done sync.WaitGroup
			for _, b := range busy {
				done.Go(func() {
					for range each {
						if _, err := b.take(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			done.Wait()
			return float64(each*len(busy)) / time.Since(from).Seconds()
		}
		within := func(what string, got, want float64) {
			if math.Abs(got-want) > want/20 {
				t.Errorf("%s: %.1f starts/s, want %v", what, got, want)
			}
		}
		within("all tasks busy", rate(all...), 30)
		within("one task busy", rate(all[1]), 30)
		tasks[0].close()
		within("a task has gone", rate(all[1:]...), 20)
		all[1].throttled(time.Now())
		if a, b := all[1].pace.rate(time.Now()), all[2].pace.rate(time.Now()); a == 0 || a != b {
			t.Errorf("what AWS allows one task is %v, and the other %v", a, b)
		}
	})
}

func TestWaitingForATurnEndsWithTheDelivery(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	s := newSink(t, newTask(t).TaskContext, settingsFor(e, "execution.type", "standard", "start.rate.limit", "0.1"))
	if err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.Deliver(ctx, connectortest.Freeze(change("Clientes", "u", "1", 2)))
	if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable {
		t.Errorf("class %v: %v", class, err)
	}
	if n := len(e.log("StartExecution")); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestThrottledStartsOfOneDomainSlowAllDomainsOfItsQuota(t *testing.T) {
	e := newEndpoint(t, "STANDARD")
	task := newTask(t)
	s := newSink(t, task.TaskContext, settingsFor(e, "execution.type", "standard", "domains", "clientes,pedidos,longe",
		"domain.pedidos.topics", "pedidos-alteracoes", "domain.pedidos.state.machine.arn", testARN+"Pedidos",
		"domain.longe.topics", "produtos-alteracoes", "domain.longe.state.machine.arn", "arn:aws:states:us-east-1:000000000000:stateMachine:Longe"))
	e.script(func(call) *reply { return fault(400, "ThrottlingException") })
	if err := s.Deliver(t.Context(), connectortest.Freeze(change("Clientes", "u", "1", 1))); err == nil {
		t.Fatal("a throttled start counts as delivered")
	}
	d := s.router.domains
	if d[0].budgets[standard] != d[1].budgets[standard] || d[0].budgets[standard] == d[2].budgets[standard] || d[0].budgets[standard] == d[0].budgets[express] {
		t.Error("budgets are not by account, region and call")
	}
	if rate := d[1].budgets[standard].pace.rate(time.Now()); rate == 0 || rate > 1.1 {
		t.Errorf("pedidos may start %v a second", rate)
	}
	if rate := d[2].budgets[standard].pace.rate(time.Now()); rate != 0 {
		t.Errorf("the other region may start %v a second", rate)
	}
	if v := task.metrics.Value("stepfunctions_throttled_calls_total", "account", "000000000000", "region", "sa-east-1", "call", callStart); v != 1 {
		t.Errorf("%v throttled calls are counted", v)
	}
	// An acknowledgement, whose verdict has no reason, is not taken for throttling.
	e.script(func(call) *reply { return fault(400, "ExecutionAlreadyExists") })
	if err := s.Deliver(t.Context(), connectortest.Freeze(change("Produtos", "u", "1", 1))); err != nil {
		t.Fatal(err)
	}
	if rate := d[2].budgets[standard].pace.rate(time.Now()); rate != 0 {
		t.Errorf("a duplicate cut the rate to %v", rate)
	}
}
