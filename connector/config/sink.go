package config

import (
	"maps"
	"slices"
	"strings"
)

// SinkConnectorDef gives what the host itself reads of a sink connector's configuration: Kafka
// Connect's keys (ConnectDef), then ours (DeliveryDef).
func SinkConnectorDef() *Def { return ConnectDef().With(DeliveryDef()) }

// ForSink gives the whole definition of a sink connector: SinkConnectorDef with the keys of the
// transforms and predicates that a configuration names, converters checked by lookup, and the
// sink's own keys, which replace those of the host where both declare one and accept null.
// classes gives the class names to recommend for a kind; it may be nil.
func ForSink(own *Def, lookup Lookup, classes func(kind string) []string) *Def {
	d := ConnectDef()
	for _, role := range []string{"key", "value", "header"} {
		kind := KindConverter
		if role == "header" {
			kind = KindHeaderConverter
		}
		d = d.Change(role+".converter", func(k *Key) { *k = k.naming(kind, lookup, classes) })
	}
	if own.version != "" {
		d = d.Change("connector.plugin.version", func(k *Key) { k.Default = own.version })
	}
	d = d.With(Transforms(lookup, classes)).With(DeliveryDef())

	own = own.nullable()
	for _, k := range own.Keys() {
		if _, redefined := d.Lookup(k.Name); redefined {
			d = d.Change(k.Name, func(host *Key) { *host = k })
		}
	}
	d = d.With(own)
	d.class, d.version = own.class, own.version
	return d
}

// nullable gives the same definition with every key Nullable: Kafka's check for nulls is for the
// host's keys and for those that nobody declares.
func (d *Def) nullable() *Def {
	c := d.clone()
	for i, p := range c.parts {
		if p.expand == nil {
			c.parts[i].key.Nullable = true
			continue
		}
		c.parts[i].expand = func(raw map[string]string) []Key {
			keys := slices.Clone(p.expand(raw))
			for j := range keys {
				keys[j].Nullable = true
			}
			return keys
		}
	}
	return c
}

// ConnectDef gives Kafka Connect's own keys of a sink connector (ConnectorConfig and
// SinkConnectorConfig of 4.3), with its rules over topics, topics.regex and the dead letter queue.
func ConnectDef() *Def {
	return New(slices.Concat(commonKeys(), errorKeys(), sinkKeys())...).Cross(topicRules).Cross(converterRules)
}

func commonKeys() []Key {
	const inherited = " By default the worker's."
	return []Key{
		{Name: "name", Required: true, Validate: NoControlChars, Group: "Common", Order: 1, Width: WidthMedium, DisplayName: "Connector name",
			Doc: "Name of the connector, unique in the cluster."},
		{Name: "connector.class", Required: true, Group: "Common", Order: 2, Width: WidthLong, DisplayName: "Connector class",
			Doc: "Class of the connector: its full name, its simple name, or that without Connector at the end."},
		{Name: "connector.plugin.version", Importance: Medium, Group: "Common", Order: 3, Width: WidthMedium, DisplayName: "Connector version",
			Doc: "Version of the connector's plugin, or a range of versions."},
		{Name: "tasks.max", Type: Int, Default: 1, Validate: AtLeast(1), Group: "Common", Order: 4, Width: WidthShort, DisplayName: "Tasks max",
			Doc: "Most tasks that the connector may run."},
		{Name: "tasks.max.enforce", Type: Boolean, Default: true, Importance: Low, Group: "Common", Order: 5, Width: WidthShort, DisplayName: "Enforce tasks max",
			Doc: "Whether a connector that asks for more tasks than tasks.max fails. Deprecated in Kafka Connect."},
		{Name: "key.converter", Type: Class, Importance: Low, Group: "Common", Order: 6, Width: WidthShort, DisplayName: "Key converter class",
			Doc: "Class that turns a record's key from bytes into a value." + inherited},
		{Name: "key.converter.plugin.version", Importance: Low, Group: "Common", Order: 7, Width: WidthShort, DisplayName: "Key converter version",
			Doc: "Version of the key converter's plugin." + inherited},
		{Name: "value.converter", Type: Class, Importance: Low, Group: "Common", Order: 8, Width: WidthShort, DisplayName: "Value converter class",
			Doc: "Class that turns a record's value from bytes into a value." + inherited},
		{Name: "value.converter.plugin.version", Importance: Low, Group: "Common", Order: 9, Width: WidthShort, DisplayName: "Value converter version",
			Doc: "Version of the value converter's plugin." + inherited},
		{Name: "header.converter", Type: Class, Importance: Low, Group: "Common", Order: 10, Width: WidthShort, DisplayName: "Header converter class",
			Doc: "Class that turns a record's headers from bytes into values." + inherited},
		{Name: "header.converter.plugin.version", Importance: Low, Group: "Common", Order: 11, Width: WidthShort, DisplayName: "Header converter version",
			Doc: "Version of the header converter's plugin." + inherited},
		{Name: "transforms", Type: List, Default: []string{}, Validate: uniqueAliases("transformation"), Importance: Low, Group: "Transforms", Order: 12, Width: WidthLong, DisplayName: "Transforms",
			Doc: "Aliases of the transformations, in the order in which they are applied to a record."},
		{Name: "predicates", Type: List, Default: []string{}, Validate: uniqueAliases("predicate"), Importance: Low, Group: "Predicates", Order: 13, Width: WidthLong, DisplayName: "Predicates",
			Doc: "Aliases of the predicates that transformations use."},
		{Name: "config.action.reload", Default: "restart", Validate: OneOf("none", "restart"), Importance: Low, Group: "Common", Order: 14, Width: WidthMedium, DisplayName: "Reload Action",
			Doc: "What to do when a config provider says that a value of this configuration expires: restart the connector, or none."},
	}
}

