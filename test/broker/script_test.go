package broker_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/batch"
)

// script asks a broker, the one here or a real Kafka, for everything that its append path decides, and writes down what
// it answers. Each step has a partition of its own. Expired waits until a partition has forgotten who is old.
func script(c *client, expired func(partition int32)) []string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	id := c.create("script", 24)
	at := int32(-1)
	step := func(what string) {
		at++
		say("- %s", what)
	}
	try := func(what string, x b) {
		code, base := c.produce("script", at, x)
		say("%s: code %d base %d", what, code, base)
	}
	knows := func() {
		code, list := c.producers("script", at)
		say("producers: code %d %s", code, strings.Join(list, ", "))
	}

	step("without state any epoch and sequence will do")
	knows()
	try("unknown producer, epoch 3, sequence 500", b{pid: 987654, epoch: 3, seq: 500, n: 10})
	try("the same again", b{pid: 987654, epoch: 3, seq: 500, n: 10})
	try("the next", b{pid: 987654, epoch: 3, seq: 510, n: 10})
	try("one too far", b{pid: 987654, epoch: 3, seq: 521, n: 10})
	try("one before", b{pid: 987654, epoch: 3, seq: 490, n: 10})
	knows()

	step("the window has five batches")
	for i := range int32(8) {
		try("batch", b{pid: 1, seq: i * 10, n: 10, value: fmt.Sprint(i)})
	}
	for i := range int32(8) {
		try(fmt.Sprintf("batch %d again", i), b{pid: 1, seq: i * 10, n: 10, value: fmt.Sprint(i)})
	}
	try("the next", b{pid: 1, seq: 80, n: 10})

	step("other bounds are out of order, other bytes are a duplicate")
	try("first", b{pid: 1, seq: 0, n: 10})
	try("shifted", b{pid: 1, seq: 5, n: 10})
	try("longer", b{pid: 1, seq: 0, n: 11})
	try("shorter", b{pid: 1, seq: 0, n: 9})
	try("other bytes", b{pid: 1, seq: 0, n: 10, value: "other"})
	say("fetch: %s", c.fetch(12, "script", [16]byte{}, at, -1, 0))

	step("epochs")
	try("epoch 0", b{pid: 1, seq: 0, n: 10})
	try("epoch 1, not from 0", b{pid: 1, epoch: 1, seq: 10, n: 10})
	try("epoch 0 goes on", b{pid: 1, seq: 10, n: 10})
	try("epoch 5 from 0", b{pid: 1, epoch: 5, seq: 0, n: 10})
	try("epoch 0 is fenced", b{pid: 1, seq: 20, n: 10})
	try("and so are its duplicates", b{pid: 1, seq: 10, n: 10})
	try("epoch 5 again", b{pid: 1, epoch: 5, seq: 0, n: 10})
	knows()

	step("wrap")
	try("up to the last sequence", b{pid: 1, seq: 1<<31 - 10, n: 10})
	try("0 follows", b{pid: 1, seq: 0, n: 10})
	try("and is known", b{pid: 1, seq: 0, n: 10})
	step("wrap within a batch")
	try("over the edge", b{pid: 1, seq: 1<<31 - 3, n: 10})
	try("again", b{pid: 1, seq: 1<<31 - 3, n: 10})
	knows()
	try("7 follows", b{pid: 1, seq: 7, n: 1})

	step("producers do not know each other")
	try("one", b{pid: 1, seq: 0})
	try("two", b{pid: 2, seq: 70})
	try("none", b{pid: -1, epoch: -1, seq: -1})
	try("one goes on", b{pid: 1, seq: 1})
	knows()

	step("what a batch must be")
	try("whole", b{pid: 1, crc: true})
	try("the only one", b{pid: 1, twice: true})
	try("based on 0", b{pid: 1, base: 7})
	try("no larger than the limit", b{pid: 1, value: strings.Repeat("x", 1100000)})
	knows()

	step("offsets and epochs")
	say("end of epoch 0 while it is empty: %s", c.epochEnd("script", at, 0, 0))
	say("fetch from 0 while it is empty: %s", c.fetch(12, "script", [16]byte{}, at, 0, 0))
	try("ten records", b{pid: 1, n: 10})
	say("latest: %s", c.offset("script", at, -1, -1))
	say("earliest: %s", c.offset("script", at, 0, -2))
	say("latest, epoch too new: %s", c.offset("script", at, 1, -1))
	for _, epoch := range []int32{-1, 0, 1} {
		say("end of epoch %d: %s", epoch, c.epochEnd("script", at, 0, epoch))
	}
	say("end, epoch too new: %s", c.epochEnd("script", at, 1, 0))
	for _, from := range []int64{0, 5, 10, 11} {
		say("fetch from %d: %s", from, c.fetch(12, "script", [16]byte{}, at, 0, from))
	}
	say("fetch by id: %s", c.fetch(13, "script", id, at, 0, 0))
	say("fetch, epoch too new: %s", c.fetch(12, "script", [16]byte{}, at, 1, 0))
	say("fetch by an unknown id: %s", c.fetch(13, "", [16]byte{9, 9, 9, 9, 9, 9, 0x49, 9, 0x89, 1}, at, 0, 0))

	step("where there is nothing")
	p := c.ask(13, produceRequest("", [16]byte{9, 9, 9, 9, 9, 9, 0x49, 9, 0x89, 1}, 0, -1, b{pid: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("unknown id: code %d base %d", p.ErrorCode, p.BaseOffset)
	p = c.ask(13, produceRequest("", id, at, -1, b{pid: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("known id: code %d base %d", p.ErrorCode, p.BaseOffset)
	p = c.ask(9, produceRequest("no-such-topic", [16]byte{}, 0, -1, b{pid: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("unknown name: code %d base %d", p.ErrorCode, p.BaseOffset)
	p = c.ask(9, produceRequest("script", [16]byte{}, 99, -1, b{pid: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("unknown partition: code %d base %d", p.ErrorCode, p.BaseOffset)
	p = c.ask(9, produceRequest("script", [16]byte{}, at, 2, b{pid: 1, seq: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("acks 2: code %d base %d", p.ErrorCode, p.BaseOffset)
	p = c.ask(9, produceRequest("script", [16]byte{}, at, 1, b{pid: 1, seq: 1}.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	say("acks 1: code %d base %d", p.ErrorCode, p.BaseOffset)
	code, list := c.producers("script", 99)
	say("producers of an unknown partition: code %d %v", code, list)
	say("end of an epoch there: %s", c.epochEnd("script", 99, -1, 0))
	say("latest there: %s", c.offset("script", 99, -1, -1))
	say("fetch there: %s", c.fetch(12, "script", [16]byte{}, 99, -1, 0))

	lines = append(lines, settings(c)...)

	say("- expiry goes by the timestamp of the last batch")
	at++
	old := time.Now().Add(-2 * time.Hour)
	try("old, sequence 0", b{pid: 1, seq: 0, time: old})
	try("young, sequence 1", b{pid: 1, seq: 1})
	try("young, of another", b{pid: 2, seq: 0})
	try("old, of that one", b{pid: 2, seq: 1, time: old})
	expired(at)
	knows()
	try("whose last batch is young is known", b{pid: 1, seq: 9})
	try("whose last batch is old is not: any sequence will do", b{pid: 2, seq: 77})
	try("and the batch that was stored first is out of order", b{pid: 2, seq: 1})
	say("fetch: %s", c.fetch(12, "script", [16]byte{}, at, -1, 0))
	return lines
}

// settings is the part of the script about topics that are set up in another way.
func settings(c *client) (lines []string) {
	for _, s := range []struct {
		topic, key, value string
		batches           []b
	}{
		{"too-few", "min.insync.replicas", "2", []b{{pid: 1}}},
		{"small", "max.message.bytes", "300", []b{{pid: 1, n: 2}, {pid: 1, seq: 2, n: 50}, {pid: 1, seq: 2, n: 50, codec: batch.Gzip}, {pid: 1, seq: 52}}},
		{"compact", "cleanup.policy", "compact", []b{{pid: 1, keyless: true}, {pid: 1}}},
		{"append-time", "message.timestamp.type", "LogAppendTime", []b{{pid: 1, time: time.Now().Add(-time.Minute)}, {pid: 1, time: time.Now().Add(-time.Minute)}}},
		{"gzip", "compression.type", "gzip", []b{{pid: 1, n: 20}, {pid: 1, n: 20}, {pid: 1, seq: 20, codec: batch.Gzip}}},
		{"plain", "compression.type", "uncompressed", []b{{pid: 1, n: 20, codec: batch.Zstd}, {pid: 1, seq: 20}}},
		{"late", "message.timestamp.before.max.ms", "60000", []b{{pid: 1, time: time.Now().Add(-time.Hour)}, {pid: 1}}},
		{"early", "message.timestamp.after.max.ms", "60000", []b{{pid: 1, time: time.Now().Add(time.Hour)}, {pid: 1}}},
	} {
		c.create(s.topic, 1, s.key, s.value)
		lines = append(lines, fmt.Sprintf("- %s = %s", s.key, s.value))
		for _, x := range s.batches {
			code, base := c.produce(s.topic, 0, x)
			lines = append(lines, fmt.Sprintf("sequence %d of %d: code %d base %d", x.seq, max(1, x.n), code, base))
		}
		lines = append(lines, "fetch: "+c.fetch(12, s.topic, [16]byte{}, 0, -1, 0))
	}
	return lines
}
