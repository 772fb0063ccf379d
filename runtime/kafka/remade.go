package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// A topic that was deleted and made again under its name has other records at the same offsets. The client does not tell: it goes on
// at its position in the new log, past everything below it, which nobody would ever read (librdkafka issue 4898). So the ids of what is read
// are looked at now and then, and a partition of a topic that was made anew is taken like one that the group has just given.

// LookForRemade looks whether topics of partitions that are read have been made anew since those were assigned. The next
// Poll tells the Group that such partitions are lost and assigned anew. Topics that are away are no error.
func (s *Source) LookForRemade(ctx context.Context) error {
	if err := s.calls.enter(); err != nil {
		return err
	}
	defer s.calls.leave()
	_, err := s.lookForRemade(ctx)
	return err
}

// lookForRemade reports whether there is something for takeRemade.
func (s *Source) lookForRemade(ctx context.Context) (found bool, err error) {
	known := map[string]string{}
	s.mu.Lock()
	for p, h := range s.parts {
		if h.reading && h.topicID != "" {
			known[p.Topic] = h.topicID
		}
	}
	s.mu.Unlock()
	if len(known) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, missingWait)
	defer cancel()
	ds, err := describeTopics(ctx, s.admin, slices.Sorted(maps.Keys(known)))
	if err != nil {
		return false, fmt.Errorf("ids of the topics of group %s: %w", s.set["group.id"], err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		if id := topicID(d); d.Error.Code() == ck.ErrNoError && id != "" && id != known[d.Name] {
			s.remade[d.Name] = id
		}
	}
	return len(s.remade) > 0, nil
}

// takeRemade reads partitions of topics that were made anew from where the Group says. It runs within Poll.
func (s *Source) takeRemade(ctx context.Context) error {
	var parts []task.Partition
	s.mu.Lock()
	for p, h := range s.parts {
		if id := s.remade[p.Topic]; h.reading && id != "" && h.topicID != id {
			parts = append(parts, p)
		}
	}
	clear(s.remade)
	s.mu.Unlock()
	if len(parts) == 0 {
		return nil
	}
	slices.SortFunc(parts, comparePartitions)
	s.log.Warn("topics were deleted and made anew under their names: their partitions are read anew", "group", s.set["group.id"], "partitions", names(parts))
	s.group.Lost(parts)
	s.mu.Lock()
	for _, p := range parts {
		s.parts[p] = holding{}
	}
	s.mu.Unlock()
	starts, err := s.starts(ctx, parts)
	if err == nil {
		err = s.reassign(starts)
	}
	if err != nil {
		return fmt.Errorf("read %s of group %s anew: %w", names(parts), s.set["group.id"], err)
	}
	return nil
}

// reassign makes the client begin anew with partitions of its present assignment: it throws away what it has fetched of them, and
// forgets errors, after which a seek would be refused.
func (s *Source) reassign(starts []task.Position) error {
	if s.cooperative {
		list := make([]task.Partition, len(starts))
		for i, p := range starts {
			list[i] = p.Partition
		}
		if err := s.unassign(list); err != nil {
			return err
		}
		return s.assign(starts)
	}
	kept, err := s.positions()
	if err != nil {
		return err
	}
	if err := s.c.Assign(offsets(append(kept, starts...))); err != nil {
		return err
	}
	return s.begin(starts)
}
