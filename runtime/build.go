package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// blueprint is a connector's configuration as its tasks need it: resolved, parsed and found sound.
type blueprint struct {
	name   string
	sink   connector.Connector
	plugin pluginRef
	values config.Values
	raw    map[string]string // placeholders resolved, nulls left out
	props  clientProps
	given  map[string]*string // raw, nulls kept: what was resolved, for the watch over values that expire
}

// draw reads a connector's configuration. It may read the places that config providers name.
func (w *Worker) draw(ctx context.Context, name string, cfg map[string]*string) (*blueprint, error) {
	resolved, err := w.opts.Providers.Resolve(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b := &blueprint{name: name, raw: withoutNulls(resolved), given: resolved}
	if b.sink, b.plugin, err = w.opts.Plugins.sink(config.Trim(b.raw["connector.class"])); err != nil {
		return nil, err
	}
	if err := checkVersion(b.plugin, b.raw["connector.plugin.version"]); err != nil {
		return nil, err
	}
	if b.values, err = w.opts.Plugins.hostDef(b.plugin).Parse(b.raw); err != nil {
		return nil, fmt.Errorf("configuration is invalid: %w", err)
	}
	b.props = clientProps{worker: w.opts.Config.Raw, connector: b.raw, name: name}
	return b, nil
}

func withoutNulls(cfg map[string]*string) map[string]string {
	raw := make(map[string]string, len(cfg))
	for k, v := range cfg {
		if v != nil {
			raw[k] = *v
		}
	}
	return raw
}

// pipeline makes the converters and transforms of one task, and what to close when it has ended.
func (w *Worker) pipeline(b *blueprint) (p task.Pipeline, converters []connector.Converter, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll(converters))
			converters = nil
		}
	}()
	for _, role := range []string{"key", "value"} {
		class, sub := b.converterConfig(role, w.opts.Config.Raw)
		stage, err := w.converter(role, class, sub)
		if err != nil {
			return p, converters, fmt.Errorf("%s.converter: %w", role, err)
		}
		converters = append(converters, stage.Converter)
		if role == "key" {
			p.Key = stage
		} else {
			p.Value = stage
		}
	}
	if p.Header, err = w.headerConverter(b); err != nil {
		return p, converters, fmt.Errorf("header.converter: %w", err)
	}
	for _, alias := range b.values.List("transforms") {
		s, err := w.step(b.raw, alias)
		if err != nil {
			return p, converters, fmt.Errorf("transforms.%s: %w", alias, err)
		}
		p.Steps = append(p.Steps, s)
	}
	return p, converters, nil
}

func closeAll(converters []connector.Converter) error {
	var problems []error
	for _, c := range converters {
		problems = append(problems, c.Close())
	}
	return errors.Join(problems...)
}

// converterConfig gives the class and the keys of a converter: the connector's where it names the class, else
// the worker's. Keys never mix.
func (b *blueprint) converterConfig(role string, worker map[string]string) (class string, sub map[string]string) {
	from := worker
	if config.Trim(b.raw[role+".converter"]) != "" {
		from = b.raw
	}
	sub = below(from, role+".converter.")
	sub["converter.type"] = role
	return config.Trim(from[role+".converter"]), sub
}

func (w *Worker) converter(role, class string, sub map[string]string) (task.Stage, error) {
	r, err := w.opts.Plugins.find(config.KindConverter, class)
	if err != nil {
		return task.Stage{}, classError(class, err)
	}
	if err := checkVersion(r, sub["plugin.version"]); err != nil {
		return task.Stage{}, err
	}
	values, err := r.def.Parse(sub)
	if err != nil {
		return task.Stage{}, err
	}
	c, err := w.opts.Plugins.list.Converters[r.at].New(values, role == "key")
	return task.Stage{Class: r.info.Class, Converter: c}, err
}

