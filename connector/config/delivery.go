package config

import "strconv"

// DeliveryDef gives the host's keys that Kafka Connect does not have: how records are scheduled,
// batched, retried and fenced. They stand in a group of their own.
func DeliveryDef() *Def {
	keys := append(schedulingKeys(), recoveryKeys()...)
	for i := range keys {
		keys[i].Group, keys[i].Width = "Delivery", WidthMedium
	}
	return New(keys...).Cross(deliveryRules).Cross(leaseRule)
}

func schedulingKeys() []Key {
	return []Key{
		{Name: "ordering", Default: "key", Validate: OneOf("key", "partition"), Importance: Medium, DisplayName: "Ordering",
			Doc: "What is delivered in order: the records of one consumed key, or all records of a partition."},
		{Name: "max.in.flight", Type: Int, Default: 64, Validate: AtLeast(1), Importance: Medium, DisplayName: "Max in flight",
			Doc: "Most deliveries that a task makes at once."},
		{Name: "batch.max.records", Type: Int, Validate: AtLeast(1), Importance: Medium, Unit: "records", DisplayName: "Batch max records",
			Doc: "Most records of one delivery. By default as the sink says."},
		{Name: "batch.max.bytes", Type: Long, Default: 200000, Validate: AtLeast(1), Importance: Medium, Unit: "bytes", DisplayName: "Batch max bytes",
			Doc: "Most bytes of consumed keys and values of one delivery; a larger record is delivered alone."},
		{Name: "batch.linger.ms", Type: Long, Default: 0, Validate: AtLeast(0), Importance: Low, Unit: "ms", DisplayName: "Batch linger",
			Doc: "How long a delivery waits for more records. Under load batches fill without it."},
		{Name: "max.pending.records", Type: Int, Default: 10000, Validate: AtLeast(1), Importance: Medium, Unit: "records", DisplayName: "Max pending records",
			Doc: "Most records that a task holds when it is alone in its worker; tasks of one worker share: of six, each holds a sixth of its own limit. At the limit, partitions that have their share are paused."},
		{Name: "max.pending.bytes", Type: Long, Default: 33554432, Validate: AtLeast(1), Importance: Medium, Unit: "bytes", DisplayName: "Max pending bytes",
			Doc: "Most bytes of keys and values that a task holds when it is alone in its worker; tasks of one worker share: of six, each holds a sixth of its own limit. At the limit, partitions that have their share are paused."},
		{Name: "max.unsettled.span", Type: Long, Default: 50000, Validate: AtLeast(1), Importance: Low, Unit: "offsets", DisplayName: "Max unsettled span",
			Doc: "How far deliveries of a partition may pass its oldest unsettled offset before the partition is paused."},
	}
}

