//go:build real

package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/sink"
)

// These tests ask a real Apache Kafka, one node with default settings: one of their own each, or the one at the address
// in STREAMDOWN_TEST_KAFKA.
// They make topics of their own and leave them there. Seen to pass on 4.1.0 and 4.4.0.

func realClient(t *testing.T) *Client {
	t.Helper()
	addr := os.Getenv("STREAMDOWN_TEST_KAFKA")
	if addr == "" {
		_, c := realBroker(t)
		return c
	}
	return clientOf(t, Config{Bootstrap: []string{addr}})
}

// place is one partition as Metadata showed it.
type place struct {
	tp    streamdown.TopicPartition
	id    streamdown.ID
	node  int32
	epoch int32
}

func (p place) parcel(t *testing.T, pid int64, epoch int16, seq int32, n int) sink.Parcel {
	return parcelOf(t, p.tp, p.id, pid, epoch, seq, n)
}

func (p place) scan(pid int64) ScanRequest { return ScanRequest{p.tp, p.id, p.epoch, 0, pid} }

// realTopic creates a topic of one partition.
func realTopic(t *testing.T, c *Client, name string, config map[string]string) place {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 1, 1
	for k, v := range config {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = k, &v
		rt.Configs = append(rt.Configs, cfg)
	}
	req.Topics = append(req.Topics, rt)
	err := c.any(ctx, func(cn *conn) error {
		resp, err := ask[*kmsg.CreateTopicsResponse](ctx, cn, req, 2, 7)
		if err == nil {
			err = replyError(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage, "create %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return realPlace(t, c, name)
}

// realPlace waits until a topic has a leader.
func realPlace(t *testing.T, c *Client, name string) place {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	for p := (pause{}); ; {
		tp := streamdown.TopicPartition{Topic: name}
		cl, err := c.Look(ctx, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		part, topic, ok := cl.Partition(tp)
		if ok && part.Leader >= 0 && part.Err == 0 {
			// Metadata names the leader a moment before the leader itself knows.
			_, _, err = c.EndOffset(ctx, part.Leader, tp)
		}
		if ok && part.Leader >= 0 && part.Err == 0 && err == nil {
			return place{tp, topic.ID, part.Leader, part.LeaderEpoch}
		}
		if err := p.wait(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func unique(name string) string { return fmt.Sprintf("%s-%d", name, time.Now().UnixNano()) }

func newPID(t *testing.T, c *Client) int64 {
	t.Helper()
	pid, epoch, err := c.NewProducerID(within(t, 2*time.Minute))
	if err != nil || epoch != 0 {
		t.Fatal(pid, epoch, err)
	}
	return pid
}

func TestRealAskTellsWhatIsHeld(t *testing.T) {
	c := realClient(t)
	p, pid := realTopic(t, c, unique("ask"), nil), newPID(t, c)
	ctx := within(t, 2*time.Minute)
	if held, err := c.Ask(ctx, p.node, p.tp, pid); err != nil || held.Known {
		t.Fatalf("before: %+v, %v", held, err)
	}
	for i := range int32(7) {
		if a := deliver(t, c, p.node, p.parcel(t, pid, 0, i*10, 10)); a[0].Class != sink.OK || a[0].Base != streamdown.Offset(i*10) || a[0].LogStart != 0 {
			t.Fatalf("batch %d: %+v", i, a)
		}
		if held, err := c.Ask(ctx, p.node, p.tp, pid); err != nil || held != (sink.Held{Known: true, LastSequence: i*10 + 9}) {
			t.Fatalf("after batch %d: %+v, %v", i, held, err)
		}
	}
	if held, err := c.Ask(ctx, p.node, p.tp, pid+1_000_000); err != nil || held.Known {
		t.Errorf("somebody else's id: %+v, %v", held, err)
	}
}

// The rules of Kafka's append path that the path stands on (forward.md 3.1), and the class of each refusal.
func TestRealAppendPath(t *testing.T) {
	c := realClient(t)
	p, pid := realTopic(t, c, unique("append"), map[string]string{
		"max.message.bytes": "5000", "message.timestamp.before.max.ms": "3600000", "message.timestamp.after.max.ms": "3600000",
	}), newPID(t, c)
	broken := p.parcel(t, pid, 3, 30, 5)
	broken.Payload[3] ^= 1
	old := p.parcel(t, pid, 3, 30, 5)
	backdate(&old, 5*time.Hour)
	for _, tt := range []struct {
		name  string
		send  sink.Parcel
		class sink.Class
		code  int16
		base  streamdown.Offset
	}{
		{"no state: any epoch and sequence is accepted", p.parcel(t, pid, 3, 20, 5), sink.OK, 0, 0},
		{"next", p.parcel(t, pid, 3, 25, 5), sink.OK, 0, 5},
		{"duplicate gets the original offset", p.parcel(t, pid, 3, 20, 5), sink.OK, 0, 0},
		{"same range, other bytes: silently taken for the duplicate", p.parcel(t, pid, 3, 25, 5), sink.OK, 0, 5},
		{"gap", p.parcel(t, pid, 3, 40, 5), sink.OutOfOrder, 45, -1},
		{"other boundaries", p.parcel(t, pid, 3, 27, 5), sink.OutOfOrder, 45, -1},
		{"older epoch", p.parcel(t, pid, 2, 30, 5), sink.Fenced, 47, -1},
		{"too large", p.parcel(t, pid, 3, 30, 500), sink.Poison, 10, -1},
		{"too old", old, sink.Poison, 32, -1},
		{"damaged", broken, sink.Poison, 2, -1},
		{"refusals left no gap", p.parcel(t, pid, 3, 30, 5), sink.OK, 0, 10},
		{"higher epoch not from 0", p.parcel(t, pid, 4, 35, 5), sink.OutOfOrder, 45, -1},
		{"higher epoch", p.parcel(t, pid, 4, 0, 5), sink.OK, 0, 15},
		{"now the former is older", p.parcel(t, pid, 3, 35, 5), sink.Fenced, 47, -1},
	} {
		if a := deliver(t, c, p.node, tt.send)[0]; a.Class != tt.class || a.Code != tt.code || a.Base != tt.base {
			t.Errorf("%s: %+v", tt.name, a)
		}
	}
	got, err := c.Scan(within(t, 2*time.Minute), p.node, p.scan(pid))
	if err != nil || got.End != 20 || len(got.Batches) != 4 {
		t.Errorf("scan: %+v, %v", got, err)
	}
}

// backdate moves a batch's timestamps into the past.
func backdate(p *sink.Parcel, by time.Duration) {
	raw := slices.Concat(p.Header[:], p.Payload)
	for _, at := range []int{27, 35} {
		ms := int64(binary.BigEndian.Uint64(raw[at:])) - by.Milliseconds()
		binary.BigEndian.PutUint64(raw[at:], uint64(ms))
	}
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	copy(p.Header[:], raw)
}

// min.insync.replicas above the number of replicas refuses nothing: the leader caps it (Partition.effectiveMinIsr).
func TestRealMinimumOfReplicasIsCapped(t *testing.T) {
	c := realClient(t)
	p, pid := realTopic(t, c, unique("isr"), map[string]string{"min.insync.replicas": "2"}), newPID(t, c)
	if a := deliver(t, c, p.node, p.parcel(t, pid, 0, 0, 5))[0]; a.Class != sink.OK {
		t.Errorf("got %+v", a)
	}
}

func TestRealEveryProduceVersion(t *testing.T) {
	c := realClient(t)
	p, pid := realTopic(t, c, unique("versions"), nil), newPID(t, c)
	q := realTopic(t, c, unique("versions-other"), nil)
	ctx := within(t, 2*time.Minute)
	for v := int16(produceLeast); v <= produceMost; v++ {
		replies := make(ear, 1)
		pipe, err := c.Dial(ctx, p.node, 1, replies.onReply)
		if err != nil {
			t.Fatal(err)
		}
		if pipe.Version() != produceMost {
			t.Fatalf("the broker offers Produce up to %d only", pipe.Version())
		}
		pipe.version = v
		seq := int32(v-produceLeast) * 5
		pipe.Send(1, []sink.Parcel{q.parcel(t, pid, 0, seq, 5), p.parcel(t, pid, 0, seq, 5)})
		h := replies.next(t, ctx)
		if h.err != nil {
			t.Fatalf("version %d: %v", v, h.err)
		}
		for _, a := range h.answers {
			if a.Class != sink.OK || a.Base != streamdown.Offset(seq) {
				t.Errorf("version %d: %+v", v, a)
			}
		}
		pipe.Close()
	}
}

func TestRealTopicCreatedAnewIsRefused(t *testing.T) {
	c := realClient(t)
	name, ctx := unique("anew"), within(t, 2*time.Minute)
	old, pid := realTopic(t, c, name, nil), newPID(t, c)
	if a := deliver(t, c, old.node, old.parcel(t, pid, 0, 0, 5))[0]; a.Class != sink.OK {
		t.Fatal(a)
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &name
	req.Topics, req.TopicNames = append(req.Topics, rt), []string{name}
	if err := c.any(ctx, func(cn *conn) error {
		_, err := ask[*kmsg.DeleteTopicsResponse](ctx, cn, req, 6, 6)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if a := deliver(t, c, old.node, old.parcel(t, pid, 0, 5, 5))[0]; a.Class != sink.Moved {
		t.Errorf("deleted: %+v", a)
	}
	fresh := realTopic(t, c, name, nil)
	if fresh.id == old.id {
		t.Fatal("same id")
	}
	if a := deliver(t, c, old.node, old.parcel(t, pid, 0, 5, 5))[0]; a.Class != sink.Moved || a.Code != 100 {
		t.Errorf("by the old id: %+v", a)
	}
	if _, err := c.Scan(ctx, old.node, ScanRequest{old.tp, old.id, fresh.epoch, 0, pid}); ClassOf(err) != sink.Moved {
		t.Errorf("scan by the old id: %v", err)
	}
	if got, err := c.Scan(ctx, fresh.node, fresh.scan(pid)); err != nil || got.End != 0 || len(got.Batches) != 0 {
		t.Errorf("scan of the new one: %+v, %v", got, err)
	}
}

func TestRealScanAndWalk(t *testing.T) {
	c := realClient(t)
	p, pid := realTopic(t, c, unique("scan"), nil), newPID(t, c)
	ctx := within(t, 2*time.Minute)
	if got, err := c.Scan(ctx, p.node, p.scan(pid)); err != nil || got.End != 0 || got.LogStart != 0 {
		t.Errorf("empty: %+v, %v", got, err)
	}
	var want []sink.Trace
	var payload []byte
	for i := range 40 { // about 10 MB: several answers, the last batch of each cut short
		q := p.parcel(t, pid+int64(i%2), 0, int32(i/2*10000), 10000)
		if a := deliver(t, c, p.node, q)[0]; a.Class != sink.OK {
			t.Fatalf("batch %d: %+v", i, a)
		}
		payload = append(payload, q.Payload...)
		if i%2 == 0 {
			want = append(want, sink.Trace{Base: streamdown.Offset(i * 10000), Sequence: int32(i / 2 * 10000), Count: 10000, PayloadCRC: batch.PayloadCRC(q.Header[:])})
		}
	}
	got, err := c.Scan(ctx, p.node, p.scan(pid))
	if err != nil || got.End != 400_000 || got.LogStart != 0 || !slices.Equal(got.Batches, want) {
		t.Errorf("scan: end %d, start %d, %d batches, %v", got.End, got.LogStart, len(got.Batches), err)
	}
	var walked []byte
	if _, err := c.Walk(ctx, p.node, p.tp, p.id, 0, 400_000, func(_ streamdown.Offset, raw []byte) error {
		walked = append(walked, raw[batch.HeaderSize:]...)
		return batch.Verify(raw)
	}); err != nil || !slices.Equal(walked, payload) {
		t.Errorf("walk: %d bytes of %d, %v", len(walked), len(payload), err)
	}
	for name, req := range map[string]ScanRequest{
		"newer epoch": {p.tp, p.id, p.epoch + 1, 0, pid},
		"other topic": {p.tp, streamdown.ID{1}, p.epoch, 0, pid},
		"no such":     {streamdown.TopicPartition{Topic: p.tp.Topic, Partition: 9}, p.id, p.epoch, 0, pid},
	} {
		if _, err := c.Scan(ctx, p.node, req); ClassOf(err) != sink.Moved {
			t.Errorf("%s: class %v, %v", name, ClassOf(err), err)
		}
	}

	cut := kmsg.NewPtrDeleteRecordsRequest()
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = p.tp.Topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Offset = 385_000
	rt.Partitions = append(rt.Partitions, rp)
	cut.Topics, cut.TimeoutMillis = append(cut.Topics, rt), 5000
	cn, err := c.at(ctx, p.node)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask[*kmsg.DeleteRecordsResponse](ctx, cn, cut, 0, 2); err != nil {
		t.Fatal(err)
	}
	got, err = c.Scan(ctx, p.node, p.scan(pid))
	if err != nil || got.LogStart != 385_000 || !slices.Equal(got.Batches, want[19:]) {
		t.Errorf("after a cut: %+v, %v", got, err)
	}
	if start, end, err := c.EndOffset(ctx, p.node, p.tp); err != nil || start != 385_000 || end != 400_000 {
		t.Errorf("ends: %d to %d, %v", start, end, err)
	}
}

func TestRealSettings(t *testing.T) {
	c := realClient(t)
	ctx := within(t, 2*time.Minute)
	plain := realTopic(t, c, unique("plain"), nil)
	special := realTopic(t, c, unique("special"), map[string]string{
		"cleanup.policy": "compact,delete", "message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "compression.type": "zstd", "max.message.bytes": "2000000",
	})
	cfgs, err := c.LookConfigs(ctx, []string{plain.tp.Topic, special.tp.Topic, "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if cfgs.ProducerExpiry != 24*time.Hour {
		t.Errorf("producer expiry %v", cfgs.ProducerExpiry)
	}
	got := cfgs.Topics[plain.tp.Topic]
	if !got.Known {
		t.Error("not read")
	}
	got.Known = false
	if want := cfgs.Topics["nowhere"]; got != want { // the package's idea of Kafka's defaults
		t.Errorf("plain topic %+v, defaults %+v", got, want)
	}
	s := cfgs.Topics[special.tp.Topic]
	if !s.Compacted || !s.LogAppendTime || s.Retention != 0 || s.Compression != "zstd" || s.MaxMessageBytes != 2_000_000 {
		t.Errorf("special topic %+v", s)
	}
}

func TestRealAutoCreationIsPassedOn(t *testing.T) {
	c := realClient(t)
	name, ctx := unique("auto"), within(t, 2*time.Minute)
	if cl, err := c.Look(ctx, []string{name}); err != nil || cl.Topics[name].Err != codeUnknownTopicOrPartition {
		t.Fatalf("%+v, %v", cl, err)
	}
	if err := c.Create(ctx, name); err != nil && !isCode(err, codeUnknownTopicOrPartition) && !isCode(err, 5) {
		t.Fatal(err)
	} else {
		t.Logf("the first answer: %v", err)
	}
	realPlace(t, c, name)
	if err := c.Create(ctx, name); err != nil {
		t.Error(err)
	}
}
