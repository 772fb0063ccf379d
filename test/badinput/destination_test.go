package badinput

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
	"github.com/stepconnect/stepconnect/test/worker"
)

// badDestination is a state machine that takes nothing.
type badDestination struct {
	name     string
	state    string
	said     []string
	settings map[string]string
	spoil    func(x *trial)
	cure     func(x *trial)
}

func badDestinations() []badDestination {
	fault := func(code string) func(*trial) {
		return func(x *trial) { world.faults.Store(x.machine, states.Fault{Code: code}) }
	}
	passes := func(x *trial) { world.faults.Delete(x.machine) }
	passesAndRestart := func(x *trial) {
		passes(x)
		x.restart()
	}
	return []badDestination{
		{"a state machine that does not exist", warned, []string{"StateMachineDoesNotExist", "create the state machine or correct state.machine.arn; only this domain waits"}, nil,
			func(x *trial) { world.stack.States.RemoveMachine(arn(x.machine)) }, func(x *trial) { x.createMachine(x.machine) }},
		{"a state machine that is being deleted", warned, []string{"StateMachineDeleting", "create the state machine"}, nil,
			func(x *trial) {
				if err := world.stack.States.SetMachine(states.Machine{Name: x.machine, Deleting: true}); err != nil {
					x.t.Fatal(err)
				}
			}, func(x *trial) { x.createMachine(x.machine) }},
		{"access denied", warned, []string{"AccessDeniedException", "check the credentials, and that the role allows states:StartExecution"}, nil, fault("AccessDeniedException"), passes},
		{"expired credentials", warned, []string{"ExpiredTokenException", "check the credentials and this machine's clock"}, nil, fault("ExpiredTokenException"), passes},
		{"a KMS key that may not be used", warned, []string{"KmsAccessDeniedException", "kms:Decrypt"}, nil, fault("KmsAccessDeniedException"), passes},
		{"throttling without end", warned, []string{"ThrottlingException"}, nil, fault("ThrottlingException"), passes},
		{"an endpoint that fails", warned, []string{"InternalFailure"}, nil, fault("InternalFailure"), passes},
		{"an endpoint that hangs up", warned, nil, nil,
			func(x *trial) { world.faults.Store(x.machine, states.Fault{Reset: true}) }, passes},
		{"a delivery that is tried for longer than delivery.retry.timeout.ms", failed, []string{"partition 0, offset ", "AccessDeniedException", "check the credentials"},
			map[string]string{"delivery.retry.timeout.ms": "500", "errors.restart.enable": "false"}, fault("AccessDeniedException"), passesAndRestart},
		{"an input that Step Functions refuses", failed, []string{"partition 0, offset ", "InvalidExecutionInput", "errors.tolerance=all"}, nil,
			func(x *trial) {
				world.faults.Store(x.machine, states.Fault{Code: "InvalidExecutionInput"})
			}, passesAndRestart},
	}
}

func TestADestinationThatTakesNothingHoldsBackNothingButItsOwn(t *testing.T) {
	t.Parallel()
	for _, b := range badDestinations() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, map[string]string{"execution.type": "standard"})
			other := *x
			other.name += "-o"
			x.createTopic(other.name)
			x.createMachine(other.name)
			b.spoil(x)
			x.send(x.good(1), x.good(2), x.good(1))
			x.create(b.settings)
			x.create(map[string]string{ // a second domain of the same task
				"topics": x.name + "," + other.name, "domains": "clientes,outros", "domain.outros.topics": other.name,
				"domain.outros.state.machine.arn": arn(other.name),
			})
			if b.state != failed {
				other.send(other.good(1), other.good(2))
				other.awaitStarted(0, 1)
			}
			x.awaitState(b.state, b.said...)
			if got := x.started(); len(got) > 0 || x.committed() > 0 {
				t.Errorf("started %v, committed %d although nothing was settled", got, x.committed())
			}
			if b.state == warned {
				tried := attempts(x)
				worker.Eventually(t, within, "it is tried again", func() bool { return attempts(x) > tried })
			}
			othersGoOn(t)

			b.cure(x)
			x.awaitStarted(0, 1, 2)
			x.inOrder(0, 2)
			x.awaitCommitted(3)
			x.await("nothing is told any more", func(s taskStatus) bool { return s.State == "RUNNING" && s.Warning == "" })
		})
	}
}

// attempts counts the calls for the trial's state machine.
func attempts(x *trial) int {
	n := 0
	for _, c := range world.stack.States.Log() {
		if c.Machine == arn(x.machine) && c.Target == "StartExecution" {
			n++
		}
	}
	return n
}

// TestAnOversizedChangeEndsTheTaskWhereThePolicySaysSo is oversize.policy=fail: no tolerance counts.
func TestAnOversizedChangeEndsTheTaskWhereThePolicySaysSo(t *testing.T) {
	t.Parallel()
	x := newTrial(t, withDLQ(t, "all"))
	b := badRecords()[slices.IndexFunc(badRecords(), func(b badRecord) bool { return b.name == "a value over the size limit" })]
	records := spoiled(x, b)
	x.config["oversize.policy"] = "fail"
	x.begin(2, records...)
	x.awaitState(failed, "partition 0, offset 2", b.cause, "oversize.policy=s3")
	if at := x.committed(); at != 2 {
		t.Errorf("committed %d, want 2", at)
	}
	checkLetters(t, x, b, records[2], 0)

	x.create(map[string]string{"oversize.policy": "dlq"})
	x.awaitStarted(0, 1, 3, 4, 5)
	x.awaitCommitted(6)
	checkLetters(t, x, b, records[2], 1)
}

