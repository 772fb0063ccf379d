package kafka

import (
	"math"
	"strings"
)

// effect is what becomes of a Java client property.
type effect uint8

const (
	renames  effect = iota // taken, under librdkafka's name
	ignores                // without effect here, for the reason given
	refuses                // an error, with the remedy
	combines               // taken together with others (ssl, sasl)
)

// rule is one row of the table of Java client properties.
type rule struct {
	key   string // a trailing * stands for any rest
	does  effect
	to    string // librdkafka's name
	value func(string) (value, note string, err error)
	note  string // the reason, the remedy, or what to know
	// emptyCounts: an empty value says something.
	emptyCounts bool
}

// startAtKey marks the one property that becomes SourceConfig.StartAt.
const startAtKey = "auto.offset.reset"

func same(key string, value func(string) (string, string, error)) rule {
	return rule{key: key, to: key, value: value}
}

func renamed(key, to string, value func(string) (string, string, error), note string) rule {
	return rule{key: key, to: to, value: value, note: note}
}

func ignored(key, why string) rule { return rule{key: key, does: ignores, note: why} }
func refused(key, why string) rule { return rule{key: key, does: refuses, note: why} }
func combined(key, how string) rule {
	return rule{key: key, does: combines, note: how}
}

// javaRules is the table, in the order of the documentation.
func javaRules() []rule {
	rules := commonRules()
	rules = append(rules, consumerRules()...)
	rules = append(rules, producerRules()...)
	return append(rules, securityRules()...)
}

func commonRules() []rule {
	return []rule{
		same("bootstrap.servers", nil),
		same("client.id", nil),
		same("client.rack", nil),
		same("client.dns.lookup", func(v string) (string, string, error) {
			if strings.EqualFold(v, "default") { // gone from Java since 2.6, still in files
				return "use_all_dns_ips", "taken as use_all_dns_ips", nil
			}
			return oneOf("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only")(v)
		}),
		renamed("request.timeout.ms", "socket.timeout.ms", within(10, 300000), ""),
		ignored("default.api.timeout.ms", "every call of the host has its own limit"),
		same("connections.max.idle.ms", offWhenNegative(math.MaxInt32)),
		renamed("metadata.max.age.ms", "topic.metadata.refresh.interval.ms", within(10, 3600000), "how soon new partitions are seen"),
		ignored("metadata.max.idle.ms", "librdkafka forgets topics by itself"),
		same("metadata.recovery.strategy", oneOf("none", "rebootstrap")),
		same("metadata.recovery.rebootstrap.trigger.ms", within(0, math.MaxInt32)),
		same("retry.backoff.ms", within(1, 300000)),
		same("retry.backoff.max.ms", within(1, 300000)),
		same("reconnect.backoff.ms", within(0, 3600000)),
		same("reconnect.backoff.max.ms", within(0, 3600000)),
		same("socket.connection.setup.timeout.ms", within(1000, math.MaxInt32)),
		ignored("socket.connection.setup.timeout.max.ms", "librdkafka does not grow the set-up timeout"),
		renamed("send.buffer.bytes", "socket.send.buffer.bytes", offWhenNegative(100000000), ""),
		renamed("receive.buffer.bytes", "socket.receive.buffer.bytes", offWhenNegative(100000000), ""),
		ignored("enable.metrics.push", "client metrics are never pushed; the worker has its own /metrics"),
		ignored("metric.reporters", "Java classes; the worker has its own /metrics"),
		ignored("metrics.*", "Java metrics; the worker has its own /metrics"),
		ignored("auto.include.jmx.reporter", "there is no JMX; the worker has its own /metrics"),
		ignored("interceptor.classes", "Java classes; the worker's metrics and traces show what interceptors would"),
	}
}

func consumerRules() []rule {
	return []rule{
		same("group.id", nil),
		same("group.instance.id", nil),
		same("group.protocol", oneOf("classic", "consumer")),
		same("group.remote.assignor", nil),
		{key: "auto.offset.reset", to: startAtKey, value: startAt},
		renamed("partition.assignment.strategy", "partition.assignment.strategy", assignors,
			"class names become range, roundrobin or cooperative-sticky (the default); not with group.protocol=consumer"),
		renamed("session.timeout.ms", "session.timeout.ms", within(1, 3600000), "not with group.protocol=consumer"),
		renamed("heartbeat.interval.ms", "heartbeat.interval.ms", within(1, 3600000), "not with group.protocol=consumer"),
		same("max.poll.interval.ms", within(1, 86400000)),
		ignored("max.poll.records", "records are taken as the task has room; batch.max.records bounds a delivery"),
		same("fetch.min.bytes", within(1, 100000000)),
		same("fetch.max.bytes", within(0, 2147483135)),
		renamed("fetch.max.wait.ms", "fetch.wait.max.ms", within(0, 300000), ""),
		renamed("max.partition.fetch.bytes", "fetch.message.max.bytes", within(1, 1000000000), ""),
		same("check.crcs", oneOf("true", "false")),
		same("allow.auto.create.topics", oneOf("true", "false")),
		ignored("isolation.level", "always read_committed: what a transaction took back is not delivered"),
		ignored("enable.auto.commit", "offsets are committed when their records are settled"),
		ignored("auto.commit.interval.ms", "offsets are committed when their records are settled"),
		ignored("exclude.internal.topics", "Kafka's own topics are never matched by topics.regex"),
		ignored("key.deserializer", "records are taken as bytes; converters decode them"),
		ignored("value.deserializer", "records are taken as bytes; converters decode them"),
	}
}