func errorKeys() []Key {
	k := func(name, display string, t Type, def any, w Width, doc string) Key {
		return Key{Name: name, Type: t, Default: def, Importance: Medium, Group: "Error Handling", Width: w, DisplayName: display, Doc: doc}
	}
	keys := []Key{
		k("errors.retry.timeout", "Retry Timeout for Errors", Long, 0, WidthMedium, "How long a conversion or transformation that failed in passing is tried again; 0 is not at all, -1 without limit. Where it is not set and errors.tolerance is all, it is without limit: a schema registry that is down must not send a topic to the dead letter queue."),
		k("errors.retry.delay.max.ms", "Maximum Delay Between Retries for Errors", Long, 60000, WidthMedium, "Longest wait between two tries of a failed conversion or transformation."),
		k("errors.tolerance", "Error Tolerance", String, "none", WidthShort, "What happens to a record that can never be delivered: none fails the task, all goes on without the record."),
		k("errors.log.enable", "Log Errors", Boolean, false, WidthShort, "Whether each failed record is logged, tolerated ones included."),
		k("errors.log.include.messages", "Log Error Details", Boolean, false, WidthShort, "Whether the log names the record's topic, partition, offset and timestamp. Keys and values are never logged."),
	}
	keys[0].Unit, keys[1].Unit = "ms", "ms"
	keys[2].Validate = OneOf("none", "all")
	return keys
}

func sinkKeys() []Key {
	return []Key{
		{Name: "topics", Type: List, Default: []string{}, Validate: UniqueValues, Group: "Common", Order: 4, Width: WidthLong, DisplayName: "Topics",
			Doc: "Topics to consume. Exactly one of topics and topics.regex is set."},
		{Name: "topics.regex", Default: "", Validate: Func("valid regex (RE2)", checkRegex), Group: "Common", Order: 4, Width: WidthLong, DisplayName: "Topics regex",
			Doc: "Regular expression (RE2 syntax) that matches the whole name of each topic to consume."},
		{Name: "errors.deadletterqueue.topic.name", Default: "", Importance: Medium, Group: "Error Handling", Order: 6, Width: WidthMedium, DisplayName: "Dead Letter Queue Topic Name",
			Doc: "Topic that gets the records which can never be delivered, as they were consumed. Empty: none."},
		{Name: "errors.deadletterqueue.topic.replication.factor", Type: Short, Default: 3, Importance: Medium, Group: "Error Handling", Order: 7, Width: WidthMedium, DisplayName: "Dead Letter Queue Topic Replication Factor",
			Doc: "Replication factor of the dead letter queue where the worker has to create it."},
		{Name: "errors.deadletterqueue.context.headers.enable", Type: Boolean, Default: false, Importance: Medium, Group: "Error Handling", Order: 8, Width: WidthMedium, DisplayName: "Enable Error Context Headers",
			Doc: "Whether records in the dead letter queue get headers that tell where they come from and what went wrong (__connect.errors.*)."},
	}
}

