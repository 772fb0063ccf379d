package states

import (
	"context"
	"fmt"
	"time"
)

// maxExpress is the longest an Express execution runs (service quotas).
const maxExpress = 5 * time.Minute

// started is the answer of StartExecution.
type started struct {
	ExecutionArn string  `json:"executionArn"`
	StartDate    seconds `json:"startDate"`
}

// startExecution starts an execution, or answers as the first call of the same name was answered.
func (e *Endpoint) startExecution(x *exchange) reply {
	if err := x.req.constraints("stateMachineArn", x.req.StateMachineArn); err != nil {
		return reply{err: err}
	}
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	now := e.o.Now()
	e.state.advance(now)
	m, n, err := e.prepare(x, now)
	if err != nil {
		return reply{err: err}
	}
	if m.Type == Express {
		return e.startExpress(x, m, n)
	}
	return e.startStandard(x, m, n, now)
}

func (e *Endpoint) startStandard(x *exchange, m *machine, n *execution, now time.Time) reply {
	if old := m.byName[n.Name]; old != nil && (old.Status == Running || now.Sub(old.Stopped) < nameMemory) {
		x.call.Execution, x.call.Status = old.ARN, old.Status
		if old.Status != Running || old.InputHash != n.InputHash || old.InputBytes != n.InputBytes {
			return reply{err: newError(codeAlreadyExists, "Execution Already Exists: '%s'", old.ARN)}
		}
		x.call.Outcome = OutcomeRepeated
		return reply{body: started{old.ARN, seconds(old.Started)}}
	}
	if e.state.open >= e.o.MaxOpen {
		return reply{err: newError("ExecutionLimitExceeded", "%s", messageOf("ExecutionLimitExceeded"))}
	}
	m.byName[n.Name] = n
	e.enter(x, m, n)
	e.state.schedule(n, now)
	x.call.Status = n.Status
	return reply{body: started{n.ARN, seconds(n.Started)}}
}

// startExpress is the asynchronous start: how the execution ends is known to nobody but this endpoint.
func (e *Endpoint) startExpress(x *exchange, m *machine, n *execution) reply {
	e.enter(x, m, n)
	n.close(n.run, n.Started.Add(n.run.For))
	x.call.Status = n.Status
	return reply{body: started{n.ARN, seconds(n.Started)}}
}

// startSyncExecution runs an Express execution to its end.
func (e *Endpoint) startSyncExecution(ctx context.Context, x *exchange) reply {
	if err := x.req.constraints("stateMachineArn", x.req.StateMachineArn); err != nil {
		return reply{err: err}
	}
	n, err := e.beginSync(x)
	if err != nil {
		return reply{err: err}
	}
	if !e.pause(ctx, x, n.run.For, nil) {
		return reply{reset: true}
	}
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	n.close(n.run, e.o.Now())
	x.call.Status = n.Status
	return reply{body: describeSync(n.Execution, x.req)}
}

func (e *Endpoint) beginSync(x *exchange) (*execution, *apiError) {
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	m, n, err := e.prepare(x, e.o.Now())
	if err != nil {
		return nil, err
	}
	e.enter(x, m, n)
	return n, nil
}

// prepare checks a start in the order of the service and makes the execution, which is not entered yet.
func (e *Endpoint) prepare(x *exchange, now time.Time) (*machine, *execution, *apiError) {
	m, version, alias, err := e.state.find(*x.req.StateMachineArn)
	if err != nil {
		return nil, nil, err
	}
	sync := x.call.Target == "StartSyncExecution"
	if m.Deleting {
		return nil, nil, newError("StateMachineDeleting", "State Machine is being deleted: '%s'", m.ARN)
	}
	if sync && m.Type != Express {
		return nil, nil, errWrongType()
	}
	n := &execution{run: m.Run}
	if x.fault.Run != nil {
		n.run = *x.fault.Run
	}
	if m.Type == Express && (n.run.Hold || n.run.For > maxExpress) {
		n.run = Run{For: maxExpress, Status: TimedOut, Error: "States.Timeout"}
	}
	n.Execution = Execution{
		Machine: m.ARN, Version: version, Alias: alias, Status: Running, Trace: x.call.Trace,
		Started: now.Truncate(time.Millisecond), InputBytes: x.call.InputBytes, InputHash: x.call.InputHash,
	}
	if err := n.named(m, x.req.Name); err != nil {
		return nil, nil, err
	}
	if x.req.Input == nil { // documented default; AWS shows it in DescribeExecution
		empty := "{}"
		x.req.Input = &empty
		x.call.InputBytes, x.call.InputHash = len(empty), hashOf(empty)
		n.InputBytes, n.InputHash = x.call.InputBytes, x.call.InputHash
	}
	if x.badInput != nil {
		return nil, nil, x.badInput
	}
	if e.o.Keep == KeepInputs {
		n.Input = *x.req.Input
	}
	return m, n, nil
}

// named gives n its name and ARN; without a name the service makes one up.
func (n *execution) named(m *machine, name *string) *apiError {
	n.Name = text(name)
	if name == nil {
		n.Name = newID()
	}
	if err := validName(n.Name); err != nil {
		return err
	}
	a, _ := parseARN(m.ARN, "stateMachine")
	n.ARN = fmt.Sprintf("arn:%s:states:%s:%s:execution:%s:%s", a[1], a[3], a[4], m.Name, n.Name)
	if m.Type == Express {
		n.ARN = fmt.Sprintf("arn:%s:states:%s:%s:express:%s:%s:%s", a[1], a[3], a[4], m.Name, n.Name, newID())
	}
	return nil
}

// enter is the effect: from here on the execution exists, whatever the client hears.
func (e *Endpoint) enter(x *exchange, m *machine, n *execution) {
	if n.Alias != "" {
		n.Version = m.route(n.Alias)
	}
	n.Effect = e.ledger.next()
	m.list = append(m.list, n)
	x.call.Effect, x.call.Execution, x.call.Outcome = n.Effect, n.ARN, OutcomeStarted
}
