package runtime

import (
	"context"
	"log/slog"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// Clients opens what reaches Kafka. Properties are Kafka's Java client properties, merged from the
// worker's and the connector's as kafka-connect's documentation orders them; the functions translate them.
type Clients struct {
	OpenSource   func(ctx context.Context, r SourceRequest) (task.Source, error)
	OpenProducer func(ctx context.Context, properties map[string]string, log *slog.Logger) (task.Producer, error)
	OpenCluster  func(ctx context.Context, properties map[string]string, log *slog.Logger) (Cluster, error)
	// Browse shows the messages of a topic to r.Visit, partition by partition and in order of their offsets, until that
	// says false or all are shown.
	Browse func(ctx context.Context, r BrowseRequest) error
}

// BrowseRequest says what of a topic is looked through.
type BrowseRequest struct {
	Properties map[string]string
	Topic      string
	From, To   map[int32]int64 // of each partition; To is not shown, and a partition without it neither
	Visit      func(*task.Message) bool
	Log        *slog.Logger
}

// SourceRequest says what a task reads and as which member.
type SourceRequest struct {
	Properties map[string]string // group.id and bootstrap.servers among them
	Topics     []string
	Group      task.Group
	// StartAt is "earliest", "latest" or "none": where to read what nothing was ever committed for.
	StartAt string
	// MaxPendingBytes is what the task may hold; what the client fetches ahead is sized by it.
	MaxPendingBytes int64
	Log             *slog.Logger
}

// Cluster asks and changes the topics and groups of one Kafka cluster. It is safe for concurrent use. Errors
// are connector.Retryable when the same call may succeed later.
type Cluster interface {
	ClusterID(ctx context.Context) (string, error)
	// Topics gives the names of all topics that the client may see.
	Topics(ctx context.Context) ([]string, error)
	// TopicIDs gives the ids of topics, "" for those that have none.
	TopicIDs(ctx context.Context, topics []string) (map[string]string, error)
	// CreateTopic makes a topic; one that exists is left as it is.
	CreateTopic(ctx context.Context, name string, partitions, replicationFactor int) error
	// Partitions counts the partitions of a topic, 0 when it does not exist.
	Partitions(ctx context.Context, topic string) (int, error)
	// LogBounds gives the first offset that is still there, and the one after the last record, of each partition.
	LogBounds(ctx context.Context, parts []task.Partition) (low, end map[task.Partition]int64, err error)
	// EndOffsets gives the offset after the last record of each partition.
	EndOffsets(ctx context.Context, parts []task.Partition) (map[task.Partition]int64, error)
	// GroupOffsets gives what a group committed; none for a group that does not exist.
	GroupOffsets(ctx context.Context, group string) ([]task.Position, error)
	// GroupMembers counts the members of a group; 0 for one that does not exist.
	GroupMembers(ctx context.Context, group string) (int, error)
	AlterGroupOffsets(ctx context.Context, group string, positions []task.Position) error
	// DeleteGroup removes a group with its offsets; one that does not exist counts as removed.
	DeleteGroup(ctx context.Context, group string) error
	DeleteGroupOffsets(ctx context.Context, group string, parts []task.Partition) error
	Close(ctx context.Context) error
}

// resubscriber is an optional interface of a Source whose topics can be replaced while it reads:
// topics.regex needs it.
type resubscriber interface {
	Resubscribe(topics []string) error
}

// remade is an optional interface of a Source that takes partitions anew whose topics were made anew. It asks the brokers
// for the topics' ids.
type remade interface {
	LookForRemade(ctx context.Context) error
}

// missing is an optional interface of a Source that knows which of its topics do not exist. It asks the brokers about those
// alone that it was told of.
type missing interface {
	Missing(ctx context.Context) ([]string, error)
}
