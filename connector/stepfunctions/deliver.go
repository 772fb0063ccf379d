package stepfunctions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/debezium"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// Sink starts executions for one task. It is safe for concurrent use.
type Sink struct {
	connector, clusterID string
	topicID              func(topic string) string
	replayEpoch          func(topic string, partition int32, offset int64) int

	settings *settings
	parser   *debezium.Parser
	router   router
	encoder  *encoder
	clients  *clientSet
	budgets  *budgets
	sweeps   *sweeps  // nil unless this task looks for outcomes
	objects  *objects // nil unless oversize.policy=s3
	filtered filterMetrics
	shelf    shelf
}

var (
	_ connector.Sink   = (*Sink)(nil)
	_ connector.Cutter = (*Sink)(nil)
	_ connector.Sized  = (*Sink)(nil)
	_ connector.Named  = (*Sink)(nil)
)

// syncTimeout is longer than the longest Express execution (5 minutes): what is given up
// earlier might still succeed.
const syncTimeout = 5*time.Minute + 15*time.Second

// Close ends the sweeps and drops the connections to AWS.
func (s *Sink) Close(context.Context) error {
	if s.sweeps != nil {
		s.sweeps.stop()
	}
	s.budgets.close()
	s.clients.close()
	if s.objects != nil {
		s.objects.close()
	}
	return nil
}

var errLostTouch = errors.New("not started: the task has lost touch with its consumer group")

// Deliver starts one execution for the batch, which Cut made or which an earlier incarnation of
// the task had frozen: then its records are encoded here, and it is never cut again. Errors name
// the domain, the state machine and the execution, and follow the table of classify.
func (s *Sink) Deliver(ctx context.Context, batch []*connector.Record) error {
	j, err := s.load(batch)
	if err != nil || j.domain == nil {
		return err
	}
	d := j.domain
	kind, err := d.resolve(ctx, s.settings.requestTimeout)
	if err != nil {
		return j.fail(s.explain(ctx, j, "asking for the type of", err))
	}
	if err := s.store(ctx, j); err != nil {
		return j.fail(err)
	}
	j.budget = d.budgets[kind]
	j.asked, err = j.budget.take(ctx)
	if err != nil {
		return j.fail(s.explain(ctx, j, "waiting to start", err))
	}
	if !connector.MayStart(ctx) { // the wait may have outlasted the task's membership
		return j.fail(connector.Retryable(errLostTouch))
	}
	if trace := connector.TraceFrom(ctx); !trace.IsZero() {
		ctx = aws.WithTraceHeader(ctx, trace.XRay())
	}
	if kind == express {
		err = s.startExpress(ctx, j, len(batch) == 1)
	} else {
		err = s.startStandard(ctx, j)
	}
	if err != nil {
		return j.fail(err)
	}
	d.metrics.changes.Add(float64(len(j.places) - j.refused))
	j.measure(batch, time.Now())
	if j.free {
		s.release(batch)
	}
	return j.outcome()
}

// job is one start under way.
type job struct {
	domain  *domain // nil when nothing of the batch is left to deliver
	name    string
	budget  *budget   // what its start spends
	asked   time.Time // when it asked for its turn; zero before
	changes []*prepared
	size    int           // of the input as a JSON string literal
	places  []int         // in the batch, of changes
	failed  map[int]error // by place in the batch
	claimed []*prepared   // the changes of which columns go to S3
	refused int           // how many of places the state machine refused
	free    bool          // no transport reads the changes any more
}

// measure tells how old the changes were that have just been acknowledged.
func (j *job) measure(batch []*connector.Record, now time.Time) {
	for _, place := range j.places {
		if p, ok := batch[place].Prepared.(*prepared); ok && j.failed[place] == nil {
			j.domain.metrics.latency.Observe(float64(now.UnixMilli()-p.commit) / 1000)
		}
	}
}

// outcome of a job whose call succeeded.
func (j *job) outcome() error {
	if len(j.failed) == 0 {
		return nil
	}
	return &connector.PartialError{Failed: j.failed}
}

