package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Waiting answers GET /connectors/{c}/waiting: what keeps a connector, in one place.
type Waiting struct {
	Waiting []WaitingRecord `json:"waiting"`
	// Elsewhere are the connector's tasks that other workers run: ask those for theirs.
	Elsewhere []TaskPlace `json:"elsewhere"`
}

// WaitingRecord is the oldest record of a partition that a task of this worker could not settle yet.
type WaitingRecord struct {
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

// TaskPlace says which worker runs a task.
type TaskPlace struct {
	Task     int    `json:"task"`
	WorkerID string `json:"worker_id"`
}

// Waiting tells what the connector's tasks wait for, as far as they run on this worker.
func (h *Herder) Waiting(ctx context.Context, name string) (Waiting, error) {
	s := h.view.get()
	if _, err := known(s, name, "Connector %s not found"); err != nil {
		return Waiting{}, err
	}
	w := Waiting{Waiting: []WaitingRecord{}, Elsewhere: []TaskPlace{}}
	for _, id := range tasksOf(s, name) {
		snapshot, here, err := h.worker.Snapshot(ctx, id)
		switch {
		case err != nil:
			return Waiting{}, err
		case here:
			w.Waiting = append(w.Waiting, waitingOf(id.Task, snapshot)...)
		default:
			if t, ok := s.TaskStatus[store.TaskKey(id)]; ok && t.WorkerID != h.opts.WorkerID {
				w.Elsewhere = append(w.Elsewhere, TaskPlace{id.Task, t.WorkerID})
			}
		}
	}
	return w, nil
}

func waitingOf(n int, s task.Snapshot) []WaitingRecord {
	var out []WaitingRecord
	for _, p := range s.Partitions {
		if p.Waiting == nil {
			continue
		}
		r := WaitingRecord{
			Task: n, Topic: p.Topic, Partition: p.ID, Offset: p.Waiting.Offset, Key: keyDigest(p.Waiting.Key),
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
