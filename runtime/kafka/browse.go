package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// BrowseConfig says what Browse reads and as whom.
type BrowseConfig struct {
	Properties map[string]string // librdkafka's names; bootstrap.servers is required
	Token      TokenFunc         // see SourceConfig.Token
	Topic      string
	// From and To bound each partition that is read: from From (or the first offset that is still there) to below To.
	From, To map[int32]int64
	Log      *slog.Logger // nil means none
}

// Browse shows the messages of a topic to visit, partition by partition in ascending order and by offset in each,
// until visit says false or all is read. It is no member of a group and commits nothing. A message's bytes are visit's to keep.
func Browse(ctx context.Context, cfg BrowseConfig, visit func(*task.Message) bool) (err error) {
	set, err := newSettings(cfg.Properties)
	if err != nil {
		return err
	}
	for _, membership := range []string{"group.instance.id", "group.protocol", "group.remote.assignor", "partition.assignment.strategy"} {
		delete(set, membership)
	}
	set["group.id"] = "unused-" + cfg.Topic // the library demands one; partitions are assigned by hand and nothing is committed
	set["enable.auto.commit"] = "false"
	set["enable.auto.offset.store"] = "false"
	set["auto.offset.reset"] = "earliest" // what retention has removed is passed over
	set["isolation.level"] = "read_committed"
	set["enable.partition.eof"] = "true"
	set["allow.auto.create.topics"] = "false"
	set.preset("fetch.wait.max.ms", "100")
	set.preset("queued.max.messages.kbytes", "16384")
	c, err := ck.NewConsumer(set.configMap())
	if err != nil {
		return set.openError("reader of topic "+cfg.Topic, err)
	}
	var logs sync.WaitGroup
	if lines := c.Logs(); lines != nil {
		logs.Go(func() { forwardLogs(lines, orDiscard(cfg.Log)) })
	}
	defer func() {
		err = errors.Join(err, c.Close())
		logs.Wait()
	}()
	b := browser{c: c, cfg: cfg, set: set, visit: visit}
	for _, p := range slices.Sorted(maps.Keys(cfg.To)) {
		if cfg.From[p] >= cfg.To[p] {
			continue
		}
		if more, err := b.partition(ctx, p); err != nil || !more {
			return err
		}
	}
	return nil
}

type browser struct {
	c     *ck.Consumer
	cfg   BrowseConfig
	set   settings
	visit func(*task.Message) bool
}

// partition reads one partition to its bound; more is false when the visitor has seen enough.
func (b *browser) partition(ctx context.Context, p int32) (more bool, err error) {
	at := ck.TopicPartition{Topic: &b.cfg.Topic, Partition: p, Offset: ck.Offset(max(0, b.cfg.From[p]))}
	if err := b.c.Assign([]ck.TopicPartition{at}); err != nil {
		return false, b.set.openError("reader of topic "+b.cfg.Topic, err)
	}
	for ctx.Err() == nil {
		switch e := b.c.Poll(int(pollWait / time.Millisecond)).(type) {
		case *ck.Message:
			if e.TopicPartition.Error != nil {
				if err := b.trouble(e.TopicPartition.Error); err != nil {
					return false, err
				}
				continue
			}
			if e.TopicPartition.Partition != p { // fetched for the partition before
				continue
			}
			if int64(e.TopicPartition.Offset) >= b.cfg.To[p] {
				return true, nil
			}
			m := message(e)
			if !b.visit(&m) {
				return false, nil
			}
			if m.Offset >= b.cfg.To[p]-1 {
				return true, nil
			}
		case ck.PartitionEOF:
			if e.Partition == p {
				return true, nil
			}
		case ck.OAuthBearerTokenRefresh:
			if _, err := giveToken(ctx, b.cfg.Token, b.c); err != nil {
				return false, err
			}
		case ck.Error:
			if err := b.trouble(e); err != nil {
				return false, err
			}
		}
	}
	return false, fmt.Errorf("read topic %s, partition %d: %w", b.cfg.Topic, p, ctx.Err())
}

// trouble decides which errors end the reading; the others pass, or time ends it.
func (b *browser) trouble(err error) error {
	var e ck.Error
	if !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case e.IsFatal(), code == ck.ErrUnknownTopicOrPart, code == ck.ErrUnknownTopic, code == ck.ErrUnknownPartition:
		return fmt.Errorf("read topic %s: %w", b.cfg.Topic, e)
	case unauthorized(code) || code == ck.ErrAuthentication && rejectedCredentials(e):
		return fmt.Errorf("the cluster refused to let topic %s be read (%s): %w", b.cfg.Topic, b.set.explain(), e)
	}
	return nil
}