func recoveryKeys() []Key {
	return []Key{
		{Name: "delivery.retry.timeout.ms", Type: Long, Default: -1, Validate: AtLeast(-1), Importance: Medium, Unit: "ms", DisplayName: "Delivery retry timeout",
			Doc: "How long a delivery that may pass by itself is tried again before the task fails; -1 is without limit."},
		{Name: "delivery.retry.backoff.ms", Type: Long, Default: 100, Validate: AtLeast(0), Importance: Low, Unit: "ms", DisplayName: "Delivery retry backoff",
			Doc: "Wait before the first retry of a delivery. It doubles with each further one, per key."},
		{Name: "delivery.retry.backoff.max.ms", Type: Long, Default: 60000, Validate: AtLeast(0), Importance: Low, Unit: "ms", DisplayName: "Delivery retry backoff max",
			Doc: "Longest wait between two tries of a delivery."},
		{Name: "fencing.lease.ms", Type: Long, Default: 5000, Validate: AtLeast(1), Importance: Low, Unit: "ms", DisplayName: "Fencing lease",
			Doc: "How long after the consumer group last confirmed the task's membership a delivery may still start. It is renewed every third of it, and must be less than the consumer's session.timeout.ms, which is the worker's (10000) unless consumer.session.timeout.ms or consumer.override.session.timeout.ms say otherwise."},
		{Name: "offset.out.of.range", Default: "fail", Validate: OneOf("fail", "earliest"), Importance: Medium, DisplayName: "Offset out of range",
			Doc: "What happens when the committed offset is no longer in the log: fail stops the task and names the range that is gone, earliest goes on with what is left."},
		{Name: "replay.on.rewind", Default: "fail", Validate: OneOf("fail", "dedupe", "new"), Importance: Low, DisplayName: "Replay on rewind",
			Doc: "What happens after another tool than this one (kafka-consumer-groups, for example) has moved the connector's offsets, where the destination remembers names: fail stops the task before it starts anything, dedupe goes on under the old names, so that what was started before is not started again, new delivers everything below the log's present end again under new names."},
		{Name: "errors.skip.without.dlq", Type: Boolean, Default: false, Importance: Medium, DisplayName: "Skip without dead letter queue",
			Doc: "Consent that errors.tolerance=all without a dead letter queue loses the records that cannot be delivered."},
		{Name: "errors.restart.enable", Type: Boolean, Default: true, Importance: Medium, DisplayName: "Restart failed tasks",
			Doc: "Whether a task that failed from a cause that can heal is started again by itself."},
		{Name: "errors.restart.max.attempts", Type: Int, Default: -1, Validate: AtLeast(-1), Importance: Low, DisplayName: "Restart max attempts",
			Doc: "Most restarts of a failed task without progress in between; -1 is without limit."},
		{Name: "errors.restart.backoff.ms", Type: Long, Default: 1000, Validate: AtLeast(0), Importance: Low, Unit: "ms", DisplayName: "Restart backoff",
			Doc: "Wait before the first restart of a failed task. It doubles with each further one."},
		{Name: "errors.restart.backoff.max.ms", Type: Long, Default: 60000, Validate: AtLeast(0), Importance: Low, Unit: "ms", DisplayName: "Restart backoff max",
			Doc: "Longest wait between two restarts of a failed task."},
	}
}

// deliveryRules refuse a limit that another limit makes unreachable.
func deliveryRules(v Values) map[string][]string {
	errs := map[string][]string{}
	for _, pair := range [...][2]string{
		{"delivery.retry.backoff.ms", "delivery.retry.backoff.max.ms"},
		{"errors.restart.backoff.ms", "errors.restart.backoff.max.ms"},
		{"batch.max.records", "max.pending.records"},
		{"batch.max.bytes", "max.pending.bytes"},
	} {
		small, large := v.field(pair[0]), v.field(pair[1])
		if small.value != nil && large.value != nil && compare(small.value, large.value) > 0 {
			reason := "Value must be no more than " + pair[1] + ", which is " + javaText(large.value)
			errs[pair[0]] = append(errs[pair[0]], Invalid(pair[0], small.value, reason).Error())
		}
	}
	return errs
}

// leaseRule holds the lease below the session timeout where the connector sets that: a lease that
// outlives the session would let two members start the same change.
func leaseRule(v Values) map[string][]string {
	const lease, session = "fencing.lease.ms", "consumer.override.session.timeout.ms"
	ms, err := strconv.ParseInt(Trim(v.raw[session]), 10, 64)
	if err != nil || !v.Has(lease) || v.Long(lease) < ms {
		return nil
	}
	reason := "Value must be less than " + session + ", which is " + javaText(ms)
	return map[string][]string{lease: {Invalid(lease, v.Long(lease), reason).Error()}}
}

// SkipNeedsConsent is a rule for Def.Cross of sinks where a skipped record is a lost change:
// errors.tolerance=all without a dead letter queue needs errors.skip.without.dlq=true.
func SkipNeedsConsent(v Values) map[string][]string {
	consent, _ := ParseJavaBool(v.raw["errors.skip.without.dlq"])
	if Trim(v.raw["errors.tolerance"]) != "all" || Trim(v.raw["errors.deadletterqueue.topic.name"]) != "" || consent {
		return nil
	}
	return map[string][]string{"errors.tolerance": {"errors.tolerance=all without errors.deadletterqueue.topic.name loses the records that cannot be delivered; " +
		"set a dead letter queue, or errors.skip.without.dlq=true to accept the loss."}}
}
