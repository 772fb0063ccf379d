package avro

import (
	"fmt"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// Class is the name under which Kafka Connect's users know this converter.
const Class = "io.confluent.connect.avro.AvroConverter"

// The keys that have an effect, as Confluent's AvroConverter and registry client call them.
const (
	keyURL            = "schema.registry.url"
	keyBasicSource    = "basic.auth.credentials.source"
	keyUserInfo       = "basic.auth.user.info"
	keyBearerSource   = "bearer.auth.credentials.source"
	keyBearerToken    = "bearer.auth.token"
	keyTruststore     = "schema.registry.ssl.truststore.location"
	keyTruststoreText = "schema.registry.ssl.truststore.certificates"
	keyKeystore       = "schema.registry.ssl.keystore.location"
	keyKeystoreKey    = "schema.registry.ssl.keystore.key"
	keyKeystoreChain  = "schema.registry.ssl.keystore.certificate.chain"
	keyKeyPassword    = "schema.registry.ssl.key.password"
	keyHostCheck      = "schema.registry.ssl.endpoint.identification.algorithm"
	keyProxyHost      = "proxy.host"
	keyProxyPort      = "proxy.port"
	keyConnectTimeout = "http.connect.timeout.ms"
	keyReadTimeout    = "http.read.timeout.ms"
	keyRetries        = "max.retries"
	keyRetryWait      = "retries.wait.ms"
	keyRetryMaxWait   = "retries.max.wait.ms"
	keyCacheSize      = "schemas.cache.config"
	keyEnhanced       = "enhanced.avro.schema.support"
)

// Plugin is Confluent's AvroConverter, which also reads what Apicurio's writes in the same wire
// form (apicurio.registry.as-confluent) over Apicurio's ccompat API. Converters that it makes with
// equal settings share one registry client and one cache.
func Plugin() connector.ConverterPlugin {
	shared, calls := &Shared[*registry]{}, &callMetrics{}
	build := func(v config.Values, isKey bool) (connector.Converter, error) {
		s, err := newSettings(v)
		if err != nil {
			return nil, err
		}
		r, release, err := shared.Take(s.fingerprint(), func() (*registry, error) {
			r, err := newRegistry(s)
			if err == nil {
				r.client.watch = calls.ended
			}
			return r, err
		})
		if err != nil {
			return nil, err
		}
		name := headerValueSchema
		if isKey {
			name = headerKeySchema
		}
		return &Converter[schemaID]{Programs: r.Programs, IsKey: isKey, Release: release,
			Frame: func(headers []connector.RawHeader, data []byte) (schemaID, []byte, error) {
				return frame(headers, name, data)
			}}, nil
	}
	return connector.ConverterPlugin{
		Info: connector.Info{
			Class:   Class,
			Aliases: []string{"AvroConverter", "Avro"},
			Doc:     "Avro with the schemas in a Confluent schema registry, or one that speaks its API.",
		},
		Config:  definition(),
		New:     build,
		Measure: calls.measure,
	}
}

// definition declares the keys of the converter, without the prefix key.converter. or value.converter.
func definition() *config.Def {
	d := config.New(registryKeys()...)
	for _, keys := range [][]config.Key{authKeys(), tlsKeys(), schemaKeys(), producerKeys()} {
		d = d.With(config.New(keys...))
	}
	return d
}

func registryKeys() []config.Key {
	const group = "Registry"
	return []config.Key{
		{Name: keyURL, Type: config.List, Required: true, Importance: config.High, Group: group, Validate: registryURLs(),
			Doc: "URLs of the schema registry, separated by commas; the next is tried when one cannot be reached. Apicurio: …/apis/ccompat/v7."},
		{Name: keyConnectTimeout, Type: config.Int, Default: 10_000, Unit: "ms", Importance: config.Low, Group: group, Validate: config.AtLeast(1),
			Doc: "The longest time to wait for a connection."},
		{Name: keyReadTimeout, Type: config.Int, Default: 10_000, Unit: "ms", Importance: config.Low, Group: group, Validate: config.AtLeast(1),
			Doc: "The longest time to wait for an answer."},
		{Name: keyRetries, Type: config.Int, Default: 3, Importance: config.Low, Group: group, Validate: config.Between(0, 100),
			Doc: "How often a fetch is tried again, over all URLs, before errors.retry.timeout and errors.tolerance decide."},
		{Name: keyRetryWait, Type: config.Int, Default: 1000, Unit: "ms", Importance: config.Low, Group: group, Validate: config.AtLeast(1),
			Doc: "The wait before the first retry; it doubles from one to the next."},
		{Name: keyRetryMaxWait, Type: config.Int, Default: 20_000, Unit: "ms", Importance: config.Low, Group: group, Validate: config.AtLeast(1),
			Doc: "The longest wait between two retries. A fetch takes at most 60 seconds with all of them."},
		{Name: keyProxyHost, Type: config.String, Default: "", Importance: config.Low, Group: group,
			Doc: "Host of an HTTP proxy. Without it HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment count."},
		{Name: keyProxyPort, Type: config.Int, Default: 8080, Importance: config.Low, Group: group, Validate: config.Between(1, 65_535),
			Doc: "Port of the HTTP proxy."},
	}
}

func registryURLs() config.Validator {
	return config.Func("http:// and https:// URLs", func(name string, value any) error {
		list, _ := value.([]string)
		if len(list) == 0 {
			return fmt.Errorf("%s names no URL", name)
		}
		for _, text := range list {
			if _, err := newEndpoint(text); err != nil {
				return err
			}
		}
		return nil
	})
}

func authKeys() []config.Key {
	const group = "Authentication"
	return []config.Key{
		{Name: keyBasicSource, Type: config.String, Default: "URL", Importance: config.Medium, Group: group, Validate: config.OneOf("URL", "USER_INFO"),
			Doc: "Where user and password come from: URL (https://user:password@host) or USER_INFO (" + keyUserInfo + ")."},
		{Name: keyUserInfo, Type: config.Password, Default: "", Importance: config.Medium, Group: group,
			Doc: "user:password, for " + keyBasicSource + "=USER_INFO."},
		{Name: "schema.registry." + keyUserInfo, Type: config.Password, Default: "", Importance: config.Low, Group: group,
			Doc: "The older name of " + keyUserInfo + "."},
		{Name: keyBearerSource, Type: config.String, Default: "", Importance: config.Medium, Group: group, Validate: config.OneOf("", "STATIC_TOKEN"),
			Doc: "STATIC_TOKEN sends " + keyBearerToken + ", which then comes before user and password."},
		{Name: keyBearerToken, Type: config.Password, Default: "", Importance: config.Medium, Group: group,
			Doc: "The token, for " + keyBearerSource + "=STATIC_TOKEN."},
	}
}

func tlsKeys() []config.Key {
	const group = "TLS"
	prefix := "schema.registry.ssl."
	return []config.Key{
		{Name: keyTruststore, Type: config.String, Importance: config.Medium, Group: group,
			Doc: "File with the certificates of the authorities to trust, in PEM. Without it the system's count."},
		{Name: prefix + "truststore.type", Type: config.String, Default: "JKS", Importance: config.Medium, Group: group,
			Doc: "Must be PEM when a truststore is set: Java's own formats cannot be read."},
		{Name: prefix + "truststore.password", Type: config.Password, Importance: config.Low, Group: group, Doc: "No effect: certificates in PEM have none."},
		{Name: keyTruststoreText, Type: config.Password, Default: "", Importance: config.Low, Group: group, Doc: "The certificates themselves, in PEM, in place of the file."},
		{Name: keyKeystore, Type: config.String, Importance: config.Medium, Group: group,
			Doc: "File with the client's private key and certificate chain, in PEM."},
		{Name: prefix + "keystore.type", Type: config.String, Default: "JKS", Importance: config.Medium, Group: group,
			Doc: "Must be PEM when a keystore is set."},
		{Name: prefix + "keystore.password", Type: config.Password, Importance: config.Low, Group: group, Doc: "No effect: PEM files have none."},
		{Name: keyKeystoreKey, Type: config.Password, Default: "", Importance: config.Low, Group: group, Doc: "The private key itself, in PEM, in place of the file."},
		{Name: keyKeystoreChain, Type: config.Password, Default: "", Importance: config.Low, Group: group, Doc: "The certificate chain that goes with it, in PEM."},
		{Name: keyKeyPassword, Type: config.Password, Importance: config.Low, Group: group, Doc: "Must not be set: encrypted keys cannot be read."},
		{Name: keyHostCheck, Type: config.String, Default: "https", Importance: config.Low, Group: group, Validate: config.OneOfFold("https", ""),
			Doc: "Empty: the certificate's host name is not checked."},
	}
}

func schemaKeys() []config.Key {
	const group = "Schemas"
	return []config.Key{
		{Name: keyCacheSize, Type: config.Int, Default: 1000, Importance: config.Low, Group: group, Validate: config.AtLeast(1),
			Doc: "How many compiled schemas are kept."},
		{Name: keyEnhanced, Type: config.Boolean, Default: false, Importance: config.Medium, Group: group,
			Doc: "Name the branches of unions by the full names of their types, not the last part."},
		{Name: "connect.meta.data", Type: config.Boolean, Default: true, Importance: config.Low, Group: group,
			Doc: "Accepted; connect.* attributes are always read, for they say what a value means."},
	}
}

// producerKeys are accepted so that a configuration can be shared with a source connector.
func producerKeys() []config.Key {
	const doc = "Producer side; no effect."
	key := func(name string, t config.Type, def any) config.Key {
		return config.Key{Name: name, Type: t, Default: def, Importance: config.Low, Group: "Producer", Doc: doc}
	}
	return []config.Key{
		key("auto.register.schemas", config.Boolean, true),
		key("use.latest.version", config.Boolean, false),
		key("key.subject.name.strategy", config.String, nil),
		key("value.subject.name.strategy", config.String, nil),
	}
}
