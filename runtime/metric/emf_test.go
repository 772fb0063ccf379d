package metric

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/internal/histogram"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// told are the metrics of lines by dimensions ("Connector=c,Domain=x") and name.
type told map[string]map[string]any

func (e *EMF) told(t *testing.T) told {
	t.Helper()
	lines, err := e.Lines(time.UnixMilli(1764291600000))
	must(t, err)
	got := told{}
	for _, line := range lines {
		if err := checkEMF(line); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		var root map[string]any
		must(t, json.Unmarshal(line, &root))
		d := root["_aws"].(map[string]any)["CloudWatchMetrics"].([]any)[0].(map[string]any)
		var dims []string
		for _, name := range d["Dimensions"].([]any)[0].([]any) {
			dims = append(dims, fmt.Sprintf("%s=%s", name, root[name.(string)]))
		}
		key := strings.Join(dims, ",")
		if got[key] == nil {
			got[key] = map[string]any{}
		}
		for _, m := range d["Metrics"].([]any) {
			name := m.(map[string]any)["Name"].(string)
			got[key][name] = root[name]
		}
	}
	return got
}

func (got told) expect(t *testing.T, dims, name string, want any) {
	t.Helper()
	if v := got[dims][name]; fmt.Sprint(v) != fmt.Sprint(want) {
		t.Errorf("%s of %s is %v, want %v", name, dims, v, want)
	}
}

func TestALineTellsWhatWasCountedSinceTheLast(t *testing.T) {
	m := newTrial(t)
	e := NewEMF(m.reg, "StepConnect", "host:8083", "group")
	for n := range 2 {
		one := m.Task(ID{"c", n})
		one.State("running")
		one.Read.Add(10)
		one.Pending.Store(3)
		one.Retries[task.OpValue].Add(1)
		one.Retries[task.OpPut].Add(1)
		one.Holds([]Partition{{Topic: "a", Lag: 5}, {Topic: "b", Lag: int64(n)}})
	}
	starts := m.Plugin(ID{"c", 0}).Counter("stepfunctions_executions_total", "x", "domain", "clientes", "result", "started")
	starts.Add(4)
	got := e.told(t)
	got.expect(t, "Cluster=group", "WorkersUp", 1)
	got.expect(t, "Connector=c", "RecordsRead", 20)
	got.expect(t, "Connector=c", "RecordsPending", 6)
	got.expect(t, "Connector=c", "Retries", 4)
	got.expect(t, "Connector=c", "TasksRunning", 2)
	got.expect(t, "Connector=c", "TasksFailed", 0)
	got.expect(t, "Connector=c", "ConsumerLag", 11)
	got.expect(t, "Connector=c,Topic=a", "ConsumerLag", 10)
	got.expect(t, "Connector=c,Topic=b", "ConsumerLag", 1)
	got.expect(t, "Connector=c,Domain=clientes", "ExecutionsStarted", 4)

	m.Task(ID{"c", 0}).Read.Add(7)
	starts.Add(1)
	got = e.told(t)
	got.expect(t, "Connector=c", "RecordsRead", 7)
	got.expect(t, "Connector=c", "RecordsPending", 6) // what stands is told each time
	got.expect(t, "Connector=c,Domain=clientes", "ExecutionsStarted", 1)

	// A task that comes back counts from 0 again.
	m.Forget(ID{"c", 0})
	m.Task(ID{"c", 0}).Read.Add(2)
	e.told(t).expect(t, "Connector=c", "RecordsRead", 2)

	m.Forget(ID{"c", 0})
	m.Forget(ID{"c", 1})
	if got := e.told(t); len(got) != 1 || got["Cluster=group"] == nil {
		t.Errorf("of a connector that is gone: %v", got)
	}
}

