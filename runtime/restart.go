package runtime

import (
	"fmt"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// restartPolicy says when a task that failed is started again by itself (errors.restart.*). Only what may
// pass by itself heals: an error that the plugin, the registry or the cluster's client marked as
// retryable. A rejected record, an offset that is gone from the log and an error that nobody
// classified would fail the same way again, or hide what a person has to see.
type restartPolicy struct {
	enabled      bool
	maxAttempts  int // negative: without limit
	backoff, cap time.Duration
}

func policyOf(b *blueprint) restartPolicy {
	return restartPolicy{
		enabled:     b.values.Bool("errors.restart.enable"),
		maxAttempts: b.values.Int("errors.restart.max.attempts"),
		backoff:     b.values.Duration("errors.restart.backoff.ms"),
		cap:         b.values.Duration("errors.restart.backoff.max.ms"),
	}
}

// defaultPolicy is for tasks whose configuration could not be read at all.
func defaultPolicy() restartPolicy {
	return restartPolicy{enabled: true, maxAttempts: -1, backoff: time.Second, cap: time.Minute}
}

// next gives the wait before restart number attempt (from 1), or why there is none.
func (p restartPolicy) next(err error, attempt int) (wait time.Duration, no string) {
	class, least := connector.Classify(err)
	switch {
	case !p.enabled:
		return 0, "errors.restart.enable is false"
	case class != connector.ClassRetryable:
		return 0, "the cause does not heal by itself"
	case p.maxAttempts >= 0 && attempt > p.maxAttempts:
		return 0, fmt.Sprintf("it was restarted %d times in vain (errors.restart.max.attempts)", p.maxAttempts)
	}
	wait = p.cap
	if shift := attempt - 1; shift < 32 && p.backoff<<shift < p.cap && p.backoff<<shift >= p.backoff {
		wait = p.backoff << shift
	}
	return max(wait, least), ""
}
