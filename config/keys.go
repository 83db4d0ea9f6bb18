package config

import (
	"slices"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// What is in the design and not in this version answers for itself.
const (
	withFallbacks = "comes with fallbacks, which are not in this version; leave it out"
	withArchive   = "comes with the archive, which is not in this version; leave it out"
	withSystems   = "systems of this kind are not in this version; want kafka"
)

// declared is the whole file, in the order of the docs. A new key is added here, read by a method of decoder, and shown by
// Config.Show; tests hold the three together. It needs a restart unless apply.go takes it over and it is declared live.
var declared = &key{form: formMapping, elsewhere: true, keys: []*key{
	{name: "version", required: true, form: formNumber, least: 1, most: 1, doc: "The version of this format, always 1"},
	{name: "include", form: formTexts, live: true, doc: "Files to read too, patterns of file names such as conf.d/*.yaml, relative to this file; each key comes in one file, and streams and auth.users are added up"},
	{name: "listen", form: formMapping, doc: "Where clients reach streamdown", keys: []*key{
		{name: "kafka", form: formMapping, doc: "The port that producers use", keys: kafkaListenerKeys},
		{name: "http", form: formMapping, doc: "The port of the API, metrics, health, and records over HTTP", keys: httpListenerKeys},
	}},
	{name: "auth", form: formMapping, doc: "Who may come in and write where", keys: authKeys},
	{name: "data", required: true, form: formMapping, doc: "The write-ahead log", keys: []*key{
		{name: "dir", required: true, form: formPath, doc: "The log's directory. One directory belongs to one process"},
		{name: "max_size", form: formSize, initial: "10GiB", doc: "What the log may take on disk. When it is full, producers wait; what was acked stays"},
		{name: "refuge", form: formPath, doc: "A directory on another disk, where the log goes on while dir cannot be written"},
		{name: "ledger", form: formMapping, doc: "What is kept of each batch to prove what became of it (streamdown reconcile), long after the log has released the batch itself: some 25 bytes, in dir/ledger, beside max_size", keys: []*key{
			{name: "keep", form: formDuration, initial: "90d", doc: "How long; at least 1h"},
			{name: "max_size", form: formSize, initial: "1GiB", doc: "How much; at least 16MiB. The oldest goes first"},
		}},
		{name: "scrub", form: formRate, initial: "8MiB/s", live: true, doc: "How fast sealed segments are read again from the disk itself, to find rot before the data is needed", when: "a new rate begins a new pass"},
	}},
	{name: "log", form: formMapping, doc: "What the process logs", keys: []*key{
		{name: "level", form: formChoice, choices: levelNames(), initial: "info", live: true, doc: "The least that is logged; -q and -v of streamdown run win"},
	}},
	{name: "systems", required: true, form: formNamed, doc: "Where streams can go, by names of your own", each: &key{form: formMapping, keys: []*key{
		{name: "kafka", form: formMapping, foreign: true, elsewhere: true, doc: "How a Kafka cluster is reached, in the keys of Kafka's own clients; docs/kafka-security.md says which and how", keys: upstreamKeys()},
		{name: "pulsar", later: withSystems}, {name: "kinesis", later: withSystems}, {name: "rabbitmq", later: withSystems},
		{name: "s3", later: withSystems}, {name: "azure", later: withSystems},
	}}},
	{name: "streams", required: true, form: formList, joined: true, doc: "Policies of groups of topics. The first one that matches a topic takes it", each: &key{form: formMapping, keys: streamKeys}},
}}

var kafkaListenerKeys = []*key{
	{name: "address", form: formAddress, initial: "127.0.0.1:19092", doc: "host:port to bind; port 0 is any free one. Beyond loopback only when everyone has to show who it is (sasl, or tls with client_ca)"},
	{name: "advertise", form: formAddress, derived: "address; where that is all addresses of the machine, the one that each client came in by", doc: "host:port that clients are told, as they reach it"},
	{name: "classes", form: formMapping, derived: "the ports that follow", doc: "Addresses of the classes below the highest that a stream has; see docs/kafka-clients.md", keys: classKeys()},
	{name: "tls", form: formMapping, doc: "Encrypts the connections of producers. The files hold PEM and are read again when they change", keys: []*key{
		{name: "cert", required: true, form: formPath, live: true, doc: "Our certificate and those between it and its root"},
		{name: "key", required: true, form: formPath, live: true, doc: "Its key"},
		{name: "client_ca", form: formPath, live: true, doc: "Roots of clients' certificates; without it clients show none"},
		{name: "client_auth", form: formChoice, choices: []string{ClientRequired, ClientOptional}, derived: "required with client_ca", live: true, doc: "Whether a client has to show a certificate"},
		{name: "revoked", form: formPath, live: true, doc: "Revocation lists of the roots in client_ca"},
		{name: "min_version", form: formChoice, choices: []string{"1.2", "1.3"}, initial: "1.2", live: true, doc: "The oldest version of TLS that is taken"},
	}},
	{name: "sasl", form: formMapping, doc: "Asks producers to log in", keys: []*key{
		{name: "mechanisms", required: true, form: formTexts, list: true, choices: mechanismNames(), live: true, doc: "How they may log in", when: "connections that are logged in stay"},
		{name: "session_lifetime", form: formDuration, derived: "for ever; tokens end by themselves", live: true, doc: "How long a login lasts before the client has to log in again, at least a minute"},
		{name: inTheClear, form: formFlag, initial: "false", live: true, doc: "Allows PLAIN and OAUTHBEARER beyond loopback without TLS: whoever listens on the network learns the passwords"},
	}},
	{name: "max_connections", form: formNumber, least: 1, most: 1_000_000, initial: "10000", live: true, doc: "Connections open at a time", when: "a lower limit closes none"},
	{name: "max_connections_per_address", form: formNumber, least: 1, most: 1_000_000, derived: "half of max_connections", live: true, doc: "Connections of one address open at a time", when: "a lower limit closes none"},
}

var httpListenerKeys = []*key{
	{name: "address", form: formAddress, initial: "127.0.0.1:8790", doc: "host:port to bind; port 0 is any free one. Beyond loopback only when everyone has to log in (auth.users), with TLS"},
	{name: "max_body", form: formSize, initial: "8MiB", doc: "The size of one request with records, before and after inflating; from 1KiB to 256MiB"},
	{name: "tls", form: formMapping, doc: "Encrypts HTTP. The files hold PEM and are read again when they change", keys: []*key{
		{name: "cert", required: true, form: formPath, live: true, doc: "Our certificate and those between it and its root"},
		{name: "key", required: true, form: formPath, live: true, doc: "Its key"},
		{name: "client_ca", form: formPath, live: true, doc: "Roots of clients' certificates; without it clients show none"},
		{name: "client_auth", form: formChoice, choices: []string{ClientRequired, ClientOptional}, derived: "required with client_ca", live: true, doc: "Whether a client has to show a certificate; who shows none logs in"},
		{name: "revoked", form: formPath, live: true, doc: "Revocation lists of the roots in client_ca"},
		{name: "min_version", form: formChoice, choices: []string{"1.2", "1.3"}, initial: "1.2", live: true, doc: "The oldest version of TLS that is taken"},
	}},
	{name: "login", form: formChoice, choices: []string{loginRequired, loginOff}, derived: "required if there are auth.users", doc: "Whether requests have to show who they come from: a password (Basic), a token (Bearer) or a client certificate. off lets everybody on this machine do everything"},
	{name: "metrics", form: formChoice, choices: []string{metricsLogin, metricsOpen}, initial: metricsLogin, doc: "Whether /metrics needs a login too, with the role viewer. /healthz and /readyz never do"},
	{name: inTheClear, form: formFlag, initial: "false", doc: "Allows logins beyond loopback without TLS: whoever listens on the network learns the passwords"},
	{name: "auth", later: "users and their roles are in auth.users"},
}

var authKeys = []*key{
	{name: "users", form: formList, joined: true, doc: "Who may log in. Who is not here may nothing", each: &key{form: formMapping, keys: []*key{
		{name: "name", required: true, form: formText, live: true, doc: "The name that the user logs in with, or that its certificate or token means"},
		{name: "password", form: formText, secret: true, live: true, doc: "For PLAIN and SCRAM; better ${VAR}, ${file:/path} or a verifier than the password itself"},
		{name: "scram", form: formTexts, secret: true, live: true, doc: "Verifiers in place of a password, at most one for each mechanism: streamdown auth scram USER"},
		{name: "topics", form: formGlobs, live: true, doc: "What the user may write to and see: patterns of topics. Required without a role"},
		{name: "role", form: formChoice, choices: auth.RoleNames(), initial: auth.NoRole.String(), live: true, doc: "What the user may do over HTTP beside writing. viewer: see the status and metrics. operator: hold and resume too. admin: everything"},
	}}},
	{name: "acls", form: formText, derived: "none", doc: "The name of a system: users may write to what its Kafka's ACLs allow them, too. They are read every 30 seconds and kept through its outages"},
	{name: "certificates", form: formMapping, doc: "Which user a client's certificate means", keys: []*key{
		{name: "from", form: formChoice, choices: fromNames(), live: true, derived: "the distinguished name", doc: "Which part of the certificate is the name"},
		{name: "rules", form: formText, live: true, doc: "Rules as in Kafka's ssl.principal.mapping.rules"},
	}},
	{name: "oauth", form: formMapping, doc: "Whose tokens are believed (OAUTHBEARER)", keys: []*key{
		{name: "issuer", required: true, form: formText, live: true, doc: "The iss of the tokens that are believed"},
		{name: "audience", required: true, form: formTexts, live: true, doc: "Who the tokens are for"},
		{name: "keys", required: true, form: formText, live: true, doc: "The issuer's public keys: an absolute path, or an https URL (jwks_uri)"},
		{name: "algorithms", form: formTexts, choices: auth.Signatures, live: true, derived: "all of them", doc: "Signatures that are believed"},
		{name: "user_claim", form: formText, initial: "sub", live: true, doc: "The claim that is the user's name"},
		{name: "clock_skew", form: formDuration, initial: "30s", live: true, doc: "How far the issuer's clock may be from ours"},
	}},
}

var streamKeys = []*key{
	{name: "name", required: true, form: formText, live: true, doc: "The stream's name"},
	{name: "topics", required: true, form: formGlobs, live: true, doc: "Patterns of the topics that it takes: * is any run of characters, ? is one. Names that begin with __ need a pattern that does", when: "refused if it leaves a topic with data in the log without a stream"},
	{name: "to", form: formText, derived: "the only system", doc: "The name of a system", when: "streams own no data: a partition stays with the system that it began with"},
	{name: "acks", form: formChoice, choices: []string{string(AcksRemote), string(AcksWAL)}, initial: string(AcksRemote), live: true, doc: "What an ack means. remote: the record is on this disk and at the target, or only on this disk while the target is away. wal: it is on this disk"},
	{name: "ack_patience", form: formDuration, initial: "1.5s", live: true, doc: "The longest wait for the target before this disk alone acks; from 10ms to 20s", when: "acks follow at once; the forwarder takes it for silence of the target from the next start on"},
	{name: "when_isolated", form: formChoice, choices: []string{string(Accept), string(Reject)}, initial: string(Accept), live: true, doc: "What happens to new records while the target is away, with acks: remote"},
	{name: "retain", form: formDuration, initial: "1h", doc: "How long delivered records stay, if there is room, so that what the target loses can be sent again"},
	{name: "priority", form: formChoice, choices: priorityNames(), initial: string(Normal), live: true, doc: "How important its records are beside those of other streams. Each priority that a stream has is a class with a port of its own, and when the log gets full the lowest waits first", when: "clients are sent to the port of the new class; one that had no stream before shares the port of another until a restart"},
	{name: "fallback", later: withFallbacks},
	{name: "archive", later: withArchive},
}

// upstreamKeys are what may stand under systems.NAME.kafka and does something.
func upstreamKeys() (list []*key) {
	list = []*key{
		{name: "bootstrap.servers", required: true, form: formText, doc: "Where the cluster is: host:9092,host:9092"},
		{name: "client.id", form: formText, initial: "streamdown", doc: "The name that the cluster's quotas and logs have for streamdown"},
		{name: "request.timeout.ms", form: formNumber, least: 100, most: 3_600_000, initial: "30000", doc: "How long an answer of a broker may take, in milliseconds"},
		{name: propertiesKey, form: formPath, live: true, doc: "A client.properties of Kafka with more keys; where both have one, the key here counts"},
	}
	for _, name := range credentials.Names() {
		if slices.ContainsFunc(list, func(k *key) bool { return k.name == name }) {
			continue
		}
		k := &key{name: name, form: formKafka, live: true, choices: credentials.Choices(name), secret: secretive(name), doc: "As in Kafka's clients", when: "for connections that are opened from then on"}
		switch {
		case name == "metadata.broker.list":
			*k = key{name: name, form: formText, doc: "Another name of bootstrap.servers"}
		case name == "security.protocol":
			k.initial = "PLAINTEXT"
			fallthrough
		case len(k.choices) > 0:
			k.form, k.anyCase = formChoice, true
		}
		list = append(list, k)
	}
	return list
}

// classKeys are the priorities; the highest that a stream has is at the address of listen.kafka itself.
func classKeys() (list []*key) {
	for _, name := range priorityNames() {
		list = append(list, &key{name: name, form: formMapping, doc: "Where producers of streams with this priority come in", keys: []*key{
			{name: "address", form: formAddress, derived: "the port of listen.kafka.address and as many higher as there are classes above", doc: "host:port to bind"},
			{name: "advertise", form: formAddress, derived: "the same of listen.kafka.advertise", doc: "host:port that clients are told, as they reach it"},
		}})
	}
	return list
}

func mechanismNames() (names []string) {
	for _, m := range auth.SASL {
		names = append(names, string(m))
	}
	return names
}

func fromNames() (names []string) {
	for _, from := range auth.Froms {
		names = append(names, string(from))
	}
	return names
}
