package runtime

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// withLetters starts connector c on topic t, of which every second of n records is refused by its sink.
func withLetters(t *testing.T, n int, settings ...string) *world {
	t.Helper()
	w := start(t, nil)
	w.broker.create("t", 1)
	for i := range n {
		w.broker.produce("t", 0, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i), connector.RawHeader{Key: "own", Value: []byte("h")})
	}
	w.sink.set(func(p *probe) { p.refuse = oddValues })
	w.create("c", letterConfig(settings...))
	eventually(t, "every second record is in the queue", func() bool {
		return w.broker.committed("connect-c")["t-0"] == int64(n) && len(w.sink.seen()) == (n+1)/2
	})
	return w
}

func letterConfig(settings ...string) map[string]*string {
	cfg := probeConfig("t", "errors.tolerance", "all", "errors.deadletterqueue.topic.name", "dlq",
		"errors.deadletterqueue.topic.replication.factor", "1", "errors.deadletterqueue.context.headers.enable", "true", "batch.max.records", "1", "max.in.flight", "1")
	maps.Copy(cfg, cfgOf(settings...))
	return cfg
}

func oddValues(v string) error {
	if strings.ContainsAny(v[len(v)-1:], "13579") {
		return connector.Rejected(errors.New("odd: " + v))
	}
	return nil
}

func (w *world) letters(q LetterQuery) (names []string) {
	w.t.Helper()
	l, err := w.DeadLetters(w.t.Context(), "c", q)
	must(w.t, err)
	for _, r := range l.Records {
		names = append(names, fmt.Sprintf("%d:%d %s %d", r.Partition, r.Offset, r.State, r.Attempts))
	}
	return names
}

func (w *world) replay(r LetterRequest) LetterOperation {
	w.t.Helper()
	op, err := w.ReplayDeadLetters(w.t.Context(), "c", r)
	must(w.t, err)
	return op
}

// awaitEnd waits until the newest operation has ended.
func (w *world) awaitEnd() (op LetterOperation) {
	w.t.Helper()
	eventually(w.t, "the operation has ended", func() bool {
		all, err := w.DeadLetterOperations(w.t.Context(), "c")
		must(w.t, err)
		op = all.Operations[0]
		return op.Ended != nil
	})
	return op
}

func requireList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

func TestAReplayTakesLettersThroughTheConnectorUnderTheirOwnNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 6)
		requireList(t, "queue", w.letters(LetterQuery{}), "0:0 open 1", "0:1 open 1", "0:2 open 1")
		source := w.broker.length("t")
		w.sink.set(func(p *probe) { p.refuse, p.places, p.values = nil, nil, nil })
		from := int64(3)
		op := w.replay(LetterRequest{Filter: LetterFilter{Topic: "t", OffsetMin: &from}})
		if op.Remaining != 3 || op.Action != "replay" {
			t.Errorf("%+v", op)
		}
		op = w.awaitEnd()
		if op.State != "DONE" || op.Counts != (store.LetterCounts{Replayed: 2, Passed: 1}) || op.Remaining != 0 {
			t.Errorf("%+v", op)
		}
		requireList(t, "places", w.sink.placed(), "t-0@3 as dlq-0@[1]", "t-0@5 as dlq-0@[2]")
		requireList(t, "queue", w.letters(LetterQuery{}), "0:0 open 1")
		requireList(t, "all", w.letters(LetterQuery{States: []string{"all"}}), "0:0 open 1", "0:1 replayed 1", "0:2 replayed 1")
		if w.broker.length("t") != source {
			t.Error("a replay wrote to the source topic")
		}
		eventually(t, "the group of the operation is gone", func() bool { return len(w.broker.committed(letterGroup("connect-c", op.ID))) == 0 })
		// What is done is not done again by a later replay of everything.
		w.replay(LetterRequest{All: true})
		if op := w.awaitEnd(); op.Counts != (store.LetterCounts{Replayed: 1, Passed: 2}) {
			t.Errorf("%+v", op)
		}
		requireList(t, "places", w.sink.placed()[2:], "t-0@1 as dlq-0@[0]")
		requireList(t, "queue", w.letters(LetterQuery{}))
	})
}

func TestALetterThatFailsAgainIsInTheQueueAgainWithOneAttemptMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 2, "errors.tolerance", "all")
		for attempt := 2; attempt <= 3; attempt++ {
			w.replay(LetterRequest{All: true})
			if op := w.awaitEnd(); op.Counts.Failed != 1 || op.Counts.Replayed != 0 {
				t.Errorf("%+v", op)
			}
			requireList(t, "queue", w.letters(LetterQuery{}), fmt.Sprintf("0:%d open %d", attempt-1, attempt))
		}
		d, err := w.DeadLetter(t.Context(), "c", 0, 2)
		must(t, err)
		if *d.Origin != (LetterOrigin{"t", 0, 1}) || d.Stage != "TASK_PUT" || d.Message != "odd: v1" || d.Attempts != 3 || len(d.Context) != 10 {
			t.Errorf("%+v", d)
		}
		requireList(t, "own headers", []string{fmt.Sprint(d.Headers)}, "[{own 1}]")
		m := w.broker.message("dlq", 0, 2)
		if got := len(m.Headers); got != 12 || m.Headers[11].Key != task.AttemptsHeader || string(m.Headers[11].Value) != "3" || string(m.Key) != "k1" || string(m.Value) != "v1" {
			t.Errorf("%d headers: %+v", got, m)
		}
	})
}

