package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/runtime/metric"
	"github.com/stepconnect/stepconnect/runtime/task"
)

// measureInterval is how often a running task is asked what it holds, and the brokers where its partitions end.
const measureInterval = 5 * time.Second

// measure tells the metrics how far the task's partitions are, until ctx ends.
func (inc *incarnation) measure(ctx context.Context, t *task.Task) {
	wait := time.NewTimer(time.Second) // there is nothing to tell before the group has been joined
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		asking, cancel := context.WithTimeout(ctx, measureInterval)
		if s, err := t.Snapshot(asking); err == nil {
			inc.metrics.Holds(held(s, inc.ends(asking, s)))
			inc.metrics.Trouble(inc.trouble() != nil)
		}
		cancel()
		wait.Reset(measureInterval)
	}
}

// troubled is an optional interface of a Source that knows of trouble with the brokers that may pass: none to be
// reached, refused credentials, no token.
type troubled interface{ Trouble() error }

// trouble gives what keeps the task's client from the brokers; nil when nothing is known to.
func (inc *incarnation) trouble() error {
	if src := inc.source.Load(); src != nil {
		if t, ok := src.Source.(troubled); ok {
			return t.Trouble()
		}
	}
	return nil
}

// ender is an optional interface of a Source that can ask where partitions end.
type ender interface {
	Ends(ctx context.Context, parts []task.Partition) (map[task.Partition]int64, error)
}

// ends asks for the ends of a task's partitions; nil when they cannot be had now, which the task itself tells soon enough.
func (inc *incarnation) ends(ctx context.Context, s task.Snapshot) map[task.Partition]int64 {
	src := inc.source.Load()
	if src == nil || len(s.Partitions) == 0 {
		return nil
	}
	e, ok := src.Source.(ender)
	if !ok {
		return nil
	}
	parts := make([]task.Partition, len(s.Partitions))
	for i, p := range s.Partitions {
		parts[i] = p.Partition
	}
	ends, err := e.Ends(ctx, parts)
	if err != nil {
		return nil
	}
	return ends
}

// held gives what metrics show of a snapshot.
func held(s task.Snapshot, ends map[task.Partition]int64) []metric.Partition {
	parts := make([]metric.Partition, len(s.Partitions))
	for i, p := range s.Partitions {
		parts[i] = metric.Partition{Topic: p.Topic, ID: p.ID, Lag: -1, Unsettled: p.Unsettled, Paused: p.Paused, Oldest: p.Oldest}
		if end, known := ends[p.Partition]; known {
			parts[i].Lag = max(0, end-p.Position)
		}
		if !p.Oldest.IsZero() && p.OldestTimestamp >= 0 {
			parts[i].Written = time.UnixMilli(p.OldestTimestamp)
		}
	}
	return parts
}

// madeOf names the plugins of a task.
func (w *Worker) madeOf(b *blueprint, p task.Pipeline) metric.TaskInfo {
	class := func(kind, name string) metric.PluginClass {
		if r, err := w.opts.Plugins.find(kind, name); err == nil {
			return metric.PluginClass{Class: r.info.Class, Version: r.info.Version}
		}
		return metric.PluginClass{Class: name}
	}
	info := metric.TaskInfo{
		Connector: metric.PluginClass{Class: b.plugin.info.Class, Version: b.plugin.info.Version},
		Key:       class(config.KindConverter, p.Key.Class), Value: class(config.KindConverter, p.Value.Class),
		Header: class(config.KindHeaderConverter, p.Header.Class),
	}
	for _, s := range p.Steps {
		info.Transforms = append(info.Transforms, metric.AliasedClass{Alias: s.Alias, PluginClass: class(config.KindTransformation, s.Class)})
		sub := below(b.raw, "transforms."+s.Alias+".")
		if alias := config.Trim(sub["predicate"]); alias != "" {
			of := metric.AliasedClass{Alias: alias, PluginClass: class(config.KindPredicate, config.Trim(b.raw["predicates."+alias+".type"]))}
			if !slices.Contains(info.Predicates, of) {
				info.Predicates = append(info.Predicates, of)
			}
		}
	}
	return info
}
