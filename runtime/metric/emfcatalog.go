package metric

import (
	"slices"
	"strings"
)

// emfMetric declares a metric of CloudWatch, and which of Prometheus' it is made from.
type emfMetric struct {
	name, unit, statistic string
	dimensions            []string
	from                  string              // a family; "" for the number 1
	where                 map[string][]string // labels that a series must have one of these values of
	highest               bool                // series are not added up: the highest counts
	help                  string
}

func (m *emfMetric) takes(labels map[string]string) bool {
	for name, values := range m.where {
		if !slices.Contains(values, labels[name]) {
			return false
		}
	}
	return true
}

// EMFSources gives the families that lines for CloudWatch are made from, with the labels that they need.
func EMFSources() map[string][]string {
	out := map[string][]string{}
	for _, m := range emfMetrics {
		if m.from == "" {
			continue
		}
		for label := range m.where {
			out[m.from] = append(out[m.from], label)
		}
		for _, d := range m.dimensions {
			if d != "Cluster" {
				out[m.from] = append(out[m.from], strings.ToLower(d))
			}
		}
	}
	return out
}

// factor turns Prometheus' base unit into CloudWatch's.
func (m *emfMetric) factor() float64 {
	if m.unit == unitMilliseconds {
		return 1000
	}
	return 1
}

func (m *emfMetric) meaning() string {
	if m.from == "" {
		return m.help
	}
	return m.help + " From `" + m.from + "`."
}

// CloudWatch's units.
const (
	unitCount        = "Count"
	unitBytes        = "Bytes"
	unitSeconds      = "Seconds"
	unitMilliseconds = "Milliseconds"
	unitPerSecond    = "Count/Second"
)

const (
	statSum     = "Sum"
	statMaximum = "Maximum"
	statAverage = "Average, percentiles"
)

var emfMetrics = slices.Concat(
	[]emfMetric{
		{name: "WorkersUp", unit: unitCount, statistic: statSum, dimensions: []string{"Cluster"}, help: "1 from each worker; missing when none runs. Cluster is the worker's group.id, or standalone."},
		{name: "SchemaRegistryFailures", unit: unitCount, statistic: statSum, dimensions: []string{"Cluster"}, from: "stepconnect_schema_registry_calls_total",
			where: map[string][]string{"answer": {"none", "4xx", "5xx"}}, help: "Calls of a schema registry without an answer or with an error."},
	},
	ofConnector(), ofDomain(), ofTopic())

func ofConnector() []emfMetric {
	one := []string{"Connector"}
	sum := func(name, from, help string) emfMetric {
		return emfMetric{name: name, unit: unitCount, statistic: statSum, dimensions: one, from: from, help: help}
	}
	status := func(name, state string) emfMetric {
		m := sum(name, "kafka_connect_connector_task_metrics_status", "Tasks whose state is "+state+".")
		m.where = map[string][]string{"status": {state}}
		return m
	}
	bytes := sum("PendingBytes", "stepconnect_task_pending_bytes", "Bytes of the records held.")
	bytes.unit = unitBytes
	return []emfMetric{
		sum("RecordsRead", "kafka_connect_sink_task_metrics_sink_record_read_total", "Records consumed."),
		sum("RecordsDelivered", "kafka_connect_sink_task_metrics_sink_record_send_total", "Records that the sink has acknowledged."),
		sum("RecordsFiltered", "stepconnect_task_records_filtered_total", "Records left out on purpose."),
		sum("RecordsLost", "stepconnect_task_records_lost_total", "Records dropped without a dead letter queue."),
		sum("RecordsDeadLettered", "stepconnect_task_records_dead_lettered_total", "Records written to the dead letter queue."),
		sum("DeadLetterFailures", "kafka_connect_task_error_metrics_deadletterqueue_produce_failures", "Failed writes to the dead letter queue."),
		sum("Retries", "stepconnect_task_retries_total", "Tries after the first."),
		sum("OffsetCommitFailures", "stepconnect_task_offset_commit_failures_total", "Offset commits that failed."),
		sum("Rebalances", "stepconnect_task_rebalances_total", "Rebalances of the connector's consumer group, counted by each task that they changed."),
		status("TasksRunning", "running"), status("TasksFailed", "failed"), status("TasksPaused", "paused"),
		sum("RecordsPending", "stepconnect_task_pending_records", "Records held: consumed and not settled."),
		bytes,
		sum("DeliveriesInFlight", "stepconnect_task_deliveries_in_flight", "Sink calls under way."),
		sum("ConsumerLag", "stepconnect_partition_lag_records", "Records that are not settled, read or not."),
		{name: "OldestUnsettledAge", unit: unitSeconds, statistic: statMaximum, dimensions: one, from: "stepconnect_partition_oldest_unsettled_age_seconds", highest: true,
			help: "Since when the oldest record that is not settled is held."},
		{name: "TimeLag", unit: unitSeconds, statistic: statMaximum, dimensions: one, from: "stepconnect_partition_time_lag_seconds", highest: true,
			help: "Age of the oldest record that is not settled, by the time that it carries."},
		{name: "EndToEndLatency", unit: unitMilliseconds, statistic: statAverage, dimensions: one, from: "stepconnect_end_to_end_latency_seconds",
			help: "From the commit in the source database to the acknowledgement."},
		{name: "DeliveryDuration", unit: unitMilliseconds, statistic: statAverage, dimensions: one, from: "stepconnect_task_stage_duration_seconds",
			where: map[string][]string{"stage": {"deliver"}}, help: "A sink call."},
		{name: "BatchSize", unit: unitCount, statistic: statAverage, dimensions: one, from: "stepconnect_task_batch_records", help: "Records of a sink call."},
		sum("ThrottledStarts", "stepconnect_stepfunctions_throttled_calls_total", "Starts that AWS refused for their rate."),
		{name: "StartBudget", unit: unitPerSecond, statistic: statSum, dimensions: one, from: "stepconnect_stepfunctions_start_budget", help: "Starts a second that the tasks may make now; 0 is no limit."},
	}
}

