package badinput

import (
	"slices"
	"testing"

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
