package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// A destination that remembers names acknowledges a record that is read again without delivering it. So a task must know
// when somebody else has moved its offsets: else a replay that a person wanted would be swallowed. After its first
// commit in a partition it notes the partition as adopted. From then on a committed offset that is gone, or that came without the
// metadata of our commits, was changed by another tool, and replay.on.rewind says what to do.

// bookWait bounds how long an assignment waits for the log of adoptions.
const bookWait = 30 * time.Second

// book is where adoptions are written and read: the status log, which every worker may write, or in standalone mode the
// config log, whose adoptions outlive the process.
type book struct {
	log      store.Log
	view     *view
	position *int64 // of view, in log
}

// read gives what is known once everything written before the call has been read.
func (b *book) read(ctx context.Context) (store.State, error) {
	end, err := b.log.End(ctx)
	if err == nil {
		err = b.view.await(ctx, func() bool { return *b.position >= end })
	}
	if err != nil {
		return store.State{}, connector.Retryable(fmt.Errorf("read which partitions are adopted: %w", err))
	}
	return b.view.get(), nil
}

func (b *book) write(ctx context.Context, entries []store.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	offset, err := b.log.Append(ctx, entries...)
	if err == nil {
		err = b.view.await(ctx, func() bool { return *b.position > offset })
	}
	if err != nil {
		return connector.Retryable(fmt.Errorf("note partitions as adopted: %w", err))
	}
	return nil
}

// rewinds is what one task knows of its partitions' adoptions.
type rewinds struct {
	connector string
	policy    string // replay.on.rewind
	book      *book
	log       *slog.Logger
	// named tells whether the destination remembers the names of the task's deliveries; nothing here matters else.
	named func() bool

	mu   sync.Mutex // guards held
	held map[task.Partition]adoption
}

type adoption struct {
	store.Adoption
	noted bool // in the book
}

// epoch is what rewinds by other tools add to a record's replay epoch.
func (r *rewinds) epoch(topic string, partition int32, offset int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[task.Partition{Topic: topic, ID: partition}].EpochOf(offset)
}

// around gives a Group that looks for rewinds on the way to g.
func (r *rewinds) around(g task.Group) task.Group { return rewoundGroup{g, r} }

type rewoundGroup struct {
	task.Group
	rewinds *rewinds
}

func (g rewoundGroup) Assigned(ctx context.Context, added []task.Assignment) ([]task.Position, error) {
	if err := g.rewinds.assigned(ctx, added); err != nil {
		return nil, err
	}
	return g.Group.Assigned(ctx, added)
}

func (r *rewinds) assigned(ctx context.Context, added []task.Assignment) error {
	if !r.named() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, bookWait)
	defer cancel()
	s, err := r.book.read(ctx)
	if err != nil {
		return err
	}
	now, entries, err := judgeRewinds(r.connector, r.policy, added, s.Adoptions)
	if err != nil {
		return err
	}
	if err := r.book.write(ctx, entries); err != nil { // before anything starts under the new names
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, a := range now {
		if was := r.held[p]; a.Epoch > was.Epoch && len(entries) > 0 {
			r.log.Warn("another tool has moved the committed offset; the records below the log's present end are delivered under new names (replay.on.rewind=new)",
				"topic", p.Topic, "partition", p.ID, "epoch", a.Epoch, "below", a.Below)
		}
		r.held[p] = a
	}
	return nil
}

// judgeRewinds decides, from what the group has committed and which partitions are adopted, what becomes of those that
// were assigned: what is known of each from now on, and what to write before anything starts. It is pure.
func judgeRewinds(name, policy string, added []task.Assignment, known map[store.AdoptionKey]store.Adoption) (map[task.Partition]adoption, []store.Entry, error) {
	now := map[task.Partition]adoption{}
	var entries []store.Entry
	var refused []string
	for _, a := range added {
		key := store.AdoptionKey{Connector: name, Topic: a.Topic, Partition: a.ID}
		was, adopted := known[key]
		if adopted && was.TopicID != "" && a.TopicID != "" && was.TopicID != a.TopicID {
			adopted, was = false, store.Adoption{} // a topic that was made anew has names of its own
		}
		if !adopted {
			now[a.Partition] = adoption{Adoption: store.Adoption{TopicID: a.TopicID}}
			continue
		}
		if a.Committed < 0 || !task.OwnMetadata(a.Metadata) {
			switch policy {
			case "dedupe":
			case "new":
				was.Epoch++
				was.Below = max(was.Below, a.High)
				entries = append(entries, store.AdoptionEntry(key, was))
			default:
				at := "is gone"
				if a.Committed >= 0 {
					at = fmt.Sprintf("is %d now", a.Committed)
				}
				refused = append(refused, fmt.Sprintf("%s %s", a.Partition, at))
			}
		}
		now[a.Partition] = adoption{Adoption: was, noted: true}
	}
	if refused != nil {
		return nil, nil, fmt.Errorf("connector %s: another tool has changed the committed offset of %s. Records that are read again have the names of executions that exist, "+
			"so they would count as delivered and start nothing. Set replay.on.rewind=new to deliver them again under new names, or replay.on.rewind=dedupe to start only what has not been started; "+
			"or set offsets by PATCH /connectors/%[1]s/offsets, which delivers them again", name, strings.Join(refused, ", "))
	}
	return now, entries, nil
}

// committed notes the partitions of a commit that has succeeded. Nothing starts before the first commit is confirmed, so what
// is lost between the two has started nothing.
func (r *rewinds) committed(ctx context.Context, positions []task.Position) error {
	if !r.named() {
		return nil
	}
	var entries []store.Entry
	var noted []task.Partition
	r.mu.Lock()
	for _, p := range positions {
		if a, ok := r.held[p.Partition]; ok && !a.noted {
			entries = append(entries, store.AdoptionEntry(store.AdoptionKey{Connector: r.connector, Topic: p.Topic, Partition: p.ID}, a.Adoption))
			noted = append(noted, p.Partition)
		}
	}
	r.mu.Unlock()
	if err := r.book.write(ctx, entries); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range noted {
		a := r.held[p]
		a.noted = true
		r.held[p] = a
	}
	return nil
}

// notingSource notes what its commits adopt.
type notingSource struct {
	task.Source
	rewinds *rewinds
}

// Commit implements task.Source.
func (s notingSource) Commit(ctx context.Context, positions []task.Position) error {
	if err := s.Source.Commit(ctx, positions); err != nil {
		return err
	}
	return s.rewinds.committed(ctx, positions)
}

// forsake gives the tombstones of partitions whose committed offsets are removed on purpose: they are adopted anew.
func forsake(s store.State, name string, parts []task.Partition) (entries []store.Entry) {
	for _, p := range parts {
		key := store.AdoptionKey{Connector: name, Topic: p.Topic, Partition: p.ID}
		if _, ok := s.Adoptions[key]; ok {
			entries = append(entries, store.Tombstone(key.String()))
		}
	}
	return entries
}

// adopted gives the partitions that a connector has adopted.
func adopted(s store.State, name string) (parts []task.Partition) {
	for k := range s.Adoptions {
		if k.Connector == name {
			parts = append(parts, task.Partition{Topic: k.Topic, ID: k.Partition})
		}
	}
	return parts
}
