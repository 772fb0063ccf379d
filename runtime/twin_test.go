package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// broker is the in-memory twin of a Kafka cluster: topics, consumer groups and dead letters.
type broker struct {
	mu      sync.Mutex // guards all below
	topics  map[string][][]task.Message
	rf      map[string]int
	groups  map[string]map[task.Partition]task.Position
	members map[string][]*member
	changed chan struct{}
	down    error // what every call fails with
	opened  []SourceRequest
	admin   []map[string]string
}

func newBroker() *broker {
	return &broker{
		topics: map[string][][]task.Message{}, rf: map[string]int{}, groups: map[string]map[task.Partition]task.Position{},
		members: map[string][]*member{}, changed: make(chan struct{}),
	}
}

func (b *broker) clients() Clients {
	return Clients{
		OpenSource: func(_ context.Context, r SourceRequest) (task.Source, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.down != nil {
				return nil, b.down
			}
			b.opened = append(b.opened, r)
			return &member{b: b, group: r.Properties["group.id"], topics: r.Topics, tasks: r.Group, pos: map[task.Partition]int64{}, paused: map[task.Partition]bool{}}, nil
		},
		OpenProducer: func(context.Context, map[string]string, *slog.Logger) (task.Producer, error) { return letters{b}, nil },
		OpenCluster: func(_ context.Context, props map[string]string, _ *slog.Logger) (Cluster, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.admin = append(b.admin, props)
			return cluster{b}, nil
		},
		Browse: b.browse,
	}
}

func (b *broker) browse(_ context.Context, r BrowseRequest) error {
	b.mu.Lock()
	logs := slices.Clone(b.topics[r.Topic])
	b.mu.Unlock()
	for id, log := range logs {
		for o := r.From[int32(id)]; o < min(r.To[int32(id)], int64(len(log))); o++ {
			if m := log[o]; !r.Visit(&m) {
				return nil
			}
		}
	}
	return nil
}

// touch wakes whoever waits; the caller holds the lock.
func (b *broker) touch() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *broker) create(name string, partitions int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics[name] == nil {
		b.topics[name] = make([][]task.Message, partitions)
	}
	b.touch()
}

func (b *broker) produce(topic string, partition int32, key, value []byte, headers ...connector.RawHeader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.topics[topic][partition]
	b.topics[topic][partition] = append(log, task.Message{
		Partition: task.Partition{Topic: topic, ID: partition}, Offset: int64(len(log)), Key: key, Value: value, Headers: headers,
		Timestamp: 1, TimestampType: "CreateTime",
	})
	b.touch()
}

func (b *broker) length(topic string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, log := range b.topics[topic] {
		n += len(log)
	}
	return n
}

func (b *broker) message(topic string, partition int32, offset int64) task.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[topic][partition][offset]
}

func (b *broker) requests() []SourceRequest   { return locked(&b.mu, &b.opened) }
func (b *broker) admins() []map[string]string { return locked(&b.mu, &b.admin) }

func (b *broker) factor(topic string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rf[topic]
}

func (b *broker) committed(group string) map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]int64{}
	for p, pos := range b.groups[group] {
		out[p.String()] = pos.Offset
	}
	return out
}

// member is one member of a group; each partition is with one member, and moves only when that leaves.
type member struct {
	b      *broker
	group  string
	topics []string
	tasks  task.Group
	joined bool
	mu     sync.Mutex // guards pos and paused
	pos    map[task.Partition]int64
	paused map[task.Partition]bool
}

// free gives this member's share of the partitions: dealt round the members.
func (m *member) free() []task.Assignment {
	b := m.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !m.joined {
		m.joined = true
		b.members[m.group] = append(b.members[m.group], m)
		b.touch()
	}
	held := map[task.Partition]bool{}
	for _, other := range b.members[m.group] {
		other.mu.Lock()
		for p := range other.pos {
			held[p] = true
		}
		other.mu.Unlock()
	}
	me, n := slices.Index(b.members[m.group], m), len(b.members[m.group])
	var found []task.Assignment
	for _, topic := range m.topics {
		for id, log := range b.topics[topic] {
			p := task.Partition{Topic: topic, ID: int32(id)}
			if held[p] || n > 1 && id%n != me {
				continue
			}
			a := task.Assignment{Partition: p, Committed: -1, High: int64(len(log)), TopicID: "id-" + topic}
			if c, ok := b.groups[m.group][p]; ok {
				a.Committed, a.Metadata = c.Offset, c.Metadata
			}
			found = append(found, a)
			m.mu.Lock()
			m.pos[p] = max(0, a.Committed)
			m.mu.Unlock()
		}
	}
	return found
}

// Poll implements task.Source.
func (m *member) Poll(ctx context.Context, dst []task.Message, limit int) ([]task.Message, error) {
	if added := m.free(); len(added) > 0 {
		positions, err := m.tasks.Assigned(ctx, added)
		if err != nil {
			return dst, err
		}
		m.mu.Lock()
		for _, p := range positions {
			m.pos[p.Partition] = p.Offset
		}
		m.mu.Unlock()
		return dst, nil
	}
	m.b.mu.Lock()
	changed := m.b.changed
	m.mu.Lock()
	before := len(dst)
	for p, pos := range m.pos {
		log := m.b.topics[p.Topic][p.ID]
		for !m.paused[p] && pos < int64(len(log)) && len(dst)-before < limit {
			dst = append(dst, log[pos])
			pos++
		}
		m.pos[p] = pos
	}
	m.mu.Unlock()
	m.b.mu.Unlock()
	if len(dst) > before {
		return dst, nil
	}
	wait := time.NewTimer(100 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-changed:
	case <-wait.C:
	case <-ctx.Done():
	}
	return dst, nil
}

