package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// peerWait bounds how long another worker may take to say what it knows of a connector.
const peerWait = 5 * time.Second

// Waiting answers GET /connectors/{c}/waiting: what keeps a connector, in one place and for the whole cluster.
type Waiting struct {
	Waiting []WaitingRecord `json:"waiting"`
	// MissingTopics are subscribed and do not exist.
	MissingTopics []string `json:"missing_topics"`
	// Abandoned are deliveries that go on although their task has ended or has lost the partition. Offsets cannot be
	// changed before they end.
	Abandoned []AbandonedDelivery `json:"abandoned"`
	// Idle says that none of the connector's tasks runs or ends on the workers that have answered, and no delivery
	// is abandoned.
	Idle bool `json:"idle"`
	// Unanswered are the workers of which nothing is known.
	Unanswered []UnansweredWorker `json:"unanswered"`
}

// WaitingRecord is the oldest record of a partition that a task could not settle yet.
type WaitingRecord struct {
	WorkerID  string `json:"worker_id"`
	Task      int    `json:"task"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Key is a digest of the record's key: enough to tell keys apart, and not what they say.
	Key      string     `json:"key"`
	Since    time.Time  `json:"since"`
	Attempts int        `json:"attempts"`
	Error    string     `json:"last_error"`
	NextTry  *time.Time `json:"next_try"` // null while a try is under way
	// Behind is how many records of the partition are received and not settled.
	Behind int `json:"unsettled"`
}

// AbandonedDelivery is one delivery of Waiting.Abandoned.
type AbandonedDelivery struct {
	WorkerID  string    `json:"worker_id"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Records   int       `json:"records"`
	Since     time.Time `json:"since"`
}

// UnansweredWorker is a member of the cluster that did not say what it knows.
type UnansweredWorker struct {
	WorkerID string `json:"worker_id"`
	Tasks    []int  `json:"tasks"` // of the connector, that it runs by the plan
	Error    string `json:"error"`
}

// WaitingHere tells what a connector's tasks on this worker wait for.
func (h *Herder) WaitingHere(ctx context.Context, name string) (Waiting, error) {
	s := h.view.get()
	if _, err := known(s, name, "Connector %s not found"); err != nil {
		return Waiting{}, err
	}
	w := Waiting{Waiting: []WaitingRecord{}, MissingTopics: []string{}, Abandoned: []AbandonedDelivery{}, Unanswered: []UnansweredWorker{}, Idle: h.worker.Idle(name)}
	for _, id := range tasksOf(s, name) {
		snapshot, here, err := h.worker.Snapshot(ctx, id)
		if err != nil {
			return Waiting{}, err
		}
		if here {
			w.Waiting = append(w.Waiting, waitingOf(h.opts.WorkerID, id.Task, snapshot)...)
			w.MissingTopics = union(w.MissingTopics, h.worker.missing(id))
		}
	}
	for _, a := range h.worker.opts.Outlived.List(name) {
		w.Abandoned = append(w.Abandoned, AbandonedDelivery{h.opts.WorkerID, a.Topic, a.ID, a.Records, a.Since.UTC()})
	}
	return w, nil
}

// Waiting tells what a connector's tasks wait for, wherever they run: it asks the other workers.
func (h *Herder) Waiting(ctx context.Context, name string) (Waiting, error) {
	w, err := h.WaitingHere(ctx, name)
	if err != nil || h.cluster == nil {
		return w, err
	}
	plan := h.view.getPlan()
	var mu sync.Mutex // guards w
	var asked sync.WaitGroup
	for id, base := range plan.Members {
		if id == h.opts.WorkerID {
			continue
		}
		asked.Go(func() {
			asking, cancel := context.WithTimeout(ctx, peerWait)
			defer cancel()
			var theirs Waiting
			err := h.cluster.Ask(asking, base, "/connectors/"+url.PathEscape(name)+"/waiting?scope=worker", &theirs)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.Unanswered = append(w.Unanswered, UnansweredWorker{id, tasksAt(plan, name, id), err.Error()})
				return
			}
			w.Waiting = append(w.Waiting, theirs.Waiting...)
			w.MissingTopics = union(w.MissingTopics, theirs.MissingTopics)
			w.Abandoned = append(w.Abandoned, theirs.Abandoned...)
			w.Idle = w.Idle && theirs.Idle
		})
	}
	asked.Wait()
	if err := ctx.Err(); err != nil {
		return Waiting{}, err
	}
	slices.SortFunc(w.Waiting, func(a, b WaitingRecord) int {
		return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	slices.SortFunc(w.Abandoned, func(a, b AbandonedDelivery) int {
		return cmp.Or(cmp.Compare(a.WorkerID, b.WorkerID), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), a.Since.Compare(b.Since))
	})
	slices.SortFunc(w.Unanswered, func(a, b UnansweredWorker) int { return cmp.Compare(a.WorkerID, b.WorkerID) })
	return w, nil
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// tasksAt gives the numbers of a connector's tasks that a plan gives to a worker.
func tasksAt(p ClusterPlan, name, worker string) []int {
	tasks := []int{}
	for id, at := range p.Tasks {
		if id.Connector == name && at == worker {
			tasks = append(tasks, id.Task)
		}
	}
	slices.Sort(tasks)
	return tasks
}

// idleEverywhere tells whether nothing of a connector runs, ends or is abandoned on any worker of the cluster. What an
// earlier owner has abandoned only that worker knows, so all are asked; one that does not answer may have something.
// The error says what there is.
func (h *Herder) idleEverywhere(ctx context.Context, name string) error {
	if !h.worker.Idle(name) {
		return errors.New("its tasks are ending on this worker")
	}
	if h.cluster == nil {
		return nil
	}
	// A task's status goes when the last of it has ended: no need to ask before.
	for k, t := range h.view.get().TaskStatus {
		if k.Connector == name {
			return errors.New("task " + TaskID(k).String() + " has not ended on worker " + t.WorkerID)
		}
	}
	w, err := h.Waiting(ctx, name)
	switch {
	case err != nil:
		return err
	case len(w.Unanswered) > 0:
		u := w.Unanswered[0]
		return errors.New("worker " + u.WorkerID + " does not say whether anything of it is under way there: " + u.Error)
	case len(w.Abandoned) > 0:
		a := w.Abandoned[0]
		return errors.New("a delivery of topic " + a.Topic + " goes on at worker " + a.WorkerID + " although its task has ended")
	}
	if !w.Idle {
		return errors.New("its tasks are ending on another worker")
	}
	return nil
}

func waitingOf(worker string, n int, s task.Snapshot) []WaitingRecord {
	var out []WaitingRecord
	for _, p := range s.Partitions {
		if p.Waiting == nil {
			continue
		}
		r := WaitingRecord{
			WorkerID: worker, Task: n, Topic: p.Topic, Partition: p.ID, Offset: p.Waiting.Offset, Key: keyDigest(p.Waiting.Key),
			Since: p.Waiting.Since.UTC(), Attempts: p.Waiting.Attempts, Error: p.Waiting.Error, Behind: p.Unsettled,
		}
		if r.Error == "" {
			r.Error = p.Waiting.Reason
		}
		if !p.Waiting.NextTry.IsZero() {
			next := p.Waiting.NextTry.UTC()
			r.NextTry = &next
		}
		out = append(out, r)
	}
	return out
}

func keyDigest(key []byte) string {
	if key == nil {
		return ""
	}
	sum := sha256.Sum256(key)
	return "sha256:" + hex.EncodeToString(sum[:6])
}
