package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// memoryGroup is the in-memory twin of a Kafka cluster with one consumer group: logs, committed
// offsets with metadata, members that get partitions, give them back in order, or lose them.
type memoryGroup struct {
	mu        sync.Mutex // guards all below
	logs      map[Partition][]Message
	low       map[Partition]int64
	topicID   string
	committed map[Partition]Position
	owner     map[Partition]*memorySource
	members   []*memorySource
	refuse    bool // commits fail
	commits   int
}

func newMemoryGroup() *memoryGroup {
	return &memoryGroup{
		logs: make(map[Partition][]Message), low: make(map[Partition]int64), topicID: "topic-id",
		committed: make(map[Partition]Position), owner: make(map[Partition]*memorySource),
	}
}

// append writes a record; gap leaves offsets out before it, as compaction does.
func (g *memoryGroup) append(p Partition, key string, gap int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	offset := g.low[p] + gap
	if n := len(g.logs[p]); n > 0 {
		offset = g.logs[p][n-1].Offset + 1 + gap
	}
	var k []byte
	if key != "" {
		k = []byte(key)
	}
	g.logs[p] = append(g.logs[p], Message{Partition: p, Offset: offset, Timestamp: 1, TimestampType: "CreateTime", Key: k, Value: fmt.Appendf(nil, "v%d", offset)})
	return offset
}

func (g *memoryGroup) end(p Partition) int64 {
	if n := len(g.logs[p]); n > 0 {
		return g.logs[p][n-1].Offset + 1
	}
	return g.low[p]
}

func (g *memoryGroup) drained() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.logs {
		if g.committed[p].Offset < g.end(p) {
			return false
		}
	}
	return true
}

// wants gives the partitions that a member should own: they are dealt round the members.
func (g *memoryGroup) wants(s *memorySource) map[Partition]bool {
	parts := make([]Partition, 0, len(g.logs))
	for p := range g.logs {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b Partition) int { return strings.Compare(a.String(), b.String()) })
	me, out := slices.Index(g.members, s), make(map[Partition]bool)
	for i, p := range parts {
		if me >= 0 && i%len(g.members) == me {
			out[p] = true
		}
	}
	return out
}

// memorySource is one member.
type memorySource struct {
	group  *memoryGroup
	tasks  Group
	mu     sync.Mutex // guards pos and paused
	pos    map[Partition]int64
	paused map[Partition]bool
}

func (g *memoryGroup) join(t Group) *memorySource {
	s := &memorySource{group: g, tasks: t, pos: make(map[Partition]int64), paused: make(map[Partition]bool)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, s)
	return s
}

// kill takes a member out without a word to it, as its session timing out does.
func (g *memoryGroup) kill(s *memorySource) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(m *memorySource) bool { return m == s })
	for p, o := range g.owner {
		if o == s {
			delete(g.owner, p)
		}
	}
}

func (s *memorySource) Poll(ctx context.Context, dst []Message, most int) ([]Message, error) {
	if served, err := s.rebalance(ctx); served || err != nil {
		return dst, err
	}
	s.group.mu.Lock()
	s.mu.Lock()
	for p, at := range s.pos {
		if s.paused[p] {
			continue
		}
		log := s.group.logs[p]
		i, _ := slices.BinarySearchFunc(log, at, func(m Message, at int64) int { return int(m.Offset - at) })
		for ; i < len(log) && len(dst) < most; i++ {
			dst = append(dst, log[i])
			s.pos[p] = log[i].Offset + 1
		}
	}
	s.mu.Unlock()
	s.group.mu.Unlock()
	if len(dst) == 0 {
		sleep(ctx, 10*time.Millisecond)
	}
	return dst, nil
}