func ofDomain() []emfMetric {
	two := []string{"Connector", "Domain"}
	one := func(name, from, label, help string, values ...string) emfMetric {
		m := emfMetric{name: name, unit: unitCount, statistic: statSum, dimensions: two, from: from, help: help}
		if label != "" {
			m.where = map[string][]string{label: values}
		}
		return m
	}
	const executions, errors = "stepconnect_stepfunctions_executions_total", "stepconnect_stepfunctions_call_errors_total"
	return []emfMetric{
		one("ExecutionsStarted", executions, "result", "Standard executions accepted.", "started"),
		one("ExecutionsSucceeded", executions, "result", "Express executions that ran to their end.", "succeeded"),
		one("ExecutionsDuplicate", executions, "result", "Starts that an earlier try had made.", "duplicate"),
		one("ChangesDelivered", "stepconnect_stepfunctions_changes_total", "", "Changes that an execution acknowledged."),
		one("StartsThrottled", errors, "reason", "Calls refused for their rate.", "throttled"),
		one("PermissionErrors", errors, "reason", "Calls refused for credentials, permissions or keys.", "permission"),
		one("DestinationErrors", errors, "reason", "Calls refused because the state machine is not there or not of its type.", "destination", "wrong_type"),
		one("ExecutionErrors", errors, "reason", "Express executions that failed.", "execution_failed", "execution_rejected"),
		one("UnknownOutcomes", errors, "reason", "Calls whose answer was lost.", "unknown_outcome"),
		{name: "ExecutionsUnsuccessful", unit: unitCount, statistic: statMaximum, dimensions: two, from: "stepconnect_stepfunctions_unsuccessful_executions",
			help: "Executions of our names that failed, timed out or were aborted, as the last sweep found them."},
		{name: "EndToEndLatency", unit: unitMilliseconds, statistic: statAverage, dimensions: two, from: "stepconnect_end_to_end_latency_seconds",
			help: "From the commit in the source database to the acknowledgement."},
	}
}

func ofTopic() []emfMetric {
	two := []string{"Connector", "Topic"}
	return []emfMetric{
		{name: "ConsumerLag", unit: unitCount, statistic: statSum, dimensions: two, from: "stepconnect_partition_lag_records", help: "Records that are not settled, read or not."},
		{name: "OldestUnsettledAge", unit: unitSeconds, statistic: statMaximum, dimensions: two, from: "stepconnect_partition_oldest_unsettled_age_seconds", highest: true,
			help: "Since when the oldest record that is not settled is held."},
	}
}
