package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// AdminConfig says which cluster an Admin asks and as whom.
type AdminConfig struct {
	Properties map[string]string // librdkafka's names; bootstrap.servers is required
	Token      TokenFunc         // see SourceConfig.Token; renewed before a call that needs it
	Log        *slog.Logger      // nil means none
}

// Admin asks and changes a cluster's topics and groups. It is safe for concurrent use. A call whose
// ctx has no deadline gets 30 s. Errors name the topic or group, and are connector.Retryable when
// the same call may succeed later.
type Admin struct {
	cfg   AdminConfig
	set   settings
	calls gate

	mu      sync.Mutex // guards handle
	handle  *adminHandle
	retired sync.WaitGroup // handles that have been replaced and are not freed yet
}

// adminHandle is one client of the library. It is freed when nobody is inside it.
type adminHandle struct {
	c     *ck.AdminClient
	files map[string]string // the certificate files as they were when the client opened
	token tokenKeeper
	calls sync.WaitGroup
	logs  sync.WaitGroup
}

const adminTimeout = 30 * time.Second

// OpenAdmin makes an admin client; no connection is awaited.
func OpenAdmin(ctx context.Context, cfg AdminConfig) (*Admin, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	set, err := newSettings(cfg.Properties)
	if err != nil {
		return nil, err
	}
	a := &Admin{cfg: cfg, set: set}
	if a.handle, err = a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Admin) open() (*adminHandle, error) {
	files := a.set.filesOf()
	client, err := ck.NewAdminClient(a.set.configMap())
	if err != nil {
		return nil, a.set.openError("admin client", err)
	}
	h := &adminHandle{c: client, files: files, token: tokenKeeper{fetch: a.cfg.Token}}
	if lines := client.Logs(); lines != nil {
		h.logs.Go(func() { forwardLogs(lines, orDiscard(a.cfg.Log)) })
	}
	return h, nil
}

// use gives the present handle, a new one where certificate files have been replaced; the caller is inside it until
// calls.Done.
func (a *Admin) use() *adminHandle {
	a.mu.Lock()
	defer a.mu.Unlock()
	if keys := a.set.replaced(a.handle.files); len(keys) > 0 {
		if err := a.exchange(); err != nil { // as while one of two files has been replaced; the next call tries again
			orDiscard(a.cfg.Log).Warn("the admin client cannot be opened with the new files", "keys", keys, "error", err)
		}
	}
	a.handle.calls.Add(1)
	return a.handle
}

// replace makes another client of the library in place of one that cannot be trusted any more.
func (a *Admin) replace(old *adminHandle) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.handle != old {
		return nil
	}
	return a.exchange()
}

// exchange makes a new client; the caller holds mu. The old one is freed when nobody is inside it.
func (a *Admin) exchange() error {
	old := a.handle
	h, err := a.open()
	if err != nil {
		return err
	}
	a.handle = h
	a.retired.Go(old.free)
	return nil
}

// free waits for those who are inside. Nobody comes any more.
func (h *adminHandle) free() {
	h.calls.Wait()
	h.c.Close()
	h.logs.Wait()
}

// Close waits for calls that are under way and frees the client. A second Close returns ErrClosed.
func (a *Admin) Close(ctx context.Context) error {
	if !a.calls.shut() {
		return ErrClosed
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.calls.wg.Wait()
		a.handle.free()
		a.retired.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close kafka admin client: %w; it is left to end by itself", ctx.Err())
	}
}

// ask runs one request: with the client kept alive, a token that is good, and a deadline.
func ask[T any](ctx context.Context, a *Admin, what string, call func(ctx context.Context, c *ck.AdminClient) (T, error)) (T, error) {
	var zero T
	if err := a.calls.enter(); err != nil {
		return zero, err
	}
	defer a.calls.leave()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, adminTimeout)
		defer cancel()
	}
	v, err := once(ctx, a, call)
	for wait := 100 * time.Millisecond; err != nil && elsewhere(codeOf(err)) && wait < 5*time.Second; wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		v, err = once(ctx, a, call)
	}
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, context.DeadlineExceeded):
		return zero, connector.Retryable(fmt.Errorf("%s: no answer in time (%s): %w", what, a.set.explain(), err))
	case errors.Is(err, ErrGroupActive):
		return zero, fmt.Errorf("%s: %w", what, err)
	}
	return zero, classify(fmt.Errorf("%s: %w", what, err))
}

