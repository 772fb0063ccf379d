// Package emulators holds our own Step Functions endpoint (internal/embedded/states) against independent emulators: one
// suite of AWS's rules, run on each. Ours must keep every rule; where another does not, the difference is listed here and in
// docs/emulators.md, and a difference that has gone fails the test.
package emulators

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	iaws "github.com/stepconnect/stepconnect/internal/aws"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/stack"
)

// rule is one of AWS's rules: keep gives nil when the endpoint keeps it.
type rule struct {
	name string
	keep func(ctx context.Context, s *subject) error
}

// subject is an endpoint with a Standard and an Express state machine of this test's own.
type subject struct {
	*sfn.Client
	standard, express string // ARNs; express "" where none can be made
}

func (s *subject) start(ctx context.Context, machine, name, input string) (string, error) {
	out, err := s.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
	if err != nil {
		return "", err
	}
	return *out.ExecutionArn, nil
}

// refused gives nil when err is one of AWS's errors with one of the codes.
func refused(err error, codes ...string) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("accepted, or no answer of AWS's form: %w", err)
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return nil
		}
	}
	return fmt.Errorf("refused with %s, want %s", api.ErrorCode(), strings.Join(codes, " or "))
}

func accepted(_ string, err error) error { return err }

func rules() []rule {
	return []rule{
		{"the same name and input while RUNNING gives the first execution", func(ctx context.Context, s *subject) error {
			first, err := s.start(ctx, s.standard, "idempotent", `{"a":1}`)
			if err != nil {
				return err
			}
			again, err := s.start(ctx, s.standard, "idempotent", `{"a":1}`)
			if err == nil && again != first {
				err = errors.New("another execution was started")
			}
			return err
		}},
		{"the same name with another input is ExecutionAlreadyExists", func(ctx context.Context, s *subject) error {
			if err := accepted(s.start(ctx, s.standard, "other-input", `{"a":1}`)); err != nil {
				return err
			}
			return refused(accepted(s.start(ctx, s.standard, "other-input", `{"a":2}`)), "ExecutionAlreadyExists")
		}},
		{"the same name and input after the execution has closed is ExecutionAlreadyExists", func(ctx context.Context, s *subject) error {
			arn, err := s.start(ctx, s.standard, "closed", `{"a":1}`)
			if err != nil {
				return err
			}
			if _, err := s.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
				return err
			}
			return refused(accepted(s.start(ctx, s.standard, "closed", `{"a":1}`)), "ExecutionAlreadyExists")
		}},
		{"a stopped execution is ABORTED, with its input", func(ctx context.Context, s *subject) error {
			arn, err := s.start(ctx, s.standard, "stopped", `{"a":"é"}`)
			if err != nil {
				return err
			}
			if _, err := s.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
				return err
			}
			out, err := s.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
			if err == nil && (out.Status != types.ExecutionStatusAborted || aws.ToString(out.Input) != `{"a":"é"}`) {
				err = fmt.Errorf("%s with %s", out.Status, aws.ToString(out.Input))
			}
			return err
		}},
		{"an execution is listed by its status, with its name", func(ctx context.Context, s *subject) error {
			arn, err := s.start(ctx, s.standard, "listed", `{}`)
			if err != nil {
				return err
			}
			if _, err := s.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
				return err
			}
			out, err := s.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &s.standard, StatusFilter: types.ExecutionStatusAborted})
			if err != nil {
				return err
			}
			for _, x := range out.Executions {
				if x.Status != types.ExecutionStatusAborted {
					return fmt.Errorf("%s is %s", *x.Name, x.Status)
				}
				if *x.Name == "listed" && *x.ExecutionArn == arn && x.StopDate != nil {
					return nil
				}
			}
			return errors.New("it is not in the list")
		}},
		{"DescribeStateMachine tells the type", func(ctx context.Context, s *subject) error {
			out, err := s.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &s.standard})
			if err == nil && out.Type != types.StateMachineTypeStandard {
				err = fmt.Errorf("type %s", out.Type)
			}
			return err
		}},
		{"a machine that is not there is StateMachineDoesNotExist", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, s.standard+"None", "n", `{}`)), "StateMachineDoesNotExist")
		}},
		{"an ARN that is none is InvalidArn", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, "machine", "n", `{}`)), "InvalidArn")
		}},
		{"an input that is no JSON is InvalidExecutionInput", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, s.standard, "no-json", `{"a"`)), "InvalidExecutionInput")
		}},
		{"a name with a blank is InvalidName", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, s.standard, "a name", `{}`)), "InvalidName")
		}},
		{"a name of 81 characters is refused", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, s.standard, strings.Repeat("n", 81), `{}`)), "ValidationException", "InvalidName")
		}},
		{"an input of 262,144 bytes is taken", func(ctx context.Context, s *subject) error {
			return accepted(s.start(ctx, s.standard, "full", `"`+strings.Repeat("x", 262142)+`"`))
		}},
		{"an input of 262,145 bytes is refused", func(ctx context.Context, s *subject) error {
			return refused(accepted(s.start(ctx, s.standard, "too-large", `"`+strings.Repeat("x", 262143)+`"`)), "ValidationException", "InvalidExecutionInput")
		}},
		{"StartSyncExecution runs an Express machine to SUCCEEDED", func(ctx context.Context, s *subject) error {
			return s.runs(ctx, "sync")
		}},
		{"names of Express executions repeat", func(ctx context.Context, s *subject) error {
			if err := s.runs(ctx, "again"); err != nil {
				return err
			}
			return s.runs(ctx, "again")
		}},
		{"StartSyncExecution of a Standard machine is StateMachineTypeNotSupported", func(ctx context.Context, s *subject) error {
			_, err := s.StartSyncExecution(ctx, &sfn.StartSyncExecutionInput{StateMachineArn: &s.standard, Input: aws.String(`{}`)})
			return refused(err, "StateMachineTypeNotSupported")
		}},
	}
}

