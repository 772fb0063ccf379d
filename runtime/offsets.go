package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// emptyGroupWait bounds how long a change of offsets waits for the connector's last consumer to leave and for
// abandoned deliveries to end: the time of a request, less what the change itself takes.
const emptyGroupWait = 85 * time.Second

// askAgain is how long a change of offsets waits before it asks the other workers again.
const askAgain = time.Second

// Offsets gives what a connector's consumer group has committed (KIP-875).
func (h *Herder) Offsets(ctx context.Context, name string) (Offsets, error) {
	cfg, err := known(h.view.get(), name, "Connector %s not found")
	if err != nil {
		return Offsets{}, err
	}
	var committed []task.Position
	err = h.onCluster(ctx, name, cfg, func(c Cluster, group string) error {
		committed, err = c.GroupOffsets(ctx, group)
		return err
	})
	if err != nil {
		h.log.Warn("offsets could not be read", "connector", name, "error", err)
		return Offsets{}, Internal("Failed to retrieve consumer group offsets for sink connector %s", name)
	}
	answer := Offsets{Offsets: []PartitionOffset{}}
	for _, p := range committed {
		answer.Offsets = append(answer.Offsets, PartitionOffset{
			Partition: map[string]any{"kafka_topic": p.Topic, "kafka_partition": p.ID},
			Offset:    map[string]any{"kafka_offset": p.Offset},
		})
	}
	return answer, nil
}

func errNoOffsets() *Error {
	return BadRequest("Partitions / offsets need to be provided for an alter offsets request")
}

// AlterOffsets sets the offsets of a stopped connector; a nil offset removes one (KIP-875).
func (h *Herder) AlterOffsets(ctx context.Context, name string, offsets []PartitionOffset) (Message, error) {
	if len(offsets) == 0 {
		return Message{}, errNoOffsets()
	}
	var change offsetChange
	err := h.changeOffsets(ctx, name, "alter", func() (err error) {
		change, err = parseOffsets(name, offsets)
		return err
	}, func(c Cluster, group string, s store.State) error { return h.alter(ctx, c, group, name, change, s) })
	if err != nil {
		return Message{}, err
	}
	return Message{"The offsets for this connector have been altered successfully"}, nil
}

// ResetOffsets removes all offsets of a stopped connector.
func (h *Herder) ResetOffsets(ctx context.Context, name string) (Message, error) {
	err := h.changeOffsets(ctx, name, "reset", func() error { return nil }, func(c Cluster, group string, s store.State) error {
		committed, err := c.GroupOffsets(ctx, group)
		if err != nil {
			return err
		}
		var all []task.Partition
		for _, p := range committed {
			all = append(all, p.Partition)
		}
		if err := h.raiseEpochs(ctx, c, name, s, committed, all, nil); err != nil {
			return err
		}
		if err := h.book.write(ctx, forsake(s, name, adopted(s, name))); err != nil {
			return err
		}
		return c.DeleteGroup(ctx, group)
	})
	if err != nil {
		return Message{}, err
	}
	return Message{"The offsets for this connector have been reset successfully"}, nil
}

// changeOffsets holds off writes while a connector's offsets change: it must stay stopped.
func (h *Herder) changeOffsets(ctx context.Context, name, what string, parse func() error, apply func(Cluster, string, store.State) error) error {
	if _, err := h.authority(); err != nil {
		return err
	}
	s := h.view.get()
	cfg, err := known(s, name, "Connector %s not found")
	if err != nil {
		return err
	}
	if s.Target(name).State != store.Stopped {
		return BadRequest("Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)
	}
	if err := parse(); err != nil {
		return err
	}
	err = h.onCluster(ctx, name, cfg, func(c Cluster, group string) error {
		if err := h.awaitEmpty(ctx, c, name, group); err != nil {
			return err
		}
		return apply(c, group, s)
	})
	var refused *Error
	var elsewhere *Elsewhere
	switch {
	case errors.As(err, &elsewhere):
		return err
	case err == nil:
		h.log.Info("offsets changed", "connector", name, "change", what)
		return nil
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, errNotEmpty):
		h.log.Warn("offsets could not be changed", "connector", name, "error", err)
		return &Error{Status: 500, RetryAfter: 5 * time.Second, Message: fmt.Sprintf("Failed to %s consumer group offsets for connector %s either because its tasks haven't stopped completely yet or the connector was resumed before the request to %s its offsets could be successfully completed. "+
			"If the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.", what, name, what)}
	}
	h.log.Warn("offsets could not be changed", "connector", name, "error", err)
	return Internal("Failed to %s consumer group offsets for connector %s", what, name)
}