// simpleHeaders is the header converter where nobody names one.
const simpleHeaders = "org.apache.kafka.connect.storage.SimpleHeaderConverter"

func (w *Worker) headerConverter(b *blueprint) (task.HeaderStage, error) {
	class, sub := b.converterConfig("header", w.opts.Config.Raw)
	named := class != ""
	if !named {
		class = simpleHeaders
	}
	r, err := w.opts.Plugins.find(config.KindHeaderConverter, class)
	if !named && errors.Is(err, config.ErrNoClass) {
		return task.HeaderStage{}, nil // a worker built without it leaves headers out
	}
	if err != nil {
		return task.HeaderStage{}, classError(class, err)
	}
	if err := checkVersion(r, sub["plugin.version"]); err != nil {
		return task.HeaderStage{}, err
	}
	values, err := r.def.Parse(sub)
	if err != nil {
		return task.HeaderStage{}, err
	}
	c, err := w.opts.Plugins.list.Converters[r.at].NewHeader(values)
	return task.HeaderStage{Class: r.info.Class, Converter: c}, err
}

func (w *Worker) step(raw map[string]string, alias string) (task.Step, error) {
	sub := below(raw, "transforms."+alias+".")
	r, err := w.opts.Plugins.find(config.KindTransformation, config.Trim(sub["type"]))
	if err != nil {
		return task.Step{}, classError(sub["type"], err)
	}
	if err := checkVersion(r, sub["plugin.version"]); err != nil {
		return task.Step{}, err
	}
	negate, _ := config.ParseJavaBool(sub["negate"])
	s := task.Step{Alias: alias, Class: r.info.Class, Negate: negate}
	values, err := r.def.Parse(sub)
	if err != nil {
		return s, err
	}
	if s.Transform, err = w.opts.Plugins.list.Transforms[r.at].New(values); err != nil {
		return s, err
	}
	if p := config.Trim(sub["predicate"]); p != "" {
		if s.Predicate, err = w.predicate(raw, p); err != nil {
			return s, fmt.Errorf("predicates.%s: %w", p, err)
		}
	}
	return s, nil
}

func (w *Worker) predicate(raw map[string]string, alias string) (connector.Predicate, error) {
	sub := below(raw, "predicates."+alias+".")
	class := config.Trim(sub["type"])
	if class == "" {
		return nil, errors.New("no predicates." + alias + ".type says what it is; add it, or remove the reference to it")
	}
	r, err := w.opts.Plugins.find(config.KindPredicate, class)
	if err != nil {
		return nil, classError(class, err)
	}
	if err := checkVersion(r, sub["plugin.version"]); err != nil {
		return nil, err
	}
	values, err := r.def.Parse(sub)
	if err != nil {
		return nil, err
	}
	return w.opts.Plugins.list.Predicates[r.at].New(values)
}

func classError(class string, err error) error {
	if errors.Is(err, config.ErrNoClass) {
		return fmt.Errorf("class %s could not be found", class)
	}
	return err
}

