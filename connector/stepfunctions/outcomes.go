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

var _ connector.Auditor = (*Sink)(nil)

// Outcomes gives the newest unsuccessful executions that the last full sweep found, and when that sweep began:
// whatever had failed by then is counted, and listed unless a thousand others of its status ended after it.
// Tasks other than 0 do not sweep and know none.
func (s *Sink) Outcomes() connector.Outcomes {
	var out connector.Outcomes
	for _, status := range sweptStatuses() {
		out.Statuses = append(out.Statuses, string(status))
	}
	if s.sweeps == nil {
		return out
	}
	s.sweeps.mu.Lock()
	defer s.sweeps.mu.Unlock()
	out.Newest, out.Counts, out.Swept = slices.Clone(s.sweeps.newest), s.sweeps.counts, s.sweeps.swept
	return out
}

const (
	// sweepPause is the least time between two calls: ListExecutions refills at two a second in most regions,
	// for everybody in the account (Step Functions quotas).
	sweepPause = 2 * time.Second
	sweepPage  = 1000 // executions; the most that ListExecutions gives
	sweepTries = 5    // of a call that may succeed by itself
	maxNewest  = 1000 // outcomes of each status in memory
)

// sweptStatuses are the ends that must not go unseen: nothing tries such an execution again.
func sweptStatuses() []types.ExecutionStatus {
	return []types.ExecutionStatus{types.ExecutionStatusFailed, types.ExecutionStatusTimedOut, types.ExecutionStatusAborted}
}

// ownName gives the pattern of the names that Name and changeName make for a connector: one that starts the same
// state machine as another does not see the other's outcomes.
func ownName(clusterID, connectorName string) *regexp.Regexp {
	tag := ownerTag(clusterID, connectorName)
	return regexp.MustCompile(`^[0-9A-Za-z_-]*(-p[0-9]+-o[0-9]+-n[0-9]+-e[0-9]+-` + tag + `-[0-9a-f]{16}|-(insert|update|delete)-[0-9A-Za-z_-]+-` + tag + `-[0-9a-f]{24})$`)
}

// sweeps lists the unsuccessful executions of a connector's Standard state machines again and again. Full
// sweeps, because an execution may fail long after ones that started later.
type sweeps struct {
	domains  []*domain // one for each state machine
	own      *regexp.Regexp
	interval time.Duration
	timeout  time.Duration
	log      *slog.Logger
	found    map[string][]connector.Gauge // by domain, in the order of sweptStatuses
	at       connector.Gauge

	stop func() // ends the goroutine and waits for it

	mu     sync.Mutex                // guards the rest
	newest []connector.Outcome       // newest first
	counts map[string]map[string]int // by domain and status; replaced, never changed
	swept  time.Time                 // when the sweep that found them began
}

func newSweeps(domains []*domain, set *settings, tc connector.TaskContext) *sweeps {
	s := &sweeps{own: ownName(tc.ClusterID, tc.Connector), interval: set.sweepInterval, timeout: set.requestTimeout, log: tc.Log, found: map[string][]connector.Gauge{}, stop: func() {}}
	machines := map[string]bool{}
	for _, d := range domains {
		if machines[d.arn.machine] {
			continue
		}
		machines[d.arn.machine] = true
		s.domains = append(s.domains, d)
		s.found[d.name], s.at = newOutcomeMetrics(tc.Metrics, d.name)
	}
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
	var all []connector.Outcome
	counts := map[string]map[string]int{}
	for _, status := range sweptStatuses() {
		var newest []connector.Outcome
		for _, d := range s.domains {
			if executionType(d.kind.Load()) != standard {
				continue
			}
			found := 0
			err := s.list(ctx, d, status, func(o connector.Outcome) {
				found++
				newest = keepNewest(newest, o)
			})
			if err != nil {
				return fmt.Errorf("domain %s: listing the executions of %s: %w", d.name, d.arn.machine, err)
			}
			if counts[d.name] == nil {
				counts[d.name] = map[string]int{}
			}
			counts[d.name][string(status)] = found
		}
		slices.SortFunc(newest, newerFirst)
		all = append(all, newest[:min(len(newest), maxNewest)]...)
	}
	slices.SortFunc(all, newerFirst)
	s.mu.Lock()
	s.newest, s.counts, s.swept = all, counts, began
	s.mu.Unlock()
	for name, by := range counts {
		for i, status := range sweptStatuses() {
			s.found[name][i].Set(float64(by[string(status)]))
		}
	}
	s.at.Set(float64(began.UnixMilli()) / 1000)
	return nil
}

func newerFirst(a, b connector.Outcome) int {
	return cmp.Or(b.Stopped.Compare(a.Stopped), cmp.Compare(a.ARN, b.ARN))
}

// keepNewest adds an outcome and bounds the list, with slack so that it is not sorted for each.
func keepNewest(list []connector.Outcome, o connector.Outcome) []connector.Outcome {
	if list = append(list, o); len(list) < 2*maxNewest {
		return list
	}
	slices.SortFunc(list, newerFirst)
	return list[:maxNewest]
}

// list gives the executions of our names with a status to add, page by page.
func (s *sweeps) list(ctx context.Context, d *domain, status types.ExecutionStatus, add func(connector.Outcome)) error {
	in := &sfn.ListExecutionsInput{StateMachineArn: &d.arn.machine, StatusFilter: status, MaxResults: sweepPage}
	for {
		out, err := s.page(ctx, d, in)
		if err != nil {
			return err
		}
		for _, x := range out.Executions {
			if x.Name == nil || x.ExecutionArn == nil || !s.own.MatchString(*x.Name) {
				continue
			}
			o := connector.Outcome{Domain: d.name, Status: string(x.Status), Execution: *x.Name, ARN: *x.ExecutionArn}
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
		out, err := d.clients.sdk.ListExecutions(call, in)
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
