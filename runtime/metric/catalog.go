package metric

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/stepconnect/stepconnect/runtime/task"
)

// kafka is where the names of Kafka Connect's metrics begin: group and attribute follow, dashes as underscores.
const kafka = "kafka_connect_"

// taskFamily is a metric of each task. show may give any number of series; the first labels are the task's.
type taskFamily struct {
	*family
	show func(r *reading, put func(v float64, labels ...string))
	hist func(t *Task, put func(h *recent, labels ...string)) // of a histogram, in place of show
}

// reading is one look at a task. Its mu is held.
type reading struct {
	*Task
	now counts
}

var ofTask = []string{"connector", "task"}

// attribute declares a number of Kafka Connect's.
func attribute(kind Kind, group, name, help string, v func(r *reading) float64) taskFamily {
	return taskFamily{family: declare(Family{kafka + group + "_" + name, help, kind, ofTask}),
		show: func(r *reading, put func(float64, ...string)) { put(v(r)) }}
}

// own declares a number of ours.
func own(kind Kind, name, help string, v func(r *reading) float64) taskFamily {
	return taskFamily{family: declare(Family{namespace + "task_" + name, help, kind, ofTask}),
		show: func(r *reading, put func(float64, ...string)) { put(v(r)) }}
}

func count(v func(r *reading) int64) func(r *reading) float64 {
	return func(r *reading) float64 { return float64(v(r)) }
}

// taskFamilies are declared once; their order is that of a task's life.
var taskFamilies = slices.Concat(connectorTaskMetrics(), sinkTaskMetrics(), taskErrorMetrics(), deliveryMetrics(), partitionMetrics())

// states are those that a task's status shows.
var taskStates = []string{"unassigned", "running", "paused", "failed", "restarting"}