// once is one attempt. The library keeps to the coordinator of a group that it has found once, whatever that
// answers (librdkafka 2.15): after a broker's restart it would ask the wrong one for ever, or one that never answers. A new
// client looks again.
func once[T any](ctx context.Context, a *Admin, call func(ctx context.Context, c *ck.AdminClient) (T, error)) (v T, err error) {
	h := a.use()
	defer h.calls.Done()
	if a.usesTokens() {
		if err := h.token.keep(ctx, h.c); err != nil {
			return v, err
		}
	}
	if v, err = call(ctx, h.c); codeOf(err) == ck.ErrNotCoordinator || errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(err, a.replace(h))
	}
	return v, err
}

// elsewhere says which answers mean that a group's coordinator is another broker by now, or will answer soon.
func elsewhere(code ck.ErrorCode) bool {
	return code == ck.ErrNotCoordinator || code == ck.ErrCoordinatorNotAvailable || code == ck.ErrCoordinatorLoadInProgress
}

func (a *Admin) usesTokens() bool {
	return a.set.sasl() && strings.EqualFold(a.set["sasl.mechanism"], "OAUTHBEARER") && a.set["sasl.oauthbearer.method"] != "oidc" &&
		a.set["enable.sasl.oauthbearer.unsecure.jwt"] != "true"
}

// asking is ask for calls that give nothing but an error.
func asking(ctx context.Context, a *Admin, what string, call func(ctx context.Context, c *ck.AdminClient) error) error {
	_, err := ask(ctx, a, what, func(ctx context.Context, c *ck.AdminClient) (struct{}, error) { return struct{}{}, call(ctx, c) })
	return err
}

// ClusterID gives the cluster's id.
func (a *Admin) ClusterID(ctx context.Context) (string, error) {
	return ask(ctx, a, "cluster id", func(ctx context.Context, c *ck.AdminClient) (string, error) {
		d, err := c.DescribeCluster(ctx)
		if err != nil || d.ClusterID == nil {
			return "", err
		}
		return *d.ClusterID, nil
	})
}

// TopicIDs gives the id of each topic that exists, "" where the broker tells none (before Kafka 2.8).
func (a *Admin) TopicIDs(ctx context.Context, topics []string) (map[string]string, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	return ask(ctx, a, "ids of topics "+strings.Join(topics, ", "), func(ctx context.Context, c *ck.AdminClient) (map[string]string, error) {
		// A broker refuses a request that names a topic twice.
		ids, err := describeTopics(ctx, c, slices.Compact(slices.Sorted(slices.Values(topics))))
		if err != nil {
			return nil, err
		}
		found := make(map[string]string, len(ids))
		for _, d := range ids {
			switch {
			case d.Error.Code() == ck.ErrUnknownTopicOrPart:
			case d.Error.Code() != ck.ErrNoError:
				return nil, fmt.Errorf("topic %s: %w", d.Name, d.Error)
			default:
				found[d.Name] = topicID(d)
			}
		}
		return found, nil
	})
}

// Topics gives the names of all topics that this client may see, sorted, without Kafka's internal ones.
func (a *Admin) Topics(ctx context.Context) ([]string, error) {
	return ask(ctx, a, "list topics", func(ctx context.Context, _ *ck.AdminClient) ([]string, error) {
		m, err := a.metadata(ctx, nil)
		if err != nil {
			return nil, err
		}
		var topics []string
		for name, t := range m.Topics {
			internal := name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
			if !internal && t.Error.Code() == ck.ErrNoError {
				topics = append(topics, name)
			}
		}
		slices.Sort(topics)
		return topics, nil
	})
}

