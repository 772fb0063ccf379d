package task

import (
	"hash/maphash"
	"sync"
	"time"
)

// Outlived knows the deliveries of this process that outlived their partition's assignment or their
// task. A later owner in the process waits for their end before it hands out their keys, so that two
// changes with the same key are never in flight at once (invariant 2).
type Outlived struct {
	seed maphash.Seed // of key identities, one for the process so that tasks agree

	mu   sync.Mutex // guards open
	open map[outlivedPartition]map[*outlivedDelivery]struct{}
}

type outlivedPartition struct {
	connector string
	Partition
}

// outlivedDelivery is one delivery that is still under way; ended is closed when its sink call has returned.
type outlivedDelivery struct {
	keys  []uint64
	since time.Time
	ended chan struct{}
}

// Abandoned is a delivery that is under way although its task has ended or has lost the partition.
type Abandoned struct {
	Partition
	Records int
	Since   time.Time // when it was abandoned
}

// NewOutlived makes an empty registry; a process has one.
func NewOutlived() *Outlived {
	return &Outlived{seed: maphash.MakeSeed(), open: make(map[outlivedPartition]map[*outlivedDelivery]struct{})}
}

// add registers a delivery and returns what to call when it has ended.
func (o *Outlived) add(connector string, p Partition, keys []uint64) (end func()) {
	at := outlivedPartition{connector, p}
	d := &outlivedDelivery{keys: keys, since: time.Now(), ended: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[at] == nil {
		o.open[at] = make(map[*outlivedDelivery]struct{})
	}
	o.open[at][d] = struct{}{}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.open[at], d)
		if len(o.open[at]) == 0 {
			delete(o.open, at)
		}
		close(d.ended)
	}
}

// of gives the deliveries under way for a partition.
func (o *Outlived) of(connector string, p Partition) []*outlivedDelivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*outlivedDelivery
	for d := range o.open[outlivedPartition{connector, p}] {
		out = append(out, d)
	}
	return out
}

// Count is the number of deliveries of a connector that outlived their owner and have not ended:
// its offsets may not be changed while there are any.
func (o *Outlived) Count(connector string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for at, ds := range o.open {
		if at.connector == connector {
			n += len(ds)
		}
	}
	return n
}

// List gives the deliveries that Count counts, in no order.
func (o *Outlived) List(connector string) []Abandoned {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Abandoned
	for at, ds := range o.open {
		for d := range ds {
			if at.connector == connector {
				out = append(out, Abandoned{at.Partition, len(d.keys), d.since})
			}
		}
	}
	return out
}
