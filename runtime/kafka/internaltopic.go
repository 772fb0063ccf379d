package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// InternalTopic is a topic that a cluster of workers keeps its own state in.
type InternalTopic struct {
	TopicSpec
	// Key of the worker's configuration that names it, and Purpose in words, for errors.
	Key, Purpose string
	// Single demands exactly one partition.
	Single bool
}

// EnsureTopic makes an internal topic where it is missing and checks one that exists, as Kafka Connect's
// TopicAdmin does: it must be compacted, since with any other policy the brokers would delete state. It
// gives the number of partitions. A cluster that cannot be reached is asked again until ctx ends; a
// describe that is not permitted is passed over with a warning. waits, unless it is nil, is told why it is not done yet.
func EnsureTopic(ctx context.Context, a *Admin, t InternalTopic, log *slog.Logger, waits func(error)) (partitions int, err error) {
	for backoff := 250 * time.Millisecond; ; backoff = min(2*backoff, 5*time.Second) {
		partitions, err = ensureOnce(ctx, a, t, log)
		if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable {
			return partitions, err
		}
		log.Warn("internal topic cannot be checked yet; trying again", "topic", t.Name, "error", err)
		if waits != nil {
			waits(err)
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: topic %s: %w", t.Key, t.Name, errors.Join(ctx.Err(), err))
		}
	}
}

func ensureOnce(ctx context.Context, a *Admin, t InternalTopic, log *slog.Logger) (int, error) {
	partitions, err := a.Partitions(ctx, t.Name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.Key, err)
	}
	if partitions == 0 {
		if _, err := a.CreateTopic(ctx, t.compacted()); err != nil {
			return 0, fmt.Errorf("Unable to create topic(s) '%s' named by %s; create it with cleanup.policy=compact or set the replication factor that the cluster allows: %w", t.Name, t.Key, err) //nolint:staticcheck // Kafka's words
		}
		if partitions, err = a.awaitPartitions(ctx, t.Name); err != nil {
			return 0, err
		}
	}
	config, err := a.DescribeTopicConfig(ctx, t.Name)
	switch {
	case unauthorized(codeOf(err)):
		log.Warn("cleanup.policy of an internal topic could not be checked", "topic", t.Name, "error", err)
	case codeOf(err) == ck.ErrUnknownTopicOrPart:
		// It has just been made, here or by another worker, and the broker that was asked does not know yet.
		return 0, connector.Retryable(fmt.Errorf("%s: %w", t.Key, err))
	case err != nil:
		return 0, fmt.Errorf("%s: %w", t.Key, err)
	default:
		if policy := config["cleanup.policy"]; policy != "compact" {
			return 0, fmt.Errorf("Topic '%[1]s' supplied via the '%[2]s' property is required to have 'cleanup.policy=compact' to guarantee consistency and durability of %[3]s, "+ //nolint:staticcheck // Kafka's words
				"but found the topic currently has 'cleanup.policy=%[4]s'. Continuing would likely result in eventually losing %[3]s and problems restarting this Connect cluster in the future. "+
				"Change the '%[2]s' property in the Connect worker configurations to use a topic with 'cleanup.policy=compact'.", t.Name, t.Key, t.Purpose, policy)
		}
	}
	if t.Single && partitions != 1 {
		return 0, fmt.Errorf("Topic '%s' supplied via the '%s' property is required to have a single partition in order to guarantee consistency of %s, but found %d partitions.", //nolint:staticcheck,revive // Kafka's words
			t.Name, t.Key, t.Purpose, partitions)
	}
	return partitions, led(ctx, a, t, partitions)
}

// led asks the leader of each partition for its end. A leader may not know yet that it is one of a topic which has just
// been made; a reader that asks it then takes the topic for gone.
func led(ctx context.Context, a *Admin, t InternalTopic, partitions int) error {
	parts := make([]task.Partition, partitions)
	for i := range parts {
		parts[i] = task.Partition{Topic: t.Name, ID: int32(i)}
	}
	_, err := a.EndOffsets(ctx, parts)
	switch code := codeOf(err); {
	case err == nil, unauthorized(code): // who may not ask may not read either, and hears it then
		return nil
	case code == ck.ErrUnknownTopicOrPart, code == ck.ErrUnknownPartition:
		return connector.Retryable(fmt.Errorf("%s: %w", t.Key, err))
	}
	return fmt.Errorf("%s: %w", t.Key, err)
}

// compacted is the spec with what no setting may change.
func (t InternalTopic) compacted() TopicSpec {
	spec := t.TopicSpec
	spec.Config = map[string]string{}
	for k, v := range t.Config {
		spec.Config[k] = v
	}
	spec.Config["cleanup.policy"] = "compact"
	if t.Single {
		spec.Partitions = 1
	}
	return spec
}

// awaitPartitions waits until the cluster's metadata knows a topic that has just been made.
func (a *Admin) awaitPartitions(ctx context.Context, topic string) (int, error) {
	for {
		n, err := a.Partitions(ctx, topic)
		if n > 0 || err != nil && !passing(codeOf(err)) {
			return n, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("topic %s was created and is not there: %w", topic, ctx.Err())
		}
	}
}
