package states

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/internal/embedded/loopback"
)

// Endpoint is a Step Functions endpoint. Its methods may be called from any goroutine.
type Endpoint struct {
	o       Options
	state   registry
	buckets buckets
	rules   *rules
	hook    atomic.Pointer[func(Call) Fault]
	expired sync.Map // access key ids whose credentials have expired
	ledger  *ledger
	admin   http.Handler
	done    chan struct{} // closed by Close: nobody waits any longer
	server  *loopback.Server
}

// Start listens on o.Addr and answers until Close. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Endpoint, error) {
	o = o.withDefaults()
	e := &Endpoint{
		o:      o,
		state:  registry{machines: map[string]*machine{}},
		rules:  newRules(o.Seed),
		ledger: newLedger(o.LogTo),
		done:   make(chan struct{}),
	}
	for _, m := range o.Machines {
		if err := e.SetMachine(m); err != nil {
			return nil, err
		}
	}
	e.SetLimits(o.Limits)
	e.SetHook(o.Hook)
	e.admin = e.adminHandler()
	server, err := loopback.Listen(ctx, o.Addr, e, func() { close(e.done) })
	if err != nil {
		return nil, fmt.Errorf("step functions endpoint: %w", err)
	}
	e.server = server
	return e, nil
}

// URL is the endpoint's address without a slash at the end, for AWS_ENDPOINT_URL_SFN.
func (e *Endpoint) URL() string { return e.server.URL }

// Close ends open calls by cutting their connections, and returns when none is left. It tells whether
// Options.LogTo failed.
func (e *Endpoint) Close() error {
	if err := e.server.Close(); err != nil {
		return err
	}
	if err := e.ledger.err(); err != nil {
		return fmt.Errorf("step functions endpoint: write the call log: %w", err)
	}
	return nil
}

// SetMachine adds a state machine or replaces its declaration; its executions and their names stay.
func (e *Endpoint) SetMachine(m Machine) error { return e.state.declare(m, e.o) }

// RemoveMachine makes a machine unknown to clients; what it executed stays readable here.
func (e *Endpoint) RemoveMachine(arn string) {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	if m := e.state.machines[arn]; m != nil {
		m.removed = true
	}
}

// Machines are the declared machines, by ARN.
func (e *Endpoint) Machines() []Machine {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	var all []Machine
	for _, m := range e.state.machines {
		if !m.removed {
			all = append(all, m.Machine)
		}
	}
	slices.SortFunc(all, func(a, b Machine) int {
		if a.ARN < b.ARN {
			return -1
		}
		return 1
	})
	return all
}

// SetLimits replaces the token buckets by full ones.
func (e *Endpoint) SetLimits(limits map[string]Limit) { e.buckets.set(limits, e.o.Now()) }

// SetRules replaces the rules that give faults to calls, and their counts.
func (e *Endpoint) SetRules(list ...Rule) { e.rules.set(list) }

// Rules are the rules in force and how often they struck.
func (e *Endpoint) Rules() []RuleState { return e.rules.states() }

// SetHook replaces Options.Hook; nil gives no faults.
func (e *Endpoint) SetHook(hook func(Call) Fault) { e.hook.Store(&hook) }

// SetExpired makes calls signed with the access key id fail with ExpiredTokenException, or work again.
func (e *Endpoint) SetExpired(accessKeyID string, expired bool) {
	if expired {
		e.expired.Store(accessKeyID, true)
	} else {
		e.expired.Delete(accessKeyID)
	}
}

// Log copies all calls in order of arrival, open ones too.
func (e *Endpoint) Log() []Call { return e.ledger.since(0) }

// Stats counts the log.
func (e *Endpoint) Stats() Stats { return e.ledger.count() }

// Wait returns when cond holds of the stats, looked at whenever a call ends or loses
// its client, or with ctx's error.
func (e *Endpoint) Wait(ctx context.Context, cond func(Stats) bool) (Stats, error) {
	return e.ledger.wait(ctx, cond)
}

// Executions are those of the machine with the (unqualified) ARN, oldest first.
func (e *Endpoint) Executions(arn string) []Execution {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	e.state.advance(e.o.Now())
	m := e.state.machines[arn]
	if m == nil {
		return nil
	}
	all := make([]Execution, len(m.list))
	for i, x := range m.list {
		all[i] = x.Execution
	}
	return all
}

// Finish closes a RUNNING Standard execution as run says (run.For and run.Hold do not count). It is
// false when there is no such execution.
func (e *Endpoint) Finish(executionARN string, run Run) bool {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	now := e.o.Now()
	e.state.advance(now)
	_, x, err := e.state.execution(executionARN)
	if err != nil || x.Status != Running {
		return false
	}
	e.state.finish(x, run, now)
	return true
}

// FinishAll closes all RUNNING executions of the machine with the ARN, and returns their number.
func (e *Endpoint) FinishAll(arn string, run Run) int {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	now := e.o.Now()
	e.state.advance(now)
	n := 0
	if m := e.state.machines[arn]; m != nil && m.Type == Standard {
		for _, x := range m.list {
			if x.Status == Running {
				e.state.finish(x, run, now)
				n++
			}
		}
	}
	return n
}