func TestALetterIsShownDecodedAndAnUndecodableOneWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 2)
		d, err := w.DeadLetter(t.Context(), "c", 0, 0)
		must(t, err)
		if got := string(d.Record); got != `{"topic":"t","key":"k1","value":"v1"}` {
			t.Errorf("%s %s", got, d.RecordError)
		}
		_, _, err = w.PutConfig(t.Context(), "c", letterConfig("value.converter", "JsonConverter"))
		must(t, err)
		d, err = w.DeadLetter(t.Context(), "c", 0, 0)
		must(t, err)
		if d.Record != nil || !strings.Contains(d.RecordError, "VALUE_CONVERTER (org.apache.kafka.connect.json.JsonConverter): Converting byte[]") {
			t.Errorf("%s %s", d.Record, d.RecordError)
		}
		_, err = w.DeadLetter(t.Context(), "c", 0, 9)
		requireError(t, err, 404, "Dead letter queue dlq of connector c has no record at offset 9 of partition 0")
	})
}

func TestAReplayWaitsForAConnectorThatIsNotRunningAndSurvivesTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 40)
		w.sink.set(func(p *probe) { p.refuse, p.values, p.places = nil, nil, nil })
		must(t, w.Pause(t.Context(), "c"))
		w.replay(LetterRequest{All: true})
		synctest.Wait()
		all, err := w.DeadLetterOperations(t.Context(), "c")
		must(t, err)
		if op := all.Operations[0]; op.State != "WAITING" || op.Error != "the connector's state is PAUSED; resume it" || op.Remaining != 20 {
			t.Errorf("%+v", op)
		}
		requireList(t, "state", w.letters(LetterQuery{Limit: 1}), "0:0 replaying 1")
		// The tenth letter waits for its destination when the worker goes.
		w.sink.set(func(p *probe) {
			p.refuse = func(v string) error {
				if len(p.values) >= 10 {
					return connector.Retryable(errors.New("down"))
				}
				return nil
			}
		})
		must(t, w.Resume(t.Context(), "c"))
		eventually(t, "half of it is done", func() bool { return len(w.sink.seen()) == 10 })
		w.end()
		w.sink.set(func(p *probe) { p.refuse = nil })
		w.run(nil)
		t.Cleanup(w.end)
		if op := w.awaitEnd(); op.State != "DONE" || op.Counts.Replayed != 20 {
			t.Errorf("%+v", op)
		}
		places := w.sink.placed()
		if n := len(places); n != 20 {
			t.Errorf("%d deliveries of 20 letters: what was delivered before the stop was committed", n)
		}
		slices.Sort(places)
		if len(slices.Compact(places)) != 20 {
			t.Errorf("not each letter: %q", places)
		}
	})
}

func TestAReplayThatCannotRunSaysWhyAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 2)
		w.sink.set(func(p *probe) { p.refuse = func(string) error { return errors.New("a defect") } })
		w.replay(LetterRequest{All: true})
		var op LetterOperation
		eventually(t, "it says why", func() bool {
			all, err := w.DeadLetterOperations(t.Context(), "c")
			must(t, err)
			op = all.Operations[0]
			return op.State == "RETRYING"
		})
		if !strings.Contains(op.Error, "a defect") || op.WorkerID != "127.0.0.1:8083" {
			t.Errorf("%+v", op)
		}
		_, err := w.ReplayDeadLetters(t.Context(), "c", LetterRequest{All: true})
		requireError(t, err, 409, "Replay "+op.ID+" of connector c has not ended yet; wait for it, or cancel it with DELETE")
		w.sink.set(func(p *probe) { p.refuse = nil })
		if op := w.awaitEnd(); op.State != "DONE" || op.Counts.Replayed != 1 {
			t.Errorf("%+v", op)
		}
	})
}

