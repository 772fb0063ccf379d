package stepfunctions

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/jsontext"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// starter starts executions by one of the two operations. It writes requests and reads good answers itself; the SDK draws
// up the form of the requests (aws.Operation) and decodes every other answer, so errors are the SDK's.
type starter struct {
	name      string // of the operation
	operation *aws.Operation
	sdk       *sfn.Client
	bySDK     sdkStart
}

// started is what is read of an answer.
type started struct {
	execution string // its ARN
	free      bool   // nothing reads the changes any more; a transport may, of a request that was answered before it had all come

	// Of StartSyncExecution only.
	status  types.SyncExecutionStatus
	failure string
	cause   string
	output  string
}

// sdkStart calls an operation by the SDK.
type sdkStart func(ctx context.Context, c *sfn.Client, in *sfn.StartSyncExecutionInput, options ...func(*sfn.Options)) (started, error)

func startBySDK(ctx context.Context, c *sfn.Client, in *sfn.StartSyncExecutionInput, options ...func(*sfn.Options)) (started, error) {
	out, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: in.StateMachineArn, Name: in.Name, Input: in.Input}, options...)
	if err != nil {
		return started{}, err
	}
	return started{execution: text(out.ExecutionArn)}, nil
}

func startSyncBySDK(ctx context.Context, c *sfn.Client, in *sfn.StartSyncExecutionInput, options ...func(*sfn.Options)) (started, error) {
	out, err := c.StartSyncExecution(ctx, in, options...)
	if err != nil {
		return started{}, err
	}
	return started{execution: text(out.ExecutionArn), status: out.Status, failure: text(out.Error), cause: text(out.Cause), output: text(out.Output)}, nil
}

// newStarter makes the starter of an operation at client's endpoint and with its credentials, over t.
func newStarter(name string, bySDK sdkStart, client *sfn.Client, t http.RoundTripper) *starter {
	s := &starter{name: name, sdk: client, bySDK: bySDK}
	s.operation = aws.NewOperation(client.Options().Credentials, t, func(ctx context.Context, by aws.HTTPClient) error {
		_, err := s.unsent(ctx, by)
		return err
	})
	return s
}

// unsent calls the operation by the SDK over an HTTP client that sends nothing.
func (s *starter) unsent(ctx context.Context, by aws.HTTPClient) (started, error) {
	anything := "arn:aws:states:::stateMachine:none" // the SDK demands a state machine
	return s.bySDK(ctx, s.sdk, &sfn.StartSyncExecutionInput{StateMachineArn: &anything}, func(o *sfn.Options) {
		o.HTTPClient, o.Credentials = by, aws.Nobody
	})
}

// start starts an execution, in one attempt.
func (s *starter) start(ctx context.Context, r startRequest) (out started, err error) {
	body := r.body()
	body.Before(func() error {
		if !connector.MayStart(ctx) { // signing and the wait for a connection may have outlasted the task's membership
			return errLostTouch
		}
		return nil
	})
	defer func() { out.free = body.Release() }()
	err = s.operation.Call(ctx, body, func(a *aws.Answer) (err error) {
		if a.OK() {
			var ok bool
			if out, ok = readStarted(a.Body); ok {
				return nil
			}
		}
		out, err = s.unsent(ctx, a)
		return err
	})
	if known := (*smithy.OperationError)(nil); err != nil && !errors.As(err, &known) {
		err = &smithy.OperationError{ServiceID: sfn.ServiceID, OperationName: s.name, Err: err}
	}
	return out, err
}

// startRequest is the request of StartExecution and of StartSyncExecution.
type startRequest struct {
	machine, name string
	domain        *domain
	changes       []*prepared
}

// body is the request's body, in which the input is a JSON string. The changes are not copied.
func (r *startRequest) body() *aws.Body {
	b := aws.NewBody()
	b.Add(bodyHead)
	b.Add(r.domain.head)
	for i, p := range r.changes {
		if i > 0 {
			b.Add(comma)
		}
		b.Add(p.literal)
	}
	tail := make([]byte, 0, len(inputTail)+len(bodyName)+len(bodyMachine)+len(r.name)+len(r.machine)+8)
	tail = append(tail, inputTail...)
	tail = append(tail, bodyName...)
	tail = jsontext.AppendString(tail, r.name)
	tail = append(tail, bodyMachine...)
	tail = jsontext.AppendString(tail, r.machine)
	b.AddCopy(append(tail, '}'))
	return b
}

var (
	bodyHead = []byte(`{"input":"`)
	comma    = []byte(`,`)
)

const (
	bodyName    = `","name":`
	bodyMachine = `,"stateMachineArn":`
)