// errNotEmpty says that a connector's consumer group still has members, or a delivery of it is still under way.
var errNotEmpty = errors.New("the connector's tasks have not stopped completely")

// awaitEmpty waits until no task of the connector runs and no delivery outlives its task on any worker, and the group
// has no member.
func (h *Herder) awaitEmpty(ctx context.Context, c Cluster, name, group string) error {
	ctx, cancel := context.WithTimeout(ctx, emptyGroupWait)
	defer cancel()
	for again := waitBriefly; ; again = min(2*again, askAgain) {
		members, err := c.GroupMembers(ctx, group)
		if err != nil && ctx.Err() == nil {
			return err
		}
		busy := fmt.Errorf("group %s has %d members", group, members)
		if err == nil && members == 0 {
			if busy = h.idleEverywhere(ctx, name); busy == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNotEmpty, busy)
		case <-time.After(again):
		}
	}
}

// onCluster opens the cluster that a connector consumes, for one use.
func (h *Herder) onCluster(ctx context.Context, name string, cfg map[string]*string, use func(c Cluster, group string) error) error {
	resolved, err := h.opts.Providers.Resolve(ctx, cfg)
	if err != nil {
		return err
	}
	props := clientProps{worker: h.opts.Config.Raw, connector: withoutNulls(resolved), name: name}
	return h.worker.withCluster(ctx, props, h.log, func(c Cluster) error { return use(c, props.group()) })
}

// offsetChange is what an alter request asks for, each partition once.
type offsetChange struct {
	set    []task.Position
	remove []task.Partition
}

// partitions gives those that the change touches.
func (o offsetChange) partitions() []task.Partition {
	parts := slices.Clone(o.remove)
	for _, p := range o.set {
		parts = append(parts, p.Partition)
	}
	return parts
}

// alter writes the epochs first, so that a crash in between loses nothing: a raised epoch without moved offsets only
// gives new names to records that come for the first time.
func (h *Herder) alter(ctx context.Context, c Cluster, group, name string, change offsetChange, s store.State) error {
	committed, err := c.GroupOffsets(ctx, group)
	if err != nil {
		return err
	}
	to := map[task.Partition]int64{}
	var topics []string
	for _, p := range change.set {
		to[p.Partition] = p.Offset
		topics = append(topics, p.Topic)
	}
	there, err := existing(ctx, c, change.partitions())
	if err != nil {
		return err
	}
	for _, p := range change.set {
		if !slices.Contains(there, p.Partition) {
			return BadRequest("Failed to alter consumer group offsets for connector %s: partition %d of topic %s does not exist", name, p.ID, p.Topic)
		}
	}
	if err := h.raiseEpochs(ctx, c, name, s, committed, there, to); err != nil {
		return err
	}
	if len(topics) > 0 {
		ids, err := c.TopicIDs(ctx, topics)
		if err != nil {
			return err
		}
		for i := range change.set {
			change.set[i].Metadata = task.CleanMetadata(ids[change.set[i].Topic])
		}
	}
	if len(change.set) > 0 {
		if err := c.AlterGroupOffsets(ctx, group, change.set); err != nil {
			return err
		}
	}
	if len(change.remove) > 0 {
		if err := h.book.write(ctx, forsake(s, name, change.remove)); err != nil {
			return err
		}
		return c.DeleteGroupOffsets(ctx, group, change.remove)
	}
	return nil
}

// existing gives those of parts that the cluster has. The offset of one that is gone can be removed, not set.
func existing(ctx context.Context, c Cluster, parts []task.Partition) ([]task.Partition, error) {
	counts := map[string]int{}
	var there []task.Partition
	for _, p := range parts {
		n, asked := counts[p.Topic]
		if !asked {
			var err error
			if n, err = c.Partitions(ctx, p.Topic); err != nil {
				return nil, err
			}
			counts[p.Topic] = n
		}
		if p.ID >= 0 && int(p.ID) < n {
			there = append(there, p)
		}
	}
	return there, nil
}

