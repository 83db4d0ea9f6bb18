package broker

import (
	"strconv"

	"github.com/streamdown/streamdown/batch"
)

// defaults are the settings of a topic that mean something here, as Kafka 4 has them.
var defaults = map[string]string{
	"cleanup.policy":                  "delete",
	"compression.type":                "producer",
	"max.message.bytes":               "1048588",
	"message.timestamp.after.max.ms":  "3600000",
	"message.timestamp.before.max.ms": "9223372036854775807",
	"message.timestamp.type":          "CreateTime",
	"min.insync.replicas":             "1",
	"retention.ms":                    "604800000",
	"segment.bytes":                   "1073741824",
}

func (t *topic) setting(key string) string {
	if v, ok := t.config[key]; ok {
		return v
	}
	return defaults[key]
}

func (t *topic) number(key string) int64 {
	n, _ := strconv.ParseInt(t.setting(key), 10, 64)
	return n
}

// minISR is min.insync.replicas, as far as there are replicas at all (Partition.effectiveMinIsr).
func (p *partition) minISR() int {
	return min(int(p.topic.number("min.insync.replicas")), len(p.replicas))
}

func (t *topic) appendTime() bool { return t.setting("message.timestamp.type") == "LogAppendTime" }

// codec is how a batch that came with a codec is stored.
func (t *topic) codec(came batch.Codec) (codec batch.Codec, changed bool) {
	switch t.setting("compression.type") {
	case "uncompressed":
		codec = batch.None
	case "gzip":
		codec = batch.Gzip
	case "snappy":
		codec = batch.Snappy
	case "lz4":
		codec = batch.LZ4
	case "zstd":
		codec = batch.Zstd
	default:
		return came, false
	}
	return codec, codec != came
}