// express gives the trial an Express state machine.
func (x *trial) express() {
	x.t.Helper()
	x.machine = x.name + "-express"
	x.config["domain.clientes.state.machine.arn"] = arn(x.machine)
	if err := world.stack.States.SetMachine(states.Machine{Name: x.machine, Type: states.Express}); err != nil {
		x.t.Fatal(err)
	}
	x.config["execution.type"] = "express"
}

// evaluationFails is how an Express execution ends whose JSONata meets a value that it does not suit.
func evaluationFails() states.Fault {
	return states.Fault{Run: &states.Run{Status: states.Failed, Error: "States.QueryEvaluationError", Cause: "the JSONata expression does not suit the value"}}
}

// succeeded gives, ascending, the offsets of the changes whose executions have SUCCEEDED, each as often as that.
func (x *trial) succeeded() []int64 {
	var offsets []int64
	for _, c := range world.stack.States.Log() {
		for _, change := range c.Changes {
			if change.Topic == x.name && c.Status == states.Succeeded {
				offsets = append(offsets, change.Offset)
			}
		}
	}
	slices.Sort(offsets)
	return offsets
}

func TestAnExpressBatchIsHalvedUntilTheChangeAtFaultIsAlone(t *testing.T) {
	t.Parallel()
	for name, tolerance := range map[string]string{"under tolerance all": "all", "under tolerance none": "none"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, withDLQ(t, tolerance))
			x.express()
			world.faults.Store(x.machine, func(c states.Call) states.Fault {
				if slices.ContainsFunc(c.Changes, func(change states.Change) bool { return change.Offset == 2 }) {
					return evaluationFails()
				}
				return states.Fault{}
			})
			bad := badRecord{stage: atPut, cause: "States.QueryEvaluationError", spoil: func(x *trial) broker.Record { return x.good(3) }}
			records := spoiled(x, bad)
			for id := range int64(24) { // one batch with the others
				records = append(records, x.good(10+id))
			}
			x.send(records...)
			x.create(nil)
			want := []int64{0, 1}
			for o := range int64(27) {
				want = append(want, 3+o)
			}
			if tolerance == "all" {
				x.awaitCommitted(30)
				x.awaitState(running)
			} else {
				x.awaitState(failed, "topic "+x.name+", partition 0, offset 2", bad.cause, "errors.tolerance=all")
				if at := x.committed(); at > 2 {
					t.Errorf("committed %d, past the change", at)
				}
			}
			got := x.succeeded()
			for _, o := range want { // a task that has failed owes the others nothing before its restart
				if n := count(got, o); n > 1 || n == 0 && tolerance == "all" {
					t.Errorf("the change at offset %d has succeeded %d times", o, n)
				}
			}
			if count(got, 2) > 0 || tolerance == "none" && count(got, 4) > 0 {
				t.Errorf("succeeded: %v, though the change at offset 2 must not, and its key's next not before it", got)
			}
			checkLetters(t, x, bad, records[2], 1)
			othersGoOn(t)
		})
	}
}

func count(list []int64, n int64) (times int) {
	for _, v := range list {
		if v == n {
			times++
		}
	}
	return times
}

func TestABrokenStateMachineDoesNotEmptyItsTopicIntoTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	const allowed, all = 3, 40
	settings := withDLQ(t, "all")
	settings["express.errors.reject.in.a.row"] = "3"
	settings["max.in.flight"] = "1" // a failure that is still under way at the first success would begin a new row
	x := newTrial(t, settings)
	x.express()
	world.faults.Store(x.machine, evaluationFails())
	var records []broker.Record
	for id := range int64(all) {
		records = append(records, x.good(id))
	}
	x.send(records...)
	x.create(nil)
	x.awaitState(warned, "States.QueryEvaluationError", "3 changes of domain clientes have ended so in a row and none has succeeded", "correct the state machine")
	tried := len(x.succeeded())
	if got := letters(t, dlqOf(t)); len(got) != allowed || tried > 0 {
		t.Errorf("%d letters, want %d; %d changes succeeded", len(got), allowed, tried)
	}
	othersGoOn(t)

	world.faults.Delete(x.machine) // somebody deploys the machine again
	x.awaitCommitted(all)
	x.awaitState(running)
	lost := map[string]bool{}
	for _, letter := range letters(t, dlqOf(t)) {
		lost[header(letter, "offset")] = true
	}
	got := x.succeeded()
	for o := range int64(all) {
		if n := count(got, o); n != 1 && !lost[strconv.FormatInt(o, 10)] {
			t.Errorf("the change at offset %d has succeeded %d times", o, n)
		}
	}
	if len(got) != all-allowed || len(lost) != allowed {
		t.Errorf("%d changes succeeded and %d are in the queue, want %d and %d", len(got), len(lost), all-allowed, allowed)
	}
}
