package stepfunctions

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

func TestStandardStateMachinesPassTheSuite(t *testing.T) {
	connectortest.Run(t, func(t *testing.T) connectortest.Subject {
		e := newEndpoint(t, "STANDARD")
		s := subject(t, e, "batch.max.records", "6")
		s.Refuse = func(offset int64) {
			e.script(func(c call) *reply {
				if c.op == "StartExecution" && slices.Contains(offsetsOf(t, c.input), offset) {
					return fault(400, "InvalidExecutionInput")
				}
				return nil
			})
		}
		s.Delivered = func() []int64 {
			var all []int64
			seen := map[string]bool{}
			for _, c := range e.log("StartExecution") {
				e.mu.Lock()
				_, accepted := e.names[c.machine+c.name]
				e.mu.Unlock()
				if accepted && !seen[c.name] {
					seen[c.name] = true
					all = append(all, offsetsOf(t, c.input)...)
				}
			}
			return all
		}
		return s
	})
}

func TestExpressStateMachinesPassTheSuite(t *testing.T) {
	connectortest.Run(t, func(t *testing.T) connectortest.Subject {
		e := newEndpoint(t, "EXPRESS")
		s := subject(t, e)
		refused := int64(-1)
		s.Refuse = func(offset int64) {
			refused = offset
			e.script(func(c call) *reply {
				if i := slices.Index(offsetsOf(t, c.input), offset); c.op == "StartSyncExecution" && i >= 0 {
					return succeeded(fmt.Sprintf(`{"failed":[{"index":%d,"error":"Invalid","cause":"no CPF"}]}`, i))
				}
				return nil
			})
		}
		s.Delivered = func() []int64 {
			var all []int64
			for _, c := range e.log("StartSyncExecution") {
				for _, o := range offsetsOf(t, c.input) {
					if o != refused {
						all = append(all, o)
					}
				}
			}
			return all
		}
		return s
	})
}

func subject(t *testing.T, e *endpoint, pairs ...string) connectortest.Subject {
	return connectortest.Subject{
		New: func(t *testing.T, tc connector.TaskContext) connector.Sink {
			cfg, err := Connector{}.Config().Parse(settingsFor(e, pairs...))
			if err != nil {
				t.Fatal(err)
			}
			s, err := Connector{}.NewSink(t.Context(), cfg, tc)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Record: func(key string, offset int64) *connector.Record { return change("Clientes", "u", key, offset) },
		Stall:  e.stall,
	}
}

func succeeded(output string) *reply {
	return ended("SUCCEEDED", map[string]any{"output": output})
}

func ended(status string, more map[string]any) *reply {
	body := map[string]any{"executionArn": "arn:aws:states:sa-east-1:000000000000:express:m:n:1", "status": status, "startDate": 1.5, "stopDate": 1.5}
	for k, v := range more {
		body[k] = v
	}
	return &reply{status: 200, body: body}
}
