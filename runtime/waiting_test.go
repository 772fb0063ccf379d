package runtime

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stepconnect/stepconnect/connector"
)

func TestWaitingIsToldForTheWholeClusterByAnyWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		a, b := c.join("a").ready(t), c.join("b")
		b.ready(t)
		for _, w := range []*citizen{a, b} {
			w.sink.set(func(p *probe) { p.putErr = connector.Retryable(errors.New("refused by " + w.opts.WorkerID)) })
		}
		must(t, a.makes(t, "c", probeConfig("t", "tasks.max", "2")))
		eventually(t, "a task runs on each", func() bool { return len(a.places("c")) == 2 })
		c.broker.create("t", 2)
		c.broker.produce("t", 0, []byte("secret key"), []byte("v"))
		c.broker.produce("t", 1, []byte("secret key"), []byte("v"))
		for _, asked := range []*citizen{a, b} {
			var w Waiting
			eventually(t, "both records are told", func() bool {
				var err error
				w, err = asked.Waiting(t.Context(), "c")
				return err == nil && len(w.Waiting) == 2
			})
			if w.Idle || len(w.Unanswered) != 0 || w.Waiting[0].WorkerID == w.Waiting[1].WorkerID {
				t.Errorf("%s answers %+v", asked.opts.WorkerID, w)
			}
			for _, r := range w.Waiting {
				if !strings.Contains(r.Error, r.WorkerID) || !strings.HasPrefix(r.Key, "sha256:") || strings.Contains(fmt.Sprintf("%+v", r), "secret") {
					t.Errorf("a record is told as %+v", r)
				}
			}
		}
		c.mu.Lock()
		delete(c.serving, b.seat.url)
		c.mu.Unlock()
		w, err := a.Waiting(t.Context(), "c")
		must(t, err)
		if len(w.Waiting) != 1 || len(w.Unanswered) != 1 || w.Unanswered[0].WorkerID != "b:8083" || len(w.Unanswered[0].Tasks) != 1 {
			t.Errorf("without b: %+v", w)
		}
	})
}

// What an earlier owner of a partition has abandoned is known to that worker alone: its task, and the status of it, have
// moved on.
func TestOffsetsStayWhileADeliveryIsAbandonedOnAnyWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t)
		lead, holder := c.join("lead").ready(t), c.join("holder").ready(t)
		hang := make(chan struct{})
		holder.sink.set(func(p *probe) { p.hang = hang })
		for i := range 6 {
			topic := fmt.Sprintf("t%d", i)
			c.broker.create(topic, 1)
			must(t, lead.makes(t, fmt.Sprintf("c%d", i), probeConfig(topic)))
			c.broker.produce(topic, 0, []byte("k"), []byte("v"))
		}
		at := map[string]string{}
		eventually(t, "each has its worker", func() bool {
			for i := range 6 {
				name := fmt.Sprintf("c%d", i)
				places := lead.places(name)
				if len(places) != 1 {
					return false
				}
				at[name] = places[0]
			}
			return true
		})
		eventually(t, "deliveries hang at the holder", func() bool {
			for name, worker := range at {
				if worker == "holder" && len(c.broker.committed("connect-"+name)) != 1 {
					return false
				}
			}
			return true
		})
		third := c.join("third").ready(t)
		moved := ""
		eventually(t, "a task has moved from the holder", func() bool {
			for name, worker := range at {
				if places := lead.places(name); worker == "holder" && len(places) == 1 && places[0] == "third" {
					moved = name
				}
			}
			return moved != ""
		})
		must(t, lead.Stop(t.Context(), moved))
		eventually(t, "its new owner has ended it", func() bool {
			st, err := lead.Status(t.Context(), moved)
			return err == nil && st.Connector.State == "STOPPED" && len(st.Tasks) == 0
		})
		if w, err := third.Waiting(t.Context(), moved); err != nil || w.Idle {
			t.Fatalf("nothing is under way: %+v, %v", w, err)
		}
		_, err := lead.ResetOffsets(t.Context(), moved)
		requireError(t, err, 500, "")
		if !strings.Contains(lead.logs.String(), "holder:8083") && !strings.Contains(lead.logs.String(), "another worker") {
			t.Error("the log does not say who holds it up")
		}
		holder.sink.set(func(p *probe) { p.hang = nil })
		close(hang)
		if _, err := lead.ResetOffsets(t.Context(), moved); err != nil {
			t.Errorf("after the end of the delivery: %v", err)
		}
	})
}
