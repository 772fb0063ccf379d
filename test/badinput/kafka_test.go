package badinput

import (
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/twmb/franz-go/pkg/kadm"
)

// badQueue is a dead letter queue that takes no copy.
type badQueue struct {
	name      string
	state     string
	tolerance string
	code      int16
	said      string
}

func badQueues() []badQueue {
	return []badQueue{
		{"a dead letter queue whose brokers are short of replicas, under tolerance all", warned, "all", notEnoughReplicas, "the record at offset 2 has not been delivered since"},
		{"a dead letter queue that may not be written, under tolerance all", failed, "all", topicAuthorizationFailed, "its copy could not be written to the dead letter queue"},
		{"a dead letter queue that may not be written, under tolerance none", failed, "none", topicAuthorizationFailed, "its copy could not be written to the dead letter queue"},
	}
}

func TestARecordIsNotSettledBeforeItsDeadLetterIsWritten(t *testing.T) {
	t.Parallel()
	for _, q := range badQueues() {
		t.Run(q.name, func(t *testing.T) {
			t.Parallel()
			x := newTrial(t, withDLQ(t, q.tolerance))
			x.config["producer.override.delivery.timeout.ms"] = "5000" // long enough for a slow answer: a copy that only seems lost is written again
			x.config["producer.override.request.timeout.ms"] = "5000"
			b := badRecords()[0]
			records := spoiled(x, b)
			x.createTopic(dlqOf(t))
			world.unwritable.Store(dlqOf(t), q.code)
			x.begin(2, records...)
			x.awaitState(q.state, "offset 2", q.said, "dead letter queue "+dlqOf(t))
			x.awaitCommitted(2)
			if q.state == warned {
				x.awaitStarted(0, 1, 3, 5)
			}
			othersGoOn(t)

			world.unwritable.Delete(dlqOf(t))
			if q.state == failed {
				x.create(map[string]string{"errors.tolerance": "all"})
				x.restart()
			}
			x.awaitStarted(0, 1, 3, 4, 5)
			x.awaitCommitted(6)
			checkLetters(t, x, b, records[2], 1)
		})
	}
}

func TestADeadLetterQueueThatCannotBeCreatedFailsTheTaskBeforeItReads(t *testing.T) {
	t.Parallel()
	x := newTrial(t, withDLQ(t, "all"))
	world.uncreatable.Store(dlqOf(t), true)
	x.send(x.good(1))
	x.create(nil)
	x.awaitState(failed, "could not initialize dead letter queue with topic="+dlqOf(t))
	if at := x.committed(); at != -1 {
		t.Errorf("committed %d", at)
	}
	world.uncreatable.Delete(dlqOf(t))
	x.restart()
	x.awaitStarted(0)
	x.awaitCommitted(1)
}

func TestACommittedOffsetThatIsGoneFromTheLogNamesTheRange(t *testing.T) {
	t.Parallel()
	x := newTrial(t, nil)
	var records []broker.Record
	for id := range int64(8) {
		records = append(records, x.good(id))
	}
	x.send(records...)
	at := func(offset int64) kadm.Offsets {
		var o kadm.Offsets
		o.Add(kadm.Offset{Topic: x.name, Partition: 0, At: offset, LeaderEpoch: -1})
		return o
	}
	if _, err := world.admin.CommitOffsets(t.Context(), "connect-"+x.name, at(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := world.admin.DeleteRecords(t.Context(), at(5)); err != nil {
		t.Fatal(err)
	}
	x.create(nil)
	x.awaitState(failed, "topic "+x.name+", partition 0, offset 2", "offset 2 is not in the log any more, which holds 5 to 8", "offset.out.of.range=earliest")
	if got := x.started(); len(got) > 0 || x.committed() != 2 {
		t.Errorf("started %v, committed %d", got, x.committed())
	}
	othersGoOn(t)

	x.create(map[string]string{"offset.out.of.range": "earliest"})
	x.awaitStarted(5, 6, 7)
	x.awaitCommitted(8)
}

func TestATopicThatDoesNotExistIsWaitedFor(t *testing.T) {
	t.Parallel()
	x := newTrial(t, nil)
	missing := x.name + "-m"
	x.send(x.good(1))
	x.create(map[string]string{"topics": x.name + "," + missing, "domain.clientes.topics": x.name + "," + missing})
	x.awaitStarted(0) // the topic that is there is not held back
	x.awaitCommitted(1)
	x.awaitState(warned, "subscribed topics that do not exist", missing)

	x.createTopic(missing)
	y := *x
	y.name = missing
	y.send(y.good(2))
	y.awaitStarted(0)
	x.awaitState(running)
}
