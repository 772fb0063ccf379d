package stepfunctions

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/connector"
)

// Outcome is an accepted Standard execution that ended without success.
type Outcome struct {
	Domain    string    `json:"domain"`
	Status    string    `json:"status"`    // FAILED, TIMED_OUT or ABORTED
	Execution string    `json:"execution"` // its name
	ARN       string    `json:"arn"`
	Started   time.Time `json:"started"`
	Stopped   time.Time `json:"stopped"`
}

// Outcomes gives the newest unsuccessful executions that the last full sweep found, newest first by the time
// they stopped, and when that sweep began: whatever had failed by then is in the list, unless a thousand others
// failed after it. The time is zero before the first sweep has ended, and always on tasks other than 0, which do not
// sweep. The slice is the caller's.
func (s *Sink) Outcomes() (newest []Outcome, swept time.Time) {
	if s.sweeps == nil {
		return nil, time.Time{}
	}
	s.sweeps.mu.Lock()
	defer s.sweeps.mu.Unlock()
	return slices.Clone(s.sweeps.newest), s.sweeps.swept
}

const (
	// sweepPause is the least time between two calls: ListExecutions refills at two a second in most regions,
	// for everybody in the account (Step Functions quotas).
	sweepPause = 2 * time.Second
	sweepPage  = 1000 // executions; the most that ListExecutions gives
	sweepTries = 5    // of a call that may succeed by itself
	maxNewest  = 1000 // outcomes in memory
)

// sweptStatuses are the ends that must not go unseen: nothing tries such an execution again.
func sweptStatuses() []types.ExecutionStatus {
	return []types.ExecutionStatus{types.ExecutionStatusFailed, types.ExecutionStatusTimedOut, types.ExecutionStatusAborted}
}

// ourName tells names made by Name and changeName from those of other starters. Two connectors that start
// one state machine see each other's outcomes.
var ourName = regexp.MustCompile(`^[0-9A-Za-z_-]*(-p[0-9]+-o[0-9]+-n[0-9]+-e[0-9]+-[0-9a-f]{16}|-(insert|update|delete)-[0-9A-Za-z_-]+-[0-9a-f]{32})$`)

// sweeps lists the unsuccessful executions of a connector's Standard state machines again and again. Full
// sweeps, because an execution may fail long after ones that started later.
type sweeps struct {
	domains  []*domain // one for each state machine
	interval time.Duration
	timeout  time.Duration
	log      *slog.Logger
	found    map[string][]connector.Gauge // by domain, in the order of sweptStatuses
	at       connector.Gauge

	stop func() // ends the goroutine and waits for it

	mu     sync.Mutex // guards the rest
	newest []Outcome  // newest first
	swept  time.Time  // when the sweep that found them began
}

func newSweeps(domains []*domain, set *settings, tc connector.TaskContext) *sweeps {
	s := &sweeps{interval: set.sweepInterval, timeout: set.requestTimeout, log: tc.Log, found: map[string][]connector.Gauge{}, stop: func() {}}
	machines := map[string]bool{}
	for _, d := range domains {
		if machines[d.arn.machine] {
			continue
		}
		machines[d.arn.machine] = true
		s.domains = append(s.domains, d)
		for _, status := range sweptStatuses() {
			s.found[d.name] = append(s.found[d.name], tc.Metrics.Gauge("stepfunctions_unsuccessful_executions",
				"Standard executions of our names that ended without success and that AWS still remembers, as the last full sweep found them.",
				"domain", d.name, "status", string(status)))
		}
	}
	s.at = tc.Metrics.Gauge("stepfunctions_outcomes_swept_timestamp_seconds", "When the last full sweep of the executions' outcomes began; older than two sweeps means that failures go unseen.")
	return s
}

// start sweeps until stop is called, whatever becomes of ctx.
func (s *sweeps) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx)
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}

func (s *sweeps) run(ctx context.Context) {
	healthy := true
	for pause(ctx, sweepPause) {
		began := time.Now()
		err := s.sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && healthy:
			s.log.Warn("failed executions go unseen until ListExecutions works again", "error", err, "remedy", "allow states:ListExecutions on the state machines, or set outcomes.sweep.interval.ms=-1")
		case err == nil && !healthy:
			s.log.Info("the outcomes of executions are seen again")
		}
		healthy = err == nil
		if !pause(ctx, s.interval-time.Since(began)-sweepPause) {
			return
		}
	}
}

// pause waits and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sweep lists everything once. What it finds replaces what the last one found, unless a call failed.
func (s *sweeps) sweep(ctx context.Context) error {
	began := time.Now()
	var newest []Outcome
	counts := map[string][]int{}
	for _, d := range s.domains {
		if executionType(d.kind.Load()) != standard {
			continue
		}
		for _, status := range sweptStatuses() {
			found := 0
			err := s.list(ctx, d, status, func(o Outcome) {
				found++
				newest = keepNewest(newest, o)
			})
			if err != nil {
				return fmt.Errorf("domain %s: listing the executions of %s: %w", d.name, d.arn.machine, err)
			}
			counts[d.name] = append(counts[d.name], found)
		}
	}
	slices.SortFunc(newest, newerFirst)
	s.mu.Lock()
	s.newest, s.swept = newest[:min(len(newest), maxNewest)], began
	s.mu.Unlock()
	for name, all := range counts {
		for i, n := range all {
			s.found[name][i].Set(float64(n))
		}
	}
	s.at.Set(float64(began.UnixMilli()) / 1000)
	return nil
}

func newerFirst(a, b Outcome) int {
	return cmp.Or(b.Stopped.Compare(a.Stopped), cmp.Compare(a.ARN, b.ARN))
}

// keepNewest adds an outcome and bounds the list, with slack so that it is not sorted for each.
func keepNewest(list []Outcome, o Outcome) []Outcome {
	if list = append(list, o); len(list) < 2*maxNewest {
		return list
	}
	slices.SortFunc(list, newerFirst)
	return list[:maxNewest]
}

// list gives the executions of our names with a status to add, page by page.
func (s *sweeps) list(ctx context.Context, d *domain, status types.ExecutionStatus, add func(Outcome)) error {
	in := &sfn.ListExecutionsInput{StateMachineArn: &d.arn.machine, StatusFilter: status, MaxResults: sweepPage}
	for {
		out, err := s.page(ctx, d, in)
		if err != nil {
			return err
		}
		for _, x := range out.Executions {
			if x.Name == nil || x.ExecutionArn == nil || !ourName.MatchString(*x.Name) {
				continue
			}
			o := Outcome{Domain: d.name, Status: string(x.Status), Execution: *x.Name, ARN: *x.ExecutionArn}
			if x.StartDate != nil {
				o.Started = x.StartDate.UTC()
			}
			if x.StopDate != nil {
				o.Stopped = x.StopDate.UTC()
			}
			add(o)
		}
		if out.NextToken == nil {
			return nil
		}
		in.NextToken = out.NextToken
	}
}

// page makes one call, after a pause that keeps the quota free for people, and again while that may help.
func (s *sweeps) page(ctx context.Context, d *domain, in *sfn.ListExecutionsInput) (*sfn.ListExecutionsOutput, error) {
	wait := sweepPause
	for try := 1; ; try++ {
		if !pause(ctx, wait) {
			return nil, ctx.Err()
		}
		call, cancel := context.WithTimeout(ctx, s.timeout)
		out, err := d.clients.start.ListExecutions(call, in)
		cancel()
		if err == nil {
			return out, nil
		}
		if v := classify(err); v.action != actRetry || try == sweepTries {
			return nil, err
		}
		wait *= 2
	}
}