// fail gives the outcome of a job whose call failed with err. Where some records have failed for reasons of their own, a
// refusal of the call is not one of each of the others: they are tried again without those, and then halved by the host.
func (j *job) fail(err error) error {
	if len(j.failed) == 0 {
		return err
	}
	if class, _ := connector.Classify(err); class == connector.ClassRejected && len(j.places) > 1 {
		err = connector.Retryable(err)
	}
	for _, place := range j.places {
		j.failed[place] = err
	}
	return &connector.PartialError{Failed: j.failed}
}

// load gathers the batch's changes, made by Cut or encoded now, into one input.
func (s *Sink) load(batch []*connector.Record) (*job, error) {
	j := &job{changes: make([]*prepared, 0, len(batch)), places: make([]int, 0, len(batch))}
	for i, r := range batch {
		p, why, err := s.prepare(r)
		switch {
		case err != nil:
			j.reject(i, err)
			continue
		case why != notFiltered:
			// Only a recovered batch can hold such a record: the configuration has changed.
			s.filtered[why].Add(1)
			continue
		case j.domain != nil && j.domain != p.domain:
			return nil, fmt.Errorf("the batch of %d records of %s-%d from offset %d was started before the configuration changed and now belongs to the domains %s and %s: "+
				"restore the former domain.* keys until it is delivered", len(batch), r.Origin.Topic, r.Origin.Partition, batch[0].Origin.Offset, j.domain.name, p.domain.name)
		}
		j.domain = p.domain
		j.places = append(j.places, i)
		j.changes = append(j.changes, p)
		if !p.stored() {
			j.claimed = append(j.claimed, p)
		}
		j.size += len(p.literal) + 1
	}
	if j.domain == nil {
		return j, j.outcome()
	}
	j.name = s.executionName(batch)
	if j.size += j.domain.overhead - 1; j.size > maxInput {
		return nil, j.fail(connector.Rejected(fmt.Errorf("domain %s: the input of execution %s has %d bytes as a JSON string literal, Step Functions takes %d: %s",
			j.domain.name, j.name, j.size, maxInput, remedySize)))
	}
	return j, nil
}

func (j *job) reject(place int, err error) {
	if j.failed == nil {
		j.failed = map[int]error{}
	}
	j.failed[place] = err
}

// request is the call that starts the job's execution.
func (j *job) request() startRequest {
	return startRequest{machine: j.domain.arn.text, name: j.name, domain: j.domain, changes: j.changes}
}

// input joins changes into the text of an input, as Step Functions reads it out of a request.
func (d *domain) input(changes []*prepared) (text string, err error) {
	literal := append([]byte{'"'}, d.head...)
	for i, p := range changes {
		if i > 0 {
			literal = append(literal, ',')
		}
		literal = append(literal, p.literal...)
	}
	literal = append(literal, inputTail+`"`...)
	err = json.Unmarshal(literal, &text)
	return text, err
}

// executionName derives the name from the whole frozen batch, whatever subset of its records
// is left: a repeat must find the name that the first try used (invariant 3).
func (s *Sink) executionName(batch []*connector.Record) string {
	b := batch[0].Batch
	if p, ok := batch[0].Prepared.(*prepared); ok && p.name != "" && len(b.Offsets) == 1 {
		return p.name
	}
	return Name(s.clusterID, s.topicID(b.Topic), s.connector, b, s.replayEpoch(b.Topic, b.Partition, b.Offsets[0]))
}

// startStandard starts a Standard execution: accepted under its name means delivered.
func (s *Sink) startStandard(ctx context.Context, j *job) error {
	d := j.domain
	call, cancel := context.WithTimeout(ctx, s.settings.requestTimeout)
	defer cancel()
	out, err := d.clients.standard.start(call, j.request())
	if err != nil {
		err = s.explain(ctx, j, "starting", err)
		if err == nil {
			d.metrics.executions[resultDuplicate].Add(1)
		}
		return err
	}
	// An Express execution has its own form of ARN. Accepting it would lose what fails in it.
	if strings.Contains(out.execution, ":express:") {
		d.metrics.errors[reasonWrongType].Add(1)
		return fmt.Errorf("domain %s: %s is an Express state machine, and an asynchronous Express start can be lost: set domain.%s.execution.type=express or auto",
			d.name, d.arn, d.name)
	}
	d.metrics.executions[resultStarted].Add(1)
	j.free = out.free
	return nil
}

