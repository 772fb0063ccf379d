package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// callback is called by the library from within the consumer's Poll. It always answers with an
// assignment of some kind: without one the library would assign everything itself.
func (s *Source) callback(_ *ck.Consumer, ev ck.Event) error {
	if s.serve != nil {
		s.serve(ev)
		return nil
	}
	// The Source is closing: the Group has been told.
	if _, ok := ev.(ck.AssignedPartitions); ok {
		return s.assign(nil)
	}
	return s.unassign(s.forget(partitionsOf(ev)))
}

// rebalance serves one change of the assignment and gives the partitions that are gone.
func (s *Source) rebalance(ctx context.Context, ev ck.Event) (gone []task.Partition, err error) {
	if p := s.c.GetRebalanceProtocol(); p != "" {
		s.cooperative = p == "COOPERATIVE"
	}
	parts := partitionsOf(ev)
	if _, ok := ev.(ck.AssignedPartitions); ok {
		return nil, s.assigned(ctx, parts)
	}
	return parts, s.revoked(ctx, parts)
}

func (s *Source) assigned(ctx context.Context, added []task.Partition) error {
	s.mu.Lock()
	for _, p := range added {
		s.parts[p] = holding{} // from here on commits for it are this member's to make
	}
	s.mu.Unlock()
	starts, err := s.starts(ctx, added)
	if err != nil {
		err = fmt.Errorf("take %s for group %s: %w", names(added), s.set["group.id"], err)
		starts = nil
	}
	if e := s.assign(starts); e != nil && err == nil {
		err = fmt.Errorf("read %s: %w", names(added), e)
	}
	if err == nil && len(added) > 0 {
		s.well()
	}
	return err
}

// starts asks the brokers for what is known of the partitions and the Group where to begin.
func (s *Source) starts(ctx context.Context, added []task.Partition) ([]task.Position, error) {
	known, err := s.lookup(ctx, added)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, k := range known {
		s.parts[k.Partition] = holding{told: true, topicID: k.TopicID}
		delete(s.reported, k.Partition)
	}
	s.mu.Unlock()
	chosen, err := s.group.Assigned(ctx, known)
	if err != nil {
		return nil, err
	}
	at := make(map[task.Partition]int64, len(chosen))
	for _, p := range chosen {
		at[p.Partition] = p.Offset
	}
	starts := make([]task.Position, len(known))
	for i, k := range known {
		offset, ok := at[k.Partition]
		if !ok || offset < 0 {
			if offset, err = s.defaultStart(k); err != nil {
				return nil, err
			}
		}
		starts[i] = task.Position{Partition: k.Partition, Offset: offset}
	}
	return starts, nil
}

func (s *Source) defaultStart(k task.Assignment) (int64, error) {
	switch {
	case k.Committed >= 0:
		return k.Committed, nil
	case s.startAt == "latest":
		return k.High, nil
	case s.startAt == "none":
		return 0, fmt.Errorf("%s-%d has no committed offset and auto.offset.reset=none forbids to choose one", k.Topic, k.ID)
	}
	return k.Low, nil
}

func (s *Source) assign(starts []task.Position) error {
	assign := s.c.Assign
	if s.cooperative {
		assign = s.c.IncrementalAssign
	}
	if err := assign(offsets(starts)); err != nil {
		return err
	}
	return s.begin(starts)
}

// begin notes that the client has partitions, and pauses those that Pause has named meanwhile. The others are resumed: the
// client remembers a pause from when it had a partition before. Pause waits: it would be undone.
func (s *Source) begin(starts []task.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pause, resume []task.Position
	for _, p := range starts {
		h := s.parts[p.Partition]
		if h.paused {
			pause = append(pause, p)
		} else {
			resume = append(resume, p)
		}
		s.parts[p.Partition] = holding{told: true, reading: true, start: p.Offset, topicID: h.topicID}
	}
	var err error
	if len(pause) > 0 {
		err = s.c.Pause(offsets(pause))
	}
	if len(resume) > 0 {
		err = errors.Join(err, s.c.Resume(offsets(resume)))
	}
	return err
}

func (s *Source) revoked(ctx context.Context, parts []task.Partition) error {
	told := slices.DeleteFunc(s.told(), func(p task.Partition) bool { return !slices.Contains(parts, p) })
	if !s.c.AssignmentLost() {
		if len(told) > 0 {
			s.group.Revoked(ctx, told)
		}
		return s.unassign(s.forget(parts))
	}
	s.mu.Lock()
	s.losses++
	s.mu.Unlock()
	reading := s.forget(parts)
	if len(told) > 0 {
		s.log.Warn("the group gave this member's partitions away", "group", s.set["group.id"], "partitions", names(told))
		s.group.Lost(told)
	}
	return s.unassign(reading)
}

