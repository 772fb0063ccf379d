package states

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// tokenLife is how long a nextToken can be used (API reference of ListExecutions).
const tokenLife = 24 * time.Hour

// actions says whether the endpoint has the call.
func actions(target string) bool {
	switch target {
	case "StartExecution", "StartSyncExecution", "DescribeStateMachine", "DescribeExecution", "ListExecutions", "StopExecution":
		return true
	}
	return false
}

// act does what the call asks for.
func (e *Endpoint) act(ctx context.Context, x *exchange) reply {
	switch x.call.Target {
	case "StartExecution":
		return e.startExecution(x)
	case "StartSyncExecution":
		return e.startSyncExecution(ctx, x)
	}
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	e.state.advance(e.o.Now())
	switch x.call.Target {
	case "DescribeStateMachine":
		return e.describeStateMachine(x)
	case "ListExecutions":
		return e.listExecutions(x)
	}
	if err := x.req.constraints("executionArn", x.req.ExecutionArn); err != nil {
		return reply{err: err}
	}
	_, found, err := e.state.execution(*x.req.ExecutionArn)
	if err != nil {
		return reply{err: err}
	}
	if x.call.Target == "StopExecution" {
		return e.stopExecution(x, found)
	}
	x.call.Status = found.Status
	return reply{body: describe(found.Execution, x.req)}
}

// limitName is the token bucket of the call: Express starts have their own.
func (e *Endpoint) limitName(c Call) string {
	if c.Target != LimitStartStandard {
		return c.Target
	}
	e.state.mu.Lock()
	defer e.state.mu.Unlock()
	if m, _, _, err := e.state.find(c.Machine); err == nil && m.Type == Express {
		return LimitStartExpress
	}
	return c.Target
}

type describedMachine struct {
	StateMachineArn string         `json:"stateMachineArn"`
	Name            string         `json:"name"`
	Status          string         `json:"status"`
	Definition      string         `json:"definition"`
	RoleArn         string         `json:"roleArn"`
	Type            Type           `json:"type"`
	CreationDate    seconds        `json:"creationDate"`
	Logging         map[string]any `json:"loggingConfiguration"`
	Tracing         map[string]any `json:"tracingConfiguration"`
}

func (e *Endpoint) describeStateMachine(x *exchange) reply {
	if err := x.req.constraints("stateMachineArn", x.req.StateMachineArn); err != nil {
		return reply{err: err}
	}
	m, _, _, err := e.state.find(*x.req.StateMachineArn)
	if err != nil {
		return reply{err: err}
	}
	d := describedMachine{
		StateMachineArn: *x.req.StateMachineArn, Name: m.Name, Status: "ACTIVE", Definition: m.Definition, Type: m.Type,
		RoleArn:      "arn:aws:iam::" + strings.Split(m.ARN, ":")[4] + ":role/" + m.Name,
		CreationDate: seconds(m.created),
		Logging:      map[string]any{"level": "OFF", "includeExecutionData": false},
		Tracing:      map[string]any{"enabled": false},
	}
	if m.Deleting {
		d.Status = "DELETING"
	}
	if text(x.req.IncludedData) == "METADATA_ONLY" {
		d.Definition = "{}" // a redacted definition (API reference of includedData)
	}
	return reply{body: d}
}

func (e *Endpoint) stopExecution(x *exchange, found *execution) reply {
	if found.Status == Running {
		e.state.finish(found, Run{Status: Aborted, Error: text(x.req.Error), Cause: text(x.req.Cause)}, e.o.Now())
	}
	x.call.Status = found.Status
	return reply{body: map[string]*seconds{"stopDate": stopDate(found.Execution)}}
}

// listExecutions answers one page, newest first.
func (e *Endpoint) listExecutions(x *exchange) reply {
	q := x.req
	if err := q.constraints("", nil); err != nil {
		return reply{err: err}
	}
	if q.StateMachineArn == nil || q.MapRunArn != nil {
		return reply{err: newError(codeValidation, "Must specify stateMachineArn: map runs are not known here")}
	}
	m, version, alias, err := e.state.find(*q.StateMachineArn)
	if err != nil {
		return reply{err: err}
	}
	if m.Type == Express {
		return reply{err: errWrongType()}
	}
	match := func(x *execution) bool {
		return (q.StatusFilter == nil || string(x.Status) == *q.StatusFilter) &&
			(version == 0 || x.Version == version) && (alias == "" || x.Alias == alias) &&
			text(q.RedriveFilter) != "REDRIVEN"
	}
	token := pageToken{Query: hashOf(strings.Join([]string{*q.StateMachineArn, text(q.StatusFilter), text(q.RedriveFilter)}, "\n"))}
	if err := token.continues(q.NextToken, e.o.Now()); err != nil {
		return reply{err: err}
	}
	size := 100 // the service's default
	if q.MaxResults != nil && *q.MaxResults > 0 {
		size = *q.MaxResults
	}
	answer := page{Executions: []listed{}}
	for i := len(m.list) - 1; i >= 0; i-- {
		n := m.list[i]
		if token.Before != 0 && n.Effect >= token.Before || !match(n) {
			continue
		}
		if len(answer.Executions) == size {
			answer.NextToken = token.text(m.list[i+1].Effect, e.o.Now())
			break
		}
		answer.Executions = append(answer.Executions, list(n.Execution))
	}
	return reply{body: answer}
}

// pageToken says where a page begins: by event, so that new executions do not move pages.
type pageToken struct {
	Before int64     `json:"b"` // the Effect that the page lies before; 0 on the first
	Query  Hash      `json:"q"` // of the other arguments, which must stay unchanged
	Issued time.Time `json:"i"`
}

// continues reads the token of the page before, which must be of the same query.
func (p *pageToken) continues(sent *string, now time.Time) *apiError {
	if sent == nil {
		return nil
	}
	invalid := newError("InvalidToken", "Invalid Token: '%s'", *sent)
	var read pageToken
	raw, err := base64.RawURLEncoding.DecodeString(*sent)
	if err != nil || json.Unmarshal(raw, &read) != nil || read.Query != p.Query || now.Sub(read.Issued) >= tokenLife {
		return invalid
	}
	*p = read
	return nil
}

func (p pageToken) text(before int64, now time.Time) string {
	p.Before, p.Issued = before, now
	raw, _ := json.Marshal(p) // numbers, text and a time: cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}