func producerRules() []rule {
	return []rule{
		ignored("acks", "always all"),
		ignored("enable.idempotence", "always true"),
		ignored("retries", "messages are retried until delivery.timeout.ms"),
		ignored("transactional.id", "the host names its transactions itself"),
		same("transaction.timeout.ms", within(1000, math.MaxInt32)),
		same("delivery.timeout.ms", within(1, math.MaxInt32)),
		same("linger.ms", within(0, 900000)),
		same("batch.size", within(1, math.MaxInt32)),
		renamed("buffer.memory", "queue.buffering.max.kbytes", kibibytes, "in KiB"),
		renamed("max.request.size", "message.max.bytes", within(1000, 1000000000), ""),
		same("max.in.flight.requests.per.connection", within(1, 5)),
		same("compression.type", oneOf("none", "gzip", "snappy", "lz4", "zstd")),
		ignored("compression.gzip.level", "librdkafka's default level is used; set compression.level"),
		ignored("compression.lz4.level", "librdkafka's default level is used; set compression.level"),
		ignored("compression.zstd.level", "librdkafka's default level is used; set compression.level"),
		ignored("max.block.ms", "a write waits as long as its delivery may take"),
		refused("partitioner.class", "Java classes cannot be loaded; remove it (keys are placed as by Java's default) or set librdkafka's partitioner"),
		ignored("partitioner.*", "librdkafka places messages without keys by itself"),
		ignored("key.serializer", "messages are written as bytes"),
		ignored("value.serializer", "messages are written as bytes"),
	}
}

func securityRules() []rule {
	const byName = "part of the certificate settings"
	return []rule{
		same("security.protocol", oneOf("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
		refused("security.providers", "Java security providers cannot be loaded; remove it"),
		combined("ssl.truststore.location", "`ssl.ca.location` when it is a PEM file; JKS and PKCS12 are **refused** with the command that converts them"),
		combined("ssl.truststore.type", "JKS (the default), PKCS12 or PEM"),
		combined("ssl.truststore.certificates", "`ssl.ca.pem`"),
		combined("ssl.truststore.password", "not needed: PEM certificates have none"),
		combined("ssl.keystore.location", "`ssl.keystore.location` for PKCS12; `ssl.certificate.location` and `ssl.key.location` for PEM; JKS is **refused** with the command that converts it"),
		combined("ssl.keystore.type", "JKS (the default), PKCS12 or PEM"),
		combined("ssl.keystore.password", "the same, for PKCS12"),
		combined("ssl.keystore.certificate.chain", "`ssl.certificate.pem`"),
		combined("ssl.keystore.key", "`ssl.key.pem`"),
		combined("ssl.key.password", "the same"),
		{key: "ssl.endpoint.identification.algorithm", to: "ssl.endpoint.identification.algorithm", emptyCounts: true,
			value: func(v string) (string, string, error) {
				if v == "" {
					return "none", "", nil
				}
				return oneOf("https", "none")(v)
			}, note: "empty becomes `none`: host names are not checked"},
		combined("ssl.protocol", "TLS 1.2 or newer is always negotiated; older values are **refused**"),
		combined("ssl.enabled.protocols", "must hold TLSv1.2, since librdkafka cannot switch it off"),
		combined("ssl.cipher.suites", "by OpenSSL's names; Java's names are **refused**"),
		combined("ssl.keymanager.algorithm", byName), combined("ssl.trustmanager.algorithm", byName),
		refused("ssl.provider", "Java security providers cannot be loaded; remove it"),
		refused("ssl.secure.random.implementation", "OpenSSL has its own source of random numbers; remove it"),
		refused("ssl.engine.factory.class", "Java classes cannot be loaded; give certificates by files or PEM properties"),
		combined("sasl.mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, and AWS_MSK_IAM as OAUTHBEARER with signed tokens; GSSAPI is **refused**"),
		combined("sasl.jaas.config", "`sasl.username` and `sasl.password`, the `sasl.oauthbearer.` properties, or the IAM role"),
		combined("sasl.client.callback.handler.class", "Amazon's IAM handler is built in; others are **refused**"),
		combined("sasl.login.callback.handler.class", "Kafka's and Strimzi's OAuth handlers and Amazon's IAM handler are built in; others are **refused**"),
		refused("sasl.login.class", "Java classes cannot be loaded; remove it"),
		combined("sasl.kerberos.*", "without effect unless sasl.mechanism is GSSAPI, which is **refused**"),
		ignored("sasl.login.*", "tokens are renewed when four fifths of their life have passed"),
		renamed("sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.token.endpoint.url", nil, ""),
		renamed("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id", nil, ""),
		renamed("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret", nil, ""),
		same("sasl.oauthbearer.scope", nil),
		ignored("sasl.oauthbearer.scope.claim.name", "brokers read the token, the client does not"),
		ignored("sasl.oauthbearer.sub.claim.name", "brokers read the token, the client does not"),
		ignored("sasl.oauthbearer.clock.skew.seconds", "brokers read the token, the client does not"),
		ignored("sasl.oauthbearer.expected.*", "brokers read the token, the client does not"),
		ignored("sasl.oauthbearer.jwks.*", "brokers read the token, the client does not"),
		ignored("sasl.oauthbearer.header.urlencode", "client credentials are sent as RFC 6749 says"),
		refused("sasl.oauthbearer.jwt.retriever.class", "Java classes cannot be loaded; use sasl.oauthbearer.token.endpoint.url with a client id and secret"),
		refused("sasl.oauthbearer.jwt.validator.class", "Java classes cannot be loaded; remove it"),
	}
}
