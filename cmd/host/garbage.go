package host

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go lets the heap double between two collections (GOGC=100): a worker of one task, with little to hold, collects often,
// and one of many tasks has as much garbage as all that they hold. Instead the heap grows to about heapAim, so that the first
// spends less CPU and the second less memory.
const (
	heapAim     = 64 << 20
	leastGrowth = 25  // percent of what is held, however much that is
	mostGrowth  = 200 // percent of what is held, however little
	// growthInterval is how often the growth is set anew. What is held changes no faster than tasks fill up.
	growthInterval = 250 * time.Millisecond
)

// tendGarbage follows what is held until ctx ends. GOGC in the environment has the last word; GOMEMLIMIT holds in any case.
func tendGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	held := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(growthInterval)
	defer tick.Stop()
	set := 100
	defer func() { debug.SetGCPercent(100) }()
	for {
		metrics.Read(held)
		if g := growth(held[0].Value.Uint64()); g > set+set/10 || g < set-set/10 { // setting it stops the world for a moment
			debug.SetGCPercent(g)
			set = g
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// growth is how far the heap may grow over what it held after the last collection, in percent.
func growth(held uint64) int {
	switch {
	case held == 0: // no collection yet
		return 100
	case held >= heapAim:
		return leastGrowth
	}
	return int(min(max((heapAim-held)*100/held, leastGrowth), mostGrowth))
}
