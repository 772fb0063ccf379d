package stepfunctions

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/connector"
)

// executionType is the type of a state machine, which decides the call that starts it.
type executionType uint32

const (
	unresolved executionType = iota // execution.type=auto before the first answer
	standard
	express
)

// Changes of one execution where batch.max.records does not say: a named batch of several
// needs a commit of its own before the first start, and Express bills by time.
const (
	standardRecords = 1
	expressRecords  = 100
)

// domain is one destination with what is known and counted about it.
type domain struct {
	name     string
	index    int // in router.domains
	arn      stateMachineARN
	rule     rule
	head     []byte // of an input
	overhead int    // literal size of an input around its changes
	clients  *clients
	budgets  [express + 1]*budget // by executionType
	metrics  domainMetrics

	suspicion suspicion

	kind atomic.Uint32 // executionType; once resolved it stays
	ask  chan struct{} // holds one token: who takes it asks for the type
}

func newDomain(index int, s domainSettings, b *budgets, m connector.Metrics) *domain {
	d := &domain{
		name: s.name, index: index, arn: s.arn, rule: s.rule,
		head: inputHead(s.name), metrics: newDomainMetrics(m, s.name), ask: make(chan struct{}, 1),
	}
	d.overhead = len(d.head) + len(inputTail) + len(`""`)
	d.budgets[standard] = b.of(quota{s.arn.account, s.arn.region, callStart})
	d.budgets[express] = b.of(quota{s.arn.account, s.arn.region, callSync})
	d.kind.Store(uint32(s.kind))
	d.ask <- struct{}{}
	return d
}

// limit gives the most changes of a call and whether its name makes repeats harmless. A domain
// whose type is not known yet is cut as Standard, the stricter of the two.
func (s *Sink) limit(d *domain) (maxRecords int, named bool) {
	isExpress := executionType(d.kind.Load()) == express
	switch {
	case s.settings.maxRecords > 0:
		return s.settings.maxRecords, !isExpress
	case isExpress:
		return expressRecords, false
	}
	return standardRecords, true
}

// BatchMaxRecords is how many changes a call can hold where batch.max.records is not set: as
// many as the type of one of the domains allows.
func (s *Sink) BatchMaxRecords() int {
	most := 1
	for _, d := range s.router.domains {
		limit, _ := s.limit(d)
		most = max(most, limit)
	}
	return most
}

// Named tells whether a domain's executions are named for good. A type that is not known yet may be Standard.
func (s *Sink) Named() bool {
	for _, d := range s.router.domains {
		if executionType(d.kind.Load()) != express {
			return true
		}
	}
	return false
}

// resolve gives the type of the state machine, asking DescribeStateMachine if nobody has. The
// type belongs to the state machine, so a version or an alias is not part of the question.
func (d *domain) resolve(ctx context.Context, timeout time.Duration) (executionType, error) {
	if kind := executionType(d.kind.Load()); kind != unresolved {
		return kind, nil
	}
	select {
	case <-ctx.Done():
		return unresolved, ctx.Err()
	case <-d.ask:
	}
	defer func() { d.ask <- struct{}{} }()
	if kind := executionType(d.kind.Load()); kind != unresolved {
		return kind, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := d.clients.sdk.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{
		StateMachineArn: &d.arn.machine,
		// Without the definition no kms:Decrypt is needed.
		IncludedData: types.IncludedDataMetadataOnly,
	})
	if err != nil {
		return unresolved, &describeError{err}
	}
	kind := standard
	switch out.Type {
	case types.StateMachineTypeStandard:
	case types.StateMachineTypeExpress:
		kind = express
	default:
		return unresolved, fmt.Errorf("DescribeStateMachine gave the type %q: %w", out.Type, errUnknownType)
	}
	d.kind.Store(uint32(kind))
	return kind, nil
}

// describeError is of DescribeStateMachine, which needs a permission of its own and can be done without.
type describeError struct{ error }

func (e *describeError) Unwrap() error { return e.error }

var errUnknownType = errors.New("only STANDARD and EXPRESS are known; set execution.type")
