package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func testTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func (brokenLog) Append(context.Context, ...store.Entry) (int64, error) {
	return 0, errors.New("not enough replicas")
}

func TestATaskThatFailedFromAPassingCauseIsRestartedWithBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.sink.set(func(p *probe) { p.openErr = connector.Retryable(errors.New("registry is down")) })
		began := time.Now()
		w.create("c", probeConfig("t", "errors.restart.backoff.ms", "1000", "errors.restart.backoff.max.ms", "4000"))
		st := w.awaitTasks("c", "FAILED", 1)
		if want := "restart number 1 at 2000-01-01T00:00:0"; !strings.HasPrefix(st.Tasks[0].Warning, want) {
			t.Errorf("warning %q", st.Tasks[0].Warning)
		}
		if st.Connector.State != "RUNNING" {
			t.Error("a failed task leaves its connector running:", st.Connector.State)
		}
		// Starts at 0, 1, 3, 7, 11, 15 seconds.
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if n := len(w.sink.started()); n != 6 {
			t.Errorf("%d starts in %s", n, time.Since(began))
		}
		w.sink.set(func(p *probe) { p.openErr = nil })
		st = w.awaitTasks("c", "RUNNING", 1)
		if st.Tasks[0].Trace != "" || st.Tasks[0].Warning != "" {
			t.Errorf("%+v", st.Tasks[0])
		}
	})
}

func TestATaskThatRanWellIsGivenAllItsRestartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t", "errors.restart.max.attempts", "1", "delivery.retry.timeout.ms", "0"))
		for i := range 3 {
			w.awaitTasks("c", "RUNNING", 1)
			time.Sleep(2 * time.Minute)
			w.sink.set(func(p *probe) { p.putErr = connector.Retryable(errors.New("endpoint is down")) })
			w.broker.produce("t", 0, nil, []byte("a"))
			w.awaitTasks("c", "FAILED", 1)
			w.sink.set(func(p *probe) { p.putErr = nil })
			eventually(t, "delivered", func() bool { return len(w.sink.seen()) == i+1 })
		}
	})
}

func TestTheRestartPolicyCanBeLimitedAndSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.sink.set(func(p *probe) { p.openErr = connector.Retryable(errors.New("down")) })
		w.create("limited", probeConfig("t", "errors.restart.max.attempts", "2"))
		time.Sleep(time.Hour)
		if n := len(w.sink.started()); n != 3 {
			t.Errorf("%d starts", n)
		}
		st := w.awaitTasks("limited", "FAILED", 1)
		if st.Tasks[0].Warning != "not restarted: it was restarted 2 times in vain (errors.restart.max.attempts)" {
			t.Error(st.Tasks[0].Warning)
		}
		w.create("off", probeConfig("t", "errors.restart.enable", "false"))
		time.Sleep(time.Hour)
		if n := len(w.sink.started()); n != 4 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestACauseThatDoesNotHealIsNotRestartedAndTheTraceSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.sink.set(func(p *probe) { p.putErr = errors.New("state machine does not exist") })
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		w.broker.produce("t", 0, []byte("k"), []byte("v"))
		w.awaitTasks("c", "FAILED", 1)
		time.Sleep(time.Hour)
		st := w.awaitTasks("c", "FAILED", 1)
		trace := st.Tasks[0].Trace
		for _, part := range []string{
			"org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n",
			"at connector c, task 0", "state machine does not exist", "Remedy: ", "POST /connectors/c/tasks/0/restart",
		} {
			if !strings.Contains(trace, part) {
				t.Errorf("%q is not in %s", part, trace)
			}
		}
		if n := len(w.sink.started()); n != 1 {
			t.Errorf("%d starts", n)
		}
		// A failed task keeps its membership until it is restarted.
		if n, err := (cluster{w.broker}).GroupMembers(t.Context(), "connect-c"); n != 1 || err != nil {
			t.Error(n, err)
		}
		w.sink.set(func(p *probe) { p.putErr = nil })
		must(t, w.RestartTask(t.Context(), "c", 0))
		eventually(t, "delivered after the restart", func() bool { return len(w.sink.seen()) == 1 })
	})
}

func TestTheTraceOfARecordNamesTopicPartitionOffsetAndRemedy(t *testing.T) {
	p := task.Partition{Topic: "t", ID: 3}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a record that cannot be converted", &task.Failure{Partition: p, Offset: 17, Stage: "VALUE_CONVERTER", Class: "X", Err: errors.New("unknown magic byte")},
			"org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\tat connector c, task 0\n\tat topic t, partition 3, offset 17\n" +
				"Caused by: record at topic t, partition 3, offset 17 failed at stage VALUE_CONVERTER in X: unknown magic byte\n" +
				"Remedy: correct the cause, or let such records go to errors.deadletterqueue.topic.name with errors.tolerance=all, then POST /connectors/c/tasks/0/restart"},
		{"an offset that is gone", &task.OutOfRangeError{Partition: p, Offset: 5, Low: 10, High: 20},
			"org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\tat connector c, task 0\n\tat topic t, partition 3, offset 5\n" +
				"Caused by: t-3: offset 5 is not in the log any more"},
		{"a cause that passes", connector.Retryable(errors.New("registry is down")), "Remedy: none is needed if the cause passes by itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := taskTrace(TaskID{"c", 0}, tt.err); !strings.Contains(got, tt.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAChangedConfigurationRestartsTheTasksAndTheSameOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		_, _, err := w.PutConfig(t.Context(), "c", probeConfig("t"))
		must(t, err)
		w.awaitTasks("c", "RUNNING", 1)
		if n := len(w.sink.started()); n != 1 {
			t.Errorf("%d starts after an identical configuration", n)
		}
		_, _, err = w.PutConfig(t.Context(), "c", probeConfig("t", "colour", "blue"))
		must(t, err)
		eventually(t, "started anew", func() bool { return len(w.sink.started()) == 2 })
		w.awaitTasks("c", "RUNNING", 1)
		if w.sink.opened() != 1 {
			t.Errorf("%d sinks are open", w.sink.opened())
		}
	})
}

func TestPauseKeepsTheTaskAndStopEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		must(t, w.Pause(t.Context(), "c"))
		w.awaitTasks("c", "PAUSED", 1)
		w.broker.produce("t", 0, nil, []byte("a"))
		time.Sleep(time.Minute)
		if got := w.sink.seen(); len(got) != 0 || w.sink.opened() != 1 {
			t.Error("paused, but got", got, w.sink.opened())
		}
		must(t, w.Resume(t.Context(), "c"))
		eventually(t, "delivered", func() bool { return len(w.sink.seen()) == 1 })
		must(t, w.Stop(t.Context(), "c"))
		eventually(t, "the task is gone", func() bool {
			st, err := w.Status(t.Context(), "c")
			return err == nil && len(st.Tasks) == 0 && st.Connector.State == "STOPPED"
		})
		if w.sink.opened() != 0 {
			t.Error("the sink is still open")
		}
		if n, err := (cluster{w.broker}).GroupMembers(t.Context(), "connect-c"); n != 0 || err != nil {
			t.Error(n, err)
		}
		requireError(t, w.RestartTask(t.Context(), "c", 0), 404, "Task c-0 not found")
	})
}

func TestStoppingTheWorkerEndsEveryTaskOrderlyAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 4)
		for i := range 5 {
			w.create(fmt.Sprint("c", i), probeConfig("t", "tasks.max", "2"))
			w.awaitTasks(fmt.Sprint("c", i), "RUNNING", 2)
		}
		w.end()
		if w.sink.opened() != 0 {
			t.Errorf("%d sinks are open", w.sink.opened())
		}
		entries, _, err := w.status.Read(t.Context(), 0)
		must(t, err)
		s, _ := store.Fold(store.State{}, entries)
		for k, st := range s.TaskStatus {
			if st.State != "UNASSIGNED" {
				t.Errorf("%v is %s", k, st.State)
			}
		}
		if len(s.TaskStatus) != 10 || s.ConnectorStatus["c0"].State != "UNASSIGNED" {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneConnectorThatCannotStartLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		dir := t.TempDir()
		w.create("good", cfgOf("connector.class", "FileStreamSink", "topics", "t", "file", filepath.Join(dir, "out"), "value.converter", "StringConverter"))
		w.create("bad", cfgOf("connector.class", "FileStreamSink", "topics", "t", "file", filepath.Join(dir, "no", "out"), "value.converter", "StringConverter"))
		w.awaitTasks("bad", "FAILED", 1)
		w.broker.produce("t", 0, nil, []byte("x"))
		eventually(t, "the other goes on", func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "out"))
			return err == nil && string(b) == "x\n"
		})
	})
}

func TestARestartOfFailedTasksLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 2)
		w.create("c", probeConfig("t", "tasks.max", "2"))
		w.awaitTasks("c", "RUNNING", 2)
		st, err := w.Restart(t.Context(), "c", true, true)
		must(t, err)
		if st.Connector.State != "RUNNING" || st.Tasks[0].State != "RUNNING" {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		if n := len(w.sink.started()); n != 2 {
			t.Errorf("%d starts", n)
		}
		st, err = w.Restart(t.Context(), "c", true, false)
		must(t, err)
		if st.Connector.State != "RESTARTING" || st.Tasks[1].State != "RESTARTING" {
			t.Errorf("%+v", st)
		}
		w.awaitTasks("c", "RUNNING", 2)
		if n := len(w.sink.started()); n != 4 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestStatusesAreWrittenAgainUntilTheLogTakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := open(t)
		flaky := &flakyLog{Log: log, failures: 3}
		p := newPublisher(flaky, discard())
		stop, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			p.run(stop, t.Context())
			close(done)
		}()
		p.say(store.ConnectorStatusEntry("c", store.Status{State: "RUNNING"}))
		p.say(store.ConnectorStatusEntry("c", store.Status{State: "RUNNING"}))
		p.say(store.ConnectorStatusEntry("c", store.Status{State: "PAUSED"}))
		if _, err := p.flushed(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries, _, err := log.Read(t.Context(), 0)
		must(t, err)
		s, _ := store.Fold(store.State{}, entries)
		if len(entries) != 1 || s.ConnectorStatus["c"].State != "PAUSED" {
			t.Errorf("%d entries, %+v", len(entries), s)
		}
		p.say(store.Tombstone("status-connector-c"))
		cancel()
		<-done
		entries, _, err = log.Read(t.Context(), 0)
		must(t, err)
		if s, _ := store.Fold(store.State{}, entries); len(s.ConnectorStatus) != 0 {
			t.Error("the last word was not written before the end")
		}
	})
}

// flakyLog fails its first appends.
type flakyLog struct {
	store.Log
	failures int
}

func (l *flakyLog) Append(ctx context.Context, e ...store.Entry) (int64, error) {
	if l.failures > 0 {
		l.failures--
		return 0, errors.New("not enough replicas")
	}
	return l.Log.Append(ctx, e...)
}

func open(t *testing.T) *store.MemoryLog {
	t.Helper()
	l, err := store.OpenMemoryLog("")
	must(t, err)
	return l
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
