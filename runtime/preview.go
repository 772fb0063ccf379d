package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// PreviewRequest asks what a connector would do with one record.
type PreviewRequest struct {
	// Config is the connector's; nil takes that of the connector Connector. A name in it is the connector's, of which
	// names of executions are made; [hidden] stands for what a connector of that name has stored.
	Config    map[string]*string
	Connector string
	// Topic, Partition and Offset are where the record is in Kafka, or was if Given says what it holds.
	Topic     string
	Partition int32
	Offset    int64
	Given     *GivenRecord
}

// GivenRecord is a record as Kafka would hold it. A nil key or value is null.
type GivenRecord struct {
	Key, Value []byte
	Headers    []connector.RawHeader
	Timestamp  int64 // milliseconds since 1970; -1 for none
}

// Preview answers POST /connector-plugins/{plugin}/preview.
type Preview struct {
	Connector string        `json:"connector"`
	Record    PreviewRecord `json:"record"`
	// Preview is the plugin's own answer, or a Verdict where the record does not reach the plugin.
	Preview any `json:"preview"`
}

// PreviewRecord is where the record is.
type PreviewRecord struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Verdict is what becomes of a record before it reaches the plugin.
type Verdict struct {
	Decision string `json:"decision"` // filter, or reject: errors.tolerance and the dead letter queue decide
	Reason   string `json:"reason"`
}

// Preview tells what a task would do with a record if it came alone. Nothing is delivered, committed or counted: the record is
// read without a consumer group, converted and transformed, and the plugin is asked.
func (h *Herder) Preview(ctx context.Context, plugin string, req PreviewRequest) (Preview, error) {
	s := h.view.get()
	cfg := req.Config
	if cfg == nil {
		var err error
		if cfg, err = known(s, req.Connector, "Connector %s not found"); err != nil {
			return Preview{}, err
		}
	}
	class := textOf(cfg, "connector.class")
	if !strings.HasSuffix(normalizedClass(class), normalizedClass(plugin)) {
		return Preview{}, BadRequest("Included connector type %s does not match request type %s", class, plugin)
	}
	name := config.Trim(textOf(cfg, "name"))
	if name == "" {
		name = req.Connector
	}
	if name == "" {
		return Preview{}, BadRequest("The configuration has no name: names of executions are made of the connector's, so give the one that it has or will have")
	}
	cfg, err := h.checkedForPreview(ctx, name, cfg, s)
	if err != nil {
		return Preview{}, err
	}
	b, err := h.worker.draw(ctx, name, cfg)
	if err != nil {
		return Preview{}, BadRequest("%v", err)
	}
	previewer, ok := b.sink.(connector.Previewer)
	if !ok {
		return Preview{}, NotFound("Connector type %s offers no preview", class)
	}
	tc, m, err := h.previewed(ctx, b, s, req)
	if err != nil {
		return Preview{}, err
	}
	answer := Preview{Connector: name, Record: PreviewRecord{m.Topic, m.ID, m.Offset}}
	answer.Preview, err = h.preview(ctx, b, previewer, tc, m)
	return answer, err
}

// checkedForPreview validates a configuration as a write would, and gives it with the stored secrets.
func (h *Herder) checkedForPreview(ctx context.Context, name string, cfg map[string]*string, s store.State) (map[string]*string, error) {
	kept, lost := h.keepHidden(cfg, s.Connectors[name].Config)
	v, err := h.validate(ctx, kept, lost)
	if err != nil {
		return nil, err
	}
	if v.ErrorCount > 0 {
		return nil, BadRequest("Connector configuration is invalid and contains the following %d error(s):\n%s", v.ErrorCount, strings.Join(config.Messages(v.Configs), "\n"))
	}
	return kept, nil
}

// previewed finds the record, and what its names are made of.
func (h *Herder) previewed(ctx context.Context, b *blueprint, s store.State, req PreviewRequest) (connector.TaskContext, *task.Message, error) {
	var topicID string
	partitions := 0
	err := h.worker.withCluster(ctx, b.props, h.log, func(c Cluster) error {
		ids, err := c.TopicIDs(ctx, []string{req.Topic})
		if err == nil {
			topicID = ids[req.Topic]
			partitions, err = c.Partitions(ctx, req.Topic)
		}
		return err
	})
	if err != nil {
		return connector.TaskContext{}, nil, Internal("The cluster cannot be asked about topic %s: %v", req.Topic, err)
	}
	clusterID, err := h.worker.clusterID(ctx, b)
	if err != nil {
		return connector.TaskContext{}, nil, Internal("%v", err)
	}
	tc := connector.TaskContext{
		Connector: b.name, ClusterID: clusterID, Log: h.log, TopicID: func(string) string { return topicID },
		ReplayEpoch: func(topic string, p int32, o int64) int {
			return store.EpochOf(s.Replays[b.name], topic, p, o) +
				s.Adoptions[store.AdoptionKey{Connector: b.name, Topic: topic, Partition: p}].EpochOf(o)
		},
	}
	at := task.Partition{Topic: req.Topic, ID: req.Partition}
	if g := req.Given; g != nil {
		return tc, &task.Message{Partition: at, Offset: req.Offset, Timestamp: g.Timestamp, Key: g.Key, Value: g.Value, Headers: g.Headers}, nil
	}
	if int(req.Partition) >= partitions {
		return tc, nil, NotFound("Topic %s has no partition %d: it has %d partitions", req.Topic, req.Partition, partitions)
	}
	var found *task.Message
	err = h.worker.opts.Clients.Browse(ctx, BrowseRequest{
		Properties: b.props.browser(), Topic: req.Topic, Log: h.log,
		From: map[int32]int64{req.Partition: req.Offset}, To: map[int32]int64{req.Partition: req.Offset + 1},
		Visit: func(m *task.Message) bool {
			if m.Offset == req.Offset {
				found = m
			}
			return false
		},
	})
	if err != nil {
		return tc, nil, Internal("The record cannot be read: %v", err)
	}
	if found == nil {
		return tc, nil, NotFound("There is no record at offset %d of %s: the log has not come so far, retention or compaction has removed it, or it is the marker of a transaction", req.Offset, at)
	}
	return tc, found, nil
}

// preview takes the record through the pipeline to the plugin.
func (h *Herder) preview(ctx context.Context, b *blueprint, p connector.Previewer, tc connector.TaskContext, m *task.Message) (answer any, err error) {
	pipeline, converters, err := h.worker.pipeline(b)
	if err != nil {
		return nil, BadRequest("%v", err)
	}
	defer func() {
		if closeErr := closeAll(converters); closeErr != nil && err == nil {
			err = Internal("%v", closeErr)
		}
	}()
	rec, err := pipeline.Convert(ctx, m)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return Verdict{"reject", err.Error()}, nil
	case rec == nil:
		return Verdict{"filter", "a transform leaves the record out"}, nil
	}
	if answer, err = p.Preview(ctx, b.values, tc, rec); err != nil {
		return nil, BadRequest("%v", fmt.Errorf("preview: %w", err))
	}
	return answer, nil
}