// Partitions gives the number of partitions of topic, 0 when it does not exist.
func (a *Admin) Partitions(ctx context.Context, topic string) (int, error) {
	return ask(ctx, a, "partitions of topic "+topic, func(ctx context.Context, c *ck.AdminClient) (int, error) {
		ds, err := describeTopics(ctx, c, []string{topic})
		if err != nil || len(ds) != 1 {
			return 0, err
		}
		switch code := ds[0].Error.Code(); code {
		case ck.ErrNoError:
			return len(ds[0].Partitions), nil
		case ck.ErrUnknownTopicOrPart:
			return 0, nil
		}
		return 0, ds[0].Error
	})
}

// metadata asks for one topic or, with nil, for all. The C call ends by its timeout only.
func (a *Admin) metadata(ctx context.Context, topic *string) (*ck.Metadata, error) {
	return await(ctx, &a.calls, func() (*ck.Metadata, error) {
		h := a.use()
		defer h.calls.Done()
		return h.c.GetMetadata(topic, topic == nil, timeoutMillis(ctx, adminTimeout))
	})
}

// TopicSpec is a topic to be made.
type TopicSpec struct {
	Name              string
	Partitions        int // -1: the broker's default
	ReplicationFactor int // -1: the broker's default
	Config            map[string]string
}

// CreateTopic makes a topic and reports whether it did: one that exists is left as it is.
func (a *Admin) CreateTopic(ctx context.Context, t TopicSpec) (created bool, err error) {
	return ask(ctx, a, "create topic "+t.Name, func(ctx context.Context, c *ck.AdminClient) (bool, error) {
		results, err := c.CreateTopics(ctx, []ck.TopicSpecification{{
			Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.ReplicationFactor, Config: t.Config,
		}}, ck.SetAdminOperationTimeout(time.Duration(timeoutMillis(ctx, adminTimeout))*time.Millisecond))
		if err != nil {
			return false, err
		}
		for _, r := range results {
			switch r.Error.Code() {
			case ck.ErrNoError:
			case ck.ErrTopicAlreadyExists:
				return false, nil
			default:
				return false, r.Error
			}
		}
		return true, nil
	})
}

// DescribeTopicConfig gives the topic's configuration, defaults included.
func (a *Admin) DescribeTopicConfig(ctx context.Context, topic string) (map[string]string, error) {
	return ask(ctx, a, "configuration of topic "+topic, func(ctx context.Context, c *ck.AdminClient) (map[string]string, error) {
		results, err := c.DescribeConfigs(ctx, []ck.ConfigResource{{Type: ck.ResourceTopic, Name: topic}})
		if err != nil {
			return nil, err
		}
		config := map[string]string{}
		for _, r := range results {
			if r.Error.Code() != ck.ErrNoError {
				return nil, r.Error
			}
			for k, e := range r.Config {
				config[k] = e.Value
			}
		}
		return config, nil
	})
}

// Range is what a partition's log holds: offsets from Low up to, not including, High.
type Range struct{ Low, High int64 }

// Offsets gives the readable range of each partition, as a read_committed consumer sees it.
func (a *Admin) Offsets(ctx context.Context, parts []task.Partition) (map[task.Partition]Range, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	return ask(ctx, a, "offsets of "+names(parts), func(ctx context.Context, c *ck.AdminClient) (map[task.Partition]Range, error) {
		return listRanges(ctx, c, parts, ck.IsolationLevelReadCommitted)
	})
}

// EndOffsets gives the offset after the last readable record of each partition.
func (a *Admin) EndOffsets(ctx context.Context, parts []task.Partition) (map[task.Partition]int64, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	return ask(ctx, a, "end offsets of "+names(parts), func(ctx context.Context, c *ck.AdminClient) (map[task.Partition]int64, error) {
		return listOffsets(ctx, c, parts, ck.LatestOffsetSpec, ck.IsolationLevelReadCommitted)
	})
}

