// Package glue is the converter of records whose schemas are in the AWS Glue Schema Registry: AWS's AWSKafkaAvroConverter
// for a sink. Schemas are compiled by connector/avro; this package knows the wire format (frame.go) and asks AWS
// (registry.go).
package glue

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/config"
)

// Class is the name under which Kafka Connect's users know this converter.
const Class = "com.amazonaws.services.schemaregistry.kafkaconnect.AWSKafkaAvroConverter"

// The keys that have an effect, as AWS's library calls them (AWSSchemaRegistryConstants), and Confluent's for unions.
const (
	keyRegion      = "region"
	keyEndpoint    = "endpoint"
	keyRole        = "assumeRoleArn"
	keyRoleSession = "assumeRoleSessionName"
	keyProxy       = "proxyUrl"
	keyCacheSize   = "cacheSize"
	keySecondary   = "secondaryDeserializer"
	keyEnhanced    = "enhanced.avro.schema.support"
)

// Plugin is AWS's AWSKafkaAvroConverter. Converters that it makes with equal settings share one client and one cache.
func Plugin() connector.ConverterPlugin { return plugin(firstWait) }

// plugin is Plugin with another wait before the first retry.
func plugin(wait time.Duration) connector.ConverterPlugin {
	shared := &avro.Shared[*registry]{}
	return connector.ConverterPlugin{
		Info: connector.Info{
			Class:   Class,
			Aliases: []string{"AWSKafkaAvroConverter", "AWSKafkaAvro", "GlueAvroConverter", "Glue"},
			Doc:     "Avro with the schemas in the AWS Glue Schema Registry.",
		},
		Config: definition(),
		New: func(v config.Values, isKey bool) (connector.Converter, error) {
			s := newSettings(v)
			r, release, err := shared.Take(fmt.Sprintf("%#v", s), func() (*registry, error) { return newRegistry(s, wait) })
			if err != nil {
				return nil, err
			}
			return &avro.Converter[schemaVersion]{Programs: r.Programs, IsKey: isKey, Release: release,
				Frame: func(_ []connector.RawHeader, data []byte) (schemaVersion, []byte, error) { return frame(data) }}, nil
		},
	}
}

// settings is what a registry client is made from.
type settings struct {
	region, endpoint, role, session, proxy string
	cacheSize                              int
	fullNames                              bool
}

func newSettings(v config.Values) settings {
	return settings{
		region: v.String(keyRegion), endpoint: v.String(keyEndpoint), role: v.String(keyRole), session: v.String(keyRoleSession),
		proxy: v.String(keyProxy), cacheSize: v.Int(keyCacheSize), fullNames: v.Bool(keyEnhanced),
	}
}

// definition declares the keys of the converter, without the prefix key.converter. or value.converter.
func definition() *config.Def {
	const registry, schemas = "Registry", "Schemas"
	return config.New(
		config.Key{Name: keyRegion, Type: config.String, Default: "", Importance: config.High, Group: registry,
			Doc: "The registry's region. Empty: that of the environment, the profile or the instance."},
		config.Key{Name: keyEndpoint, Type: config.String, Default: "", Importance: config.Medium, Group: registry, Validate: optionalURL(keyEndpoint),
			Doc: "URL of Glue's API, for a VPC endpoint. Empty: the region's."},
		config.Key{Name: keyRole, Type: config.String, Default: "", Importance: config.Medium, Group: registry,
			Validate: optional(keyRole, `^arn:aws[a-z-]*:iam::\d{12}:role/\S{1,512}$`, "the ARN of an IAM role"),
			Doc:      "IAM role to read the registry as, which may be of another account. It needs glue:GetSchemaVersion."},
		config.Key{Name: keyRoleSession, Type: config.String, Default: "kafka-connect-session", Importance: config.Low, Group: registry,
			Validate: optional(keyRoleSession, `^[\w+=,.@-]{2,64}$`, "2 to 64 of 0-9 A-Z a-z _ + = , . @ -"),
			Doc:      "Name of the session in CloudTrail, for " + keyRole + "."},
		config.Key{Name: keyProxy, Type: config.String, Default: "", Importance: config.Low, Group: registry, Validate: optionalURL(keyProxy),
			Doc: "URL of an HTTP proxy. Without it HTTPS_PROXY and NO_PROXY of the environment count."},
		config.Key{Name: keyCacheSize, Type: config.Int, Default: 200, Importance: config.Low, Group: schemas, Validate: config.AtLeast(1),
			Doc: "How many compiled schemas are kept."},
		config.Key{Name: keyEnhanced, Type: config.Boolean, Default: false, Importance: config.Medium, Group: schemas,
			Doc: "Name the branches of unions by the full names of their types, not the last part."},
		config.Key{Name: keySecondary, Type: config.String, Default: "", Importance: config.Low, Group: schemas, Validate: noSecondary(),
			Doc: "Must be empty: a topic is read by one converter. Records of a Confluent registry are AvroConverter's."},
		config.Key{Name: "avroRecordType", Type: config.String, Default: "GENERIC_RECORD", Importance: config.Low, Group: schemas,
			Validate: config.OneOf("GENERIC_RECORD", "SPECIFIC_RECORD", "UNKNOWN"), Doc: "No effect: values are read as their schemas say, without Java classes."},
		config.Key{Name: "timeToLiveMillis", Type: config.Long, Default: 86_400_000, Unit: "ms", Importance: config.Low, Group: schemas,
			Doc: "No effect: a schema version never changes, and is kept until the cache is full."},
		config.Key{Name: "connect.meta.data", Type: config.Boolean, Default: true, Importance: config.Low, Group: schemas,
			Doc: "Accepted; connect.* attributes are always read, for they say what a value means."},
		config.Key{Name: "schemas.cache.config", Type: config.Int, Default: 1000, Importance: config.Low, Group: schemas, Doc: "No effect; see " + keyCacheSize + "."},
	).With(config.New(producerKeys()...))
}

// producerKeys are accepted so that a configuration can be shared with a source connector.
func producerKeys() []config.Key {
	var keys []config.Key
	for _, name := range []string{"registry.name", "schemaName", "schemaNameGenerationClass", "dataFormat", "compression", "compatibility",
		"schemaAutoRegistrationEnabled", "description", "tags", "metadata", "userAgentApp", "jacksonSerializationFeatures",
		"jacksonDeserializationFeatures", "protobufMessageType", "registerJavaTimeModule", "objectMapperFactory"} {
		keys = append(keys, config.Key{Name: name, Type: config.String, Default: nil, Importance: config.Low, Group: "Producer",
			Doc: "Of producers or other formats; no effect."})
	}
	return keys
}

func optional(name, pattern, what string) config.Validator {
	re := regexp.MustCompile(pattern)
	return config.Func(what, func(_ string, value any) error {
		if text, _ := value.(string); text != "" && !re.MatchString(text) {
			return fmt.Errorf("%s is not %s", name, what)
		}
		return nil
	})
}

func optionalURL(name string) config.Validator {
	return config.Func("an http:// or https:// URL", func(_ string, value any) error {
		text, _ := value.(string)
		if text == "" {
			return nil
		}
		// The text stays out of the error: it may carry a password.
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%s is no http:// or https:// URL", name)
		}
		return nil
	})
}

func noSecondary() config.Validator {
	return config.Func("empty", func(_ string, value any) error {
		if text, _ := value.(string); text != "" {
			return errors.New(keySecondary + " is not supported: read the topic's older records with io.confluent.connect.avro.AvroConverter, in a connector of their own")
		}
		return nil
	})
}
