package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

// demoResult is the demo's last line.
type demoResult struct {
	Events     int     `json:"events"`
	Executions int     `json:"executions"`
	Changes    int     `json:"changes"`
	Duplicates int     `json:"duplicates"`
	Lost       int     `json:"lost"`
	OutOfOrder int     `json:"out_of_order"`
	Seconds    float64 `json:"seconds"`

	wrong []string // changes that arrived with other content
}

func (r demoResult) err() error {
	var errs []error
	if r.Duplicates+r.Lost+r.OutOfOrder > 0 {
		errs = append(errs, fmt.Errorf("%d duplicates, %d lost, %d out of order", r.Duplicates, r.Lost, r.OutOfOrder))
	}
	if len(r.wrong) > 0 {
		errs = append(errs, fmt.Errorf("%d changes differ from what was written, such as %s", len(r.wrong), r.wrong[0]))
	}
	return errors.Join(errs...)
}

// arrived is a change as an execution holds it.
type arrived struct {
	Operation string         `json:"operation"`
	Database  string         `json:"database"`
	Schema    string         `json:"schema"`
	Table     string         `json:"table"`
	Key       map[string]any `json:"key"`
	Before    map[string]any `json:"before"`
	After     map[string]any `json:"after"`
	Position  struct {
		CommitLSN string `json:"commit_lsn"`
	} `json:"position"`
	Kafka broker.Offset `json:"kafka"`
}

// check holds every execution at the endpoint against what was written to Kafka.
func (d *demo) check() demoResult {
	r := demoResult{Events: len(d.written), Seconds: math.Round(d.delivered.Seconds()*100) / 100}
	expected := make(map[broker.Offset]writtenEvent)
	var positions []states.Position
	for _, e := range d.written {
		if e.Change != nil {
			expected[e.at] = e
			positions = append(positions, states.Position{Topic: e.at.Topic, Partition: e.at.Partition, Offset: e.at.Offset})
		}
	}
	report := states.Verify(d.stack.States.Log(), positions)
	r.Duplicates, r.Lost, r.OutOfOrder = len(report.Duplicates), len(report.Missing), len(report.Backwards)
	for _, m := range d.stack.States.Machines() {
		for _, x := range d.stack.States.Executions(m.ARN) {
			r.Executions++
			var input struct {
				Domain  string    `json:"domain"`
				Changes []arrived `json:"changes"`
			}
			dec := json.NewDecoder(strings.NewReader(x.Input))
			dec.UseNumber()
			if err := dec.Decode(&input); err != nil {
				r.wrong = append(r.wrong, fmt.Sprintf("%s: %v", x.Name, err))
				continue
			}
			r.Changes += len(input.Changes)
			for _, c := range input.Changes {
				if diff := differs(m.Name, input.Domain, c, expected[c.Kafka]); diff != "" {
					r.wrong = append(r.wrong, fmt.Sprintf("%s: %s", x.Name, diff))
				}
			}
		}
	}
	return r
}

// differs says in what a change that arrived is not the one that was written.
func differs(machine, domain string, got arrived, want writtenEvent) string {
	w := want.Change
	switch {
	case w == nil:
		return fmt.Sprintf("nothing was written at %v", got.Kafka)
	case domain != w.Domain || strings.ToLower(machine) != w.Domain:
		return fmt.Sprintf("domain %s at machine %s, want %s", domain, machine, w.Domain)
	case got.Operation != w.Operation || got.Table != w.Table || got.Database != "ConsorcioDB" || got.Schema != "dbo":
		return fmt.Sprintf("%s of %s.%s.%s, want %s of %s", got.Operation, got.Database, got.Schema, got.Table, w.Operation, w.Table)
	case got.Position.CommitLSN != w.CommitLSN:
		return fmt.Sprintf("commit LSN %s, want %s", got.Position.CommitLSN, w.CommitLSN)
	}
	for part, rows := range map[string][2]map[string]any{
		"key": {got.Key, w.Key}, "before": {got.Before, w.Before}, "after": {got.After, w.After},
	} {
		if diff := rowDiffers(rows[0], rows[1]); diff != "" {
			return part + ": " + diff
		}
	}
	return ""
}

func rowDiffers(got, want map[string]any) string {
	if len(got) != len(want) {
		return fmt.Sprintf("columns %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name, w := range want {
		g, ok := got[name]
		if n, isNumber := g.(json.Number); isNumber {
			if !sameNumber(n, w) {
				return fmt.Sprintf("%s is %v, want %v", name, n, w)
			}
			continue
		}
		if !ok || !reflect.DeepEqual(g, w) {
			return fmt.Sprintf("%s is %v, want %v", name, g, w)
		}
	}
	return ""
}

func sameNumber(got json.Number, want any) bool {
	switch w := want.(type) {
	case int64:
		n, err := got.Int64()
		return err == nil && n == w
	case float64:
		f, err := got.Float64()
		return err == nil && f == w
	}
	return false
}