// rebalance gives back what the member should not own any more, or takes what nobody owns.
func (s *memorySource) rebalance(ctx context.Context) (bool, error) {
	g := s.group
	g.mu.Lock()
	wanted := g.wants(s)
	var gone, lost []Partition
	var added []Assignment
	for p := range s.pos {
		switch {
		case g.owner[p] != s:
			lost = append(lost, p)
		case !wanted[p]:
			gone = append(gone, p)
		}
	}
	for p := range wanted {
		if g.owner[p] == nil {
			g.owner[p] = s
			a := Assignment{Partition: p, Committed: -1, Low: g.low[p], High: g.end(p), TopicID: g.topicID}
			if c, ok := g.committed[p]; ok {
				a.Committed, a.Metadata = c.Offset, c.Metadata
			}
			added = append(added, a)
		}
	}
	g.mu.Unlock()
	if len(lost) > 0 {
		s.tasks.Lost(lost)
		s.forget(lost, false)
	}
	if len(gone) > 0 {
		s.tasks.Revoked(ctx, gone)
		s.forget(gone, true)
	}
	if len(added) > 0 {
		s.mu.Lock()
		for _, a := range added {
			delete(s.paused, a.Partition)
		}
		s.mu.Unlock()
		starts, err := s.tasks.Assigned(ctx, added)
		if err != nil {
			return true, err
		}
		s.mu.Lock()
		for _, at := range starts {
			s.pos[at.Partition] = at.Offset
		}
		s.mu.Unlock()
	}
	return len(lost)+len(gone)+len(added) > 0, nil
}

func (s *memorySource) forget(parts []Partition, free bool) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		delete(s.pos, p)
		if free && s.group.owner[p] == s {
			delete(s.group.owner, p)
		}
	}
}

func (s *memorySource) Pause(parts []Partition) error  { s.setPaused(parts, true); return nil }
func (s *memorySource) Resume(parts []Partition) error { s.setPaused(parts, false); return nil }
func (s *memorySource) setPaused(parts []Partition, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range parts {
		s.paused[p] = paused
	}
}

func (s *memorySource) Commit(ctx context.Context, positions []Position) error {
	if !sleep(ctx, time.Millisecond) {
		return ctx.Err()
	}
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse {
		return errors.New("coordinator not available")
	}
	for _, p := range positions {
		if g.owner[p.Partition] != s {
			return errors.New("unknown member")
		}
		if len(p.Metadata) > 4096 {
			return errors.New("offset metadata too large")
		}
	}
	for _, p := range positions {
		g.committed[p.Partition] = p
	}
	g.commits++
	return nil
}

func (s *memorySource) Close(ctx context.Context) error {
	s.group.mu.Lock()
	var held []Partition
	for p, o := range s.group.owner {
		if o == s {
			held = append(held, p)
		}
	}
	s.group.mu.Unlock()
	if len(held) > 0 {
		s.tasks.Revoked(ctx, held)
		s.forget(held, true)
	}
	s.group.kill(s)
	return nil
}

// destination is the in-memory twin of a service that starts executions: a name starts once.
type destination struct {
	rng    *lockedRand
	failIn int // one call in failIn fails, half of these after the start; 0: none

	mu     sync.Mutex // guards all below
	names  map[string]bool
	starts map[string]int   // executions that hold the record, by partition-offset
	last   map[string]int64 // last first-started offset, by partition and key
	open   map[string]int   // calls under way, by partition and key
	faults []string         // broken promises
	calls  int
	hold   func(*connector.Record) bool // records whose calls fail for as long as it says so
}

func newDestination(seed uint64, failIn int) *destination {
	return &destination{
		rng: newLockedRand(seed), failIn: failIn, names: make(map[string]bool), starts: make(map[string]int),
		last: make(map[string]int64), open: make(map[string]int),
	}
}

func recordID(r *connector.Record) string {
	return fmt.Sprintf("%s-%d@%d", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset)
}

func keyOf(r *connector.Record) string {
	return fmt.Sprintf("%s-%d/%s", r.Origin.Topic, r.Origin.Partition, r.Origin.Key)
}

// memorySink is the destination's sink in one process; when that dies, dead ends and its calls have
// no effect any more.
type memorySink struct {
	*destination
	dead  <-chan struct{}
	named bool
	size  int
}

func (s *memorySink) BatchMaxRecords() int        { return s.size }
func (s *memorySink) Close(context.Context) error { return nil }
func (s *memorySink) Cut(rs []*connector.Record) ([]connector.Call, error) {
	// Two destinations, as routing by table gives, and a filter.
	var calls [2][]*connector.Record
	for _, r := range rs {
		if r.Origin.Offset%17 == 13 {
			continue
		}
		i := len(r.Origin.Key) % 2
		calls[i] = append(calls[i], r)
	}
	var out []connector.Call
	for _, c := range calls {
		if len(c) > 0 {
			out = append(out, connector.Call{Records: c, Named: s.named})
		}
	}
	return out, nil
}

