package runtime

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func TestWhatACommittedOffsetSaysAboutOtherTools(t *testing.T) {
	const ours = "sc1:AAAAAA"
	key := store.AdoptionKey{Connector: "c", Topic: "t", Partition: 2}
	part := task.Partition{Topic: "t", ID: 2}
	assigned := func(committed int64, metadata, topicID string) []task.Assignment {
		return []task.Assignment{{Partition: part, Committed: committed, Metadata: metadata, TopicID: topicID, High: 90}}
	}
	for name, tc := range map[string]struct {
		added   []task.Assignment
		known   *store.Adoption
		policy  string
		want    adoption
		written *store.Adoption
		refused string
	}{
		"a first start":                    {assigned(-1, "", "x"), nil, "fail", adoption{store.Adoption{TopicID: "x"}, false}, nil, ""},
		"a group that is taken over":       {assigned(7, "", "x"), nil, "fail", adoption{store.Adoption{TopicID: "x"}, false}, nil, ""},
		"our own commit":                   {assigned(7, ours, "x"), &store.Adoption{TopicID: "x"}, "fail", adoption{store.Adoption{TopicID: "x"}, true}, nil, ""},
		"a rewind":                         {assigned(7, "", "x"), &store.Adoption{TopicID: "x"}, "fail", adoption{}, nil, "t-2 is 7 now"},
		"offsets that are gone":            {assigned(-1, "", "x"), &store.Adoption{TopicID: "x"}, "fail", adoption{}, nil, "t-2 is gone"},
		"metadata of somebody else":        {assigned(7, "moved by hand", "x"), &store.Adoption{TopicID: "x"}, "fail", adoption{}, nil, "t-2 is 7 now"},
		"a rewind that is to be deduped":   {assigned(7, "", "x"), &store.Adoption{TopicID: "x", Epoch: 1, Below: 5}, "dedupe", adoption{store.Adoption{TopicID: "x", Epoch: 1, Below: 5}, true}, nil, ""},
		"a rewind that is a replay":        {assigned(7, "", "x"), &store.Adoption{TopicID: "x", Epoch: 1, Below: 5}, "new", adoption{store.Adoption{TopicID: "x", Epoch: 2, Below: 90}, true}, &store.Adoption{TopicID: "x", Epoch: 2, Below: 90}, ""},
		"a replay of a log that was cut":   {assigned(-1, "", "x"), &store.Adoption{TopicID: "x", Epoch: 1, Below: 500}, "new", adoption{store.Adoption{TopicID: "x", Epoch: 2, Below: 500}, true}, &store.Adoption{TopicID: "x", Epoch: 2, Below: 500}, ""},
		"a topic that was made anew":       {assigned(-1, "", "y"), &store.Adoption{TopicID: "x", Epoch: 3, Below: 9}, "fail", adoption{store.Adoption{TopicID: "y"}, false}, nil, ""},
		"a rewind where topics have no id": {assigned(7, "", ""), &store.Adoption{}, "fail", adoption{}, nil, "t-2 is 7 now"},
	} {
		t.Run(name, func(t *testing.T) {
			known := map[store.AdoptionKey]store.Adoption{{Connector: "other", Topic: "t", Partition: 2}: {TopicID: "x"}}
			if tc.known != nil {
				known[key] = *tc.known
			}
			now, entries, err := judgeRewinds("c", tc.policy, tc.added, known)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) || !strings.Contains(err.Error(), "replay.on.rewind=new") || !strings.Contains(err.Error(), "/connectors/c/offsets") {
					t.Errorf("%v", err)
				}
				return
			}
			var want []store.Entry
			if tc.written != nil {
				want = append(want, store.AdoptionEntry(key, *tc.written))
			}
			if d := cmp.Diff(want, entries); err != nil || d != "" || now[part] != tc.want {
				t.Errorf("%+v, %v, %s", now[part], err, d)
			}
		})
	}
}

// deliveredThree starts a connector whose destination remembers names, and delivers three records of one partition.
func deliveredThree(t *testing.T) *world {
	w := start(t, nil)
	w.sink.set(func(p *probe) { p.remembers = true })
	w.broker.create("t", 1)
	w.create("c", probeConfig("t"))
	w.produceThree()
	w.awaitDelivered(3)
	return w
}

func (w *world) produceThree() {
	for range 3 {
		w.broker.produce("t", 0, nil, []byte("v"))
	}
}

func (w *world) awaitDelivered(n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d records are delivered", n), func() bool { return len(w.sink.seen()) == n })
	w.broker.mu.Lock()
	end := int64(len(w.broker.topics["t"][0]))
	w.broker.mu.Unlock()
	eventually(w.t, "all are committed", func() bool { return w.broker.committed("connect-c")["t-0"] == end })
}