// settings are the delivery keys of a connector, with those of the worker that its tasks obey.
func settings(b *blueprint, worker config.Values) task.Settings {
	v := b.values
	s := task.Settings{
		Ordering:           task.ByKey,
		MaxInFlight:        v.Int("max.in.flight"),
		BatchMaxRecords:    v.Int("batch.max.records"),
		BatchMaxBytes:      v.Long("batch.max.bytes"),
		BatchLinger:        v.Duration("batch.linger.ms"),
		MaxPendingRecords:  v.Int("max.pending.records"),
		MaxPendingBytes:    v.Long("max.pending.bytes"),
		MaxUnsettledSpan:   v.Long("max.unsettled.span"),
		RetryTimeout:       v.Duration("delivery.retry.timeout.ms"),
		RetryBackoff:       v.Duration("delivery.retry.backoff.ms"),
		RetryBackoffMax:    v.Duration("delivery.retry.backoff.max.ms"),
		CommitInterval:     worker.Duration("offset.flush.interval.ms"),
		CommitTimeout:      worker.Duration("offset.flush.timeout.ms"),
		ShutdownTimeout:    worker.Duration("task.shutdown.graceful.timeout.ms"),
		Lease:              lease(v.Duration("fencing.lease.ms"), b.props.consumer(0)),
		OutOfRangeEarliest: v.String("offset.out.of.range") == "earliest",
		StartAtLatest:      b.props.consumer(0)["auto.offset.reset"] == "latest",
		ErrorRetryTimeout:  v.Duration("errors.retry.timeout"),
		ErrorRetryDelayMax: v.Duration("errors.retry.delay.max.ms"),
		TolerateAll:        v.String("errors.tolerance") == "all",
		LogErrors:          v.Bool("errors.log.enable"),
		LogMessages:        v.Bool("errors.log.include.messages"),
		DeadLetterTopic:    v.String("errors.deadletterqueue.topic.name"),
		DeadLetterContext:  v.Bool("errors.deadletterqueue.context.headers.enable"),
	}
	if v.String("ordering") == "partition" {
		s.Ordering = task.ByPartition
	}
	if s.TolerateAll && config.Trim(b.raw["errors.retry.timeout"]) == "" {
		// A schema registry that is down must not drain a topic into the dead letter queue (docs/adr/20261128-passing-failures-are-no-dead-letters.md).
		s.ErrorRetryTimeout = -1
	}
	return s
}

// build makes one task and the policy of its restarts. ended must be called when it has ended.
func (w *Worker) build(ctx context.Context, inc *incarnation) (t *task.Task, p restartPolicy, ended func() error, err error) {
	b, err := w.draw(ctx, inc.id.Connector, inc.want.Config)
	if err != nil {
		return nil, p, nil, err
	}
	inc.watchValues(w.opts.Providers.TTL(inc.want.Config), b)
	pipeline, converters, err := w.pipeline(b)
	if err != nil {
		return nil, p, nil, err
	}
	inc.metrics.Made(w.madeOf(b, pipeline))
	log := w.opts.Logger(LoggerTask).With("connector", inc.id.Connector, "task", inc.id.Task)
	topics := &topicIDs{}
	rewound := &rewinds{
		connector: inc.id.Connector, policy: b.values.String("replay.on.rewind"), book: w.opts.Book, log: log,
		named: inc.named, held: map[task.Partition]adoption{},
	}
	epoch := func(topic string, p int32, o int64) int {
		return store.EpochOf(inc.want.Replays, topic, p, o) + rewound.epoch(topic, p, o)
	}
	part := &share{otherwise: 1 / float64(max(1, b.values.Int("tasks.max"))), held: map[task.Partition]bool{}}
	shared, leave := w.commons.join(inc.id.Connector)
	cfg := task.Config{
		Connector: inc.id.Connector, ID: inc.id.Task,
		Settings: settings(b, w.opts.Config.Values), Pipeline: pipeline,
		OpenSink: func(ctx context.Context) (connector.Sink, error) {
			sink, err := w.openSink(ctx, b, inc.id, topics, part.now, shared, epoch, log)
			if err == nil {
				inc.sink.Store(&sink)
			}
			return sink, err
		},
		OpenSource: func(ctx context.Context, g task.Group) (task.Source, error) {
			count := func(ctx context.Context, topics []string) (int, error) { return w.countPartitions(ctx, b, topics, log) }
			src, err := w.openSource(ctx, b, inc, part, rewound.around(part.around(topics.around(g), count)), log)
			if err != nil {
				return nil, err
			}
			return notingSource{src, rewound}, nil
		},
		Replay:   epoch,
		Report:   func(s task.State, err error) { w.post(report{inc, s, err}) },
		Outlived: w.opts.Outlived, Crowd: w.opts.Crowd, Metrics: &inc.metrics.Metrics, Tracer: w.opts.Tracer, Log: log,
	}
	if topic := cfg.Settings.DeadLetterTopic; topic != "" {
		cfg.OpenDeadLetters = func(ctx context.Context) (task.Producer, error) {
			return w.openDeadLetters(ctx, b, topic, b.props.producer(inc.id.Task), log)
		}
	}
	return task.New(cfg), policyOf(b), func() error { leave(); return closeAll(converters) }, nil
}

