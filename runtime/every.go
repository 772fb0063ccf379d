package runtime

import (
	"context"
	"time"
)

// every is ranged over: the body runs after each interval, until ctx ends. Intervals that pass while it runs are left out.
func every(ctx context.Context, interval time.Duration) func(yield func() bool) {
	return func(yield func() bool) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !yield() {
					return
				}
			}
		}
	}
}