// raiseEpochs gives the partitions that are to be read again, from below the end of their log, the next replay
// epoch: an execution that was started in the first delivery has another name then, and the deliberate
// replay is really delivered. Everything that may have been started lies below the log's end.
func (h *Herder) raiseEpochs(ctx context.Context, c Cluster, name string, s store.State, committed []task.Position, parts []task.Partition, to map[task.Partition]int64) error {
	ends, err := c.EndOffsets(ctx, parts)
	if err != nil && to == nil {
		// A reset must work for topics that are gone; then what was committed is all that is known.
		ends, err = map[task.Partition]int64{}, nil
	}
	if err != nil {
		return err
	}
	for _, p := range committed {
		ends[p.Partition] = max(ends[p.Partition], p.Offset)
	}
	replays := slices.Clone(s.Replays[name])
	changed := false
	for _, p := range parts {
		if offset, set := to[p]; ends[p] == 0 || set && offset >= ends[p] {
			continue // nothing that was read is read again
		}
		i := slices.IndexFunc(replays, func(r store.Replay) bool { return r.Topic == p.Topic && r.Partition == p.ID })
		if i < 0 {
			replays = append(replays, store.Replay{Topic: p.Topic, Partition: p.ID})
			i = len(replays) - 1
		}
		replays[i].Epoch++
		replays[i].Below = max(replays[i].Below, ends[p])
		changed = true
	}
	if !changed {
		return nil
	}
	store.SortReplays(replays)
	_, _, err = h.update(ctx, func(now store.State) ([]store.Entry, error) {
		if now.Target(name).State != store.Stopped {
			return nil, errNotEmpty
		}
		return []store.Entry{store.ReplayEntry(name, replays)}, nil
	})
	return err
}

// parseOffsets reads the body of an alter request with the texts of Kafka Connect's SinkUtils; of a partition that
// occurs twice the last counts.
func parseOffsets(name string, offsets []PartitionOffset) (offsetChange, error) {
	to := map[task.Partition]*int64{}
	var order []task.Partition
	for _, o := range offsets {
		p, err := parsePartition(o.Partition)
		if err != nil {
			return offsetChange{}, err
		}
		at, err := parseOffset(o.Offset)
		if err != nil {
			return offsetChange{}, err
		}
		if at != nil && *at < 0 {
			return offsetChange{}, BadRequest("Failed to modify offsets for sink connector %s: offset %d of %s-%d is negative", name, *at, p.Topic, p.ID)
		}
		if _, twice := to[p]; !twice {
			order = append(order, p)
		}
		to[p] = at
	}
	var change offsetChange
	for _, p := range order {
		if at := to[p]; at != nil {
			change.set = append(change.set, task.Position{Partition: p, Offset: *at})
		} else {
			change.remove = append(change.remove, p)
		}
	}
	return change, nil
}

func parsePartition(m map[string]any) (task.Partition, error) {
	if m == nil {
		return task.Partition{}, BadRequest("The partition for a sink connector offset cannot be null or missing")
	}
	topic, hasTopic := m["kafka_topic"]
	partition, hasPartition := m["kafka_partition"]
	switch {
	case !hasTopic || !hasPartition:
		return task.Partition{}, BadRequest("The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'")
	case topic == nil:
		return task.Partition{}, BadRequest("Kafka topic names must be valid strings and may not be null")
	case partition == nil:
		return task.Partition{}, BadRequest("Kafka partitions must be valid numbers and may not be null")
	}
	n, err := strconv.ParseInt(jsonText(partition), 10, 32)
	if err != nil {
		return task.Partition{}, BadRequest("Failed to parse the following Kafka partition value in the provided offsets: '%s'. Partition values for sink connectors need to be integers.", jsonText(partition))
	}
	return task.Partition{Topic: jsonText(topic), ID: int32(n)}, nil
}

func parseOffset(m map[string]any) (*int64, error) {
	if m == nil {
		return nil, nil
	}
	v, ok := m["kafka_offset"]
	if !ok {
		return nil, BadRequest("The offset for a sink connector should either be null or contain the key 'kafka_offset'")
	}
	n, err := strconv.ParseInt(jsonText(v), 10, 64)
	if err != nil {
		return nil, BadRequest("Failed to parse the following Kafka offset value in the provided offsets: '%s'. Offset values for sink connectors need to be integers.", jsonText(v))
	}
	return &n, nil
}

// jsonText is the text that Java's String.valueOf gives of a decoded JSON value; both "10" and 10 are accepted.
func jsonText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
		if f, err := v.Float64(); err == nil {
			return javaDouble(f)
		}
		return v.String()
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = jsonText(v[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		var pairs []string
		for _, k := range sortedKeys(v) {
			pairs = append(pairs, k+"="+jsonText(v[k]))
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// javaDouble is the text of Java's Double.toString: 1e1 is 10.0, 1e10 is 1.0E10.
func javaDouble(f float64) string {
	if abs := math.Abs(f); f == 0 || abs >= 1e-3 && abs < 1e7 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	sign, digits := exponent[:1], strings.TrimLeft(exponent[1:], "0")
	return mantissa + "E" + strings.TrimPrefix(sign, "+") + digits
}
