package json

import (
	"sync"
)

// cache keeps plans by schema text. A full cache is emptied: with more schemas than it holds no
// order of eviction helps, and with fewer it never fills.
type cache struct {
	size int // schemas.cache.size

	mu     sync.RWMutex // guards the rest
	plans  map[string]*cached
	recent map[string]*cached // by topic
	bytes  int
}

// cached is a schema text and its plan, nil for the schema null.
type cached struct {
	text string
	plan *plan
}

// maxCached is how many bytes of schema texts are kept: they come with the records, so that
// their number alone is no limit.
const maxCached = 32 << 20

func newCache(size int) *cache {
	return &cache{size: size, plans: map[string]*cached{}, recent: map[string]*cached{}}
}

// guess gives the schema that the topic's last record had, if rest begins with its text. The text of
// a schema ends in a bracket, so what follows cannot belong to it.
func (c *cache) guess(topic string, rest []byte) *cached {
	c.mu.RLock()
	last := c.recent[topic]
	c.mu.RUnlock()
	if last == nil || len(rest) < len(last.text) || string(rest[:len(last.text)]) != last.text {
		return nil
	}
	return last
}

// get finds a schema by its text and remembers it as the topic's last.
func (c *cache) get(topic string, text []byte) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.plans[string(text)]
	if e != nil {
		c.remember(topic, e)
	}
	return e
}

// put keeps a plan; nil, for the schema null, is not worth it. text is copied.
func (c *cache) put(topic string, text []byte, p *plan) *cached {
	e := &cached{text: string(text), plan: p}
	if c.size <= 0 || len(text) > maxCached/16 || p == nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.plans[e.text]; known {
		return e
	}
	if len(c.plans) >= c.size || c.bytes+len(text) > maxCached {
		clear(c.plans)
		clear(c.recent)
		c.bytes = 0
	}
	c.plans[e.text] = e
	c.bytes += len(text)
	c.remember(topic, e)
	return e
}

func (c *cache) remember(topic string, e *cached) {
	if _, known := c.recent[topic]; !known && len(c.recent) >= c.size {
		clear(c.recent)
	}
	c.recent[topic] = e
}
