package runtime

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// patternInterval is how often topics.regex is matched with the topics that there are.
const patternInterval = 10 * time.Second

// remadeInterval is how often a task looks whether its topics were made anew: until then it goes on at its old position in them, and
// what it has read of them by then is read a second time.
const remadeInterval = 10 * time.Second

// missingInterval is how often topics that do not exist are looked for.
const missingInterval = 2 * time.Second

// openSource joins the connector's group and watches over what the task reads: which topics, for
// GET /connectors/{c}/topics, and which match topics.regex.
func (w *Worker) openSource(ctx context.Context, b *blueprint, inc *incarnation, part *share, g task.Group, log *slog.Logger) (task.Source, error) {
	topics, match, err := subscription(b)
	if err != nil {
		return nil, err
	}
	var cluster Cluster
	if match != nil {
		if cluster, err = w.opts.Clients.OpenCluster(ctx, b.props.admin(), log); err != nil {
			return nil, err
		}
		if topics, err = matching(ctx, cluster, match); err != nil {
			return nil, joinClose(ctx, err, cluster)
		}
	}
	part.subscribe(topics)
	props := b.props.consumer(inc.id.Task)
	start := props["auto.offset.reset"]
	delete(props, "auto.offset.reset")
	src, err := w.opts.Clients.OpenSource(ctx, SourceRequest{
		Properties: props, Topics: topics, Group: g, StartAt: start,
		// All tasks may run in this worker: what their clients fetch ahead is for each its part, as what they hold is (task.Crowd).
		MaxPendingBytes: max(1, b.values.Long("max.pending.bytes")/int64(max(1, b.values.Int("tasks.max")))), Log: log,
	})
	if err != nil {
		if cluster != nil {
			err = joinClose(ctx, err, cluster)
		}
		return nil, err
	}
	s := &watchedSource{Source: src}
	inc.source.Store(s)
	if w.opts.Config.Values.Bool("topic.tracking.enable") {
		s.seen = func(topic string) { w.sawTopic(inc.id, topic) }
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx)) // the source lives longer than the opening of it
	if cluster != nil {
		s.noMatch.Store(len(topics) == 0)
		s.watch(ctx, cluster, match, topics, part, log)
	} else {
		s.awaitTopics(ctx, topics, log)
	}
	s.lookForRemade(ctx)
	return s, nil
}

func joinClose(ctx context.Context, err error, c Cluster) error {
	_ = c.Close(context.WithoutCancel(ctx)) // the first error says more
	return err
}

func matching(ctx context.Context, c Cluster, match func(string) bool) ([]string, error) {
	all, err := c.Topics(ctx)
	if err != nil {
		return nil, err
	}
	topics := slices.DeleteFunc(all, func(t string) bool { return !match(t) })
	slices.Sort(topics)
	return topics, nil
}

// watchedSource is a task's Source with the worker looking on.
type watchedSource struct {
	task.Source
	seen func(topic string) // nil: topics are not tracked

	stop     context.CancelFunc // ends the watch over topics
	watching sync.WaitGroup
	cluster  Cluster

	missing atomic.Pointer[[]string] // subscribed topics that do not exist
	noMatch atomic.Bool              // no topic matches topics.regex
}

// lacking gives the subscribed topics that do not exist, and what to tell about that; "" when there is nothing.
func (s *watchedSource) lacking() (topics []string, warning string) {
	if s.noMatch.Load() {
		return nil, "no topic that there is matches topics.regex: create one, let the client see it (ACL Describe), or correct the pattern"
	}
	if m := s.missing.Load(); m != nil && len(*m) > 0 {
		return *m, "subscribed topics that do not exist, or that the client may not see: " + strings.Join(*m, ", ") + "; create them, or correct topics"
	}
	return nil, ""
}

// awaitTopics looks again and again, until Close, whether topics that the source has missed are there, and subscribes
// anew when one has come: the client by itself would look for it only every metadata.max.age.ms.
func (s *watchedSource) awaitTopics(ctx context.Context, topics []string, log *slog.Logger) {
	source, ok := s.Source.(interface {
		resubscriber
		missing
	})
	if !ok {
		return
	}
	s.every(ctx, missingInterval, func() {
		now, err := source.Missing(ctx)
		if err != nil {
			return // the brokers are away, of which others tell
		}
		before := s.missing.Swap(&now)
		if before == nil || len(*before) <= len(now) {
			return
		}
		log.Info("a subscribed topic that did not exist is there now", "still_missing", now)
		if err := source.Resubscribe(topics); err != nil {
			log.Warn("the topics could not be subscribed anew", "error", err)
		}
	})
}

// every calls look again and again, until Close.
func (s *watchedSource) every(ctx context.Context, interval time.Duration, look func()) {
	s.watching.Go(func() {
		for range every(ctx, interval) {
			look()
		}
	})
}

// lookForRemade looks again and again, until Close, for topics that were made anew.
func (s *watchedSource) lookForRemade(ctx context.Context) {
	if source, ok := s.Source.(remade); ok {
		s.every(ctx, remadeInterval, func() { _ = source.LookForRemade(ctx) }) // of brokers that are away others tell
	}
}

// Poll implements task.Source.
func (s *watchedSource) Poll(ctx context.Context, dst []task.Message, limit int) ([]task.Message, error) {
	from := len(dst)
	dst, err := s.Source.Poll(ctx, dst, limit)
	if s.seen != nil {
		last := ""
		for i := from; i < len(dst); i++ {
			if t := dst[i].Topic; t != last {
				last = t
				s.seen(t)
			}
		}
	}
	return dst, err
}

// Close implements task.Source.
func (s *watchedSource) Close(ctx context.Context) error {
	s.stop()
	s.watching.Wait()
	err := s.Source.Close(ctx)
	if s.cluster != nil {
		if closeErr := s.cluster.Close(context.WithoutCancel(ctx)); err == nil {
			err = closeErr
		}
	}
	return err
}

// watch matches the topics again and again until Close.
func (s *watchedSource) watch(ctx context.Context, c Cluster, match func(string) bool, topics []string, part *share, log *slog.Logger) {
	s.cluster = c
	sub, ok := s.Source.(resubscriber)
	if !ok {
		return
	}
	s.every(ctx, patternInterval, func() {
		now, err := matching(ctx, c, match)
		if err == nil && !slices.Equal(now, topics) {
			log.Info("topics that match topics.regex have changed", "topics", now)
			part.subscribe(now) // before the rebalance that this brings
			if err = sub.Resubscribe(now); err == nil {
				topics = now
				s.noMatch.Store(len(now) == 0)
			}
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("topics.regex could not be matched with the cluster's topics; trying again", "in", patternInterval, "error", err)
		}
	})
}

// topicIDs remembers the ids of the topics that a task was assigned.
type topicIDs struct{ ids sync.Map }

func (t *topicIDs) get(topic string) string {
	id, _ := t.ids.Load(topic)
	s, _ := id.(string)
	return s
}

// around gives a Group that learns the ids on the way to g.
func (t *topicIDs) around(g task.Group) task.Group { return learningGroup{g, t} }

type learningGroup struct {
	task.Group
	topics *topicIDs
}

func (g learningGroup) Assigned(ctx context.Context, added []task.Assignment) ([]task.Position, error) {
	for _, a := range added {
		g.topics.ids.Store(a.Topic, a.TopicID)
	}
	return g.Group.Assigned(ctx, added)
}
