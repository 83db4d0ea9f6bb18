package credentials

import (
	"slices"
	"strings"
)

// Use says what a key of a Kafka client is to streamdown.
type Use uint8

// The uses. The zero value is Unknown.
const (
	Unknown    Use = iota // no client that we know of has it
	Credential            // read by this package
	Connection            // read by the config: where the cluster is and how patiently it is spoken to
	Ignored               // a setting of clients that has no meaning here
	Refused               // it would change who is trusted or who we are, and cannot be had here
)

// Key says what a key is, and for Ignored and Refused why, in words that follow the key's name.
func Key(name string) (Use, string) {
	k, known := keys[name]
	if !known {
		for _, f := range foreign {
			if strings.HasPrefix(name, f.prefix) {
				return Ignored, f.why
			}
		}
	}
	return k.use, k.why
}

// foreign are beginnings of keys that files shared with other programs have.
var foreign = []struct{ prefix, why string }{
	{"producer.", "has no effect: it is for the producers of another program"},
	{"consumer.", "has no effect: it is for the consumers of another program"},
	{"admin.", "has no effect: it is for the admin client of another program"},
	{"schema.registry.", "has no effect: streamdown keeps records as they are and asks no schema registry"},
	{"basic.auth.", "has no effect: streamdown keeps records as they are and asks no schema registry"},
	{"confluent.", "has no effect: it is for another program"},
}

// Choices returns the words that a key may have, nil if it may have any.
func Choices(name string) []string {
	switch name {
	case "security.protocol":
		return slices.Clone(protocols)
	case "sasl.mechanism", "sasl.mechanisms":
		return slices.Clone(mechanisms)
	}
	return nil
}

// Open reports whether name is a key whose value may be shown, although its name may sound like a secret's.
func Open(name string) bool {
	k, known := keys[name]
	return known && k.use != Unknown && !k.secret
}

