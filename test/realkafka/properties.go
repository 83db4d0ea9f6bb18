package realkafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// small is what every broker here has: Kafka's defaults are meant for a machine of its own (50 partitions for each
// internal topic, 128 MiB of heap for the log cleaner). Valid for 3.9 and 4.x; the share.* keys are only known to 4.x.
func small() map[string]string {
	return map[string]string{
		"auto.create.topics.enable": "true",
		"num.partitions":            "3",

		"num.network.threads":                              "2",
		"num.io.threads":                                   "4",
		"log.segment.bytes":                                "67108864",
		"log.index.size.max.bytes":                         "1048576", // preallocated, two files per partition
		"log.cleaner.dedupe.buffer.size":                   "4194304", // at least 1 MiB per cleaner thread
		"offsets.topic.num.partitions":                     "1",
		"transaction.state.log.num.partitions":             "1",
		"share.coordinator.state.topic.num.partitions":     "1",
		"offsets.topic.replication.factor":                 "1",
		"transaction.state.log.replication.factor":         "1",
		"transaction.state.log.min.isr":                    "1",
		"share.coordinator.state.topic.replication.factor": "1",
		"share.coordinator.state.topic.min.isr":            "1",
		"group.initial.rebalance.delay.ms":                 "0",

		// After kill -9 the controller, which comes back too, refuses the broker's registration until the session of
		// its earlier life has run out: 9 s by default, which every unclean restart of a test would wait for. Shorter than this, a busy machine fences
		// a broker that is well.
		"broker.session.timeout.ms":    "6000",
		"broker.heartbeat.interval.ms": "500",
		// A broker that cannot register for so long ends itself; 60 s by default, which a busy machine may well need.
		"initial.broker.registration.timeout.ms": "240000",
	}
}

// single is the configuration of a broker that is its own controller. Keys of extra win.
func single(port, controllerPort int, extra map[string]string, more []listener) map[string]string {
	all := small()
	maps.Copy(all, map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        "1",
		"controller.quorum.voters":       fmt.Sprintf("1@127.0.0.1:%d", controllerPort),
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", port, controllerPort),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
	})
	for _, l := range more {
		all["listeners"] += "," + l.address
		all["advertised.listeners"] += "," + l.address
		all["listener.security.protocol.map"] += "," + l.protocol
		maps.Copy(all, l.properties)
	}
	maps.Copy(all, extra)
	return all
}

// text is a configuration as Kafka reads it.
func text(all map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s=%s\n", key, all[key])
	}
	return b.String()
}
