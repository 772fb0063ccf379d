package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

const (
	pollWait = 100 * time.Millisecond // how long Poll waits for a first message
	// leaveWait bounds how long Close waits for the group to take the partitions back.
	leaveWait         = 10 * time.Second
	unansweredCommits = 4
	// assignWait bounds how long a rebalance is retried, below max.poll.interval.ms in any case.
	assignWait = time.Minute
)

// SourceConfig says what a Source reads and as whom.
type SourceConfig struct {
	// Properties are librdkafka's, by librdkafka's names (see Translate); group.id and
	// bootstrap.servers are required, empty values are dropped.
	Properties map[string]string
	// Topics are subscribed as an explicit list; none is allowed (a pattern that matches nothing yet).
	Topics []string
	// Group is told of rebalances.
	Group task.Group
	// StartAt is where to read a partition for which nothing was ever committed and Group gave no
	// position: "earliest" (the default), "latest", or "none" for an error.
	StartAt string
	// MaxPendingBytes sizes what librdkafka fetches ahead of Poll, a thirty-second part of it, beside what the task holds itself; 0 means 64 MiB.
	MaxPendingBytes int64
	// Token is asked for SASL OAUTHBEARER tokens; nil when the properties name another way.
	Token TokenFunc
	Log   *slog.Logger // nil means none
}

// Source is one member of a consumer group. Poll and Close belong to one goroutine; every other
// method may be called from any.
type Source struct {
	c       *ck.Consumer
	admin   *ck.AdminClient
	set     settings
	group   task.Group
	startAt string
	token   TokenFunc
	log     *slog.Logger

	calls gate
	waker waker
	// commits has a place for each commit that is not answered. They are few because an unanswered
	// one holds a thread, and with no broker to be reached for as long as that lasts.
	commits chan struct{}
	logs    sync.WaitGroup
	wanted  atomic.Pointer[[]string] // what Resubscribe asked for and Poll has not applied yet

	// Of Poll's goroutine.
	closed      bool
	subscribed  bool
	cooperative bool
	serve       func(ck.Event) // serves a rebalance for the Poll that runs; nil: nobody is told
	failure     error          // a fatal error of the client: every later Poll returns it
	held        error          // an error to return from the next Poll, after the messages before it
	reported    map[task.Partition]bool
	logged      map[ck.ErrorCode]time.Time
	files       map[string]string // the certificate files as they were when the client opened
	diagnosis   error             // what is wrong with the certificates, when it was last looked at
	diagnosed   time.Time
	refused     bool // certificates were the trouble since the client opened

	mu      sync.Mutex // guards the fields below
	parts   map[task.Partition]holding
	losses  int // how often an assignment was lost
	problem Problem
	// tokenRefused is when brokers began to refuse tokens, since the last sign of life.
	tokenRefused time.Time
	missing      map[string]bool   // topics that do not exist
	remade       map[string]string // ids of topics that were made anew and that the next Poll takes anew
}

// holding is a partition that the group gave to this member.
type holding struct {
	told    bool // the Group was asked about it
	reading bool // the client has it
	paused  bool // by a Pause that came before the client had it
	start   int64
	topicID string // when it was assigned
}

// Problem is the latest trouble that does not stop a Source but may keep it from reading.
type Problem struct {
	Err  error // nil when there is none since the last sign of life
	Last time.Time
}

// OpenSource makes a member of the group; it joins with the first Poll. No connection is awaited:
// brokers that are down are not an error. The error names the property that is wrong.
func OpenSource(ctx context.Context, cfg SourceConfig) (*Source, error) {
	set, err := sourceSettings(cfg)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files := set.filesOf()
	c, err := ck.NewConsumer(set.configMap())
	if err != nil {
		return nil, set.openError("consumer", err)
	}
	admin, err := ck.NewAdminClientFromConsumer(c)
	if err != nil {
		return nil, errors.Join(set.openError("consumer", err), c.Close())
	}
	s := &Source{
		files: files, c: c, admin: admin, set: set, group: cfg.Group, startAt: cfg.StartAt, token: cfg.Token, log: orDiscard(cfg.Log),
		commits: make(chan struct{}, unansweredCommits),
		// Only an assignment tells for certain; until then what the settings make likely.
		cooperative: set["group.protocol"] == "consumer" || set["partition.assignment.strategy"] == "cooperative-sticky",
		parts:       map[task.Partition]holding{}, reported: map[task.Partition]bool{}, logged: map[ck.ErrorCode]time.Time{}, remade: map[string]string{},
	}
	s.waker.ask = s.asker(ctx)
	topics := slices.Clone(cfg.Topics)
	s.wanted.Store(&topics)
	if lines := c.Logs(); lines != nil {
		s.logs.Go(func() { forwardLogs(lines, s.log) })
	}
	return s, nil
}

