package stepfunctions

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"github.com/stepconnect/stepconnect/internal/aws"
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

// BenchmarkStart starts executions of about a kilobyte of input, 64 at a time, by our starter, by a plain SDK client and by one with our
// transport and without the SDK's retryer, at an endpoint in a process of its own. calls/cpu-s counts this process's CPU; the
// endpoint is not part of it.
func BenchmarkStart(b *testing.B) {
	url := startEndpoint(b)
	newEndpoint(b, "") // for its environment
	input := `{"domain":"clientes","changes":[` + strings.Repeat(`{"nome":"Conceição","id":1},`, 35) + `{"n":null}]}`
	d := &domain{head: inputHead("clientes")}
	change := literal(strings.TrimSuffix(strings.TrimPrefix(input, `{"domain":"clientes","changes":[`), inputTail))
	machine, name := testARN+"Clientes", "clientes-alteracoes-p3-o1234567-n1-e0-0123456789abcdef"
	cfg, err := aws.Load(b.Context(), "sa-east-1")
	if err != nil {
		b.Fatal(err)
	}
	plain, err := config.LoadDefaultConfig(b.Context(), config.WithRegion("sa-east-1"))
	if err != nil {
		b.Fatal(err)
	}
	set := newClientSet(cfg, &settings{endpoint: url}, inFlight)
	defer set.close()
	ours := set.of(place{region: "sa-east-1"})
	bySDK := func(c *sfn.Client) func() error {
		return func() error {
			_, err := c.StartExecution(b.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
			return err
		}
	}
	for _, tc := range []struct {
		name  string
		start func() error
	}{
		{"SDK", bySDK(sfn.NewFromConfig(plain, func(o *sfn.Options) { o.BaseEndpoint = &url }))},
		{"SDK tuned", bySDK(ours.sdk)},
		{"ours", func() error {
			_, err := ours.standard.start(b.Context(), startRequest{machine: machine, name: name, domain: d, changes: []*prepared{change}})
			return err
		}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(inFlight / runtime.GOMAXPROCS(0))
			before := cpu(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := tc.start(); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/(cpu(b)-before).Seconds(), "calls/cpu-s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

const inFlight = 64

// cpu is what this process has used.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const endpointVariable = "STEPCONNECT_BENCH_ENDPOINT"

// startEndpoint runs this binary as an endpoint that reads requests and gives one answer, until b ends.
func startEndpoint(b *testing.B) (url string) {
	r, w := io.Pipe()
	in, quit := io.Pipe()
	c := exec.Command(os.Args[0])
	c.Env, c.Stdin, c.Stdout = append(os.Environ(), endpointVariable+"=1"), in, w
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = quit.Close()
		_ = c.Wait()
	})
	url, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

// serveBenchmark is the endpoint's process; it ends with its standard input.
func serveBenchmark() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, `{"executionArn":"arn:aws:states:sa-east-1:000000000000:execution:m:n","startDate":1.5}`)
	}))
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	srv.Close()
}
