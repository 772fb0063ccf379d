package host

import (
	"cmp"
	"context"
	"log/slog"
	"os"

	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/kafka"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// kafkaClients joins the runtime, which thinks in Java's client properties, to the clients on librdkafka.
func kafkaClients() runtime.Clients {
	return runtime.Clients{OpenSource: openSource, OpenProducer: openProducer, OpenCluster: openCluster, Browse: browse}
}

// translated is a set of client properties in librdkafka's terms.
type translated struct {
	kafka.Result
	token kafka.TokenFunc
}

// translate turns properties into librdkafka's and tells the log what had no effect. A property that cannot be
// honoured is wrong until somebody changes it: the error is not retryable.
func translate(props map[string]string, log *slog.Logger) (translated, error) {
	res, err := kafka.Translate(props)
	if err != nil {
		return translated{}, err
	}
	for _, n := range res.Unknown {
		log.Warn("unknown client property has no effect", "key", n.Key, "reason", n.Reason)
	}
	for _, n := range append(res.Ignored, res.Adjusted...) {
		log.Debug("client property is not used as it stands", "key", n.Key, "reason", n.Reason)
	}
	t := translated{Result: res}
	if res.MSKIAM != nil {
		// Brokers behind names of one's own (a private link, a proxy) do not tell their region.
		res.MSKIAM.Region = cmp.Or(res.MSKIAM.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
		t.token = kafka.MSKToken(*res.MSKIAM, nil)
	}
	return t, nil
}

func openSource(ctx context.Context, r runtime.SourceRequest) (task.Source, error) {
	t, err := translate(r.Properties, r.Log)
	if err != nil {
		return nil, err
	}
	return kafka.OpenSource(ctx, kafka.SourceConfig{
		Properties: t.Properties, Topics: r.Topics, Group: r.Group, StartAt: r.StartAt,
		MaxPendingBytes: r.MaxPendingBytes, Token: t.token, Log: r.Log,
	})
}

func openProducer(ctx context.Context, props map[string]string, log *slog.Logger) (task.Producer, error) {
	t, err := translate(props, log)
	if err != nil {
		return nil, err
	}
	return kafka.OpenProducer(ctx, kafka.ProducerConfig{Properties: t.Properties, Token: t.token, Log: log})
}

func browse(ctx context.Context, r runtime.BrowseRequest) error {
	t, err := translate(r.Properties, r.Log)
	if err != nil {
		return err
	}
	return kafka.Browse(ctx, kafka.BrowseConfig{
		Properties: t.Properties, Token: t.token, Topic: r.Topic, From: r.From, To: r.To, Log: r.Log,
	}, r.Visit)
}

func openCluster(ctx context.Context, props map[string]string, log *slog.Logger) (runtime.Cluster, error) {
	t, err := translate(props, log)
	if err != nil {
		return nil, err
	}
	a, err := kafka.OpenAdmin(ctx, kafka.AdminConfig{Properties: t.Properties, Token: t.token, Log: log})
	if err != nil {
		return nil, err
	}
	return cluster{a}, nil
}

// cluster is kafka.Admin as the runtime asks for it.
type cluster struct{ *kafka.Admin }

func (c cluster) CreateTopic(ctx context.Context, name string, partitions, replicationFactor int) error {
	_, err := c.Admin.CreateTopic(ctx, kafka.TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: replicationFactor})
	return err
}

func (c cluster) LogBounds(ctx context.Context, parts []task.Partition) (low, end map[task.Partition]int64, err error) {
	ranges, err := c.Offsets(ctx, parts)
	low, end = make(map[task.Partition]int64, len(ranges)), make(map[task.Partition]int64, len(ranges))
	for p, r := range ranges {
		low[p], end[p] = r.Low, r.High
	}
	return low, end, err
}

func (c cluster) GroupMembers(ctx context.Context, group string) (int, error) {
	g, err := c.DescribeGroup(ctx, group)
	return len(g.Members), err
}