func sourceSettings(cfg SourceConfig) (settings, error) {
	set, err := newSettings(cfg.Properties)
	if err != nil {
		return nil, err
	}
	switch {
	case set["group.id"] == "":
		return nil, errors.New("client property group.id is not set")
	case cfg.Group == nil:
		return nil, errors.New("a source needs a Group to serve its rebalances")
	case cfg.StartAt != "" && cfg.StartAt != "earliest" && cfg.StartAt != "latest" && cfg.StartAt != "none":
		return nil, fmt.Errorf("auto.offset.reset is %q; it must be earliest, latest or none", cfg.StartAt)
	}
	// Invariant 1: where reading starts is decided by the task alone, and an offset that is gone is
	// an error with a range in it.
	set["enable.auto.commit"] = "false"
	set["enable.auto.offset.store"] = "false"
	set["auto.offset.reset"] = "error"
	set["isolation.level"] = "read_committed"
	if set["group.protocol"] == "consumer" { // KIP-848: these belong to the broker, and setting them is an error
		for _, k := range []string{"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"} {
			delete(set, k)
		}
	} else {
		set.preset("partition.assignment.strategy", "cooperative-sticky")
	}
	set.preset("socket.timeout.ms", "30000") // Java's request.timeout.ms; librdkafka's is 60000
	// librdkafka's default of 1000 stops fetching for a second whenever its queue is full.
	set.preset("fetch.queue.backoff.ms", "10")
	budget := cfg.MaxPendingBytes
	if budget <= 0 {
		budget = 64 << 20
	}
	// The task holds max.pending.bytes itself; what waits behind it needs to bridge a fetch only, and is thrown
	// away and fetched again whenever a partition is paused. Each task has such a queue, and twice as much in answers under way.
	queue := min(max(budget/32, 512<<10), 64<<20)
	set.preset("queued.max.messages.kbytes", strconv.FormatInt(min(queue>>10, 2097151), 10))
	set.preset("fetch.message.max.bytes", strconv.FormatInt(min(queue/4, 1<<20), 10))
	set.preset("fetch.max.bytes", strconv.FormatInt(min(max(queue/2, 1_000_000), 50<<20), 10))
	set.preset("queued.min.messages", "10000")
	return set, nil
}

// Poll appends up to limit messages to dst; see task.Source. Of the client's errors these end it:
// a fatal one (a fenced group.instance.id, an unsupported protocol), refused authorization and
// refused credentials (tokens when that lasts), an offset out of range (*task.OutOfRangeError, once per partition), and a
// rebalance that could not be served. Brokers that are down or restart, and topics that do not
// exist, are no error: see Problem.
func (s *Source) Poll(ctx context.Context, dst []task.Message, limit int) ([]task.Message, error) {
	switch {
	case s.closed:
		return dst, ErrClosed // Poll of a closed consumer would be a segmentation fault
	case s.failure != nil:
		return dst, s.failure
	case s.held != nil:
		err := s.held
		s.held = nil
		return dst, err
	}
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	if err := s.subscribe(); err != nil {
		return dst, err
	}
	if err := s.takeRemade(ctx); err != nil {
		return dst, err
	}
	from := len(dst)
	var failed error
	s.serve = func(ev ck.Event) {
		gone, err := s.rebalance(ctx, ev)
		failed = err
		dst = without(dst, from, gone)
	}
	defer func() { s.serve = nil }()
	wait := pollWait
	for limit = max(limit, 1); len(dst)-from < limit && failed == nil; wait = 0 {
		ev := s.c.Poll(int(wait / time.Millisecond))
		if ev == nil {
			break
		}
		if m, ok := ev.(*ck.Message); ok && m.TopicPartition.Error == nil {
			dst = append(dst, message(m))
			continue
		}
		failed = s.event(ctx, ev)
	}
	if failed != nil && len(dst) > from {
		s.held, failed = failed, nil
	}
	if len(dst) > from {
		s.well()
	}
	return dst, failed
}

