package stepfunctions

import (
	"strconv"
	"sync"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/internal/aws"
)

// startResult is how a start that counts as delivery ended.
type startResult uint8

const (
	resultStarted   startResult = iota // Standard: accepted
	resultDuplicate                    // Standard: ExecutionAlreadyExists, so delivered earlier
	resultSucceeded                    // Express: ran to SUCCEEDED
	numResults
)

var resultNames = [numResults]string{"started", "duplicate", "succeeded"}

// domainMetrics counts for one domain; the counters are resolved once.
type domainMetrics struct {
	executions [numResults]connector.Counter
	changes    connector.Counter
	errors     [numReasons]connector.Counter
	claims     connector.Counter
	latency    connector.Histogram
}

func newDomainMetrics(m connector.Metrics, name string) domainMetrics {
	var d domainMetrics
	for r := range d.executions {
		d.executions[r] = m.Counter("stepfunctions_executions_total",
			"Executions that acknowledged their changes, by result; duplicate means that an earlier try had started it.",
			"domain", name, "result", resultNames[r])
	}
	d.changes = m.Counter("stepfunctions_changes_total", "Changes that an execution acknowledged.", "domain", name)
	d.latency = m.Histogram("end_to_end_latency_seconds",
		"From the commit in the source database (source.ts_ms) to the acknowledgement of the execution that holds the change. Rows of a snapshot count from when they were read.",
		"domain", name)
	d.claims = m.Counter("stepfunctions_claims_total", "Columns that were stored in S3 because their change did not fit into an input.", "domain", name)
	for r := range d.errors {
		d.errors[r] = m.Counter("stepfunctions_call_errors_total",
			"Calls of Step Functions that failed, and Express executions that did not succeed, by reason.",
			"domain", name, "reason", reasonNames[r])
	}
	return d
}

// budgetMetrics counts for one quota of starts.
type budgetMetrics struct {
	rate      connector.Gauge
	throttles connector.Counter
	waited    connector.Counter
}

func newBudgetMetrics(m connector.Metrics, q quota) budgetMetrics {
	labels := []string{"account", q.account, "region", q.region, "call", q.call}
	return budgetMetrics{
		rate: m.Gauge("stepfunctions_start_budget",
			"Starts per second that are the task's part now of what this worker's tasks may make, by start.rate.limit and by what AWS was seen to allow; 0 is no limit.", labels...),
		throttles: m.Counter("stepfunctions_throttled_calls_total", "Starts that AWS refused for their rate.", labels...),
		waited:    m.Counter("stepfunctions_budget_wait_seconds_total", "Seconds that starts waited for their turn.", labels...),
	}
}

// filterMetrics counts records that start nothing.
type filterMetrics [numFilterReasons]connector.Counter

func newFilterMetrics(m connector.Metrics) filterMetrics {
	var f filterMetrics
	for r := filteredTombstone; r < numFilterReasons; r++ {
		f[r] = m.Counter("stepfunctions_filtered_records_total",
			"Records that start nothing: tombstones, and changes that no domain takes because of their topic, table or operation.",
			"reason", filterReasonNames[r])
	}
	return f
}

// newOutcomeMetrics makes the gauges of a domain's unsuccessful executions, in the order of sweptStatuses, and that of
// the sweeps.
func newOutcomeMetrics(m connector.Metrics, domain string) (found []connector.Gauge, swept connector.Gauge) {
	for _, status := range sweptStatuses() {
		found = append(found, m.Gauge("stepfunctions_unsuccessful_executions",
			"Standard executions of our names that ended without success and that AWS still remembers, as the last full sweep found them.",
			"domain", domain, "status", string(status)))
	}
	return found, m.Gauge("stepfunctions_outcomes_swept_timestamp_seconds",
		"When the last full sweep of the executions' outcomes began; older than two sweeps means that failures go unseen.")
}

// callMetrics counts the calls of AWS by what was asked for and the first digit of the answer's status.
type callMetrics struct {
	to  connector.Metrics
	mu  sync.RWMutex // guards the fields below
	by  map[callKind]connector.Counter
	how map[string]connector.Histogram // by operation
}

type callKind struct {
	operation string
	class     int // 2 for 2xx; 0 without an answer
}

func newCallMetrics(m connector.Metrics) *callMetrics {
	return &callMetrics{to: m, by: map[callKind]connector.Counter{}, how: map[string]connector.Histogram{}}
}

// ended counts a call; it allocates for the first of its kind only.
func (c *callMetrics) ended(call aws.Call) {
	k := callKind{call.Operation, call.Status / 100}
	c.mu.RLock()
	n, took := c.by[k], c.how[k.operation]
	c.mu.RUnlock()
	if n == nil {
		n, took = c.resolve(k)
	}
	n.Add(1)
	took.Observe(call.Took.Seconds())
}

func (c *callMetrics) resolve(k callKind) (connector.Counter, connector.Histogram) {
	answer := "none"
	if k.class > 0 {
		answer = strconv.Itoa(k.class) + "xx"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[k] == nil {
		c.by[k] = c.to.Counter("aws_calls_total", "Calls of AWS by operation and by the status of the answer; none: no answer came.",
			"operation", k.operation, "answer", answer)
	}
	if c.how[k.operation] == nil {
		c.how[k.operation] = c.to.Histogram("aws_call_duration_seconds", "From sending a call of AWS to the beginning of its answer.", "operation", k.operation)
	}
	return c.by[k], c.how[k.operation]
}
