package stepfunctions

import (
	"context"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
)

func TestATraceGoesIntoTheHeaderOfTheStartAndNowhereElse(t *testing.T) {
	for kind, op := range map[string]string{"STANDARD": "StartExecution", "EXPRESS": "StartSyncExecution"} {
		e := newEndpoint(t, kind)
		s := newSink(t, newTask(t).TaskContext, settingsFor(e))
		first := connector.Trace{ID: [16]byte{0x5f, 15: 1}, Span: [8]byte{2}, Sampled: true}
		second := connector.Trace{ID: [16]byte{0x60, 15: 1}, Span: [8]byte{3}}
		for _, ctx := range []context.Context{t.Context(), connector.WithTrace(t.Context(), first), connector.WithTrace(t.Context(), second)} {
			if err := s.Deliver(ctx, frozen(t, s, change("Clientes", "u", "1", 7))); err != nil {
				t.Fatal(err)
			}
		}
		log := e.log(op)
		if len(log) != 3 {
			t.Fatalf("%s: %d calls", kind, len(log))
		}
		for i, want := range []string{"", "Root=1-5f000000-000000000000000000000001;Parent=0200000000000000;Sampled=1", "Root=1-60000000-000000000000000000000001;Parent=0300000000000000;Sampled=0"} {
			if log[i].trace != want {
				t.Errorf("%s: call %d has the trace %q, want %q", kind, i, log[i].trace, want)
			}
			// The same name and the same bytes of input, whatever the trace (invariants 3 and 4).
			if log[i].name != log[0].name || log[i].input != log[0].input {
				t.Errorf("%s: the trace changed what is started: %+v", kind, log[i])
			}
		}
	}
}