// forget drops partitions and gives those of them that were being read.
func (s *Source) forget(parts []task.Partition) []task.Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reading []task.Partition
	for _, p := range parts {
		if s.parts[p].reading {
			reading = append(reading, p)
		}
		delete(s.parts, p)
	}
	return reading
}

func (s *Source) unassign(parts []task.Partition) error {
	if !s.cooperative {
		return s.c.Unassign()
	}
	list := make([]ck.TopicPartition, len(parts))
	for i := range parts {
		list[i] = ck.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].ID}
	}
	return s.c.IncrementalUnassign(list)
}

// lookup asks for the committed offsets, bounds and topic ids of partitions: four requests, however
// many there are. What may pass is tried again until half of max.poll.interval.ms or assignWait is
// over, since heartbeats keep the member in the group only that long.
func (s *Source) lookup(ctx context.Context, parts []task.Partition) ([]task.Assignment, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.assignWait())
	defer cancel()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for backoff := 100 * time.Millisecond; ; backoff = min(2*backoff, 2*time.Second) {
		known, err := s.lookupOnce(ctx, parts)
		code := codeOf(err)
		if err == nil || !passing(code) && code != ck.ErrUnknownTopicOrPart && code != ck.ErrUnknownPartition {
			return known, err
		}
		pause.Reset(backoff)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("given up after retries: %w", err)
		}
	}
}

func (s *Source) lookupOnce(ctx context.Context, parts []task.Partition) ([]task.Assignment, error) {
	list := make([]ck.TopicPartition, len(parts))
	for i := range parts {
		list[i] = ck.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].ID}
	}
	committed, err := s.c.Committed(list, timeoutMillis(ctx, 5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	ranges, err := listRanges(ctx, s.admin, parts, ck.IsolationLevelReadCommitted)
	if err != nil {
		return nil, err
	}
	ids, err := topicIDs(ctx, s.admin, topicsOf(parts))
	if err != nil {
		return nil, err
	}
	known := make([]task.Assignment, len(parts))
	for i, p := range parts {
		if e := committed[i].Error; e != nil {
			return nil, fmt.Errorf("committed offset of %s-%d: %w", p.Topic, p.ID, e)
		}
		r := ranges[p]
		known[i] = task.Assignment{Partition: p, Committed: max(int64(committed[i].Offset), -1), Low: r.Low, High: r.High, TopicID: ids[p.Topic]}
		if m := committed[i].Metadata; m != nil {
			known[i].Metadata = *m
		}
	}
	return known, nil
}

func (s *Source) assignWait() time.Duration {
	limit := 300 * time.Second // librdkafka's default of max.poll.interval.ms
	if ms, err := strconv.Atoi(s.set["max.poll.interval.ms"]); err == nil {
		limit = time.Duration(ms) * time.Millisecond
	}
	return min(limit/2, assignWait)
}

// timeoutMillis is the time left to ctx, at most limit, for calls that take milliseconds.
func timeoutMillis(ctx context.Context, limit time.Duration) int {
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end))
	}
	return int(max(limit, time.Millisecond) / time.Millisecond)
}

func partitionsOf(ev ck.Event) []task.Partition {
	var list []ck.TopicPartition
	switch e := ev.(type) {
	case ck.AssignedPartitions:
		list = e.Partitions
	case ck.RevokedPartitions:
		list = e.Partitions
	}
	parts := make([]task.Partition, len(list))
	for i, p := range list {
		parts[i] = task.Partition{Topic: *p.Topic, ID: p.Partition}
	}
	return parts
}

func offsets(positions []task.Position) []ck.TopicPartition {
	list := make([]ck.TopicPartition, len(positions))
	for i := range positions {
		p := &positions[i]
		list[i] = ck.TopicPartition{Topic: &p.Topic, Partition: p.ID, Offset: ck.Offset(p.Offset)}
		if p.Metadata != "" {
			list[i].Metadata = &p.Metadata
		}
	}
	return list
}

func topicsOf(parts []task.Partition) []string {
	seen := make(map[string]bool, 4)
	var topics []string
	for _, p := range parts {
		if !seen[p.Topic] {
			seen[p.Topic] = true
			topics = append(topics, p.Topic)
		}
	}
	return topics
}

func comparePartitions(a, b task.Partition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}

// names lists partitions for a message, the first eight of them.
func names(parts []task.Partition) string {
	var b strings.Builder
	for i, p := range parts {
		if i == 8 {
			fmt.Fprintf(&b, " and %d more", len(parts)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s-%d", p.Topic, p.ID)
	}
	if len(parts) == 0 {
		return "no partition"
	}
	return b.String()
}
