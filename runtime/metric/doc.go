// Package metric is what a worker measures and how it is shown: Kafka Connect's metrics and its own in Prometheus'
// form, and as lines in CloudWatch's embedded metric format.
//
// Each metric is declared once, as a Family beside the function that reads it; docs/METRICS.md is made from the
// declarations. Nothing here runs on the record path: tasks count in task.Metrics, and a scrape reads that. The number
// of series is bounded by what is assigned to the worker: they come and go with connectors, tasks and partitions.
package metric
