package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

const poll = 20 * time.Millisecond

// measure runs one case from the beginning of a topic of n events.
func (s Setup) measure(ctx context.Context, c Case, topic string, n int, name string) (Result, error) {
	if c.Subject == Consume {
		began := time.Now()
		r, err := s.measureBare(ctx, c, topic, n, name, nil)
		r.Took = time.Since(began)
		return r, err
	}
	e, err := startEndpoint(ctx, s.Endpoint, "-keep", "hashes", "-machine", "Clientes="+c.Type, "-latency", c.Latency.String())
	if err != nil {
		return Result{}, err
	}
	var r Result
	if c.Subject == Bare {
		r, err = s.measureBare(ctx, c, topic, n, name, e)
	} else {
		r, err = s.measureWorker(ctx, c, topic, n, name, e)
	}
	used, ended := e.Stop()
	r.Endpoint = used.CPU
	return r, errors.Join(err, ended)
}

func (s Setup) measureBare(ctx context.Context, c Case, topic string, n int, group string, e *endpoint) (Result, error) {
	argv := []string{s.Bare, "-bootstrap", s.Bootstrap, "-group", group, "-topic", topic, "-events", strconv.Itoa(n), "-batch", strconv.Itoa(c.Batch), "-in-flight", strconv.Itoa(inFlight)}
	if e != nil {
		argv = append(argv, "-endpoint", e.url, "-machine", machine)
	}
	var out bytes.Buffer
	p, err := Start(ctx, &out, argv...)
	if err != nil {
		return Result{}, err
	}
	r := Result{Case: c, Events: n}
	if e != nil {
		if r.Took, _, err = watch(ctx, e, p, func() (bool, error) { return false, nil }); err != nil {
			return Result{}, err
		}
	}
	if r.Cost, err = p.Wait(); err != nil {
		return Result{}, err
	}
	var told struct{ Calls, Mallocs int }
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		return Result{}, err
	}
	r.Calls, r.Allocs = told.Calls, float64(told.Mallocs)/float64(n)
	return r, nil
}

func (s Setup) measureWorker(ctx context.Context, c Case, topic string, n int, name string, e *endpoint) (Result, error) {
	w, err := s.startWorker(ctx, c, topic, name, e)
	if err != nil {
		return Result{}, err
	}
	r := Result{Case: c, Events: n}
	r.Took, r.Calls, err = watch(ctx, e, w.Process, func() (bool, error) {
		sum, err := s.Writer.Committed(ctx, "connect-"+name, topic)
		return sum >= n, err
	})
	if err == nil {
		r.Allocs, err = w.mallocs(ctx)
		r.Allocs /= float64(n)
	}
	var ended error
	r.Cost, ended = w.Stop()
	return r, errors.Join(err, ended)
}

// watch asks the endpoint until p has ended or done says so, and gives the time from the first call to the last answer
// and the number of executions. done is asked when no call came or ended for a while.
func watch(ctx context.Context, e *endpoint, p *Process, done func() (bool, error)) (time.Duration, int, error) {
	remote := states.Remote{URL: e.url}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var first, last time.Time
	executions, still := 0, 0
	for {
		st, err := remote.Stats(ctx)
		if err != nil {
			return 0, 0, err
		}
		now := time.Now()
		still++
		if st.Executions > executions {
			if first.IsZero() {
				first = now
			}
			executions, last, still = st.Executions, now, 0
		}
		if still > 0 && still%10 == 0 {
			ok, err := done()
			if err != nil {
				return 0, 0, err
			}
			if ok {
				return last.Sub(first), executions, nil
			}
		}
		select {
		case <-p.Ended():
			return last.Sub(first), executions, nil
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-tick.C:
		}
	}
}

const machine = "arn:aws:states:sa-east-1:000000000000:stateMachine:Clientes"

// worker is a stepconnect process.
type worker struct {
	*Process
	url string
}

func (s Setup) startWorker(ctx context.Context, c Case, topic, name string, e *endpoint) (*worker, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	keys := map[string]string{
		"name": name, "connector.class": "StepFunctionsSink", "tasks.max": strconv.Itoa(c.Tasks), "topics": topic,
		"domains": "clientes", "domain.clientes.state.machine.arn": machine, "aws.region": "sa-east-1", "aws.endpoint": e.url,
		"batch.max.records": strconv.Itoa(c.Batch), "max.in.flight": strconv.Itoa(inFlight),
	}
	maps.Copy(keys, s.Keys)
	connector, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	properties := strings.Join([]string{
		"bootstrap.servers=" + s.Bootstrap, "listeners=" + url, "offset.flush.interval.ms=1000",
		"key.converter=AvroConverter", "key.converter.schema.registry.url=" + s.Registry,
		"value.converter=AvroConverter", "value.converter.schema.registry.url=" + s.Registry,
		"offset.storage.file.filename=" + filepath.Join(s.Dir, name+".offsets"), "",
	}, "\n")
	files := map[string][]byte{filepath.Join(s.Dir, name+".properties"): []byte(properties), filepath.Join(s.Dir, name+".json"): connector}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
	}
	p, err := Start(ctx, nil, s.Worker, "standalone", filepath.Join(s.Dir, name+".properties"), filepath.Join(s.Dir, name+".json"))
	if err != nil {
		return nil, err
	}
	return &worker{p, url}, nil
}

// mallocs is how many heap objects the worker has made, as its metrics tell.
func (w *worker) mallocs(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	const metric = "go_memstats_mallocs_total "
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), metric); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the worker's metrics hold no %s", metric)
}
