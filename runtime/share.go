package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// countWait bounds how long a rebalance waits for the number of partitions.
const countWait = 10 * time.Second

// share is the part of a connector-wide budget that belongs to one task: its partitions by all partitions of the
// subscription. The total is asked for when partitions come, so it follows topics that match topics.regex anew.
type share struct {
	// otherwise is the share while the total is not known: an equal part for each task.
	otherwise float64
	wanted    atomic.Bool // somebody has asked for the share: only then is the total worth asking for

	mu     sync.Mutex // guards the fields below
	topics []string   // of the subscription
	held   map[task.Partition]bool
	total  int // 0: not known
}

// now gives the share, from 0 to 1.
func (s *share) now() float64 {
	s.wanted.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.held) == 0: // also a task that was never given any
		return 0
	case s.total == 0:
		return s.otherwise
	}
	return min(1, float64(len(s.held))/float64(s.total))
}

func (s *share) subscribe(topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = topics
}

func (s *share) subscribed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topics
}

// around gives a Group that follows the partitions on the way to g; count gives the partitions of topics in all.
func (s *share) around(g task.Group, count func(ctx context.Context, topics []string) (int, error)) task.Group {
	return countingGroup{g, s, count}
}

type countingGroup struct {
	task.Group
	share *share
	count func(ctx context.Context, topics []string) (int, error)
}

func (g countingGroup) Assigned(ctx context.Context, added []task.Assignment) ([]task.Position, error) {
	total := 0
	if g.share.wanted.Load() {
		asking, cancel := context.WithTimeout(ctx, countWait)
		if n, err := g.count(asking, g.share.subscribed()); err == nil {
			total = n
		}
		cancel()
	}
	g.share.mu.Lock()
	for _, a := range added {
		g.share.held[a.Partition] = true
	}
	if total > 0 { // an answer that fails leaves what was known
		g.share.total = total
	}
	g.share.mu.Unlock()
	return g.Group.Assigned(ctx, added)
}

func (g countingGroup) Revoked(ctx context.Context, gone []task.Partition) {
	g.Group.Revoked(ctx, gone)
	g.drop(gone)
}

func (g countingGroup) Lost(gone []task.Partition) {
	g.Group.Lost(gone)
	g.drop(gone)
}

func (g countingGroup) drop(gone []task.Partition) {
	g.share.mu.Lock()
	defer g.share.mu.Unlock()
	for _, p := range gone {
		delete(g.share.held, p)
	}
}

// commons holds what the tasks of a connector in this process have in common.
type commons struct {
	mu sync.Mutex // guards by
	by map[string]*common
}

// common is that of one connector, for as long as it has tasks here.
type common struct {
	tasks  int
	mu     sync.Mutex // guards values
	values map[string]any
}

// join counts a task in until leave is called.
func (c *commons) join(connector string) (of *common, leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]*common{}
	}
	of = c.by[connector]
	if of == nil {
		of = &common{values: map[string]any{}}
		c.by[connector] = of
	}
	of.tasks++
	return of, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if of.tasks--; of.tasks == 0 && c.by[connector] == of {
			delete(c.by, connector)
		}
	}
}

// get gives the value of a key, made by the first that asks.
func (c *common) get(key string, create func() any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	if !ok {
		v = create()
		c.values[key] = v
	}
	return v
}
