package bench

import (
	"fmt"
	"strings"
	"time"
)

// Result is what one case cost.
type Result struct {
	Case
	Cost
	Events   int
	Calls    int
	Took     time.Duration // from the first call that the endpoint saw to the last answer; of Consume: the process's life
	Endpoint time.Duration // CPU of the endpoint, which bounds the rate on the same cores
	Allocs   float64       // Go heap objects per event, over the process's life
}

// PerMillion is the CPU time of a million events, in seconds.
func (r Result) PerMillion() float64 { return r.CPU.Seconds() / float64(r.Events) * 1e6 }

// Rate is events per second.
func (r Result) Rate() float64 { return float64(r.Events) / r.Took.Seconds() }

// better joins two rounds of a case: the least CPU and time, the highest memory.
func (r Result) better(o Result) Result {
	if o.CPU < r.CPU {
		r.CPU, r.Allocs, r.Calls = o.CPU, o.Allocs, o.Calls
	}
	r.Took = min(r.Took, o.Took)
	r.RSS = max(r.RSS, o.RSS)
	return r
}

const header = "case              subject        calls   events/s   CPU s/million   endpoint's   allocs/event   peak RSS MB"

func (r Result) String() string {
	return fmt.Sprintf("%-17s %-12s %7d %10.0f %15.1f %12.1f %14.1f %13d", r.Name, r.Subject, r.Calls, r.Rate(), r.PerMillion(), r.Endpoint.Seconds()/float64(r.Events)*1e6, r.Allocs, r.RSS)
}

// Ratio is the worker's figure to the bare loop's of the same run.
type Ratio struct {
	CPU  float64 `json:"cpu_ratio"`
	Rate float64 `json:"rate_ratio"`
}

// Summary is the line that `make bench` ends with.
type Summary struct {
	Batch50    Ratio   `json:"batch50"`
	Single     Ratio   `json:"single"`
	Single20ms Ratio   `json:"single_20ms"`
	Codec      float64 `json:"codec_ratio"` // how many times faster than twmb/avro and encoding/json, the least of the tables
	RSS        int     `json:"rss_mb"`      // the highest of the worker's cases
	P99        float64 `json:"p99_ms"`      // from the broker's append to the endpoint
}

// Summarize takes the ratios from results.
func Summarize(results []Result, codec, p99 float64) Summary {
	s := Summary{
		Batch50: ratio(results, "batch50"), Single: ratio(results, "single"), Single20ms: ratio(results, "single_20ms"),
		Codec: round(codec), P99: round(p99),
	}
	for _, r := range results {
		if r.Subject == Worker {
			s.RSS = max(s.RSS, r.RSS)
		}
	}
	return s
}

func ratio(results []Result, name string) Ratio {
	var worker, bare Result
	for _, r := range results {
		switch {
		case r.Name == name && r.Subject == Worker:
			worker = r
		case r.Name == name && r.Subject == Bare:
			bare = r
		}
	}
	if worker.Events == 0 || bare.Events == 0 {
		return Ratio{}
	}
	return Ratio{CPU: round(worker.PerMillion() / bare.PerMillion()), Rate: round(worker.Rate() / bare.Rate())}
}

func round(x float64) float64 { return float64(int(x*100+0.5)) / 100 }

// Codec reads the output of BenchmarkTranscode and gives how many times ours is as fast as twmb, the least of the tables.
func Codec(output string) (float64, error) {
	ns := make(map[string]float64)
	for line := range strings.Lines(output) {
		var name string
		var runs, value float64
		if n, err := fmt.Sscanf(line, "BenchmarkTranscode/%s %f %f ns/op", &name, &runs, &value); err == nil && n == 3 {
			name, _, _ = strings.Cut(name, "-")
			if old, ok := ns[name]; !ok || value < old {
				ns[name] = value
			}
		}
	}
	least := 0.0
	for name, ours := range ns {
		table, isOurs := strings.CutSuffix(name, "/ours")
		if theirs, ok := ns[table+"/twmb"]; isOurs && ok && (least == 0 || theirs/ours < least) {
			least = theirs / ours
		}
	}
	if least == 0 {
		return 0, fmt.Errorf("no pair of ours and twmb in the output of BenchmarkTranscode:\n%s", output)
	}
	return least, nil
}
