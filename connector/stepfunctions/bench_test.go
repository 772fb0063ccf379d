package stepfunctions

import (
	"io"
	"net/http"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
)

// BenchmarkCut parses, routes and encodes events, in batches of 50; figures are per event.
func BenchmarkCut(b *testing.B) {
	for name, tc := range map[string]struct {
		table, vector string
		pairs         []string
	}{
		"clientes":                     {"clientes", "clientes-u", nil},
		"pedidos":                      {"pedidos", "pedidos-u", nil},
		"produtos":                     {"produtos", "produtos-c", nil},
		"clientes with hidden columns": {"clientes", "clientes-u", lgpd()},
	} {
		b.Run(name, func(b *testing.B) {
			s := newSink(b, newTask(b).TaskContext, settingsFor(nil, append([]string{"execution.type", "express", "domain.clientes.topics", ""}, tc.pairs...)...))
			batch := make([]*connector.Record, 50)
			read := programs{}
			for i := range batch {
				batch[i] = read.vector(b, tc.table+"-alteracoes", tc.vector, int64(i))
			}
			b.SetBytes(int64(len(batch[0].Origin.Value)))
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch) {
				if _, err := s.Cut(batch); err != nil {
					b.Fatal(err)
				}
				s.release(batch)
			}
		})
	}
}

// BenchmarkDeliver cuts and starts executions of 50 changes at an endpoint in this process that
// reads a request and gives a fixed answer; figures are per execution.
func BenchmarkDeliver(b *testing.B) {
	for kind, answer := range map[string]*reply{
		"standard": {body: `{"executionArn":"arn:aws:states:sa-east-1:000000000000:execution:m:n","startDate":1.5}`},
		"express":  {body: `{"executionArn":"arn:aws:states:sa-east-1:000000000000:express:m:n:1","status":"SUCCEEDED","startDate":1.5,"stopDate":1.5,"output":"{}"}`},
	} {
		b.Run(kind, func(b *testing.B) {
			e := newEndpoint(b, "")
			e.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, answer.body.(string))
			})
			s := newSink(b, newTask(b).TaskContext, settingsFor(e, "execution.type", kind, "batch.max.records", "50", "domain.clientes.topics", ""))
			event := programs{}.vector(b, "clientes-alteracoes", "clientes-u", 0)
			batch := make([]*connector.Record, 50)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				for i := range batch {
					r := *event
					r.Origin.Offset = int64(50*n + i)
					batch[i] = &r
				}
				batches, err := connectortest.Calls(s, batch)
				if err != nil || len(batches) != 1 {
					b.Fatal(len(batches), err)
				}
				if err := s.Deliver(b.Context(), batches[0]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(50*b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