func (s *subject) runs(ctx context.Context, name string) error {
	out, err := s.StartSyncExecution(ctx, &sfn.StartSyncExecutionInput{StateMachineArn: &s.express, Name: &name, Input: aws.String(`{}`)})
	if err == nil && out.Status != types.SyncExecutionStatusSucceeded {
		err = fmt.Errorf("%s: %s", out.Status, aws.ToString(out.Cause))
	}
	return err
}

// differences are the rules that an emulator is known to break.
var differences = map[string][]string{
	"embedded": nil,
	"moto 5.2.5": {
		"an input of 262,145 bytes is refused",
		"StartSyncExecution runs an Express machine to SUCCEEDED", "names of Express executions repeat",
		"StartSyncExecution of a Standard machine is StateMachineTypeNotSupported",
	},
	"ministack 1.5.33": {
		"the same name and input while RUNNING gives the first execution",
		"an ARN that is none is InvalidArn", "an input that is no JSON is InvalidExecutionInput",
		"a name with a blank is InvalidName", "a name of 81 characters is refused", "an input of 262,145 bytes is refused",
		"StartSyncExecution of a Standard machine is StateMachineTypeNotSupported",
	},
	"LocalStack 2026.3.0": {
		"a stopped execution is ABORTED, with its input", // escaped: {"a":"\u00e9"}
		"a name with a blank is InvalidName", "a name of 81 characters is refused", "an input of 262,145 bytes is refused",
	},
}

// localStack is the variable of the environment with the URL of a LocalStack. It takes half a gigabyte, so it is no part of the
// test stack: docs/emulators.md says how to start one.
const localStack = "STEPCONNECT_LOCALSTACK"

// answerWait bounds one rule: an emulator that does not answer keeps none.
const answerWait = 10 * time.Second

func TestEveryRuleIsKeptHereAndWhereAnotherEmulatorIsRight(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *subject{
		"embedded":         embedded,
		"moto 5.2.5":       func(t *testing.T) *subject { return emulator(t, stack.Moto(t)) },
		"ministack 1.5.33": func(t *testing.T) *subject { return emulator(t, stack.Ministack(t)) },
		"LocalStack 2026.3.0": func(t *testing.T) *subject {
			url := os.Getenv(localStack)
			if url == "" {
				t.Skipf("%s is not set: see docs/emulators.md", localStack)
			}
			return emulator(t, url)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, r := range rules() {
				ctx, cancel := context.WithTimeout(t.Context(), answerWait)
				err := r.keep(ctx, s)
				cancel()
				switch known := contains(differences[name], r.name); {
				case err != nil && !known:
					t.Errorf("%s: %v", r.name, err)
				case err == nil && known:
					t.Errorf("%s: kept, and listed as a difference: take it off the list and out of docs/emulators.md", r.name)
				}
			}
		})
	}
}

func contains(list []string, name string) bool {
	for _, item := range list {
		if item == name {
			return true
		}
	}
	return false
}

func client(url string) *sfn.Client {
	return sfn.New(sfn.Options{
		Region: "sa-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions:  []func(*middleware.Stack) error{iaws.WithoutHostPrefix},
	})
}

func embedded(t *testing.T) *subject {
	e, err := states.Start(t.Context(), states.Options{Keep: states.KeepInputs, Machines: []states.Machine{
		{Name: "Standard", Run: states.Run{Hold: true}}, {Name: "Express", Type: states.Express},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	const arn = "arn:aws:states:sa-east-1:000000000000:stateMachine:"
	return &subject{client(e.URL()), arn + "Standard", arn + "Express"}
}

// emulator makes the two machines: one that waits for ever, and one that passes.
func emulator(t *testing.T, url string) *subject {
	s := &subject{Client: client(url)}
	create := func(name, kind, definition string) string {
		name = stack.Name(t) + name
		out, err := s.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
			Name: &name, Type: types.StateMachineType(kind), Definition: &definition, RoleArn: aws.String("arn:aws:iam::000000000000:role/r"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return *out.StateMachineArn
	}
	s.standard = create("standard", "STANDARD", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`)
	s.express = create("express", "EXPRESS", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`)
	return s
}

func TestEveryDifferenceIsInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/emulators.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range differences {
		for _, difference := range list {
			if !strings.Contains(string(text), difference) || !strings.Contains(string(text), name) {
				t.Errorf("docs/emulators.md does not say that %s breaks this: %s", name, difference)
			}
		}
	}
}
