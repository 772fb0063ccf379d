package states_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func TestStandardNamesAreIdempotentAsTheServiceDocumentsThem(t *testing.T) {
	clk := newClock()
	e := start(t, states.Options{Now: clk.Now})
	c := client(t, e)

	first := mustStart(t, c, pedidos, "n1", `{"a":1}`)
	clk.Advance(time.Hour)
	again := mustStart(t, c, pedidos, "n1", `{"a":1}`)
	if *again.ExecutionArn != *first.ExecutionArn || !again.StartDate.Equal(*first.StartDate) {
		t.Fatalf("repeat while RUNNING answered %s %s, want %s %s", *again.ExecutionArn, again.StartDate, *first.ExecutionArn, first.StartDate)
	}
	if want := "arn:aws:states:sa-east-1:000000000000:execution:Pedidos:n1"; *first.ExecutionArn != want {
		t.Fatalf("ARN %s, want %s", *first.ExecutionArn, want)
	}

	_, err := c.StartExecution(t.Context(), startInput(pedidos, "n1", `{"a": 1}`))
	wantCode(t, err, "ExecutionAlreadyExists") // one blank more: not byte-identical

	if !e.Finish(*first.ExecutionArn, states.Run{}) {
		t.Fatal("there was nothing to finish")
	}
	_, err = c.StartExecution(t.Context(), startInput(pedidos, "n1", `{"a":1}`))
	wantCode(t, err, "ExecutionAlreadyExists") // closed, even with the same input

	clk.Advance(90*24*time.Hour - time.Millisecond)
	_, err = c.StartExecution(t.Context(), startInput(pedidos, "n1", `{"a":1}`))
	wantCode(t, err, "ExecutionAlreadyExists")

	clk.Advance(time.Millisecond)
	fresh := mustStart(t, c, pedidos, "n1", `{"a":1}`)
	if fresh.StartDate.Equal(*first.StartDate) {
		t.Fatal("the name is free after 90 days, but the old execution was answered")
	}
	if got := len(e.Executions(pedidos)); got != 2 {
		t.Fatalf("%d executions, want 2", got)
	}
	mustStart(t, c, clientes, "n1", `{}`) // names are unique per machine, not over all

	var outcomes []string
	for _, call := range e.Log() {
		outcomes = append(outcomes, call.Outcome)
	}
	want := "started repeated ExecutionAlreadyExists ExecutionAlreadyExists ExecutionAlreadyExists started started"
	if got := strings.Join(outcomes, " "); got != want {
		t.Fatalf("outcomes %s, want %s", got, want)
	}
}

func TestAnOmittedInputIsAnEmptyObjectAndAnOmittedNameIsMadeUp(t *testing.T) {
	e := start(t, states.Options{Keep: states.KeepInputs})
	c := client(t, e)
	arn := pedidos
	out, err := c.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: out.ExecutionArn})
	if err != nil {
		t.Fatal(err)
	}
	if *d.Input != "{}" || len(*d.Name) != 36 || !d.StartDate.Equal(*out.StartDate) {
		t.Fatalf("input %q, name %q, start %s", *d.Input, *d.Name, d.StartDate)
	}
	mustStart(t, c, pedidos, *d.Name, "{}") // the same input, said aloud
}