func uniqueAliases(kind string) Validator {
	return All(NonNull, Func("unique "+kind+" aliases", func(name string, value any) error {
		if items, _ := value.([]string); duplicates(items) {
			return Invalid(name, value, "Duplicate alias provided.")
		}
		return nil
	}))
}

func checkRegex(name string, value any) error {
	pattern, ok := value.(string)
	if !ok {
		return Invalid(name, value, "Invalid regex: it is null")
	}
	if _, err := TopicsRegex(pattern); err != nil {
		return Invalid(name, value, "Invalid regex: "+err.Error())
	}
	return nil
}

// topicRules are SinkConnectorConfig.validate's. They look at the texts as given, because Kafka's
// do, and because a list with a duplicate in it still counts as given.
func topicRules(v Values) map[string][]string {
	topics, regex, dlq := Trim(v.raw["topics"]), Trim(v.raw["topics.regex"]), Trim(v.raw["errors.deadletterqueue.topic.name"])
	both := func(text string) map[string][]string {
		return map[string][]string{"topics": {text}, "topics.regex": {text}}
	}
	errs := map[string][]string{}
	switch {
	case topics == "" && regex == "":
		errs = both("Must configure one of topics or topics.regex")
	case topics != "" && regex != "":
		errs = both("topics and topics.regex are mutually exclusive options, but both are set.")
	}
	if dlq == "" {
		return errs
	}
	if list := consumed(topics); slices.Contains(list, dlq) {
		errs["topics"] = append(errs["topics"], "The DLQ topic '"+dlq+"' may not be included in the list of topics ('topics="+javaText(list)+"') consumed by the connector")
	}
	if re, err := TopicsRegex(regex); err == nil && regex != "" && re.MatchString(dlq) {
		errs["topics.regex"] = append(errs["topics.regex"], "The DLQ topic '"+dlq+"' may not be matched by the regex for the topics ('topics.regex="+v.raw["topics.regex"]+"') consumed by the connector")
	}
	return errs
}

// consumed gives the topics of a list as Kafka subscribes to them: each once, empty items dropped.
func consumed(topics string) []string {
	return slices.DeleteFunc(distinct(SplitList(topics)), func(topic string) bool { return topic == "" })
}

// converterRules refuse what Kafka Connect ignores in silence: keys of a converter in a
// configuration that does not name the converter, so that the worker's is used with its own keys.
func converterRules(v Values) map[string][]string {
	errs := map[string][]string{}
	for _, role := range []string{"key", "value", "header"} {
		converter := role + ".converter"
		if _, named := v.raw[converter]; named {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(v.raw)) {
			if strings.HasPrefix(name, converter+".") && name != converter+".plugin.version" {
				errs[converter] = append(errs[converter], "Config '"+name+"' was provided but there is no config '"+converter+"' naming the converter that it configures.")
			}
		}
	}
	return errs
}

// GroupConflict is a rule for Def.Cross: a connector's consumer group must not be the group of the
// distributed workers themselves.
func GroupConflict(workerGroup string) func(Values) map[string][]string {
	const override = "consumer.override.group.id"
	return func(v Values) map[string][]string {
		group, overridden := v.raw[override]
		switch {
		case overridden && group == workerGroup:
			return map[string][]string{override: {"Consumer group " + group + " conflicts with Connect worker group " + workerGroup}}
		case !overridden && "connect-"+Trim(v.raw["name"]) == workerGroup:
			return map[string][]string{"name": {"Consumer group for sink connector named " + Trim(v.raw["name"]) + " conflicts with Connect worker group " + workerGroup}}
		}
		return nil
	}
}