// without takes messages of partitions that have just gone out of dst[from:], in place.
func without(dst []task.Message, from int, gone []task.Partition) []task.Message {
	if len(gone) == 0 || len(dst) == from {
		return dst
	}
	kept := slices.DeleteFunc(dst[from:], func(m task.Message) bool { return slices.Contains(gone, m.Partition) })
	return dst[:from+len(kept)]
}

func message(m *ck.Message) task.Message {
	out := task.Message{
		// The library keeps one string per topic: no copy is made here.
		Partition: task.Partition{Topic: *m.TopicPartition.Topic, ID: m.TopicPartition.Partition},
		Offset:    int64(m.TopicPartition.Offset), Timestamp: -1, Key: m.Key, Value: m.Value,
	}
	if m.TimestampType != ck.TimestampNotAvailable {
		out.Timestamp, out.TimestampType = m.Timestamp.UnixMilli(), m.TimestampType.String()
	}
	if len(m.Headers) > 0 {
		out.Headers = make([]connector.RawHeader, len(m.Headers))
		for i, h := range m.Headers {
			out.Headers[i] = connector.RawHeader{Key: h.Key, Value: h.Value}
		}
	}
	return out
}

// Resubscribe replaces the topics; the next Poll tells the group. It serves topics.regex, which the
// host evaluates itself.
func (s *Source) Resubscribe(topics []string) error {
	if err := s.calls.enter(); err != nil {
		return err
	}
	defer s.calls.leave()
	topics = slices.Clone(topics)
	s.wanted.Store(&topics)
	return nil
}

func (s *Source) subscribe() error {
	topics := s.wanted.Swap(nil)
	if topics == nil {
		return nil
	}
	if len(*topics) == 0 {
		if !s.subscribed {
			return nil
		}
		s.subscribed = false
		return s.c.Unsubscribe()
	}
	if err := s.c.SubscribeTopics(*topics, s.callback); err != nil {
		return fmt.Errorf("subscribe group %s to %v: %w", s.set["group.id"], *topics, err)
	}
	s.subscribed = true
	return nil
}

// Pause stops fetching of partitions; those that are not held are ignored. The next assignment of a
// partition resumes it, but for a Pause since the Group was asked about it.
func (s *Source) Pause(parts []task.Partition) error {
	return s.onHeld(parts, true, s.c.Pause)
}

// Resume undoes Pause.
func (s *Source) Resume(parts []task.Partition) error {
	err := s.onHeld(parts, false, s.c.Resume)
	if err == nil {
		s.wake(parts)
	}
	return err
}

func (s *Source) onHeld(parts []task.Partition, paused bool, do func([]ck.TopicPartition) error) error {
	if err := s.calls.enter(); err != nil {
		return err
	}
	defer s.calls.leave()
	s.mu.Lock()
	list := make([]ck.TopicPartition, 0, len(parts))
	for i := range parts {
		switch h := s.parts[parts[i]]; {
		case h.reading:
			list = append(list, ck.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].ID})
		case h.told: // begin looks at it
			h.paused = paused
			s.parts[parts[i]] = h
		}
	}
	s.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	if err := do(list); err != nil {
		what := "resume"
		if paused {
			what = "pause"
		}
		return fmt.Errorf("%s %d partitions of group %s: %w", what, len(list), s.set["group.id"], err)
	}
	return nil
}

// Ends asks the brokers for the offset after the last readable record of each partition.
func (s *Source) Ends(ctx context.Context, parts []task.Partition) (map[task.Partition]int64, error) {
	if err := s.calls.enter(); err != nil {
		return nil, err
	}
	defer s.calls.leave()
	return listOffsets(ctx, s.admin, parts, ck.LatestOffsetSpec, ck.IsolationLevelReadCommitted)
}

// positions gives the next offset of each partition that is read, by topic and number.
func (s *Source) positions() ([]task.Position, error) {
	s.mu.Lock()
	list := make([]task.Position, 0, len(s.parts))
	for p, h := range s.parts {
		if h.reading {
			list = append(list, task.Position{Partition: p, Offset: h.start})
		}
	}
	s.mu.Unlock()
	if len(list) == 0 {
		return nil, nil
	}
	slices.SortFunc(list, func(a, b task.Position) int { return comparePartitions(a.Partition, b.Partition) })
	found, err := s.c.Position(offsets(list))
	if err != nil {
		return nil, fmt.Errorf("positions of group %s: %w", s.set["group.id"], err)
	}
	for i := range list {
		if at := int64(found[i].Offset); at >= 0 { // none before the first message
			list[i].Offset = at
		}
	}
	return list, nil
}
