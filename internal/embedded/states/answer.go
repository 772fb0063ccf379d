package states

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"
)

// seconds is a timestamp of the JSON protocol: seconds since 1970 with milliseconds.
type seconds time.Time

// MarshalJSON writes the number as the service does, never in exponent form.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(s).UnixMilli())/1000, 'f', 3, 64), nil
}

type included struct {
	Included bool `json:"included"`
}

// outcome holds the members that DescribeExecution and StartSyncExecution have in common.
type outcome struct {
	ExecutionArn    string    `json:"executionArn"`
	StateMachineArn string    `json:"stateMachineArn"`
	Name            string    `json:"name"`
	Status          Status    `json:"status"`
	StartDate       seconds   `json:"startDate"`
	StopDate        *seconds  `json:"stopDate,omitempty"`
	Input           string    `json:"input,omitempty"`
	InputDetails    *included `json:"inputDetails,omitempty"`
	Output          string    `json:"output,omitempty"`
	OutputDetails   *included `json:"outputDetails,omitempty"`
	Error           string    `json:"error,omitempty"`
	Cause           string    `json:"cause,omitempty"`
	TraceHeader     string    `json:"traceHeader,omitempty"`
}

// outcomeOf tells of x; input is "" where it was not kept.
func outcomeOf(x Execution, input string, q request) outcome {
	data := text(q.IncludedData) != "METADATA_ONLY"
	o := outcome{
		ExecutionArn: x.ARN, StateMachineArn: x.Machine, Name: x.Name, Status: x.Status,
		StartDate: seconds(x.Started), StopDate: stopDate(x), Error: x.Error, Cause: x.Cause, TraceHeader: x.Trace,
		InputDetails: &included{data && input != ""},
	}
	if o.InputDetails.Included {
		o.Input = input
	}
	if x.Status != Running {
		o.OutputDetails = &included{data}
	}
	if data {
		o.Output = x.Output
	}
	return o
}

func stopDate(x Execution) *seconds {
	if x.Stopped.IsZero() {
		return nil
	}
	s := seconds(x.Stopped)
	return &s
}

type billing struct {
	Duration int64 `json:"billedDurationInMilliseconds"`
	Memory   int   `json:"billedMemoryUsedInMB"`
}

type syncResult struct {
	outcome
	BillingDetails billing `json:"billingDetails"`
}

// describeSync is the answer of StartSyncExecution: billed in steps of 100 ms and 64 MB.
func describeSync(x Execution, q request) syncResult {
	steps := x.Stopped.Sub(x.Started).Milliseconds()/100 + 1
	return syncResult{outcomeOf(x, *q.Input, q), billing{Duration: 100 * steps, Memory: 64}}
}

type described struct {
	outcome
	Version      string `json:"stateMachineVersionArn,omitempty"`
	Alias        string `json:"stateMachineAliasArn,omitempty"`
	RedriveCount int    `json:"redriveCount"`
	Redrive      string `json:"redriveStatus"`
	Reason       string `json:"redriveStatusReason,omitempty"`
}

// describe is the answer of DescribeExecution.
func describe(x Execution, q request) described {
	d := described{outcome: outcomeOf(x, x.Input, q), Redrive: "REDRIVABLE"}
	d.Version, d.Alias = qualified(x)
	if x.Status == Running || x.Status == Succeeded {
		d.Redrive, d.Reason = "NOT_REDRIVABLE", fmt.Sprintf("Execution is %s and cannot be redriven", x.Status)
	}
	return d
}

type listed struct {
	ExecutionArn    string   `json:"executionArn"`
	StateMachineArn string   `json:"stateMachineArn"`
	Version         string   `json:"stateMachineVersionArn,omitempty"`
	Alias           string   `json:"stateMachineAliasArn,omitempty"`
	Name            string   `json:"name"`
	Status          Status   `json:"status"`
	StartDate       seconds  `json:"startDate"`
	StopDate        *seconds `json:"stopDate,omitempty"`
	RedriveCount    int      `json:"redriveCount"`
}

type page struct {
	Executions []listed `json:"executions"`
	NextToken  string   `json:"nextToken,omitempty"`
}

// list is x as ListExecutions tells of it.
func list(x Execution) listed {
	l := listed{
		ExecutionArn: x.ARN, StateMachineArn: x.Machine, Name: x.Name, Status: x.Status,
		StartDate: seconds(x.Started), StopDate: stopDate(x),
	}
	l.Version, l.Alias = qualified(x)
	return l
}

// qualified are the ARNs of the version and alias that x was started by, or "".
func qualified(x Execution) (version, alias string) {
	if x.Version != 0 {
		version = x.Machine + ":" + strconv.Itoa(x.Version)
	}
	if x.Alias != "" {
		alias = x.Machine + ":" + x.Alias
	}
	return version, alias
}

func hashOf(input string) Hash { return sha256.Sum256([]byte(input)) }
