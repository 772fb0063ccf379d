package states

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Expected is the body of POST /_report: the changes that must have been started, singly or by range.
type Expected struct {
	Positions []Position `json:"positions,omitempty"`
	Ranges    []Range    `json:"ranges,omitempty"`
}

// Range is the offsets From ≤ offset < To of a partition.
type Range struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// All lists the positions, ranges spread out; nil when nothing was named.
func (x Expected) All() []Position {
	all := x.Positions
	for _, r := range x.Ranges {
		for o := r.From; o < r.To; o++ {
			all = append(all, Position{r.Topic, r.Partition, o})
		}
	}
	return all
}

// finish is the body of POST /_finish: one execution, or all of a machine.
type finish struct {
	Execution string `json:"execution,omitempty"`
	Machine   string `json:"machine,omitempty"`
	Run       Run    `json:"run,omitzero"`
}

// expiry is the body of PUT /_expired.
type expiry struct {
	AccessKey string `json:"access_key"`
	Expired   bool   `json:"expired"`
}

// adminHandler serves what tests in another process need; Remote is its client.
func (e *Endpoint) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_log", e.serveLog)
	mux.HandleFunc("GET /_stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, e.Stats()) })
	mux.HandleFunc("GET /_report", func(w http.ResponseWriter, _ *http.Request) { answer(w, Verify(e.Log(), nil)) })
	mux.HandleFunc("POST /_report", taking(func(w http.ResponseWriter, x Expected) error {
		answer(w, Verify(e.Log(), x.All()))
		return nil
	}))
	mux.HandleFunc("GET /_faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, e.Rules()) })
	mux.HandleFunc("PUT /_faults", taking(func(w http.ResponseWriter, list []Rule) error {
		e.SetRules(list...)
		answer(w, e.Rules())
		return nil
	}))
	mux.HandleFunc("DELETE /_faults", func(w http.ResponseWriter, _ *http.Request) {
		e.SetRules()
		answer(w, e.Rules())
	})
	mux.HandleFunc("GET /_machines", func(w http.ResponseWriter, _ *http.Request) { answer(w, e.Machines()) })
	mux.HandleFunc("PUT /_machines", taking(func(w http.ResponseWriter, m Machine) error {
		err := e.SetMachine(m)
		if err == nil {
			answer(w, e.Machines())
		}
		return err
	}))
	mux.HandleFunc("DELETE /_machines", func(w http.ResponseWriter, r *http.Request) {
		e.RemoveMachine(r.FormValue("arn"))
		answer(w, e.Machines())
	})
	mux.HandleFunc("GET /_executions", func(w http.ResponseWriter, r *http.Request) { lines(w, e.Executions(r.FormValue("machine"))) })
	mux.HandleFunc("POST /_finish", taking(e.serveFinish))
	mux.HandleFunc("PUT /_limits", taking(func(w http.ResponseWriter, limits map[string]Limit) error {
		e.SetLimits(limits)
		answer(w, limits)
		return nil
	}))
	mux.HandleFunc("PUT /_expired", taking(func(w http.ResponseWriter, x expiry) error {
		e.SetExpired(x.AccessKey, x.Expired)
		answer(w, x)
		return nil
	}))
	return mux
}

// serveLog writes the calls after the first ?after=n of them.
func (e *Endpoint) serveLog(w http.ResponseWriter, r *http.Request) {
	n := 0
	if after := r.FormValue("after"); after != "" {
		var err error
		if n, err = strconv.Atoi(after); err != nil || n < 0 {
			http.Error(w, fmt.Sprintf("after=%q: want the number of calls already read", after), http.StatusBadRequest)
			return
		}
	}
	lines(w, e.ledger.since(n))
}

func (e *Endpoint) serveFinish(w http.ResponseWriter, f finish) error {
	n := 0
	if f.Machine != "" {
		n = e.FinishAll(f.Machine, f.Run)
	} else if e.Finish(f.Execution, f.Run) {
		n = 1
	}
	answer(w, map[string]int{"finished": n})
	return nil
}

// taking makes a handler that reads a T from the body; an error is the client's.
func taking[T any](h func(http.ResponseWriter, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		err := d.Decode(&body)
		if err == nil {
			err = h(w, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

// answer writes v; a client that has gone is nobody's concern here.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// lines writes JSON lines.
func lines[T any](w http.ResponseWriter, all []T) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	for i := range all {
		if enc.Encode(all[i]) != nil {
			return
		}
	}
	_ = out.Flush()
}