func TestStartsAreCheckedInTheOrderOfTheService(t *testing.T) {
	e := start(t, states.Options{Machines: append(machines(), states.Machine{Name: "Velha", Deleting: true})})
	c := client(t, e)
	base := "arn:aws:states:sa-east-1:000000000000:stateMachine:"
	big := `"` + strings.Repeat("é", states.MaxInput/2) + `"` // 262,144 bytes and two quotes
	cases := []struct{ name, arn, execution, input, code, message string }{
		{"a name of 81 characters breaks the model", clientes, strings.Repeat("a", 81), "{}", "ValidationException", "Member must have length less than or equal to 80"},
		{"a name of 80 characters is fine", clientes, strings.Repeat("a", 80), "{}", "", ""},
		{"an accent is allowed", clientes, "ação", "{}", "", ""},
		{"a blank is not", clientes, "a b", "{}", "InvalidName", "Invalid Name: 'a b'"},
		{"a slash is not", clientes, "a/b", "{}", "InvalidName", ""},
		{"a colon is not", clientes, "a:b", "{}", "InvalidName", ""},
		{"a control character is not", clientes, "a\u0085b", "{}", "InvalidName", ""},
		{"an input over the limit counts bytes, not characters", clientes, "n", big, "ValidationException", "Member must have size less than or equal to 262144 bytes in UTF-8 encoding"},
		{"an input at the limit is fine", clientes, "limit", `"` + strings.Repeat("é", states.MaxInput/2-1) + `"`, "", ""},
		{"an input that is no JSON", clientes, "n", `{'a':1}`, "InvalidExecutionInput", "Invalid State Machine Execution Input: '"},
		{"an empty input", clientes, "n", "", "InvalidExecutionInput", "'Invalid execution input.'"},
		{"two JSON texts", clientes, "n", "{} {}", "InvalidExecutionInput", ""},
		{"null is JSON", clientes, "null", "null", "", ""},
		{"no ARN at all", "Clientes", "n", "{}", "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: Clientes'"},
		{"an ARN of another service", "arn:aws:lambda:sa-east-1:000000000000:function:f", "n", "{}", "InvalidArn", "Invalid service name"},
		{"an ARN of an execution", "arn:aws:states:sa-east-1:000000000000:execution:Clientes:n", "n", "{}", "InvalidArn", "Resource type not valid in this context: execution"},
		{"a short ARN", "arn:aws:states:sa-east-1", "n", "{}", "InvalidArn", ""},
		{"the ARN of a Map state", clientes + "/lote", "n", "{}", "ValidationException", "Map state"},
		{"a machine that is not there", base + "Outra", "n", "{}", "StateMachineDoesNotExist", "State Machine Does Not Exist: '" + base + "Outra'"},
		{"a machine of another region", strings.Replace(clientes, "sa-east-1", "us-east-1", 1), "n", "{}", "StateMachineDoesNotExist", ""},
		{"a version that is not there", clientes + ":7", "n", "{}", "StateMachineDoesNotExist", ""},
		{"a machine being deleted", base + "Velha", "n", "{}", "StateMachineDeleting", ""},
		{"the model comes before the machine", base + "Outra", strings.Repeat("a", 81), "{}", "ValidationException", ""},
		{"the machine comes before name and input", base + "Outra", "a b", "{", "StateMachineDoesNotExist", ""},
		{"several breaches are told together", "", "", "{}", "ValidationException", "2 validation errors detected: "},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.StartExecution(t.Context(), startInput(tc.arn, tc.execution, tc.input))
			wantCode(t, err, tc.code)
			if err != nil && !strings.Contains(err.Error(), tc.message) {
				t.Fatalf("message %q, want %q in it", err, tc.message)
			}
		})
	}
}

func TestStartErrorsAreTheSDKsModelledTypes(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	mustStart(t, c, clientes, "n", "{}")
	_, err := c.StartExecution(t.Context(), startInput(clientes, "n", "{}"))
	var exists *types.ExecutionAlreadyExists
	if !asType(err, &exists) || !strings.Contains(*exists.Message, ":execution:Clientes:n'") {
		t.Fatalf("got %T %v", err, err)
	}
	_, err = c.StartExecution(t.Context(), startInput(clientes, strings.Repeat("a", 81), "{}"))
	var validation *types.ValidationException
	if !asType(err, &validation) {
		t.Fatalf("got %T %v", err, err)
	}
}

func TestExpressStartsRepeatAndAnswerWithTheirOwnARNs(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	one := mustStart(t, c, produtos, "n", "{}")
	two := mustStart(t, c, produtos, "n", "{}")
	prefix := "arn:aws:states:sa-east-1:000000000000:express:Produtos:n:"
	if !strings.HasPrefix(*one.ExecutionArn, prefix) || !strings.HasPrefix(*two.ExecutionArn, prefix) || *one.ExecutionArn == *two.ExecutionArn {
		t.Fatalf("ARNs %s and %s", *one.ExecutionArn, *two.ExecutionArn)
	}
	arn := produtos
	_, err := c.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &arn})
	wantCode(t, err, "StateMachineTypeNotSupported")
	_, err = c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: one.ExecutionArn})
	wantCode(t, err, "InvalidArn")
	if !strings.Contains(err.Error(), "Resource type not valid in this context: express") {
		t.Fatal(err)
	}
	_, err = c.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: one.ExecutionArn})
	wantCode(t, err, "InvalidArn")
	if got := len(e.Executions(produtos)); got != 2 {
		t.Fatalf("%d executions, want 2", got)
	}
}

func syncInput(arn, name, input string) *sfn.StartSyncExecutionInput {
	return &sfn.StartSyncExecutionInput{StateMachineArn: &arn, Name: &name, Input: &input}
}

