package transform

import (
	"slices"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	kafkaPrefix     = "org.apache.kafka.connect.transforms."
	predicatePrefix = kafkaPrefix + "predicates."
	debeziumPrefix  = "io.debezium.transforms."
)

// Transforms gives the transforms of Apache Kafka 4.3, those of a key or value once for each
// ($Key, $Value), and Debezium's ExtractNewRecordState. The alias of each is its class without the
// package, such as ReplaceField$Value.
func Transforms() []connector.TransformPlugin {
	return slices.Concat(
		both("Cast", "Casts fields, or the whole, to another type.", castDef(), newCast),
		one("DropHeaders", "Removes headers by name.", dropHeadersDef(), newDropHeaders),
		both("ExtractField", "Puts one field in the place of the whole.", extractDef(), newExtract),
		one("Filter", "Drops every record; give it a predicate.", config.New(), newFilter),
		both("Flatten", "Makes fields of structs inside structs fields of the outermost, names joined by a delimiter.", flattenDef(), newFlatten),
		both("HeaderFrom", "Moves or copies fields to headers.", headerFromDef(), newHeaderFrom),
		both("HoistField", "Wraps the whole as the only field of a struct or map.", hoistDef(), newHoist),
		both("InsertField", "Adds the record's topic, partition, offset or timestamp, or a fixed text, as fields.", insertDef(), newInsert),
		one("InsertHeader", "Adds a header with a fixed value.", insertHeaderDef(), newInsertHeader),
		both("MaskField", "Replaces fields by the zero of their type, or by a fixed value.", maskDef(), newMask),
		one("RegexRouter", "Renames the topic by a regular expression.", routerDef(), newRouter),
		both("ReplaceField", "Drops, selects or renames fields.", replaceDef(), newReplace),
		both("SetSchemaMetadata", "Sets the name or version of the schema.", metadataDef(), newMetadata),
		both("TimestampConverter", "Converts a timestamp between text, Unix time and Kafka Connect's types.", timestampDef(), newTimestamp),
		one("TimestampRouter", "Renames the topic by the record's timestamp.", timeRouterDef(), newTimeRouter),
		one("ValueToKey", "Makes a key of fields of the value.", toKeyDef(), newToKey),
		[]connector.TransformPlugin{unwrapPlugin()},
	)
}

// Predicates gives the predicates of Apache Kafka 4.3.
func Predicates() []connector.PredicatePlugin {
	info := func(name, doc string) connector.Info {
		return connector.Info{Class: predicatePrefix + name, Aliases: []string{name}, Doc: doc}
	}
	return []connector.PredicatePlugin{
		{Info: info("HasHeaderKey", "Holds where the record has a header of that name."), Config: hasHeaderDef(), New: newHasHeader},
		{Info: info("RecordIsTombstone", "Holds where the value is null."), Config: config.New(), New: newIsTombstone},
		{Info: info("TopicNameMatches", "Holds where the whole topic name matches a regular expression."), Config: topicMatchesDef(), New: newTopicMatches},
	}
}

func one(name, doc string, def *config.Def, build func(config.Values) (connector.Transform, error)) []connector.TransformPlugin {
	return []connector.TransformPlugin{{
		Info:   connector.Info{Class: kafkaPrefix + name, Aliases: []string{name}, Doc: doc},
		Config: def, New: build,
	}}
}

func both(name, doc string, def *config.Def, build func(config.Values, part) (connector.Transform, error)) []connector.TransformPlugin {
	variant := func(suffix, where string, p part) connector.TransformPlugin {
		return one(name+suffix, doc+where, def, func(v config.Values) (connector.Transform, error) { return build(v, p) })[0]
	}
	return []connector.TransformPlugin{
		variant("$Key", " Works on the key.", keyPart),
		variant("$Value", " Works on the value.", valuePart),
	}
}

// keyFill is the key that most transforms have since Kafka 3.9 (KIP-1040).
const keyFill = "replace.null.with.default"

func fillKey() config.Key {
	return config.Key{Name: keyFill, Type: config.Boolean, Default: true, Importance: config.Medium,
		Doc: "Whether to replace fields that have a default value and that are null to the default value. When set to true, the default value is used, otherwise null is used."}
}

// filledList refuses the empty list, duplicates and empty items, as ConfigDef.ValidList does (KIP-1161).
func filledList() config.Validator {
	return config.Func("list without duplicates or empty items, not empty", func(name string, value any) error {
		if items, ok := value.([]string); ok && len(items) == 0 {
			return message("Configuration '" + name + "' must not be empty. Valid values include: any non-empty value")
		}
		return config.UniqueValues.Check(name, value)
	})
}

// message is an error of a configuration in Kafka's own words, which begin with a capital.
type message string

func (m message) Error() string { return string(m) }