func (m *member) setPaused(parts []task.Partition, to bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts {
		m.paused[p] = to
	}
	return nil
}

// Pause implements task.Source.
func (m *member) Pause(parts []task.Partition) error { return m.setPaused(parts, true) }

// Resume implements task.Source.
func (m *member) Resume(parts []task.Partition) error { return m.setPaused(parts, false) }

// Missing implements missing.
func (m *member) Missing(context.Context) ([]string, error) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	gone := []string{}
	for _, t := range m.topics {
		if m.b.topics[t] == nil {
			gone = append(gone, t)
		}
	}
	return gone, nil
}

// Resubscribe implements resubscriber.
func (m *member) Resubscribe(topics []string) error {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.topics = topics
	m.b.touch()
	return nil
}

// Commit implements task.Source.
func (m *member) Commit(_ context.Context, positions []task.Position) error {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	if m.b.down != nil {
		return m.b.down
	}
	if m.b.groups[m.group] == nil {
		m.b.groups[m.group] = map[task.Partition]task.Position{}
	}
	for _, p := range positions {
		m.b.groups[m.group][p.Partition] = p
	}
	return nil
}

// Close implements task.Source.
func (m *member) Close(ctx context.Context) error {
	m.mu.Lock()
	var held []task.Partition
	for p := range m.pos {
		held = append(held, p)
	}
	m.mu.Unlock()
	if len(held) > 0 {
		m.tasks.Revoked(ctx, held)
	}
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	m.b.members[m.group] = slices.DeleteFunc(m.b.members[m.group], func(o *member) bool { return o == m })
	m.b.touch()
	return nil
}

// letters writes dead letters into the broker.
type letters struct{ b *broker }

func (l letters) Produce(_ context.Context, m task.Outgoing) error {
	l.b.mu.Lock()
	known := l.b.topics[m.Topic] != nil
	l.b.mu.Unlock()
	if !known {
		return errors.New("unknown topic " + m.Topic)
	}
	l.b.produce(m.Topic, 0, m.Key, m.Value, m.Headers...)
	return nil
}
func (letters) Close(context.Context) error { return nil }

// cluster administers the broker.
type cluster struct{ b *broker }

func (c cluster) lock() func() { c.b.mu.Lock(); return c.b.mu.Unlock }

func (c cluster) ClusterID(context.Context) (string, error) {
	defer c.lock()()
	return "cluster-1", c.b.down
}

func (c cluster) Topics(context.Context) ([]string, error) {
	defer c.lock()()
	return sortedKeys(c.b.topics), c.b.down
}

func (c cluster) TopicIDs(_ context.Context, topics []string) (map[string]string, error) {
	defer c.lock()()
	ids := map[string]string{}
	for _, t := range topics {
		ids[t] = "id-" + t
	}
	return ids, c.b.down
}

func (c cluster) CreateTopic(_ context.Context, name string, partitions, rf int) error {
	defer c.lock()()
	if rf > 1 {
		return fmt.Errorf("create topic %s: replication factor %d larger than available brokers: 1", name, rf)
	}
	if c.b.topics[name] == nil {
		c.b.topics[name], c.b.rf[name] = make([][]task.Message, partitions), rf
	}
	return nil
}

func (c cluster) Partitions(_ context.Context, topic string) (int, error) {
	defer c.lock()()
	return len(c.b.topics[topic]), c.b.down
}

func (c cluster) LogBounds(ctx context.Context, parts []task.Partition) (low, end map[task.Partition]int64, err error) {
	end, err = c.EndOffsets(ctx, parts)
	low = map[task.Partition]int64{}
	for p := range end {
		low[p] = 0
	}
	return low, end, err
}

func (c cluster) EndOffsets(_ context.Context, parts []task.Partition) (map[task.Partition]int64, error) {
	defer c.lock()()
	ends := map[task.Partition]int64{}
	for _, p := range parts {
		if int(p.ID) >= len(c.b.topics[p.Topic]) {
			return nil, fmt.Errorf("%s: unknown topic or partition", p)
		}
		ends[p] = int64(len(c.b.topics[p.Topic][p.ID]))
	}
	return ends, nil
}

func (c cluster) GroupOffsets(_ context.Context, group string) ([]task.Position, error) {
	defer c.lock()()
	var out []task.Position
	for _, p := range c.b.groups[group] {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b task.Position) int { return cmp.Compare(a.Partition.String(), b.Partition.String()) })
	return out, c.b.down
}

func (c cluster) GroupMembers(_ context.Context, group string) (int, error) {
	defer c.lock()()
	return len(c.b.members[group]), c.b.down
}

func (c cluster) AlterGroupOffsets(_ context.Context, group string, positions []task.Position) error {
	defer c.lock()()
	for _, p := range positions {
		if int(p.ID) >= len(c.b.topics[p.Topic]) {
			return fmt.Errorf("%s: unknown topic or partition", p.Partition)
		}
		if c.b.groups[group] == nil {
			c.b.groups[group] = map[task.Partition]task.Position{}
		}
		c.b.groups[group][p.Partition] = p
	}
	return nil
}

func (c cluster) DeleteGroup(_ context.Context, group string) error {
	defer c.lock()()
	delete(c.b.groups, group)
	return nil
}

func (c cluster) DeleteGroupOffsets(_ context.Context, group string, parts []task.Partition) error {
	defer c.lock()()
	if c.b.groups[group] == nil {
		return errors.New("group id not found")
	}
	for _, p := range parts {
		delete(c.b.groups[group], p)
	}
	return nil
}

func (cluster) Close(context.Context) error { return nil }
