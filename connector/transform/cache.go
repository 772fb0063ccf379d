package transform

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cacheSize is how many inputs a cache remembers. Kafka's transforms remember 16 schemas; a task
// that consumes many tables would rebuild theirs all the time.
const cacheSize = 256

// cache remembers what was made of the last cacheSize inputs. Reading takes no lock. The zero cache
// is empty; it is safe for concurrent use.
type cache[K comparable, V any] struct {
	known atomic.Pointer[map[K]V] // never changed in place
	mu    sync.Mutex              // guards order and replacing known
	order []K                     // oldest first
}

// get gives what make made of key, now or before. Errors are not remembered.
func (c *cache[K, V]) get(key K, make func(K) (V, error)) (V, error) {
	if known := c.known.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]V{}
	if known := c.known.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v, nil
		}
		next = maps.Clone(*known)
	}
	v, err := make(key)
	if err != nil {
		return v, err
	}
	if len(c.order) == cacheSize {
		delete(next, c.order[0])
		c.order = append(c.order[:0], c.order[1:]...)
	}
	next[key] = v
	c.order = append(c.order, key)
	c.known.Store(&next)
	return v, nil
}