func (w *Worker) openSink(ctx context.Context, b *blueprint, id TaskID, topics *topicIDs, part func() float64, shared *common, epoch func(string, int32, int64) int, log *slog.Logger) (connector.Sink, error) {
	cluster, err := w.clusterID(ctx, b)
	if err != nil {
		return nil, err
	}
	return b.sink.NewSink(ctx, b.values, connector.TaskContext{
		Connector: id.Connector, Task: id.Task, Log: log,
		Metrics:   w.opts.Metrics.Plugin(metric.ID(id)),
		ClusterID: cluster, TopicID: topics.get,
		ReplayEpoch: epoch,
		MaxInFlight: b.values.Int("max.in.flight"),
		Share:       part, Common: shared.get,
	})
}

// countPartitions gives the partitions of topics in all.
func (w *Worker) countPartitions(ctx context.Context, b *blueprint, topics []string, log *slog.Logger) (total int, err error) {
	err = w.withCluster(ctx, b.props, log, func(c Cluster) error {
		for _, topic := range topics {
			n, err := c.Partitions(ctx, topic)
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	if err != nil {
		log.Warn("the partitions of the topics could not be counted: the task's share of connector-wide limits stays as it was", "error", err)
	}
	return total, err
}

func (w *Worker) openDeadLetters(ctx context.Context, b *blueprint, topic string, props map[string]string, log *slog.Logger) (task.Producer, error) {
	err := w.withCluster(ctx, b.props, log, func(c Cluster) error {
		return c.CreateTopic(ctx, topic, 1, int(b.values.Short("errors.deadletterqueue.topic.replication.factor")))
	})
	if err != nil {
		return nil, err
	}
	return w.opts.Clients.OpenProducer(ctx, props, log)
}

// withCluster opens an admin client of the connector's cluster for one use.
func (w *Worker) withCluster(ctx context.Context, props clientProps, log *slog.Logger, use func(Cluster) error) error {
	c, err := w.opts.Clients.OpenCluster(ctx, props.admin(), log)
	if err != nil {
		return err
	}
	err = use(c)
	if closeErr := c.Close(context.WithoutCancel(ctx)); err == nil {
		err = closeErr
	}
	return err
}

// clusterID asks the connector's cluster for its id, once for each address.
func (w *Worker) clusterID(ctx context.Context, b *blueprint) (string, error) {
	address := b.props.admin()["bootstrap.servers"]
	if id, ok := w.clusterIDs.Load(address); ok {
		return id.(string), nil
	}
	var id string
	err := w.withCluster(ctx, b.props, w.opts.Logger(LoggerClient), func(c Cluster) (err error) {
		id, err = c.ClusterID(ctx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the id of the Kafka cluster at %s: %w", address, err)
	}
	w.clusterIDs.Store(address, id)
	return id, nil
}

// subscription gives the topics that a connector names, or a match for topics.regex.
func subscription(b *blueprint) (topics []string, match func(string) bool, err error) {
	pattern := b.values.String("topics.regex")
	if pattern == "" {
		topics = b.values.List("topics")
		slices.Sort(topics)
		return slices.Compact(topics), nil, nil
	}
	re, err := config.TopicsRegex(pattern)
	if err != nil {
		return nil, nil, fmt.Errorf("topics.regex: %w", err)
	}
	dlq := b.values.String("errors.deadletterqueue.topic.name")
	return nil, func(topic string) bool {
		return re.MatchString(topic) && topic != dlq
	}, nil
}
