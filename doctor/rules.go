package doctor

import "strings"

// patience is the outage that a producer should outlive by itself, in milliseconds: a restart of what it talks to, the
// failure of one machine. Longer ones are what streamdown stands in front of a cluster for.
const patience = 60_000

// rule judges one setting. Facts: Kafka's producer configs (4.4), librdkafka's CONFIGURATION.md (2.11), Sarama's
// config.go (1.61); what is lost was tried: docs/diagnose-a-producer.md.
type rule struct {
	of      Client   // empty = all
	keys    []string // other names of the same thing
	unset   string   // what counts if none of them is set; empty = then nothing is wrong
	bad     func(s *settings, value string) bool
	why     string
	suggest string
}

var rules = []rule{
	{
		keys: []string{"acks", "request.required.acks", "producer.requiredacks"}, bad: oneOf("0", "noresponse"),
		why:     "nobody answers, so records that do not arrive are lost without an error: a whole socket buffer with every connection that ends",
		suggest: "acks=all",
	},
	{
		keys: []string{"acks", "request.required.acks"}, bad: oneOf("1"),
		why:     "a record is acked by one broker alone and is lost with it, although the producer was told that it is safe",
		suggest: "acks=all",
	},
	{
		of: Sarama, keys: []string{"producer.requiredacks"}, unset: "1", bad: oneOf("1", "waitforlocal"),
		why:     "a record is acked by one broker alone and is lost with it",
		suggest: "Producer.RequiredAcks = sarama.WaitForAll",
	},
	{
		of: Java, keys: []string{"enable.idempotence"}, bad: func(s *settings, v string) bool { return isFalse(v) && s.text("retries") != "0" },
		why:     "a record that is sent again because its ack was lost is there twice, and may stand behind later ones",
		suggest: "enable.idempotence=true",
	},
	{
		of: Librdkafka, keys: []string{"enable.idempotence"}, unset: "false", bad: func(_ *settings, v string) bool { return isFalse(v) },
		why:     "a record that is sent again because its ack was lost is there twice, and may stand behind later ones",
		suggest: "enable.idempotence=true",
	},
	{
		of: Sarama, keys: []string{"producer.idempotent"}, unset: "false", bad: func(_ *settings, v string) bool { return isFalse(v) },
		why:     "a record that is sent again because its ack was lost is there twice, and may stand behind later ones",
		suggest: "Producer.Idempotent = true, with Producer.RequiredAcks = sarama.WaitForAll and Net.MaxOpenRequests = 1",
	},
	{
		keys: []string{"enable.idempotence"}, bad: func(s *settings, v string) bool {
			acks := s.text("acks", "request.required.acks")
			return v == "true" && acks != "" && acks != "all" && acks != "-1"
		},
		why:     "contradicts acks, and the producer does not start",
		suggest: "acks=all",
	},
	{
		keys: []string{"retries", "message.send.max.retries"}, bad: below(10),
		why:     "a record is given up after so few tries, which take a second or less when connections are refused: a restart is longer than that",
		suggest: "leave it out (2147483647 is the default) and let delivery.timeout.ms (librdkafka: message.timeout.ms) bound the time",
	},
	{
		of: Sarama, keys: []string{"producer.retry.max"}, unset: "3", bad: below(60),
		why:     "with Producer.Retry.Backoff of 100ms a record is given up 0.4 s after the first refusal; a restart without hand-over is longer than that",
		suggest: "Producer.Retry.Max = 600 with Producer.Retry.Backoff = 100ms, which waits for a minute",
	},
	{
		keys: []string{"delivery.timeout.ms", "message.timeout.ms"}, bad: func(_ *settings, v string) bool {
			ms, ok := milliseconds(v)
			return ok && ms > 0 && ms < patience
		},
		why:     "a record that is not acked by then is given up, and with it the outage decides what is lost",
		suggest: "120000 (the default of Java) or more; message.timeout.ms=0 never gives up",
	},
	{
		keys: []string{"delivery.timeout.ms"}, bad: func(s *settings, v string) bool {
			all, ok := milliseconds(v)
			linger, _ := milliseconds(s.text("linger.ms", "queue.buffering.max.ms"))
			request, given := milliseconds(s.text("request.timeout.ms"))
			if !given {
				request = 30_000
			}
			return ok && s.client == Java && all < linger+request
		},
		why:     "is below linger.ms + request.timeout.ms, and the producer does not start",
		suggest: "120000, and request.timeout.ms=30000",
	},
	{
		keys: []string{"request.timeout.ms"}, bad: func(s *settings, v string) bool {
			ms, ok := milliseconds(v)
			least := int64(10_000)
			return ok && ms < least && !(s.client == Librdkafka && ms == 0)
		},
		why:     "is shorter than streamdown or a broker may hold a reply while the disk or the cluster is slow: the connection is closed and all that was on it is sent again",
		suggest: "30000 (the default)",
	},
	{
		keys: []string{"max.in.flight.requests.per.connection", "max.in.flight"}, bad: func(s *settings, v string) bool {
			n, ok := number(v)
			return ok && n > 5
		},
		why:     "more than 5 requests in flight cannot be idempotent, so a retry puts records behind later ones and doubles some",
		suggest: "5, with enable.idempotence=true",
	},
	{
		keys: []string{"max.in.flight.requests.per.connection", "max.in.flight", "net.maxopenrequests"}, bad: func(s *settings, v string) bool {
			n, ok := number(v)
			return ok && n > 1 && n <= 5 && !s.idempotent()
		},
		why:     "without idempotence a retry puts records behind later ones",
		suggest: "enable.idempotence=true, or 1",
	},
	{
		of: Java, keys: []string{"max.block.ms"}, bad: func(_ *settings, v string) bool {
			ms, ok := milliseconds(v)
			return ok && ms < 10_000
		},
		why:     "send() throws when the buffer is full or the metadata is not there for so long, and few programs keep the record then",
		suggest: "60000 (the default)",
	},
	{
		of: Java, keys: []string{"buffer.memory"}, bad: below(8 << 20),
		why:     "the buffer is full after a moment of outage; then send() blocks for max.block.ms and throws",
		suggest: "33554432 (the default) or more",
	},
	{
		of: Librdkafka, keys: []string{"queue.buffering.max.messages"}, bad: func(_ *settings, v string) bool {
			n, ok := number(v)
			return ok && n > 0 && n < 10_000
		},
		why:     "the queue is full after a moment of outage; then produce() fails with QUEUE_FULL, and few programs keep the record then",
		suggest: "100000 (the default) or more, and wait with poll() when it is full",
	},
	{
		of: Librdkafka, keys: []string{"queue.buffering.max.kbytes"}, bad: below(16 << 10),
		why:     "the queue is full after a moment of outage; then produce() fails with QUEUE_FULL, and few programs keep the record then",
		suggest: "1048576 (the default)",
	},
	{
		keys: []string{"linger.ms", "queue.buffering.max.ms"}, bad: func(_ *settings, v string) bool {
			ms, ok := milliseconds(v)
			return ok && ms > 5_000
		},
		why:     "records wait in the memory of the producer for so long, and are lost with its process",
		suggest: "5 to 100",
	},
	{
		of: Librdkafka, keys: []string{"enable.gapless.guarantee"}, bad: oneOf("true"),
		why:     "one record that is given up stops the producer for good (fatal error), and all that is in its queue is lost",
		suggest: "leave it out, and message.timeout.ms=0",
	},
	{
		keys: []string{"transactional.id"}, bad: func(_ *settings, v string) bool { return v != "" },
		why:     "streamdown stores no transactions and refuses this producer; the refusal names the cluster to use directly",
		suggest: "leave it out, or use the cluster's own address for this producer",
	},
	{
		keys: []string{"producer.type", "serializer.class", "block.on.buffer.full", "metadata.fetch.timeout.ms", "timeout.ms"}, bad: always,
		why:     "is a setting that clients dropped years ago: what it asks for does not happen",
		suggest: "leave it out; max.block.ms and delivery.timeout.ms took their place",
	},
	{
		of: Librdkafka, keys: []string{"api.version.request"}, bad: func(_ *settings, v string) bool { return isFalse(v) },
		why:     "the client guesses what the broker speaks and sends record formats that brokers of today refuse",
		suggest: "leave it out",
	},
	{
		of: Librdkafka, keys: []string{"delivery.report.only.error"}, bad: oneOf("true"),
		why:     "the program is not told what arrived, so it cannot know what was lost when it ends",
		suggest: "leave it out",
	},
}

func always(*settings, string) bool { return true }

func oneOf(values ...string) func(*settings, string) bool {
	return func(_ *settings, v string) bool {
		for _, bad := range values {
			if strings.EqualFold(v, bad) {
				return true
			}
		}
		return false
	}
}

func below(least int64) func(*settings, string) bool {
	return func(_ *settings, v string) bool {
		n, ok := number(v)
		return ok && n >= 0 && n < least
	}
}

func isFalse(v string) bool { return strings.EqualFold(v, "false") || v == "0" }
