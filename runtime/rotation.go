package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// rotationInterval is how often the worker looks whether values of config providers have expired.
const rotationInterval = time.Second

// heldValues are the resolved values that an incarnation of a task runs on, of which some expire. They are in memory
// alone, as the task's own configuration is.
type heldValues struct {
	ttl      time.Duration
	resolved map[string]*string
	reload   bool // config.action.reload is restart
	next     time.Time
}

// watchValues keeps what the incarnation runs on, for the worker to compare when it has expired.
func (inc *incarnation) watchValues(ttl time.Duration, b *blueprint) {
	if ttl <= 0 {
		return
	}
	inc.values.Store(&heldValues{ttl: ttl, resolved: b.given, reload: b.values.String("config.action.reload") == "restart", next: time.Now().Add(ttl)})
}

// watchValues resolves the configurations of running tasks anew when values of theirs have expired, and restarts the tasks
// whose values have changed. Kafka Connect restarts at every expiry, whatever the value; here a task that would run
// on the same values goes on.
func (w *Worker) watchValues(ctx context.Context) {
	for range every(ctx, rotationInterval) {
		w.mu.Lock()
		running := slices.Collect(maps.Values(w.running))
		w.mu.Unlock()
		for _, inc := range running {
			if v := inc.values.Load(); v != nil && !time.Now().Before(v.next) {
				w.renew(ctx, inc, v)
			}
		}
	}
}

// renew resolves one configuration anew.
func (w *Worker) renew(ctx context.Context, inc *incarnation, v *heldValues) {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	next := *v
	next.next = time.Now().Add(v.ttl)
	now, err := w.opts.Providers.Resolve(bounded, inc.want.Config)
	for _, k := range changedKeys(v.resolved, now) {
		// What stood for a value stands for nothing now: it is being replaced, or gone by mistake.
		if err == nil && equalText(now[k], inc.want.Config[k]) {
			err = fmt.Errorf("configuration %s: placeholder %s has no value any more", k, *now[k])
		}
	}
	log := w.log.With("connector", inc.id.Connector, "task", inc.id.Task)
	switch changed := changedKeys(v.resolved, now); {
	case ctx.Err() != nil:
		return
	case err != nil:
		log.Warn("values of config providers have expired and cannot be read anew; the task goes on with those it has", "error", err)
	case len(changed) > 0 && v.reload:
		log.Info("values of config providers have changed; restarting the task with them", "keys", changed)
		w.post(rotated{inc})
		next.resolved = now
	case len(changed) > 0:
		log.Warn("values of config providers have changed; the task goes on with the old ones until it is restarted (config.action.reload=none)", "keys", changed)
		next.resolved = now
	}
	inc.values.Store(&next)
}