func TestACancelledReplayLeavesOpenWhatItHasNotComeTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 8)
		w.sink.set(func(p *probe) {
			p.values = nil
			p.refuse = func(v string) error {
				if v == "v3" {
					return connector.Retryable(errors.New("down"))
				}
				return nil
			}
		})
		w.replay(LetterRequest{All: true})
		group := letterGroup("connect-c", w.operations()[0].ID)
		eventually(t, "it waits at the second letter", func() bool { return w.broker.committed(group)["dlq-0"] == 1 })
		op, err := w.CancelDeadLetters(t.Context(), "c")
		must(t, err)
		if op.State != "CANCELLED" || op.Ended == nil {
			t.Errorf("%+v", op)
		}
		requireList(t, "queue", w.letters(LetterQuery{}), "0:1 open 1", "0:2 open 1", "0:3 open 1")
		_, err = w.CancelDeadLetters(t.Context(), "c")
		requireError(t, err, 404, "No replay of connector c is under way")
	})
}

func TestDroppedLettersAreDealtWithAndNotReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 4)
		op, err := w.DropDeadLetters(t.Context(), "c", LetterRequest{Filter: LetterFilter{Letter: "0:0"}})
		must(t, err)
		if op.State != "DONE" {
			t.Errorf("%+v", op)
		}
		requireList(t, "all", w.letters(LetterQuery{States: []string{"all"}}), "0:0 dropped 1", "0:1 open 1")
		w.sink.set(func(p *probe) { p.refuse, p.places = nil, nil })
		w.replay(LetterRequest{All: true})
		w.awaitEnd()
		requireList(t, "places", w.sink.placed(), "t-0@3 as dlq-0@[1]")
	})
}

func TestWhatHasNoErrorContextOrIsAnothersIsNotReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 2)
		w.broker.produce("dlq", 0, []byte("k"), []byte("bare"))
		other := slices.Clone(w.broker.message("dlq", 0, 0).Headers)
		for i := range other {
			if other[i].Key == "__connect.errors.connector.name" {
				other[i].Value = []byte("somebody")
			}
		}
		w.broker.produce("dlq", 0, []byte("k"), []byte("theirs"), other...)
		requireList(t, "queue", w.letters(LetterQuery{}), "0:0 open 1", "0:1 unplaced 1")
		w.sink.set(func(p *probe) { p.refuse, p.places = nil, nil })
		w.replay(LetterRequest{All: true})
		if op := w.awaitEnd(); op.Counts != (store.LetterCounts{Replayed: 1, Passed: 1, Unplaced: 1}) {
			t.Errorf("%+v", op)
		}
		requireList(t, "places", w.sink.placed(), "t-0@1 as dlq-0@[0]")
		_, err := w.DeadLetter(t.Context(), "c", 0, 2)
		requireError(t, err, 404, "Dead letter queue dlq of connector c has no record at offset 2 of partition 0")
	})
}

func TestOperationsOnDeadLettersAreRefusedWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.create("plain", probeConfig("t"))
		_, err := w.ReplayDeadLetters(t.Context(), "plain", LetterRequest{All: true})
		requireError(t, err, 409, "Connector plain has no dead letter queue: errors.deadletterqueue.topic.name is not set")
		_, err = w.DropDeadLetters(t.Context(), "plain", LetterRequest{})
		requireError(t, err, 400, `Name the records by a filter, or all of them by "all": true, and not both`)
		_, err = w.DropDeadLetters(t.Context(), "plain", LetterRequest{All: true, Filter: LetterFilter{Topic: "t"}})
		requireError(t, err, 400, "")
		_, err = w.DeadLetters(t.Context(), "none", LetterQuery{})
		requireError(t, err, 404, "Connector none not found")
		_, err = w.DeadLetters(t.Context(), "plain", LetterQuery{Limit: 1001})
		requireError(t, err, 400, "limit is 1001 and must be between 1 and 1000")
		_, err = w.DeadLetters(t.Context(), "plain", LetterQuery{After: "7"})
		requireError(t, err, 400, `after: "7" is not partition:offset of the dead letter queue`)
	})
}

func TestAListGoesOnWhereItEndedAndADeletedConnectorsReplayIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withLetters(t, 10)
		var names []string
		q := LetterQuery{Limit: 2}
		for range 10 {
			l, err := w.DeadLetters(t.Context(), "c", q)
			must(t, err)
			for _, r := range l.Records {
				names = append(names, fmt.Sprint(r.Offset))
			}
			if l.Next == nil {
				break
			}
			q.After = *l.Next
		}
		requireList(t, "pages", names, "0", "1", "2", "3", "4")
		must(t, w.Stop(t.Context(), "c"))
		w.replay(LetterRequest{All: true})
		must(t, w.Delete(t.Context(), "c"))
		w.sink.set(func(p *probe) { p.refuse, p.places = nil, nil })
		w.create("c", letterConfig())
		time.Sleep(time.Minute)
		if op := w.operations()[0]; op.State != "CANCELLED" || len(w.sink.placed()) != 0 {
			t.Errorf("%+v %q", op, w.sink.placed())
		}
	})
}

func (w *world) operations() []LetterOperation {
	w.t.Helper()
	all, err := w.DeadLetterOperations(w.t.Context(), "c")
	must(w.t, err)
	return all.Operations
}
