package stepfunctions

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/stepconnect/stepconnect/connector"
)

// The calls that spend a budget, as quotas and metrics name them.
const (
	callStart = "StartExecution"
	callSync  = "StartSyncExecution"
)

// quota is what AWS counts starts by: all state machines of an account and region share one token bucket
// for each call (Step Functions quotas).
type quota struct{ account, region, call string }

// budgets are the rates of starts that a task keeps to: a share of start.rate.limit over all calls, and for
// each quota the pace that AWS was seen to allow. Starts wait for their turn before the call is made, so a shortage is
// slow, not a failure. The tasks of the connector in one process keep to one pool. It is safe for concurrent use.
type budgets struct {
	pool    *pool
	share   func() float64
	metrics connector.Metrics
	by      map[quota]*budget
}

func newBudgets(limit float64, tc connector.TaskContext) *budgets {
	b := &budgets{share: tc.Share, metrics: tc.Metrics, by: map[quota]*budget{}}
	if b.share == nil {
		b.share = func() float64 { return 1 }
	}
	if tc.Common == nil {
		b.pool = newPool()
	} else {
		b.pool = tc.Common("start budget", func() any { return newPool() }).(*pool)
	}
	b.pool.join(b, limit)
	return b
}

// close gives the task's share back to the others.
func (b *budgets) close() { b.pool.leave(b) }

// of gives the budget of a quota, the same for all who ask. It is called while the sink is made.
func (b *budgets) of(q quota) *budget {
	if known := b.by[q]; known != nil {
		return known
	}
	made := &budget{of: b, line: b.pool.line(q), metrics: newBudgetMetrics(b.metrics, q)}
	b.by[q] = made
	return made
}

// budget is what one task may start of one quota.
type budget struct {
	*line
	of      *budgets
	metrics budgetMetrics
}

// show the part of a rate that is this task's.
func (b *budget) show(allowance, adapted, part float64) {
	b.metrics.rate.Set(part * lower(allowance, adapted))
}

// take waits for a turn and gives the moment it was asked for, for throttled. The error is ctx's.
func (b *budget) take(ctx context.Context) (asked time.Time, err error) {
	asked = time.Now()
	b.mu.Lock()
	adapted := b.pace.rate(asked)
	b.mu.Unlock()
	allowance, part := b.of.pool.allowance(b.of)
	b.show(allowance, adapted, part)
	for _, l := range [...]struct {
		turns *rate.Limiter
		rate  float64
	}{{b.of.pool.total, allowance}, {b.turns, adapted}} {
		if err := wait(ctx, l.turns, l.rate); err != nil {
			return asked, err
		}
	}
	began := time.Now()
	if waited := began.Sub(asked); waited > 0 {
		b.metrics.waited.Add(waited.Seconds())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used.add(began)
	return asked, nil
}

// throttled takes in that AWS refused a call for its rate, whose turn was asked for at a moment that take gave.
func (b *budget) throttled(asked time.Time) {
	b.metrics.throttles.Add(1)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pace.throttled(now, asked, b.used.value(now)) {
		allowance, part := b.of.pool.allowance(b.of)
		b.show(allowance, b.pace.rate(now), part)
	}
}

// wait for the next turn at a rate, in starts per second; 0 is no limit. Turns that were given out stay
// as they are when the rate changes.
func wait(ctx context.Context, turns *rate.Limiter, perSecond float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if perSecond == 0 {
		turns.SetLimit(rate.Inf)
		return nil
	}
	// A twentieth of a second's turns may be taken at once: timers are not exact, and a turn that nobody
	// was there to take would be lost.
	turns.SetLimit(rate.Limit(perSecond))
	turns.SetBurst(max(1, int(perSecond/20)))
	turn := turns.Reserve()
	delay := turn.Delay()
	if delay == 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.Cancel()
		return ctx.Err()
	}
}

// lower gives the lower of two rates, of which 0 is no limit.
func lower(a, b float64) float64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
