package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// kafkaLater are keys that Kafka clients know and this version does not.
func kafkaLater(key string) (string, bool) {
	for _, prefix := range []string{"sasl.", "ssl."} {
		if strings.HasPrefix(key, prefix) {
			return withTheDoor, true
		}
	}
	if key == "properties_file" {
		return "is not in this version; write Kafka's keys here", true
	}
	if slices.Contains(ours, key) {
		return "is not yours to set: streamdown sends with acks=all, its own sequences and its own retry clock, whatever the producer asked for; leave it out", true
	}
	return "", false
}

// ours are the producer settings that the promise depends on.
var ours = []string{
	"acks", "enable.idempotence", "transactional.id", "retries", "retry.backoff.ms", "delivery.timeout.ms", "linger.ms",
	"batch.size", "compression.type", "max.in.flight.requests.per.connection", "max.request.size", "message.timeout.ms",
}

var kafkaKeys = []string{"bootstrap.servers", "client.id", "security.protocol", "request.timeout.ms"}

func (d *decoder) kafka(v *value) Kafka {
	later := make(map[string]string)
	for _, e := range v.entries {
		if why, ok := kafkaLater(e.key); ok {
			later[e.key] = why
		}
	}
	f := d.fields(v, kafkaKeys, later)
	k := Kafka{
		Bootstrap:        d.bootstrap(v, f["bootstrap.servers"]),
		ClientID:         d.text(f["client.id"], "streamdown"),
		SecurityProtocol: "PLAINTEXT",
		RequestTimeout:   d.millis(f["request.timeout.ms"], 30*time.Second),
	}
	protocols := []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	switch p := d.text(f["security.protocol"], "PLAINTEXT"); {
	case p == "PLAINTEXT":
	case slices.Contains(protocols, p):
		d.wrong(f["security.protocol"], "%s %s", p, "comes with the door (TLS and logins), which is not in this version; only PLAINTEXT works now")
	default:
		d.wrong(f["security.protocol"], "%s is not a protocol; only PLAINTEXT works now", f["security.protocol"].said()).Meant = nearest(p, protocols)
	}
	return k
}

func (d *decoder) bootstrap(kafka, v *value) []string {
	if v == nil && !kafka.broken && (kafka.kind == mapping || kafka.kind == nothing) {
		d.found(Error, kafka.line, kafka.column, join(kafka.path, "bootstrap.servers"), "is missing; write \"host:9092,host:9092\"")
	}
	if v == nil || v.broken {
		return nil
	}
	if v.kind == list {
		d.wrong(v, "want text, as Kafka has it: \"host:9092,host:9092\"")
		return nil
	}
	var servers []string
	broken := false
	for server := range strings.SplitSeq(d.text(v, ""), ",") {
		broken, v.broken = broken || v.broken, false // each server may be wrong in its own way
		server = strings.TrimSpace(server)
		if server == "" {
			if len(v.text) > 0 {
				d.wrong(v, "has an empty place between commas")
			}
			continue
		}
		if slices.Contains(servers, server) {
			d.warn(v, "names a server twice")
			continue
		}
		d.hostPort(v, server, false)
		servers = append(servers, server)
	}
	v.broken = broken || v.broken
	return servers
}

// millis reads Kafka's kind of duration: a plain number of milliseconds.
func (d *decoder) millis(v *value, fallback time.Duration) time.Duration {
	if !d.isScalar(v, "a number of milliseconds") {
		return fallback
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n < 100 || n > 3_600_000 {
		d.wrong(v, "%s is not a number of milliseconds between 100 and 3600000", v.said())
		return fallback
	}
	return time.Duration(n) * time.Millisecond
}
