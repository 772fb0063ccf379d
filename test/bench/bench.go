// Package bench measures the delivery path on a real broker: the worker beside the loop that anyone
// would write (cmd/bare), in one run, each as a process of its own with its CPU counted by the kernel.
// The Step Functions endpoint is a further process and no part of either's cost; what all of them
// share is the machine's cores, so rates are bounded by it and ratios are what to read.
//
// load.go fills the broker, process.go runs children, run.go measures one case, latency.go the time from
// the broker to the endpoint, report.go sums up.
package bench

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Setup is what a run needs: servers, binaries and counts.
type Setup struct {
	Bootstrap string // of the broker
	Registry  string // URL of the schema registry
	Worker    string // binary of stepconnect
	Bare      string // binary of cmd/bare
	Endpoint  string // binary of sfn-endpoint
	Dir       string // for configuration files

	Events  int // in a case of 50 events a call
	Singles int // in a case of one event a call
	Rounds  int // how often each case is measured; the round with the least CPU counts
	Latency time.Duration
	Keys    map[string]string // further keys of the worker's connector
	Out     io.Writer         // takes the table as it grows

	Writer *Writer
	Load   *Load
}

// Case is one thing to measure.
type Case struct {
	Name    string
	Subject Subject
	Type    string // STANDARD or EXPRESS
	Batch   int    // events in a call
	Latency time.Duration
	Tasks   int
}

// Subject is what is measured.
type Subject int

// The subjects.
const (
	Worker  Subject = iota // stepconnect
	Bare                   // the loop of cmd/bare
	Consume                // cmd/bare without starts
)

func (s Subject) String() string { return [...]string{"worker", "bare loop", "consume only"}[s] }

const inFlight = 64

// cases are all that is measured, worker and bare loop next to each other since the machine's noise drifts.
func cases(latency time.Duration) []Case {
	return []Case{
		{Name: "consume", Subject: Consume, Batch: 50},
		{Name: "batch50", Subject: Bare, Type: "STANDARD", Batch: 50},
		{Name: "batch50", Subject: Worker, Type: "STANDARD", Batch: 50, Tasks: 1},
		{Name: "batch50_express", Subject: Worker, Type: "EXPRESS", Batch: 50, Tasks: 1},
		{Name: "batch50_6tasks", Subject: Worker, Type: "STANDARD", Batch: 50, Tasks: 6},
		{Name: "batch50_20ms", Subject: Bare, Type: "STANDARD", Batch: 50, Latency: latency},
		{Name: "batch50_20ms", Subject: Worker, Type: "STANDARD", Batch: 50, Tasks: 1, Latency: latency},
		{Name: "single", Subject: Bare, Type: "STANDARD", Batch: 1},
		{Name: "single", Subject: Worker, Type: "STANDARD", Batch: 1, Tasks: 1},
		{Name: "single_express", Subject: Worker, Type: "EXPRESS", Batch: 1, Tasks: 1},
		{Name: "single_20ms", Subject: Bare, Type: "STANDARD", Batch: 1, Latency: latency},
		{Name: "single_20ms", Subject: Worker, Type: "STANDARD", Batch: 1, Tasks: 1, Latency: latency},
	}
}

// Run fills the topics, measures every case round by round, and gives the results; the best round of each case counts.
func Run(ctx context.Context, s Setup, only func(Case) bool) ([]Result, error) {
	many, few := fmt.Sprintf("bench-%d", s.Events), fmt.Sprintf("bench-single-%d", s.Singles)
	for topic, n := range map[string]int{many: s.Events, few: s.Singles} {
		if err := s.Writer.Topic(ctx, topic); err != nil {
			return nil, err
		}
		if err := s.Writer.Fill(ctx, s.Load, topic, n); err != nil {
			return nil, fmt.Errorf("filling topic %s: %w", topic, err)
		}
	}
	fmt.Fprintf(s.Out, "%d events of %d bytes (%d in cases of one a call), %d partitions, %d calls in flight\n\n", s.Events, s.Load.MeanBytes, s.Singles, partitions, inFlight)
	fmt.Fprintln(s.Out, header)
	best := make(map[Case]Result)
	var order []Case
	for round := range s.Rounds {
		for _, c := range cases(s.Latency) {
			if !only(c) {
				continue
			}
			topic, n := many, s.Events
			if c.Batch == 1 {
				topic, n = few, s.Singles
			}
			r, err := s.measure(ctx, c, topic, n, fmt.Sprintf("bench-%s-%d-%d", c.Name, c.Subject, round))
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", c.Name, c.Subject, err)
			}
			fmt.Fprintln(s.Out, r)
			if old, ok := best[c]; !ok {
				order = append(order, c)
				best[c] = r
			} else {
				best[c] = old.better(r)
			}
		}
	}
	results := make([]Result, len(order))
	for i, c := range order {
		results[i] = best[c]
	}
	return results, nil
}
