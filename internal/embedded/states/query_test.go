package states_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func asType[T error](err error, target *T) bool { return errors.As(err, target) }

func TestDescribeStateMachineTellsTheType(t *testing.T) {
	e := start(t, states.Options{Machines: append(machines(), states.Machine{Name: "Velha", Deleting: true})})
	c := client(t, e)
	for arn, want := range map[string]types.StateMachineType{clientes: types.StateMachineTypeStandard, produtos: types.StateMachineTypeExpress} {
		out, err := c.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
		if err != nil || out.Type != want || out.Status != types.StateMachineStatusActive || *out.StateMachineArn != arn || *out.Definition == "" {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	old := strings.Replace(clientes, "Clientes", "Velha", 1)
	if out, err := c.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &old}); err != nil || out.Status != types.StateMachineStatusDeleting {
		t.Fatalf("%+v, %v", out, err)
	}
	e.RemoveMachine(old)
	_, err := c.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &old})
	wantCode(t, err, "StateMachineDoesNotExist")
}

func TestMachinesMayLiveInSeveralRegionsAndAccounts(t *testing.T) {
	other := "arn:aws:states:us-east-1:111111111111:stateMachine:Clientes"
	e := start(t, states.Options{Machines: append(machines(), states.Machine{ARN: other})})
	c := client(t, e)
	a, b := mustStart(t, c, clientes, "n", "{}"), mustStart(t, c, other, "n", "{}")
	if *a.ExecutionArn == *b.ExecutionArn || !strings.HasPrefix(*b.ExecutionArn, "arn:aws:states:us-east-1:111111111111:execution:Clientes:") {
		t.Fatalf("%s and %s", *a.ExecutionArn, *b.ExecutionArn)
	}
}

func TestWrongDeclarationsAreRefused(t *testing.T) {
	for name, m := range map[string]states.Machine{
		"an unknown type":            {Name: "A", Type: "FAST"},
		"an ARN of another name":     {Name: "A", ARN: clientes},
		"a qualified ARN":            {ARN: clientes + ":1"},
		"weights that miss 100":      {Name: "A", Versions: []int{1}, Aliases: map[string][]states.Route{"P": {{Version: 1, Weight: 99}}}},
		"an alias without a version": {Name: "A", Aliases: map[string][]states.Route{"P": {{Version: 1, Weight: 100}}}},
		"no name":                    {},
	} {
		if e, err := states.Start(t.Context(), states.Options{Machines: []states.Machine{m}}); err == nil {
			t.Errorf("%s was taken", name)
			_ = e.Close()
		}
	}
	if e, err := states.Start(t.Context(), states.Options{Addr: "0.0.0.0:0"}); err == nil {
		t.Error("an address that others reach was taken")
		_ = e.Close()
	}
}

func TestExecutionsAreDescribedWhileTheyRunAndAfterwards(t *testing.T) {
	clk := newClock()
	e := start(t, states.Options{Now: clk.Now, Keep: states.KeepInputs, Machines: []states.Machine{
		{Name: "Clientes", Run: states.Run{For: time.Minute, Output: `{"n":1}`}},
	}})
	c := client(t, e)
	x := mustStart(t, c, clientes, "n", `{"a":1}`)
	describe := func() *sfn.DescribeExecutionOutput {
		t.Helper()
		d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	clk.Advance(time.Minute - 1)
	if d := describe(); d.Status != types.ExecutionStatusRunning || d.StopDate != nil || d.Output != nil || *d.Input != `{"a":1}` {
		t.Fatalf("while it runs: %+v", d)
	}
	clk.Advance(time.Second)
	d := describe()
	if d.Status != types.ExecutionStatusSucceeded || *d.Output != `{"n":1}` || d.RedriveStatus != types.ExecutionRedriveStatusNotRedrivable ||
		!d.StopDate.Equal(d.StartDate.Add(time.Minute)) {
		t.Fatalf("after it closed: %+v", d)
	}
	_, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(*x.ExecutionArn + "x")})
	wantCode(t, err, "ExecutionDoesNotExist")
	_, err = c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String("n")})
	wantCode(t, err, "InvalidArn")
}

func TestStopExecutionAborts(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	x := mustStart(t, c, pedidos, "n", "{}")
	stop := &sfn.StopExecutionInput{ExecutionArn: x.ExecutionArn, Error: aws.String("Operador"), Cause: aws.String("teste")}
	first, err := c.StopExecution(t.Context(), stop)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.StopExecution(t.Context(), stop)
	if err != nil || !again.StopDate.Equal(*first.StopDate) {
		t.Fatalf("stopped again: %v, %v", again, err)
	}
	d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
	if err != nil || d.Status != types.ExecutionStatusAborted || *d.Error != "Operador" || *d.Cause != "teste" || d.RedriveStatus != types.ExecutionRedriveStatusRedrivable {
		t.Fatalf("%+v, %v", d, err)
	}
	_, err = c.StartExecution(t.Context(), startInput(pedidos, "n", "{}"))
	wantCode(t, err, "ExecutionAlreadyExists")
}

func TestListExecutionsPagesNewestFirstAndDoesNotMoveWithNewOnes(t *testing.T) {
	clk := newClock()
	e := start(t, states.Options{Now: clk.Now})
	c := client(t, e)
	for i := range 25 {
		mustStart(t, c, clientes, fmt.Sprintf("n%02d", i), "{}")
	}
	arn := clientes
	var names []string
	in := &sfn.ListExecutionsInput{StateMachineArn: &arn, MaxResults: 10, StatusFilter: types.ExecutionStatusSucceeded}
	for {
		out, err := c.ListExecutions(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range out.Executions {
			names = append(names, *x.Name)
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
		mustStart(t, c, clientes, "late"+fmt.Sprint(len(names)), "{}")
	}
	if len(names) != 25 || names[0] != "n24" || names[24] != "n00" {
		t.Fatalf("listed %v", names)
	}

	in.StatusFilter = types.ExecutionStatusFailed
	_, err := c.ListExecutions(t.Context(), in)
	wantCode(t, err, "InvalidToken") // the other arguments must stay
	in.NextToken = nil
	if out, err := c.ListExecutions(t.Context(), in); err != nil || len(out.Executions) != 0 || out.NextToken != nil {
		t.Fatalf("failed ones: %+v, %v", out, err)
	}
	in.StatusFilter, in.MaxResults = "", 2
	out, err := c.ListExecutions(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.NextToken = out.NextToken
	clk.Advance(24 * time.Hour)
	_, err = c.ListExecutions(t.Context(), in)
	wantCode(t, err, "InvalidToken") // too old
	for _, bad := range []*sfn.ListExecutionsInput{
		{StateMachineArn: &arn, MaxResults: 1001},
		{StateMachineArn: &arn, StatusFilter: "succeeded"},
		{MapRunArn: aws.String("arn:aws:states:sa-east-1:000000000000:mapRun:a/b:c")},
	} {
		_, err = c.ListExecutions(t.Context(), bad)
		wantCode(t, err, "ValidationException")
	}
}