func listRanges(ctx context.Context, a *ck.AdminClient, parts []task.Partition, level ck.IsolationLevel) (map[task.Partition]Range, error) {
	low, err := listOffsets(ctx, a, parts, ck.EarliestOffsetSpec, level)
	if err != nil {
		return nil, err
	}
	high, err := listOffsets(ctx, a, parts, ck.LatestOffsetSpec, level)
	if err != nil {
		return nil, err
	}
	ranges := make(map[task.Partition]Range, len(parts))
	for _, p := range parts {
		ranges[p] = Range{Low: low[p], High: high[p]}
	}
	return ranges, nil
}

func listOffsets(ctx context.Context, a *ck.AdminClient, parts []task.Partition, at ck.OffsetSpec, level ck.IsolationLevel) (map[task.Partition]int64, error) {
	want := make(map[ck.TopicPartition]ck.OffsetSpec, len(parts))
	for i := range parts {
		want[ck.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].ID}] = at
	}
	res, err := a.ListOffsets(ctx, want, ck.SetAdminIsolationLevel(level))
	if err = noLeader(err); err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	found := make(map[task.Partition]int64, len(parts))
	for tp, info := range res.ResultInfos {
		if code := info.Error.Code(); code != ck.ErrNoError {
			if staleLeader(code) {
				refreshMetadata(ctx, a, tp.Topic)
			}
			return nil, fmt.Errorf("list offsets of %s-%d: %w", *tp.Topic, tp.Partition, info.Error)
		}
		found[task.Partition{Topic: *tp.Topic, ID: tp.Partition}] = int64(info.Offset)
	}
	for _, p := range parts {
		if _, ok := found[p]; !ok {
			return nil, fmt.Errorf("list offsets of %s-%d: %w", p.Topic, p.ID, ck.NewError(ck.ErrUnknownPartition, "no answer for it", false))
		}
	}
	return found, nil
}

// noLeader gives the error of ListOffsets for partitions none of which has a leader, as when brokers restart, the
// code of what it is; the library says that there is no such entry.
func noLeader(err error) error {
	if codeOf(err) == ck.ErrNoent {
		return ck.NewError(ck.ErrLeaderNotAvailable, err.Error(), false)
	}
	return err
}

// staleLeader says which answers mean that the client asked under an old leader or leader epoch.
func staleLeader(code ck.ErrorCode) bool {
	return code == ck.ErrFencedLeaderEpoch || code == ck.ErrUnknownLeaderEpoch || code == ck.ErrNotLeaderForPartition
}

// refreshMetadata makes the admin client look for the topic's leader, which it does not do by itself: after a
// restart of the broker it would ask under the old leader epoch until its metadata expires. The caller asks again;
// that this answer is missing as well, it then sees.
func refreshMetadata(ctx context.Context, a *ck.AdminClient, topic *string) {
	_, _ = a.GetMetadata(topic, false, timeoutMillis(ctx, metadataTimeout))
}

// metadataTimeout bounds a refresh, which does not heed a context.
const metadataTimeout = 2 * time.Second

func describeTopics(ctx context.Context, a *ck.AdminClient, topics []string) ([]ck.TopicDescription, error) {
	res, err := a.DescribeTopics(ctx, ck.NewTopicCollectionOfTopicNames(topics))
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	return res.TopicDescriptions, nil
}

// topicIDs gives the ids of topics that must exist. They are asked for anew at every assignment:
// a topic may have been made again under its name.
func topicIDs(ctx context.Context, a *ck.AdminClient, topics []string) (map[string]string, error) {
	ds, err := describeTopics(ctx, a, topics)
	if codeOf(err) == ck.ErrUnsupportedFeature || codeOf(err) == ck.ErrUnsupportedVersion {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(ds))
	for _, d := range ds {
		if d.Error.Code() != ck.ErrNoError {
			return nil, fmt.Errorf("describe topic %s: %w", d.Name, d.Error)
		}
		ids[d.Name] = topicID(d)
	}
	return ids, nil
}

// topicID writes an id as Kafka's tools do: in the URL's alphabet of base64.
func topicID(d ck.TopicDescription) string {
	if d.TopicID.GetMostSignificantBits() == 0 && d.TopicID.GetLeastSignificantBits() == 0 {
		return ""
	}
	return strings.NewReplacer("+", "-", "/", "_").Replace(d.TopicID.String())
}