// move sets the group's offset as kafka-consumer-groups does; negative deletes the group.
func (w *world) move(to int64) {
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	p := task.Partition{Topic: "t"}
	if delete(w.broker.groups["connect-c"], p); to >= 0 {
		w.broker.groups["connect-c"][p] = task.Position{Partition: p, Offset: to}
	}
}

func (w *world) stopAndResume(name string, between func()) {
	w.t.Helper()
	must(w.t, w.Stop(w.t.Context(), name))
	eventually(w.t, "the tasks have ended", func() bool { return w.worker.Idle(name) })
	between()
	must(w.t, w.Resume(w.t.Context(), name))
}

func (w *world) epochs() (of [4]int) {
	tc := last(w.sink.started())
	for o := range of {
		of[o] = tc.ReplayEpoch("t", 0, int64(o))
	}
	return of
}

func TestARewindByAnotherToolIsNeverSwallowed(t *testing.T) {
	for name, to := range map[string]int64{"the offset is set back": 1, "the group is deleted": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := deliveredThree(t)
				w.stopAndResume("c", func() { w.move(to) })
				st := w.awaitTasks("c", "FAILED", 1)
				if trace := st.Tasks[0].Trace; !strings.Contains(trace, "another tool has changed the committed offset of t-0") || !strings.Contains(trace, "replay.on.rewind=new") {
					t.Errorf("%s", trace)
				}
				if n := len(w.sink.seen()); n != 3 {
					t.Errorf("%d records are delivered while the task waits for a person", n)
				}
				_, _, err := w.PutConfig(t.Context(), "c", probeConfig("t", "replay.on.rewind", "new"))
				must(t, err)
				again := 3 - int(max(to, 0))
				w.awaitDelivered(3 + again)
				if got := w.epochs(); got != [4]int{1, 1, 1, 0} {
					t.Errorf("epochs %v", got)
				}
				// Nothing is replayed by a restart that follows.
				w.stopAndResume("c", func() {})
				w.produceThree()
				w.awaitDelivered(6 + again)
				if got := w.epochs(); got != [4]int{1, 1, 1, 0} {
					t.Errorf("epochs %v after a restart", got)
				}
			})
		})
	}
}

func TestARewindThatIsToBeDedupedKeepsItsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := deliveredThree(t)
		_, _, err := w.PutConfig(t.Context(), "c", probeConfig("t", "replay.on.rewind", "dedupe"))
		must(t, err)
		w.awaitTasks("c", "RUNNING", 1)
		w.stopAndResume("c", func() { w.move(0) })
		w.awaitDelivered(6)
		if got := w.epochs(); got != [4]int{} {
			t.Errorf("epochs %v", got)
		}
	})
}

func TestOurOwnChangesOfOffsetsAreNobodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := deliveredThree(t)
		w.stopAndResume("c", func() {
			_, err := w.AlterOffsets(t.Context(), "c", []PartitionOffset{{map[string]any{"kafka_topic": "t", "kafka_partition": "0"}, map[string]any{"kafka_offset": "1"}}})
			must(t, err)
		})
		w.awaitDelivered(5)
		if got := w.epochs(); got != [4]int{1, 1, 1, 0} {
			t.Errorf("epochs %v after PATCH", got)
		}
		w.stopAndResume("c", func() {
			_, err := w.ResetOffsets(t.Context(), "c")
			must(t, err)
		})
		w.awaitDelivered(8)
		if got := w.epochs(); got != [4]int{2, 2, 2, 0} {
			t.Errorf("epochs %v after DELETE", got)
		}
		w.stopAndResume("c", func() {
			_, err := w.AlterOffsets(t.Context(), "c", []PartitionOffset{{map[string]any{"kafka_topic": "t", "kafka_partition": "0"}, nil}})
			must(t, err)
		})
		w.awaitDelivered(11)
		// What is altered by another tool after all that still counts as altered.
		w.stopAndResume("c", func() { w.move(2) })
		w.awaitTasks("c", "FAILED", 1)
	})
}

func TestAConnectorThatNeverCommittedStartsAgainWithoutQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.sink.set(func(p *probe) { p.remembers = true })
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		time.Sleep(time.Minute)
		w.stopAndResume("c", func() {})
		w.produceThree()
		w.awaitDelivered(3)
	})
}

func TestADestinationThatRemembersNothingTakesRewindsAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		w.produceThree()
		w.awaitDelivered(3)
		w.stopAndResume("c", func() { w.move(0) })
		w.awaitDelivered(6)
		if n := len(w.view.get().Adoptions); n != 0 {
			t.Errorf("%d partitions are adopted", n)
		}
	})
}
