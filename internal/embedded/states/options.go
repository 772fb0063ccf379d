package states

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Type is the type of a state machine.
type Type string

// The two types of the service.
const (
	Standard Type = "STANDARD"
	Express  Type = "EXPRESS"
)

// Status is the status of an execution, in the words of the service.
type Status string

// The statuses an execution can have here.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	TimedOut  Status = "TIMED_OUT"
	Aborted   Status = "ABORTED"
)

// Keep says how much of each input the log holds.
type Keep int

const (
	// KeepChanges holds the changes found in the input, its length and its hash. The default.
	KeepChanges Keep = iota
	// KeepInputs holds the input itself as well.
	KeepInputs
	// KeepHashes holds length and hash only, and parses nothing: for benchmarks. Verify then sees no change.
	KeepHashes
)

// Options declare an endpoint. The zero value is an endpoint without machines, limits or faults.
type Options struct {
	// Addr is the loopback address to listen on; "" takes a free port of 127.0.0.1.
	Addr string
	// Account and Region are used for the ARN of machines without one; "" is 000000000000, sa-east-1.
	Account, Region string
	// Machines exist from the start.
	Machines []Machine
	// Limits are the token buckets, by call; see LimitsOf. A call that is not named is unlimited.
	Limits map[string]Limit
	// MaxOpen is how many Standard executions may be RUNNING at once over all machines
	// (ExecutionLimitExceeded above it); 0 is AWS's 1,000,000.
	MaxOpen int
	// Latency is waited before every answer.
	Latency time.Duration
	// RequireAuth refuses calls without a well-formed SigV4 Authorization header.
	RequireAuth bool
	// Hook is asked for a fault on every call; rules of SetRules come first. It is called concurrently.
	Hook func(Call) Fault
	// Seed seeds the draws of rules with a probability.
	Seed uint64
	// Keep says what the log holds of inputs.
	Keep Keep
	// Extract finds the changes in an input; nil is Changes.
	Extract func(input []byte) ([]Change, error)
	// LogTo, when set, gets every call as a JSON line when it has been answered; ReadLog reads them. It is
	// written to by one goroutine at a time and not closed.
	LogTo io.Writer
	// Now is the clock of start dates, token buckets and the memory of names; nil is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "sa-east-1"
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = 1_000_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Machine declares a state machine.
type Machine struct {
	// Name is the last part of the ARN; it may be left out when ARN is given.
	Name string `json:"name"`
	// ARN is the unqualified ARN, "" builds it from the options and the name.
	ARN string `json:"arn,omitempty"`
	// Type is Standard or Express; "" is Standard.
	Type Type `json:"type"`
	// Run says how executions end.
	Run Run `json:"run,omitzero"`
	// Versions are the published versions: an ARN ending in ":10" is version 10.
	Versions []int `json:"versions,omitempty"`
	// Aliases route to one or two of the versions.
	Aliases map[string][]Route `json:"aliases,omitempty"`
	// Deleting makes starts fail with StateMachineDeleting.
	Deleting bool `json:"deleting,omitempty"`
	// Definition is what DescribeStateMachine returns; "" is a machine of one Pass state.
	Definition string `json:"definition,omitempty"`
}

// Route is one branch of an alias: a version and its weight; the weights of an alias add up to 100.
type Route struct {
	Version int `json:"version"`
	Weight  int `json:"weight"`
}

// Run says how an execution goes. The zero value succeeds at once with output {}.
type Run struct {
	// For is how long it takes. An Express execution over five minutes is TIMED_OUT after five.
	For time.Duration `json:"-"`
	// Hold leaves it RUNNING until Finish or StopExecution (Express: until its five minutes are over).
	Hold bool `json:"hold,omitempty"`
	// Status is how it ends; "" is Succeeded.
	Status Status `json:"status,omitempty"`
	// Error and Cause tell why it did not succeed.
	Error string `json:"error,omitempty"`
	Cause string `json:"cause,omitempty"`
	// Output is the JSON text of the result of one that succeeded; "" is {}.
	Output string `json:"output,omitempty"`
}

// MarshalJSON writes For as text ("250ms").
func (r Run) MarshalJSON() ([]byte, error) {
	type plain Run
	return json.Marshal(struct {
		plain
		For string `json:"for,omitempty"`
	}{plain(r), durationText(r.For)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Run) UnmarshalJSON(data []byte) error {
	type plain Run
	var read struct {
		plain
		For string `json:"for"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	d, err := durationOf(read.For)
	if err != nil {
		return fmt.Errorf("run: for: %w", err)
	}
	*r = Run(read.plain)
	r.For = d
	return nil
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func durationOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