// startExpress runs an Express execution and waits for its end: only SUCCEEDED means
// delivered, whatever the HTTP status says. alone says that the batch is one record.
func (s *Sink) startExpress(ctx context.Context, j *job, alone bool) error {
	d := j.domain
	call, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	out, err := d.clients.express.start(call, j.request())
	if err != nil {
		return s.explain(ctx, j, "running", err)
	}
	if out.status != types.SyncExecutionStatusSucceeded {
		return s.ended(j, out, alone)
	}
	d.suspicion.clear()
	failed, err := failedChanges(out.output, len(j.places))
	if err != nil {
		d.metrics.errors[reasonFailed].Add(1)
		return connector.RetryAfter(fmt.Errorf("domain %s: execution %s of %s succeeded, but which changes it applied is not clear: %w", d.name, j.name, d.arn, err), s.settings.slowRetry)
	}
	for i, err := range failed {
		j.reject(j.places[i], connector.Rejected(fmt.Errorf("domain %s: execution %s of %s: %w", d.name, j.name, d.arn, err)))
	}
	j.refused = len(failed)
	d.metrics.errors[reasonRejected].Add(float64(len(failed)))
	d.metrics.executions[resultSucceeded].Add(1)
	j.free = out.free
	return nil
}

// ended classifies an Express execution that did not succeed. A batch that is rejected as a whole is halved by the host until
// the change at fault is alone.
func (s *Sink) ended(j *job, out started, alone bool) error {
	d := j.domain
	failure := &executionError{status: out.status, name: out.failure, cause: out.cause}
	if failure.name == "" && out.status == types.SyncExecutionStatusTimedOut {
		failure.name = "States.Timeout"
	}
	err := fmt.Errorf("domain %s: execution %s of %s: %w", d.name, j.name, d.arn, failure)
	switch s.settings.errors.class(failure.name) {
	case connector.ClassRejected:
		if alone && failure.ofInterpreter() && !d.suspicion.reject(s.settings.rejectInARow) {
			d.metrics.errors[reasonDestination].Add(1)
			return connector.RetryAfter(fmt.Errorf("%w; %d changes of domain %s have ended so in a row and none has succeeded: correct the state machine, or allow more by express.errors.reject.in.a.row; only this domain waits",
				err, s.settings.rejectInARow, d.name), s.settings.slowRetry)
		}
		d.metrics.errors[reasonRejected].Add(1)
		return connector.Rejected(err)
	case connector.ClassRetryable:
		d.metrics.errors[reasonFailed].Add(1)
		return connector.Retryable(err)
	}
	d.metrics.errors[reasonFailed].Add(1)
	return fmt.Errorf("%w; express.errors.fatal ends the task", err)
}

// explain classifies the error of a call and says what was being done. It gives nil when the
// error acknowledges.
func (s *Sink) explain(ctx context.Context, j *job, doing string, err error) error {
	if ctx.Err() != nil {
		return connector.Retryable(fmt.Errorf("domain %s: %s execution %s of %s was interrupted: %w", j.domain.name, doing, j.name, j.domain.arn, context.Cause(ctx)))
	}
	start := !j.asked.IsZero()
	v := s.judge(j.domain, err, start)
	if v.action == actAcknowledge {
		return nil
	}
	if v.reason == reasonThrottled && start {
		j.budget.throttled(j.asked)
	}
	err = fmt.Errorf("domain %s: %s %s as execution %s: %w", j.domain.name, doing, j.domain.arn, j.name, err)
	return v.error(err, s.settings.slowRetry)
}

// judge classifies the error of a call and counts it; a throttled start is no failure, and counted by its budget.
func (s *Sink) judge(d *domain, err error, start bool) verdict {
	v := classify(err)
	var asked *describeError
	switch {
	case errors.Is(err, errUnknownType):
		v = verdict{actRetrySlowly, reasonDestination, 0, remedyType}
	case errors.As(err, &asked) && v.remedy == remedyPermission:
		v.remedy = fmt.Sprintf("allow the role states:DescribeStateMachine on %s, or set domain.%s.execution.type to standard or express so that nobody has to ask", d.arn.machine, d.name)
	}
	if v.action != actAcknowledge && (v.reason != reasonThrottled || !start) {
		d.metrics.errors[v.reason].Add(1)
	}
	return v
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
