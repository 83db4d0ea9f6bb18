package broker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/wire"
)

// client sends raw requests, one at a time.
type client struct {
	t    testing.TB
	conn net.Conn
	form *kmsg.RequestFormatter
	next int32
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, form: kmsg.NewRequestFormatter(kmsg.FormatterClientID("contract"))}
}

func (c *client) send(version int16, req kmsg.Request) {
	c.t.Helper()
	req.SetVersion(version)
	c.next++
	if _, err := c.conn.Write(c.form.AppendRequest(nil, req, c.next)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	frame, err := wire.ReadFrame(c.conn, nil, 64<<20)
	if err != nil {
		c.t.Fatalf("answer to %s: %v", kmsg.NameForKey(req.Key()), err)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("answer to %s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return resp
}

func (c *client) ask(version int16, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.send(version, req)
	return c.receive(req)
}

// b says what one batch is like.
type b struct {
	pid      int64
	epoch    int16
	seq      int32
	n        int    // records, 0 = 1
	value    string // of each
	keyless  bool
	time     time.Time // zero = now
	codec    batch.Codec
	base     int64 // offset in the header
	twice    bool  // two batches where one belongs
	crc, txn bool  // spoiled
}

func (x b) bytes(t testing.TB) []byte {
	t.Helper()
	var w batch.Builder
	at := x.time
	if at.IsZero() {
		at = time.Now()
	}
	for i := range max(1, x.n) {
		key := []byte("k")
		if x.keyless {
			key = nil
		}
		w.Append(at.UnixMilli(), key, fmt.Appendf(nil, "%s %d", x.value, i))
	}
	raw, err := w.Build(x.codec, batch.Stamp{ProducerID: x.pid, Epoch: x.epoch, BaseSequence: x.seq})
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Clone(raw)
	binary.BigEndian.PutUint64(raw, uint64(x.base))
	if x.txn {
		raw[22] |= 1 << 4
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	}
	if x.crc {
		raw[len(raw)-1] ^= 1
	}
	if x.twice {
		raw = append(raw, raw...)
	}
	return raw
}

func produceRequest(topic string, id [16]byte, partition int32, acks int16, raw []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produce sends a batch to a partition with acks=all and returns code and base offset.
func (c *client) produce(topic string, partition int32, x b) (int16, int64) {
	c.t.Helper()
	p := c.ask(9, produceRequest(topic, [16]byte{}, partition, -1, x.bytes(c.t))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// producers lists what a broker knows of the producers of a partition: id, epoch, last sequence.
func (c *client) producers(topic string, partition int32) (code int16, list []string) {
	c.t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, t)
	p := c.ask(0, req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0]
	for _, a := range p.ActiveProducers {
		list = append(list, fmt.Sprintf("%d/%d/%d coordinator %d txn %d", a.ProducerID, a.ProducerEpoch, a.LastSequence, a.CoordinatorEpoch, a.CurrentTxnStartOffset))
	}
	return p.ErrorCode, list
}

// epochEnd asks where an epoch ends.
func (c *client) epochEnd(topic string, partition, current, epoch int32) string {
	c.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = partition, current, epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	q := c.ask(4, req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
	return fmt.Sprintf("code %d epoch %d end %d", q.ErrorCode, q.LeaderEpoch, q.EndOffset)
}

// offset is ListOffsets.
func (c *client) offset(topic string, partition, current int32, at int64) string {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = partition, current, at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	q := c.ask(7, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return fmt.Sprintf("code %d offset %d epoch %d", q.ErrorCode, q.Offset, q.LeaderEpoch)
}

// fetch reads once.
func (c *client) fetch(version int16, topic string, id [16]byte, partition, current int32, at int64) string {
	c.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.SessionEpoch = -1, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.LogStartOffset, p.PartitionMaxBytes = partition, current, at, -1, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp := c.ask(version, req).(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 || len(resp.Topics) == 0 {
		return fmt.Sprintf("all: code %d", resp.ErrorCode)
	}
	q := resp.Topics[0].Partitions[0]
	s := fmt.Sprintf("code %d hw %d start %d:", q.ErrorCode, q.HighWatermark, q.LogStartOffset)
	for raw := q.RecordBatches; len(raw) > 0; {
		n, err := batch.Size(raw)
		if err != nil {
			return s + " torn"
		}
		h, _ := batch.ParseHeader(raw)
		s += fmt.Sprintf(" [%d %d/%d/%d x%d %v epoch %d append time %t whole %t]", h.BaseOffset, h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Count,
			h.Codec(), h.LeaderEpoch, h.LogAppendTime(), batch.Verify(raw[:n]) == nil)
		raw = raw[n:]
	}
	return s
}

// create makes a topic and waits until it has a leader.
func (c *client) create(name string, partitions int32, config ...string) (id [16]byte) {
	c.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(config); i += 2 {
		e := kmsg.NewCreateTopicsRequestTopicConfig()
		e.Name, e.Value = config[i], kmsg.StringPtr(config[i+1])
		t.Configs = append(t.Configs, e)
	}
	req.Topics = append(req.Topics, t)
	if got := c.ask(7, req).(*kmsg.CreateTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		c.t.Fatalf("create %s: code %d", name, got.ErrorCode)
	}
	for c.t.Context().Err() == nil {
		m := kmsg.NewPtrMetadataRequest()
		mt := kmsg.NewMetadataRequestTopic()
		mt.Topic = kmsg.StringPtr(name)
		m.Topics = append(m.Topics, mt)
		got := c.ask(12, m).(*kmsg.MetadataResponse).Topics[0]
		ready := got.ErrorCode == 0 && len(got.Partitions) == int(partitions)
		for _, p := range got.Partitions {
			ready = ready && p.ErrorCode == 0 && p.Leader >= 0
		}
		if ready && c.fetchable(name, partitions) {
			return got.TopicID
		}
	}
	c.t.Fatal("the test is over")
	return id
}

// fetchable says whether the leaders lead already: metadata come first.
func (c *client) fetchable(name string, partitions int32) bool {
	for p := range partitions {
		if c.offset(name, p, -1, -1) != "code 0 offset 0 epoch 0" {
			return false
		}
	}
	return true
}