func TestSyncExpressAnswersItsResult(t *testing.T) {
	e := start(t, states.Options{})
	c := client(t, e)
	out, err := c.StartSyncExecution(t.Context(), syncInput(produtos, "n", `{"a":"é"}`))
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != types.SyncExecutionStatusSucceeded || *out.Output != `{"ok":true}` || *out.Input != `{"a":"é"}` ||
		*out.Name != "n" || *out.StateMachineArn != produtos || !out.OutputDetails.Included || out.Error != nil ||
		out.StopDate.Before(*out.StartDate) || out.BillingDetails.BilledMemoryUsedInMB != 64 {
		t.Fatalf("answer %+v", out)
	}
	_, err = c.StartSyncExecution(t.Context(), syncInput(clientes, "n", "{}"))
	wantCode(t, err, "StateMachineTypeNotSupported")
	_, err = c.StartSyncExecution(t.Context(), syncInput(produtos, "a b", "{}"))
	wantCode(t, err, "InvalidName")
	slow := states.Run{For: 20 * time.Millisecond}
	e.SetHook(func(states.Call) states.Fault { return states.Fault{Run: &slow} })
	if out, err = c.StartSyncExecution(t.Context(), syncInput(produtos, "slow", "{}")); err != nil || out.StopDate.Sub(*out.StartDate) < slow.For {
		t.Fatalf("%+v, %v", out, err)
	}
	e.SetHook(nil)
	quiet := syncInput(produtos, "m", "{}")
	quiet.IncludedData = types.IncludedDataMetadataOnly
	if out, err = c.StartSyncExecution(t.Context(), quiet); err != nil || out.Output != nil || out.InputDetails.Included {
		t.Fatalf("METADATA_ONLY: %+v, %v", out, err)
	}
}

func TestSyncExpressFailsWithStatus200(t *testing.T) {
	e := start(t, states.Options{Machines: []states.Machine{
		{Name: "Produtos", Type: states.Express, Run: states.Run{Status: states.Failed, Error: "Lambda.Unknown", Cause: "because"}},
		{Name: "Pedidos", Type: states.Express, Run: states.Run{Status: states.TimedOut}},
	}})
	c := client(t, e)
	out, err := c.StartSyncExecution(t.Context(), syncInput(produtos, "n", "{}"))
	if err != nil || out.Status != types.SyncExecutionStatusFailed || *out.Error != "Lambda.Unknown" || *out.Cause != "because" || out.Output != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = c.StartSyncExecution(t.Context(), syncInput(pedidos, "n", "{}"))
	if err != nil || out.Status != types.SyncExecutionStatusTimedOut {
		t.Fatalf("%+v, %v", out, err)
	}
	e.SetHook(func(states.Call) states.Fault { return states.Fault{Run: &states.Run{Output: `[1]`}} })
	out, err = c.StartSyncExecution(t.Context(), syncInput(pedidos, "n", "{}"))
	if err != nil || out.Status != types.SyncExecutionStatusSucceeded || *out.Output != "[1]" {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestOpenExecutionsAreLimited(t *testing.T) {
	e := start(t, states.Options{MaxOpen: 2})
	c := client(t, e)
	mustStart(t, c, pedidos, "a", "{}")
	mustStart(t, c, pedidos, "b", "{}")
	_, err := c.StartExecution(t.Context(), startInput(pedidos, "c", "{}"))
	wantCode(t, err, "ExecutionLimitExceeded")
	mustStart(t, c, pedidos, "a", "{}") // a repeat opens nothing
	mustStart(t, c, produtos, "x", "{}")
	if n := e.FinishAll(pedidos, states.Run{Status: states.Failed, Error: "E"}); n != 2 {
		t.Fatalf("finished %d, want 2", n)
	}
	mustStart(t, c, pedidos, "c", "{}")
}

func TestVersionsAndAliasesRouteAndShareTheNamesOfTheirMachine(t *testing.T) {
	e := start(t, states.Options{Machines: []states.Machine{{
		Name: "Clientes", Versions: []int{1, 2},
		Aliases: map[string][]states.Route{"PROD": {{Version: 1, Weight: 70}, {Version: 2, Weight: 30}}},
	}}})
	c := client(t, e)
	mustStart(t, c, clientes+":2", "v", "{}")
	seen := map[int]int{}
	for i := range 100 {
		mustStart(t, c, clientes+":PROD", "n"+strings.Repeat("x", i%70)+string(rune('a'+i/70)), "{}")
	}
	for _, x := range e.Executions(clientes)[1:] {
		seen[x.Version]++
	}
	if seen[1] != 70 || seen[2] != 30 {
		t.Fatalf("routed %v, want 70 and 30", seen)
	}
	_, err := c.StartExecution(t.Context(), startInput(clientes+":1", "v", "{}"))
	wantCode(t, err, "ExecutionAlreadyExists")
	_, err = c.StartExecution(t.Context(), startInput(clientes+":DEV", "v2", "{}"))
	wantCode(t, err, "StateMachineDoesNotExist")

	d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(e.Executions(clientes)[1].ARN)})
	if err != nil || *d.StateMachineAliasArn != clientes+":PROD" || *d.StateMachineVersionArn != clientes+":1" || *d.StateMachineArn != clientes {
		t.Fatalf("%+v, %v", d, err)
	}
	arn := clientes + ":2"
	l, err := c.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &arn})
	if err != nil || len(l.Executions) != 31 {
		t.Fatalf("want 31 executions of version 2, got %+v; %v", l, err)
	}
}
