package kafka

import "strings"

// ownNames is the set of librdkafka's own property names that a user may give (librdkafka 2.15.1,
// CONFIGURATION.md), without those that take callbacks.
func ownNames() map[string]bool {
	names := make(map[string]bool, 128)
	for name := range strings.FieldsSeq(rdkafkaNames) {
		names[name] = true
	}
	return names
}

const rdkafkaNames = `
client.id metadata.broker.list bootstrap.servers message.max.bytes message.copy.max.bytes receive.message.max.bytes
max.in.flight.requests.per.connection max.in.flight metadata.recovery.strategy metadata.recovery.rebootstrap.trigger.ms
topic.metadata.refresh.interval.ms metadata.max.age.ms topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.sparse
topic.metadata.propagation.max.ms topic.blacklist debug socket.timeout.ms socket.send.buffer.bytes socket.receive.buffer.bytes
socket.keepalive.enable socket.nagle.disable socket.max.fails broker.address.ttl broker.address.family
socket.connection.setup.timeout.ms connections.max.idle.ms reconnect.backoff.ms reconnect.backoff.max.ms
statistics.interval.ms log_level log.thread.name log.connection.close api.version.request api.version.request.timeout.ms
api.version.fallback.ms broker.version.fallback allow.auto.create.topics security.protocol ssl.cipher.suites ssl.curves.list
ssl.sigalgs.list ssl.key.location ssl.key.password ssl.key.pem ssl.certificate.location ssl.certificate.pem ssl.ca.location
https.ca.location https.ca.pem ssl.ca.pem ssl.crl.location ssl.keystore.location ssl.keystore.password
enable.ssl.certificate.verification ssl.endpoint.identification.algorithm sasl.mechanisms sasl.mechanism sasl.username
sasl.password sasl.oauthbearer.config enable.sasl.oauthbearer.unsecure.jwt sasl.oauthbearer.method
sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.client.credentials.client.id
sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.scope sasl.oauthbearer.extensions
sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.grant.type sasl.oauthbearer.assertion.algorithm
sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
sasl.oauthbearer.assertion.private.key.pem sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.claim.aud
sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.jwt.template.file
sasl.oauthbearer.metadata.authentication.type group.id group.instance.id partition.assignment.strategy session.timeout.ms
heartbeat.interval.ms group.protocol.type group.protocol group.remote.assignor coordinator.query.interval.ms
max.poll.interval.ms queued.min.messages queued.max.messages.kbytes fetch.wait.max.ms fetch.queue.backoff.ms
fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes fetch.min.bytes fetch.error.backoff.ms check.crcs client.rack
transaction.timeout.ms queue.buffering.max.messages queue.buffering.max.kbytes queue.buffering.max.ms linger.ms
retry.backoff.ms retry.backoff.max.ms queue.buffering.backpressure.threshold compression.codec compression.type
batch.num.messages batch.size sticky.partitioning.linger.ms client.dns.lookup message.timeout.ms delivery.timeout.ms
partitioner compression.level
`
