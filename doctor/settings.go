package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Finding is a setting that loses records, or that is not what its writer believes.
type Finding struct {
	Key      string  `json:"key"`
	Value    *string `json:"value"` // null if the key is missing and its default counts
	Line     *int    `json:"line"`
	Severity Verdict `json:"severity"` // always a warning
	Why      string  `json:"why"`
	Suggest  string  `json:"suggest"`
}

// Client is whose words a file speaks.
type Client string

// The clients. Keys that they share are Java's unless others beside them say something else.
const (
	Java       Client = "java"
	Librdkafka Client = "librdkafka"
	Sarama     Client = "sarama"
)

// Settings judges the settings of a producer, as Kafka's client.properties has them; for Sarama, which has no file, lines
// such as Producer.Retry.Max=3. Of a key that comes twice the last one counts.
func Settings(entries []credentials.Property) []Finding {
	s := settings{values: make(map[string]set)}
	for _, e := range entries {
		s.values[canonical(e.Key)] = set{e.Key, strings.TrimSpace(e.Value.Reveal()), e.Line}
	}
	s.client = s.speaks()
	found := []Finding{}
	for _, r := range rules {
		if r.of != "" && r.of != s.client {
			continue
		}
		for _, key := range r.keys {
			v, given := s.values[key]
			if !given && (r.unset == "" || key != r.keys[0] || s.hasAny(r.keys)) {
				continue
			}
			value := v.text
			if !given {
				value = r.unset
			}
			if !r.bad(&s, value) {
				continue
			}
			f := Finding{Key: key, Severity: Warning, Why: r.why, Suggest: r.suggest}
			if given {
				f.Key, f.Value, f.Line = v.key, &v.text, &v.line
			} else {
				f.Why = fmt.Sprintf("is not set, which is %s: %s", r.unset, r.why)
			}
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return line(a) - line(b) })
	return found
}

// line puts what is not in the file last.
func line(f Finding) int {
	if f.Line == nil {
		return 1 << 30
	}
	return *f.Line
}

// settings are what a file says. Only keys of the rules below are shown to anybody, and none of them is a secret's.
type settings struct {
	values map[string]set
	client Client
}

type set struct {
	key, text string
	line      int
}

// canonical takes Sarama's fields in any case, and the prefix off that Spring, Connect and others put before keys.
func canonical(key string) string {
	lower := strings.ToLower(strings.TrimSpace(key))
	for _, prefix := range []string{"sarama.", "config.", "kafka.producer.", "spring.kafka.producer.properties.", "producer.override."} {
		lower = strings.TrimPrefix(lower, prefix)
	}
	return lower
}

// The keys by which one knows a client.
var (
	saramaKeys     = []string{"producer.retry.max", "producer.retry.backoff", "producer.requiredacks", "producer.idempotent", "net.maxopenrequests", "producer.timeout"}
	librdkafkaKeys = []string{
		"message.timeout.ms", "message.send.max.retries", "request.required.acks", "metadata.broker.list", "enable.gapless.guarantee", "max.in.flight",
		"queue.buffering.max.ms", "queue.buffering.max.messages", "queue.buffering.max.kbytes", "sasl.username", "sasl.password", "sasl.mechanisms",
		"ssl.ca.location", "socket.timeout.ms", "batch.num.messages", "compression.codec", "statistics.interval.ms", "socket.keepalive.enable",
	}
)

func (s *settings) speaks() Client {
	switch {
	case s.hasAny(saramaKeys):
		return Sarama
	case s.hasAny(librdkafkaKeys):
		return Librdkafka
	}
	return Java
}

func (s *settings) hasAny(keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { _, ok := s.values[k]; return ok })
}

func (s *settings) text(keys ...string) string {
	for _, k := range keys {
		if v, ok := s.values[k]; ok {
			return strings.ToLower(v.text)
		}
	}
	return ""
}

// idempotent reports whether the producer is, its client's default included.
func (s *settings) idempotent() bool {
	switch v := s.text("enable.idempotence", "producer.idempotent"); {
	case v != "":
		return v == "true"
	case s.client != Java:
		return false
	}
	// Java's default is true, unless acks, retries or the number in flight contradict it (KIP-679, Kafka 3.0).
	acks := s.text("acks")
	flight, many := number(s.text("max.in.flight.requests.per.connection"))
	return (acks == "" || acks == "all" || acks == "-1") && s.text("retries") != "0" && (!many || flight <= 5)
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// duration reads milliseconds, and Go's way to write a duration, which Sarama's users do.
func milliseconds(text string) (int64, bool) {
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}} {
		if n, ok := number(strings.TrimSuffix(text, unit.name)); ok && strings.HasSuffix(text, unit.name) {
			return n * unit.ms, true
		}
	}
	return number(text)
}

// Keys returns the keys that are judged, in order.
func Keys() []string {
	all := make(map[string]bool)
	for _, r := range rules {
		for _, k := range r.keys {
			all[k] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