func (s *memorySink) Deliver(ctx context.Context, batch []*connector.Record) error {
	keys := make(map[string]bool)
	for _, r := range batch {
		keys[keyOf(r)] = true
	}
	s.enter(keys)
	defer s.leave(keys)
	wait := time.Duration(s.rng.IntN(5)) * time.Millisecond
	fault := s.failIn > 0 && s.rng.IntN(s.failIn) == 0
	if s.hold != nil && slices.ContainsFunc(batch, s.hold) {
		sleep(ctx, wait)
		return connector.Retryable(errors.New("held"))
	}
	if fault && s.rng.IntN(2) == 0 {
		sleep(ctx, wait)
		return connector.Retryable(errors.New("refused before the start"))
	}
	select {
	case <-s.dead:
		return errors.New("process is dead")
	default:
	}
	s.start(batch)
	if !sleep(ctx, wait) || fault {
		return connector.Retryable(errors.New("started, but the answer was lost"))
	}
	return nil
}

func (s *memorySink) enter(keys map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for k := range keys {
		if s.open[k]++; s.open[k] > 1 {
			s.faults = append(s.faults, "two open calls for key "+k)
		}
	}
}

func (s *memorySink) leave(keys map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range keys {
		s.open[k]--
	}
}

func (s *memorySink) start(batch []*connector.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprint(batch[0].Batch.Topic, batch[0].Batch.Partition, batch[0].Batch.Offsets)
	if s.named && s.names[name] {
		return
	}
	s.names[name] = true
	for _, r := range batch {
		id, k := recordID(r), keyOf(r)
		s.starts[id]++
		if s.starts[id] > 1 {
			s.faults = append(s.faults, fmt.Sprintf("%s started again, in %s", id, name))
			continue
		}
		if s.last[k] > r.Origin.Offset {
			s.faults = append(s.faults, fmt.Sprintf("%s overtaken by offset %d of its key", id, s.last[k]))
		}
		s.last[k] = r.Origin.Offset
	}
}

type lockedRand struct {
	mu sync.Mutex // guards r
	r  *rand.Rand
}

func newLockedRand(seed uint64) *lockedRand {
	return &lockedRand{r: rand.New(rand.NewPCG(seed, 1))}
}

func (l *lockedRand) IntN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}

// textConverter passes bytes on as they are.
type textConverter struct{ fail func(data []byte) error }

func (c textConverter) Convert(_ context.Context, _ string, _ []connector.RawHeader, data []byte) (connector.Value, error) {
	if c.fail != nil {
		if err := c.fail(data); err != nil {
			return connector.Value{}, err
		}
	}
	if data == nil {
		return connector.Value{}, nil
	}
	return connector.NewValue(nil, string(data)), nil
}

func (textConverter) Close() error { return nil }

func testSettings() Settings {
	return Settings{
		MaxInFlight: 8, BatchMaxBytes: 1 << 20, MaxPendingRecords: 200, MaxPendingBytes: 1 << 20, MaxUnsettledSpan: 1000,
		RetryTimeout: -1, RetryBackoff: 5 * time.Millisecond, RetryBackoffMax: 50 * time.Millisecond,
		CommitInterval: 50 * time.Millisecond, CommitTimeout: time.Second, ShutdownTimeout: time.Second, Lease: 2 * time.Second,
	}
}

func testConfig(g *memoryGroup, sink connector.Sink, outlived *Outlived) Config {
	return Config{
		Connector: "c", Settings: testSettings(), Outlived: outlived, Log: slog.New(slog.DiscardHandler),
		Pipeline:   Pipeline{Key: Stage{"k", textConverter{}}, Value: Stage{"v", textConverter{}}},
		OpenSink:   func(context.Context) (connector.Sink, error) { return sink, nil },
		OpenSource: func(_ context.Context, t Group) (Source, error) { return g.join(t), nil },
	}
}