// Names returns the keys that are read here or by the config, in order.
func Names() []string {
	var names []string
	for name, k := range keys {
		if k.use == Credential || k.use == Connection {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type key struct {
	use    Use
	why    string
	secret bool
}

var keys = table()

func table() map[string]key {
	t := make(map[string]key)
	for name := range strings.FieldsSeq(credentialKeys) {
		t[name] = key{use: Credential}
	}
	for name := range strings.FieldsSeq(secretKeys) {
		t[name] = key{use: Credential, secret: true}
	}
	for name := range strings.FieldsSeq(connectionKeys) {
		t[name] = key{use: Connection}
	}
	for _, group := range []struct {
		use  Use
		why  string
		keys string
	}{
		{Ignored, "has no effect: streamdown sends with acks=all, its own sequences and its own retry clock, and keeps the producer's batches as they are", producerKeys},
		{Ignored, "has no effect: it is a setting of consumers, and streamdown produces", consumerKeys},
		{Ignored, "has no effect: it is a setting of the client library, and streamdown has its own way", libraryKeys},
		{Ignored, "has no effect: streamdown renews tokens and logins by itself before they end", renewalKeys},
		{Refused, "names Java code, which cannot run here; leave it out if it is the default, otherwise use keys that streamdown knows", codeKeys},
		{Ignored, "has no effect: Kerberos is not in this version", kerberosKeys},
		{Refused, "belongs to a way to get tokens that is not in this version; use the client credentials flow: sasl.oauthbearer.token.endpoint.url with clientId and clientSecret in sasl.jaas.config", assertionKeys},
		{Refused, "has the values filled in by Java code, which cannot run here; write the values, or put the keys into the YAML with ${VAR} and ${file:/path}", "config.providers"},
		{Refused, "is not in this version; name the certificates to be trusted by ssl.truststore.location or ssl.ca.location", opensslKeys},
	} {
		for name := range strings.FieldsSeq(group.keys) {
			if _, taken := t[name]; !taken {
				t[name] = key{use: group.use, why: group.why, secret: strings.Contains(name, "pass")}
			}
		}
	}
	return t
}

const credentialKeys = `security.protocol sasl.mechanism sasl.mechanisms sasl.username
	sasl.oauthbearer.token.endpoint.url sasl.oauthbearer.method sasl.oauthbearer.grant.type sasl.oauthbearer.client.id
	sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.scope sasl.oauthbearer.extensions
	sasl.oauthbearer.header.urlencode sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
	sasl.login.callback.handler.class sasl.oauthbearer.jwt.retriever.class
	https.ca.location https.ca.pem
	ssl.truststore.type ssl.truststore.location ssl.truststore.certificates
	ssl.keystore.type ssl.keystore.location ssl.keystore.certificate.chain
	ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.key.location
	ssl.endpoint.identification.algorithm enable.ssl.certificate.verification
	ssl.enabled.protocols ssl.cipher.suites`

const secretKeys = `sasl.jaas.config sasl.password sasl.oauthbearer.client.secret
	sasl.oauthbearer.client.credentials.client.secret
	ssl.truststore.password ssl.keystore.password ssl.keystore.key ssl.key.password ssl.key.pem`

const connectionKeys = `bootstrap.servers metadata.broker.list client.id request.timeout.ms`

// The lists below come from the configNames of Kafka 4.4.0's producer, consumer and admin client, and from
// librdkafka's CONFIGURATION.md.

const producerKeys = `acks request.required.acks batch.size batch.num.messages buffer.memory buffer.memory.allocation.strategy
	compression.codec compression.gzip.level compression.level compression.lz4.level compression.type compression.zstd.level
	delivery.report.only.error delivery.timeout.ms dr_cb dr_msg_cb enable.gapless.guarantee enable.idempotence linger.ms
	max.block.ms max.in.flight max.in.flight.requests.per.connection max.request.size message.copy.max.bytes
	message.max.bytes message.send.max.retries message.timeout.ms msg_order_cmp partitioner
	partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms partitioner.class partitioner.ignore.keys
	partitioner.rack.aware partitioner_cb queue.buffering.backpressure.threshold queue.buffering.max.kbytes
	queue.buffering.max.messages queue.buffering.max.ms queuing.strategy retries retry.backoff.max.ms
	retry.backoff.ms sticky.partitioning.linger.ms transaction.timeout.ms transaction.two.phase.commit.enable
	transactional.id value.serializer key.serializer`

const consumerKeys = `allow.auto.create.topics auto.commit.enable auto.commit.interval.ms auto.offset.reset check.crcs
	consume.callback.max.messages consume_cb coordinator.query.interval.ms default.api.timeout.ms enable.auto.commit
	enable.auto.offset.store enable.partition.eof exclude.internal.topics fetch.error.backoff.ms fetch.max.bytes
	fetch.max.wait.ms fetch.message.max.bytes fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms group.id
	group.instance.id group.protocol group.protocol.type group.remote.assignor heartbeat.interval.ms
	internal.throw.on.fetch.stable.offset.unsupported isolation.level key.deserializer max.partition.fetch.bytes
	max.poll.interval.ms max.poll.records offset.store.method offset.store.path offset.store.sync.interval.ms
	offset_commit_cb partition.assignment.strategy queued.max.messages.kbytes queued.min.messages rebalance_cb
	session.timeout.ms share.acknowledgement.mode share.acquire.mode value.deserializer`

const libraryKeys = `api.version.fallback.ms api.version.request api.version.request.timeout.ms auto.include.jmx.reporter
	background_event_cb bootstrap.controllers bootstrap.resolve.timeout.ms broker.address.family broker.address.ttl
	broker.version.fallback builtin.features client.dns.lookup client.rack closesocket_cb connect_cb
	connections.max.idle.ms debug default_topic_conf enable.metrics.push enable.random.seed enabled_events error_cb
	interceptor.classes internal.termination.signal log.connection.close log.queue log.thread.name log_cb log_level
	max.in.flight metadata.cluster.check.enable metadata.max.age.ms metadata.max.idle.ms
	metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
	metrics.recording.level metrics.sample.window.ms oauthbearer_token_refresh_cb opaque open_cb plugin.library.paths
	receive.buffer.bytes receive.message.max.bytes reconnect.backoff.jitter.ms reconnect.backoff.max.ms
	reconnect.backoff.ms resolve_cb security.providers send.buffer.bytes socket.blocking.max.ms
	socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms socket.keepalive.enable socket.max.fails
	socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms socket_cb
	ssl.keymanager.algorithm ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm statistics.interval.ms
	stats_cb throttle_cb topic.blacklist topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
	topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse
	ssl.curves.list ssl.sigalgs.list ssl.providers ssl_certificate_verify_cb`

const renewalKeys = `sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds
	sasl.login.refresh.window.factor sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms
	sasl.login.retry.backoff.ms sasl.oauthbearer.allow.unverified.audience sasl.oauthbearer.allow.unverified.issuer
	sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
	sasl.oauthbearer.jwks.endpoint.refresh.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms
	sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url
	sasl.oauthbearer.jwt.validator.class sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name`

const codeKeys = `sasl.client.callback.handler.class sasl.login.class ssl.engine.factory.class ssl.engine.location ssl.engine.id`

const kerberosKeys = `sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name
	sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor sasl.kerberos.principal
	sasl.kerberos.keytab`

const assertionKeys = `sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
	sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
	sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
	sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
	sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
	sasl.oauthbearer.assertion.private.key.pem sasl.oauthbearer.assertion.jwt.template.file
	sasl.oauthbearer.assertion.template.file sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.config
	enable.sasl.oauthbearer.unsecure.jwt`

const opensslKeys = `ssl.crl.location ssl.ca.certificate.stores`
