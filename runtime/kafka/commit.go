package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Commit stores positions with the group's coordinator. Nil means that the coordinator took all of
// them while this member held the partitions and had not lost any. The error is Fenced when that
// is not so, connector.Retryable when the same commit may succeed later, ctx's when the outcome is
// not known in time.
//
// Only partitions that are held are committed. That is more than politeness: a member that the
// coordinator has forgotten commits as "no member", which an empty group accepts, so the answer
// alone confirms nothing.
func (s *Source) Commit(ctx context.Context, positions []task.Position) error {
	if len(positions) == 0 {
		return errors.New("a commit of no positions confirms nothing")
	}
	losses, err := s.holds(positions)
	if err != nil {
		return err
	}
	select {
	case s.commits <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("commit of group %s: earlier commits are not answered yet: %w", s.set["group.id"], ctx.Err())
	}
	answer, err := await(ctx, &s.calls, func() ([]ck.TopicPartition, error) {
		defer func() { <-s.commits }()
		answer, err := s.c.CommitOffsets(offsets(positions))
		if err == nil && s.c.AssignmentLost() {
			err = ck.NewError(ck.ErrAssignmentLost, "the assignment was lost", false)
		}
		return answer, err
	})
	if errors.Is(err, ErrClosed) {
		<-s.commits // the call was not made
		return err
	}
	if err == nil {
		for _, p := range answer {
			if p.Error != nil {
				err = fmt.Errorf("%s-%d at %d: %w", *p.Topic, p.Partition, p.Offset, p.Error)
				break
			}
		}
	}
	if err != nil {
		return classify(fmt.Errorf("commit %d positions of group %s: %w", len(positions), s.set["group.id"], err))
	}
	if s.lossCount() != losses {
		return fmt.Errorf("commit of group %s: the assignment was lost meanwhile: %w", s.set["group.id"], ErrFenced)
	}
	s.well()
	return nil
}

func (s *Source) lossCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.losses
}

// holds gives the count of lost assignments, or an error if a position is not this member's to commit.
func (s *Source) holds(positions []task.Position) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range positions {
		if _, ok := s.parts[p.Partition]; !ok {
			return 0, fmt.Errorf("commit of group %s: %s-%d is not assigned to this member: %w", s.set["group.id"], p.Topic, p.ID, ErrFenced)
		}
	}
	return s.losses, nil
}

// Close gives the partitions back (Group.Revoked, on this goroutine and while this is still a
// member, so that it may commit), waits for commits that are under way, leaves the group and frees
// the client. If that takes longer than ctx allows, Close returns an error and leaves the client to
// end by itself: a commit that no broker answers is kept by librdkafka until one does, and nothing
// can be freed before (librdkafka issue 3740). A second Close returns ErrClosed.
func (s *Source) Close(ctx context.Context) error {
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	s.giveBack(ctx)
	s.calls.shut()
	done := make(chan error, 1)
	go func() {
		s.calls.wg.Wait()
		s.admin.Close()
		// It serves a last revocation, of which nobody is told, and waits until the group has heard of the end.
		err := closeMember(s.c)
		s.logs.Wait()
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil && !Fenced(classify(err)) { // a fatal error was Poll's to return
			return fmt.Errorf("close the member of group %s: %w", s.set["group.id"], err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the member of group %s: %w; its client is left to end by itself", s.set["group.id"], ctx.Err())
	}
}

// closeMember leaves the group and frees the client. librdkafka (2.15.1) sends no LeaveGroup when a member without
// partitions closes: the group would wait for it in each rebalance, until its session is over. After Unsubscribe it
// does; with partitions that is left to Close, which waits for the answer where Unsubscribe may lose it.
func closeMember(c *ck.Consumer) error {
	held, err := c.Assignment()
	if err == nil && len(held) == 0 {
		err = c.Unsubscribe()
	}
	return errors.Join(err, c.Close())
}

func (s *Source) giveBack(ctx context.Context) {
	held := s.told()
	switch {
	case len(held) == 0:
	case s.failure != nil || s.c.AssignmentLost():
		s.group.Lost(held)
	default:
		s.group.Revoked(ctx, held)
	}
}

// told gives the partitions that the Group knows of.
func (s *Source) told() []task.Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make([]task.Partition, 0, len(s.parts))
	for p, h := range s.parts {
		if h.told {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, comparePartitions)
	return parts
}
