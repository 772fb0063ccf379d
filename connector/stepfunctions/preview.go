package stepfunctions

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/debezium"
)

// Decision is what becomes of a previewed record.
type Decision string

// The decisions.
const (
	DecisionStart  Decision = "start"  // an execution is started
	DecisionFilter Decision = "filter" // nothing is started, on purpose
	DecisionReject Decision = "reject" // errors.tolerance and the dead letter queue decide
	DecisionFail   Decision = "fail"   // the task fails
)

// Preview is what the sink would do with one record, delivered alone.
type Preview struct {
	Decision Decision `json:"decision"`
	// Reason says in words why; for reject and fail it is the error.
	Reason string `json:"reason"`
	// Operation and Table ("database.schema.table") are those of the change; "" when the record is none.
	Operation string `json:"operation,omitempty"`
	Table     string `json:"table,omitempty"`
	// Domain, StateMachine (its ARN as configured), Role (assumed for the call), Type ("standard", "express", or "auto"
	// where only DescribeStateMachine knows) and Call are the route of a change that is started.
	Domain       string `json:"domain,omitempty"`
	StateMachine string `json:"state_machine,omitempty"`
	Role         string `json:"role,omitempty"`
	Type         string `json:"type,omitempty"`
	Call         string `json:"call,omitempty"`
	// Execution is the name. With Express it identifies nothing: names repeat there.
	Execution string `json:"execution,omitempty"`
	// Input is byte for byte what the execution gets (an encoder that escapes HTML would alter it), InputBytes its size as Step Functions' limit counts it.
	Input      json.RawMessage `json:"input,omitempty"`
	InputBytes int             `json:"input_bytes,omitempty"`
	// Claims are the objects that would be stored before the start.
	Claims []PreviewClaim `json:"claims,omitempty"`
}

// PreviewClaim is a column that goes to S3.
type PreviewClaim struct {
	Row    string `json:"row"`
	Column string `json:"column"`
	Object string `json:"object"` // s3://bucket/key
	Bytes  int    `json:"bytes"`
}

var _ connector.Previewer = Connector{}

// Preview tells what a task with the configuration would do with a record: the exact execution name, input and
// route, and why. It is pure: it calls nothing and counts nothing, and leaves the record as it is. Of tc it uses Connector, ClusterID,
// TopicID and ReplayEpoch; a nil function means no id and epoch 0. An error is about cfg; what is wrong with
// the record is a decision. It gives a [Preview].
func (Connector) Preview(ctx context.Context, cfg config.Values, tc connector.TaskContext, record *connector.Record) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	set, err := newSettings(cfg, tc.Connector)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of connector %s: %w", tc.Connector, err)
	}
	tc.Metrics = uncounted{}
	if tc.TopicID == nil {
		tc.TopicID = func(string) string { return "" }
	}
	if tc.ReplayEpoch == nil {
		tc.ReplayEpoch = func(string, int32, int64) int { return 0 }
	}
	r := *record
	r.Prepared = nil
	r.Batch = &connector.Batch{Topic: r.Origin.Topic, Partition: r.Origin.Partition, Offsets: []int64{r.Origin.Offset}}
	return newTaskSink(set, tc).preview(&r), nil
}

func (s *Sink) preview(r *connector.Record) Preview {
	var out Preview
	if c, err := s.parser.Parse(r); err == nil && c.Operation != debezium.Tombstone {
		out.Operation, out.Table = c.Operation.String(), c.Database+"."+c.Schema+"."+c.Table
	}
	p, why, err := s.prepare(r)
	if err == nil && why == notFiltered && p.alone() > maxInput {
		err = s.tooLarge(p)
	}
	switch {
	case err != nil:
		out.Decision, out.Reason = DecisionFail, err.Error()
		if class, _ := connector.Classify(err); class == connector.ClassRejected {
			out.Decision = DecisionReject
		}
		return out
	case why != notFiltered:
		out.Decision, out.Reason = DecisionFilter, s.whyFiltered(why, r.Topic, &out)
		return out
	}
	d := p.domain
	input, err := d.input([]*prepared{p})
	if err != nil {
		out.Decision, out.Reason = DecisionFail, err.Error()
		return out
	}
	out.Decision, out.Reason = DecisionStart, s.whyStarted(d, r.Topic, &out)
	out.Domain, out.StateMachine, out.Role = d.name, d.arn.text, s.settings.domains[d.index].role.arn
	out.Type, out.Call = typeAndCall(executionType(d.kind.Load()))
	out.Execution = s.executionName([]*connector.Record{r})
	out.Input, out.InputBytes = json.RawMessage(input), p.alone()
	for _, c := range p.claims {
		out.Claims = append(out.Claims, PreviewClaim{c.row, c.column, "s3://" + s.settings.claims.bucket + "/" + c.key, len(c.content)})
	}
	return out
}

func typeAndCall(kind executionType) (name, call string) {
	switch kind {
	case standard:
		return "standard", callStart
	case express:
		return "express", callSync
	}
	return "auto", ""
}

func (s *Sink) whyFiltered(why filterReason, topic string, of *Preview) string {
	switch why {
	case filteredTombstone:
		return "a tombstone follows a delete for Kafka's log compaction and is no change"
	case filteredTable:
		return fmt.Sprintf("domains take topic %s, but none of them table %s, and there is no default.domain", topic, of.Table)
	case filteredOperation:
		return fmt.Sprintf("domains take topic %s and table %s, but none of them operation %s", topic, of.Table, of.Operation)
	}
	return fmt.Sprintf("no domain takes topic %s, and there is no default.domain", topic)
}

func (s *Sink) whyStarted(d *domain, topic string, of *Preview) string {
	if d == s.router.fallback {
		return fmt.Sprintf("no other domain takes operation %s of table %s from topic %s, so it goes to default.domain", of.Operation, of.Table, topic)
	}
	return fmt.Sprintf("domain %s is the first in domains that takes topic %s, table %s and operation %s", d.name, topic, of.Table, of.Operation)
}

// uncounted is where a preview counts.
type uncounted struct{}

func (uncounted) Counter(string, string, ...string) connector.Counter { return uncounted{} }
func (uncounted) Gauge(string, string, ...string) connector.Gauge     { return uncounted{} }
func (uncounted) Histogram(string, string, ...string) connector.Histogram {
	return uncounted{}
}
func (uncounted) Add(float64)     {}
func (uncounted) Observe(float64) {}
func (uncounted) Set(float64)     {}
