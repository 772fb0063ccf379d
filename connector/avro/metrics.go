package avro

import (
	"sync/atomic"
	"time"

	"github.com/stepconnect/stepconnect/connector"
)

// callMetrics count the calls of schema registries, over all converters of a plugin. The zero value counts nothing.
type callMetrics struct{ to atomic.Pointer[callCounters] }

type callCounters struct {
	answers [6]connector.Counter // by the first digit of the status; 0: no answer
	took    connector.Histogram
}

// measure begins to count in m.
func (c *callMetrics) measure(m connector.Metrics) {
	var made callCounters
	for class, answer := range [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		made.answers[class] = m.Counter("schema_registry_calls_total",
			"Calls of schema registries by the status of the answer; none: no answer came. A schema is asked for once.", "answer", answer)
	}
	made.took = m.Histogram("schema_registry_call_duration_seconds", "From asking a schema registry to having its answer.")
	c.to.Store(&made)
}

func (c *callMetrics) ended(status int, took time.Duration) {
	to := c.to.Load()
	if to == nil {
		return
	}
	to.answers[min(max(status/100, 0), len(to.answers)-1)].Add(1)
	to.took.Observe(took.Seconds())
}
