package stepfunctions

import "github.com/stepconnect/stepconnect/connector"

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
}

func newDomainMetrics(m connector.Metrics, name string) domainMetrics {
	var d domainMetrics
	for r := range d.executions {
		d.executions[r] = m.Counter("stepfunctions_executions_total",
			"Executions that acknowledged their changes, by result; duplicate means that an earlier try had started it.",
			"domain", name, "result", resultNames[r])
	}
	d.changes = m.Counter("stepfunctions_changes_total", "Changes that an execution acknowledged.", "domain", name)
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
