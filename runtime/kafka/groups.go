package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// Group is a consumer group as its coordinator describes it.
type Group struct {
	// State is Kafka's name: Stable, Empty, PreparingRebalance, CompletingRebalance, or Dead when
	// the group does not exist.
	State   string
	Members []Member
}

// Member is one member of a Group.
type Member struct {
	ID, ClientID, InstanceID, Host string
	Partitions                     []task.Partition
}

// describeWait bounds one attempt of DescribeGroup: leaders plan by its answer, and some are lost when brokers come and go.
const describeWait = 5 * time.Second

// DescribeGroup gives a group's state and members. A group that does not exist is Dead and has none.
func (a *Admin) DescribeGroup(ctx context.Context, group string) (Group, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, describeWait)
		g, err := a.describe(attempt, group)
		stop()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return g, err
		}
	}
}

func (a *Admin) describe(ctx context.Context, group string) (Group, error) {
	return ask(ctx, a, "describe group "+group, func(ctx context.Context, c *ck.AdminClient) (Group, error) {
		res, err := c.DescribeConsumerGroups(ctx, []string{group})
		if err != nil {
			return Group{}, err
		}
		if len(res.ConsumerGroupDescriptions) != 1 {
			return Group{}, fmt.Errorf("%d answers for one group", len(res.ConsumerGroupDescriptions))
		}
		d := res.ConsumerGroupDescriptions[0]
		switch d.Error.Code() {
		case ck.ErrNoError:
		case ck.ErrGroupIDNotFound: // Kafka 4 (KIP-1043); older brokers say Dead
			return Group{State: "Dead"}, nil
		case ck.ErrInvalidArg: // the library describes consumer groups only
			return a.describeForeign(ctx, group)
		default:
			return Group{}, d.Error
		}
		g := Group{State: d.State.String(), Members: make([]Member, 0, len(d.Members))}
		for _, m := range d.Members {
			one := Member{ID: m.ConsumerID, ClientID: m.ClientID, InstanceID: m.GroupInstanceID, Host: m.Host}
			for _, p := range m.Assignment.TopicPartitions {
				one.Partitions = append(one.Partitions, task.Partition{Topic: *p.Topic, ID: p.Partition})
			}
			slices.SortFunc(one.Partitions, comparePartitions)
			g.Members = append(g.Members, one)
		}
		return g, nil
	})
}

// GroupOffsets gives what the group committed: offsets with their metadata, sorted; none for a
// group that does not exist.
func (a *Admin) GroupOffsets(ctx context.Context, group string) ([]task.Position, error) {
	return ask(ctx, a, "offsets of group "+group, func(ctx context.Context, c *ck.AdminClient) ([]task.Position, error) {
		res, err := c.ListConsumerGroupOffsets(ctx, []ck.ConsumerGroupTopicPartitions{{Group: group}})
		if err != nil {
			if codeOf(err) == ck.ErrGroupIDNotFound {
				return nil, nil
			}
			return nil, err
		}
		var found []task.Position
		for _, g := range res.ConsumerGroupsTopicPartitions {
			for _, p := range g.Partitions {
				if p.Error != nil {
					return nil, fmt.Errorf("%s-%d: %w", *p.Topic, p.Partition, p.Error)
				}
				if p.Offset < 0 {
					continue
				}
				at := task.Position{Partition: task.Partition{Topic: *p.Topic, ID: p.Partition}, Offset: int64(p.Offset)}
				if p.Metadata != nil {
					at.Metadata = *p.Metadata
				}
				found = append(found, at)
			}
		}
		slices.SortFunc(found, func(x, y task.Position) int { return comparePartitions(x.Partition, y.Partition) })
		return found, nil
	})
}

// AlterGroupOffsets writes a group's offsets and metadata from outside. While the group has members
// the coordinator refuses it: ErrGroupActive.
func (a *Admin) AlterGroupOffsets(ctx context.Context, group string, positions []task.Position) error {
	if len(positions) == 0 {
		return nil
	}
	return asking(ctx, a, "alter offsets of group "+group, func(ctx context.Context, c *ck.AdminClient) error {
		res, err := c.AlterConsumerGroupOffsets(ctx, []ck.ConsumerGroupTopicPartitions{{Group: group, Partitions: offsets(positions)}})
		if err != nil {
			return groupActive(err)
		}
		for _, g := range res.ConsumerGroupsTopicPartitions {
			for _, p := range g.Partitions {
				if p.Error != nil {
					return fmt.Errorf("%s-%d: %w", *p.Topic, p.Partition, groupActive(p.Error))
				}
			}
		}
		return nil
	})
}

// DeleteGroup removes a group with all its offsets; one that does not exist counts as removed. A
// group with members is ErrGroupActive.
func (a *Admin) DeleteGroup(ctx context.Context, group string) error {
	return asking(ctx, a, "delete group "+group, func(ctx context.Context, c *ck.AdminClient) error {
		res, err := c.DeleteConsumerGroups(ctx, []string{group})
		if err != nil {
			return groupActive(err)
		}
		for _, r := range res.ConsumerGroupResults {
			switch r.Error.Code() {
			case ck.ErrNoError, ck.ErrGroupIDNotFound:
			default:
				return groupActive(r.Error)
			}
		}
		return nil
	})
}

// groupActive names what brokers call by different codes: the group is not empty.
func groupActive(err error) error {
	switch codeOf(err) {
	case ck.ErrNonEmptyGroup, ck.ErrUnknownMemberID, ck.ErrGroupSubscribedToTopic:
		return fmt.Errorf("%w: %w", ErrGroupActive, err)
	}
	return err
}
