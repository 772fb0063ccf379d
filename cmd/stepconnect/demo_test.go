package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTheDemoDeliversEveryChangeOnceInOrder(t *testing.T) {
	var out bytes.Buffer
	d := &demo{out: &out, events: 300, seed: 3, listener: "http://127.0.0.1:0", exit: true}
	t.Setenv("AWS_PROFILE", "") // the demo sets credentials of its own; this restores the environment
	if err := d.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r demoResult
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	if r.Events < 300 || r.Changes == 0 || r.Executions != r.Changes || r.Lost+r.Duplicates+r.OutOfOrder != 0 {
		t.Errorf("%+v", r)
	}
}