func connectorTaskMetrics() []taskFamily {
	const group = "connector_task_metrics"
	ms := func(v int64) float64 { return float64(v) / 1e6 }
	status := taskFamily{family: declare(Family{kafka + group + "_status", "State of the task: 1 for the one that it has, 0 for the others.", Gauge, append(slices.Clone(ofTask), "status")}),
		show: func(r *reading, put func(float64, ...string)) {
			for _, s := range taskStates {
				put(truth(r.state == s), s)
			}
		}}
	info := taskFamily{family: declare(Family{kafka + group + "_info", "Classes and versions of what the task is made of.", Info,
		append(slices.Clone(ofTask), "connector_class", "connector_version", "key_converter_class", "key_converter_version", "value_converter_class", "value_converter_version", "header_converter_class", "header_converter_version")}),
		show: func(r *reading, put func(float64, ...string)) {
			if i := r.info; i != nil {
				put(1, i.Connector.Class, i.Connector.Version, i.Key.Class, i.Key.Version, i.Value.Class, i.Value.Version, i.Header.Class, i.Header.Version)
			}
		}}
	plugin := func(kind string, of func(*TaskInfo) []AliasedClass) taskFamily {
		return taskFamily{family: declare(Family{kafka + "connector_" + kind + "_metrics_info", "Class and version of a " + kind + " of the task.", Info,
			append(slices.Clone(ofTask), kind, kind+"_class", kind+"_version")}),
			show: func(r *reading, put func(float64, ...string)) {
				if r.info == nil {
					return
				}
				for _, p := range of(r.info) {
					put(1, p.Alias, p.Class, p.Version)
				}
			}}
	}
	commits := func(of func(counts) int64) func(r *reading) float64 {
		return func(r *reading) float64 {
			from := r.trend.oldest()
			n := of(r.now) - of(from)
			all := r.now.committed + r.now.notCommits - from.committed - from.notCommits
			if all == 0 {
				return 0
			}
			return float64(n) / float64(all)
		}
	}
	return []taskFamily{
		status, info,
		plugin("transform", func(i *TaskInfo) []AliasedClass { return i.Transforms }),
		plugin("predicate", func(i *TaskInfo) []AliasedClass { return i.Predicates }),
		attribute(Gauge, group, "running_ratio", "Part of the last minute that the task was running.", func(r *reading) float64 {
			avg, _ := r.trend.over(r.now, func(c counts) float64 { return truth(c.running) })
			return avg
		}),
		attribute(Gauge, group, "pause_ratio", "Part of the last minute that the task was paused.", func(r *reading) float64 {
			avg, _ := r.trend.over(r.now, func(c counts) float64 { return truth(c.paused) })
			return avg
		}),
		attribute(Gauge, group, "offset_commit_max_time_ms", "Longest offset commit of the last minute, in ms.", func(r *reading) float64 { return ms(r.stages[task.Commit].max()) }),
		attribute(Gauge, group, "offset_commit_avg_time_ms", "Average offset commit of the last minute, in ms.", func(r *reading) float64 { return r.stages[task.Commit].window().Average() / 1e6 }),
		attribute(Gauge, group, "batch_size_max", "Most records of a sink call in the last minute.", count(func(r *reading) int64 { return r.records.max() })),
		attribute(Gauge, group, "batch_size_avg", "Average records of a sink call in the last minute.", func(r *reading) float64 { return r.records.window().Average() }),
		attribute(Gauge, group, "offset_commit_success_percentage", "Part of the last minute's offset commits that succeeded, from 0 to 1.", commits(func(c counts) int64 { return c.committed })),
		attribute(Gauge, group, "offset_commit_failure_percentage", "Part of the last minute's offset commits that failed, from 0 to 1.", commits(func(c counts) int64 { return c.notCommits })),
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sinkTaskMetrics() []taskFamily {
	const group = "sink_task_metrics"
	rate := func(of func(counts) int64) func(r *reading) float64 {
		return func(r *reading) float64 { return r.trend.rate(r.now, of) }
	}
	active := func(c counts) float64 { return float64(c.active) }
	return []taskFamily{
		attribute(Gauge, group, "sink_record_read_rate", "Records consumed a second, before transforms.", rate(func(c counts) int64 { return c.read })),
		attribute(Counter, group, "sink_record_read_total", "Records consumed, before transforms.", count(func(r *reading) int64 { return r.Read.Load() })),
		attribute(Gauge, group, "sink_record_send_rate", "Records a second that the sink has acknowledged.", rate(func(c counts) int64 { return c.sent })),
		attribute(Counter, group, "sink_record_send_total", "Records that the sink has acknowledged.", count(func(r *reading) int64 { return r.Delivered.Load() })),
		attribute(Gauge, group, "sink_record_active_count", "Records held: consumed and not settled.", count(func(r *reading) int64 { return r.Pending.Load() })),
		attribute(Gauge, group, "sink_record_active_count_max", "Most records held in the last minute, as sampled every 5 s.", func(r *reading) float64 {
			_, most := r.trend.over(r.now, active)
			return most
		}),
		attribute(Gauge, group, "sink_record_active_count_avg", "Average of the records held in the last minute, as sampled every 5 s.", func(r *reading) float64 {
			avg, _ := r.trend.over(r.now, active)
			return avg
		}),
		attribute(Gauge, group, "partition_count", "Partitions assigned.", count(func(r *reading) int64 { return r.Partitions.Load() })),
		attribute(Gauge, group, "offset_commit_seq_no", "Offset commits that the coordinator has answered.", count(func(r *reading) int64 { return r.Commits.Load() + r.CommitErrors.Load() })),
		attribute(Gauge, group, "offset_commit_completion_rate", "Offset commits a second that succeeded.", rate(func(c counts) int64 { return c.committed })),
		attribute(Counter, group, "offset_commit_completion_total", "Offset commits that succeeded.", count(func(r *reading) int64 { return r.Commits.Load() })),
		attribute(Gauge, group, "offset_commit_skip_rate", "Offset commits a second that were skipped: always 0, since one is under way at a time.", func(*reading) float64 { return 0 }),
		attribute(Counter, group, "offset_commit_skip_total", "Offset commits that were skipped: always 0, since one is under way at a time.", func(*reading) float64 { return 0 }),
		attribute(Gauge, group, "put_batch_max_time_ms", "Longest sink call of the last minute, in ms.", func(r *reading) float64 { return float64(r.stages[task.Deliver].max()) / 1e6 }),
		attribute(Gauge, group, "put_batch_avg_time_ms", "Average sink call of the last minute, in ms.", func(r *reading) float64 { return r.stages[task.Deliver].window().Average() / 1e6 }),
	}
}

func taskErrorMetrics() []taskFamily {
	const group = "task_error_metrics"
	return []taskFamily{
		attribute(Counter, group, "total_record_failures", "Failed attempts of converters, transforms and deliveries.", count(func(r *reading) int64 { return r.Failures.Load() })),
		attribute(Counter, group, "total_record_errors", "Records given up.", count(func(r *reading) int64 { return r.Errors.Load() })),
		attribute(Counter, group, "total_records_skipped", "Records that errors.tolerance=all went on without.", count(func(r *reading) int64 { return r.Skipped.Load() + r.DeadLettered.Load() })),
		attribute(Counter, group, "total_retries", "Tries after the first.", count(func(r *reading) int64 { return r.TotalRetries() })),
		attribute(Counter, group, "total_errors_logged", "Errors logged by errors.log.enable.", count(func(r *reading) int64 { return r.Logged.Load() })),
		attribute(Counter, group, "deadletterqueue_produce_requests", "Writes to the dead letter queue.", count(func(r *reading) int64 { return r.DLQRequests.Load() })),
		attribute(Counter, group, "deadletterqueue_produce_failures", "Failed writes to the dead letter queue.", count(func(r *reading) int64 { return r.DLQFailures.Load() })),
		attribute(Gauge, group, "last_error_timestamp", "When the last record was given up, in ms since 1970; 0 for never.", count(func(r *reading) int64 { return r.LastError.Load() })),
	}
}

func deliveryMetrics() []taskFamily {
	labelled := func(kind Kind, name, help, label string, show func(r *reading, put func(float64, ...string))) taskFamily {
		return taskFamily{family: declare(Family{namespace + "task_" + name, help, kind, append(slices.Clone(ofTask), label)}), show: show}
	}
	dist := func(name, help string, labels []string, hist func(t *Task, put func(*recent, ...string))) taskFamily {
		return taskFamily{family: declare(Family{namespace + "task_" + name, help, Histogram, append(slices.Clone(ofTask), labels...)}), hist: hist}
	}
	return []taskFamily{
		own(Counter, "records_filtered_total", "Records left out on purpose, by a transform or by the sink.", count(func(r *reading) int64 { return r.Filtered.Load() })),
		own(Counter, "records_lost_total", "Records dropped under errors.tolerance=all without a dead letter queue.", count(func(r *reading) int64 { return r.Skipped.Load() })),
		own(Counter, "records_dead_lettered_total", "Records written to the dead letter queue.", count(func(r *reading) int64 { return r.DeadLettered.Load() })),
		own(Counter, "offset_commit_failures_total", "Offset commits that failed.", count(func(r *reading) int64 { return r.CommitErrors.Load() })),
		own(Gauge, "kafka_client_trouble", "1 while something keeps the task's Kafka client from the brokers: connection, credentials, token or topic. The status says what.", func(r *reading) float64 { return truth(r.trouble) }),
		own(Gauge, "deliveries_in_flight", "Sink calls under way.", count(func(r *reading) int64 { return r.InFlight.Load() })),
		own(Gauge, "pending_records", "Records held: consumed and not settled.", count(func(r *reading) int64 { return r.Pending.Load() })),
		own(Gauge, "pending_bytes", "Bytes of the records held.", count(func(r *reading) int64 { return r.PendingBytes.Load() })),
		labelled(Counter, "retries_total", "Tries after the first, by what was tried.", "operation", func(r *reading, put func(float64, ...string)) {
			for _, o := range task.Operations() {
				put(float64(r.Retries[o].Load()), o.String())
			}
		}),
		labelled(Counter, "rebalances_total", "Rebalances of the connector's consumer group that changed the task's partitions, by what they did.", "event", func(r *reading, put func(float64, ...string)) {
			for _, k := range task.Rebalances() {
				put(float64(r.Rebalances[k].Load()), k.String())
			}
		}),
		dist("batch_records", "Records of a sink call.", nil, func(t *Task, put func(*recent, ...string)) { put(&t.records) }),
		dist("batch_bytes", "Bytes of a sink call's records as consumed, keys and values.", nil, func(t *Task, put func(*recent, ...string)) { put(&t.payloads) }),
		dist("stage_duration_seconds", "How long a stage takes: poll (a call of the Kafka client that gave records), wait (the oldest record of a hand-out, for a worker), "+
			"convert (a hand-out), deliver (a sink call), settle (from the sink's answer to its record being settled), commit (an offset commit).", []string{"stage"},
			func(t *Task, put func(*recent, ...string)) {
				for _, s := range task.Stages() {
					put(&t.stages[s], s.String())
				}
			}),
	}
}

func partitionMetrics() []taskFamily {
	labels := append(slices.Clone(ofTask), "topic", "partition")
	each := func(name, help string, v func(p *Partition, now time.Time) float64) taskFamily {
		return taskFamily{family: declare(Family{namespace + "partition_" + name, help, Gauge, labels}),
			show: func(r *reading, put func(float64, ...string)) {
				for i := range r.parts {
					p := &r.parts[i]
					if n := v(p, r.now.at); !math.IsNaN(n) {
						put(n, p.Topic, strconv.Itoa(int(p.ID)))
					}
				}
			}}
	}
	age := func(t time.Time, now time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return max(0, now.Sub(t).Seconds())
	}
	return []taskFamily{
		each("lag_records", "Records from the first that is not settled to the end of the partition, asked of the brokers every 5 s.", func(p *Partition, _ time.Time) float64 {
			if p.Lag < 0 {
				return math.NaN()
			}
			return float64(p.Lag)
		}),
		each("oldest_unsettled_age_seconds", "Since when the oldest record that is not settled is held by this task; 0 when none is.", func(p *Partition, now time.Time) float64 { return age(p.Oldest, now) }),
		each("time_lag_seconds", "Age of the oldest record that is not settled, by the time that it carries; 0 when none is held.", func(p *Partition, now time.Time) float64 { return age(p.Written, now) }),
		each("unsettled_records", "Records consumed and not settled.", func(p *Partition, _ time.Time) float64 { return float64(p.Unsettled) }),
		each("fetching_paused", "1 while reading is paused because the partition holds its share, or the task does not run.", func(p *Partition, _ time.Time) float64 { return truth(p.Paused) }),
	}
}