func TestADistributionIsToldByValuesThatStandForAll(t *testing.T) {
	m := newTrial(t)
	e := NewEMF(m.reg, "StepConnect", "w", "g")
	h := m.Plugin(ID{"c", 0}).Histogram("end_to_end_latency_seconds", "x", "domain", "clientes")
	for range 990 {
		h.Observe(0.02) // between 10 and 25 ms
	}
	for range 10 {
		h.Observe(2) // between 1 and 2.5 s
	}
	for _, dims := range []string{"Connector=c", "Connector=c,Domain=clientes"} {
		values := e.told(t)[dims]["EndToEndLatency"]
		e.before = map[string]float64{} // look at the same interval again
		list, _ := values.([]any)
		if len(list) != 100 {
			t.Fatalf("%s: %d values", dims, len(list))
		}
		low, high := 0, 0
		for _, v := range list {
			switch ms := v.(float64); {
			case ms > 10 && ms <= 25:
				low++
			case ms > 1000 && ms <= 2500:
				high++
			}
		}
		if low != 99 || high != 1 {
			t.Errorf("%s: %d low and %d high ones", dims, low, high)
		}
	}
	e.told(t)
	if v, there := e.told(t)["Connector=c"]["EndToEndLatency"]; there {
		t.Errorf("nothing was observed, and %v is told", v)
	}
	h.Observe(7200) // above the last bound
	e.told(t).expect(t, "Connector=c", "EndToEndLatency", "[3.6e+06]")
}

func TestHostileNamesAndNumbersGiveValidLines(t *testing.T) {
	m := newTrial(t)
	e := NewEMF(m.reg, "StepConnect", "w\n\"", "gruppe-ç")
	for _, name := range []string{"ligação", "a\nb", strings.Repeat("x", 5000), `"}{`, " "} {
		one := m.Task(ID{name, 0})
		one.BatchRecords.Observe(histogram.Counts, math.MaxInt32)
		one.Holds([]Partition{{Topic: "t", Lag: math.MaxInt64}})
		m.Plugin(ID{name, 0}).Gauge("stepfunctions_start_budget", "x").Set(math.NaN())
	}
	lines, err := e.Lines(time.UnixMilli(1764291600000))
	must(t, err)
	for _, line := range lines {
		if err := checkEMF(line); err != nil {
			t.Errorf("%v in %.300s", err, line)
		}
	}
}

func TestLinesGoWhereTheConfigurationSays(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	received := make(chan string, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		received <- string(b)
	}()
	lines := [][]byte{[]byte(`{"a":1}`), []byte(`{"b":2}`)}
	const want = "{\"a\":1}\n{\"b\":2}\n"
	must(t, Destination{Text: "tcp://" + listener.Addr().String()}.write(t.Context(), lines))
	if got := <-received; got != want {
		t.Errorf("agent got %q", got)
	}
	file := filepath.Join(t.TempDir(), "emf.log")
	for range 2 {
		must(t, Destination{Text: file}.write(t.Context(), lines))
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want+want {
		t.Errorf("file holds %q, %v", got, err)
	}
	var out bytes.Buffer
	must(t, Destination{Text: "stdout", Stdout: &out}.write(t.Context(), lines))
	if out.String() != want {
		t.Errorf("stdout got %q", out.String())
	}
	for text, ok := range map[string]bool{
		"stdout": true, "/var/log/emf": true, "tcp://127.0.0.1:25888": true, "udp://agent:25888": true,
		"": false, " ": false, "http://a:1": false, "tcp://a": false, "tcp://:25888": false, "udp://[": false,
	} {
		if err := CheckDestination(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// failing is a writer that fails.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestTroubleWithTheDestinationIsToldOnceAndEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTrial(t)
		var log, out bytes.Buffer
		e := NewEMF(m.reg, "StepConnect", "w", "g")
		ctx, stop := context.WithCancel(t.Context())
		running := make(chan struct{})
		go func() {
			defer close(running)
			e.Write(ctx, time.Minute, Destination{Text: "stdout", Stdout: failing{}}, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		time.Sleep(5*time.Minute + time.Second)
		stop()
		<-running
		if n := strings.Count(log.String(), "disk full"); n != 1 {
			t.Errorf("told %d times: %s", n, log.String())
		}
		e.Write(ctx, time.Minute, Destination{Text: "stdout", Stdout: &out}, slog.New(slog.DiscardHandler))
		if !strings.Contains(out.String(), "WorkersUp") {
			t.Error("the last interval is not told at the end")
		}
	})
}
