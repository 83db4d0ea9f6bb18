//go:build real

package batch

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/test/realkafka"
)

// TestKafkaAgrees sends every case of the table to a real broker, which must answer as the table says: with our code,
// or with the other one that stands there. First run on Apache Kafka 4.4.0.
func TestKafkaAgrees(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	broker, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Kill() })
	t.Logf("Apache Kafka %s", broker.Version)

	noon = time.Now()
	topics := map[Rules]string{}
	for _, c := range admissions(t) {
		t.Run(c.name, func(t *testing.T) {
			topic, ok := topics[c.rules]
			if !ok {
				topic = fmt.Sprintf("t%d", len(topics))
				if code := createTopic(t, broker.Addr(), topic, &c.rules); code == 40 && c.rules.SegmentBytes > 0 {
					t.Skip("this version takes no such small segments") // 4.0 and later: 1 MiB at least
				} else if code != 0 {
					t.Fatalf("create topic: code %d", code)
				}
				topics[c.rules] = topic
			}
			want := c.kafka
			if want == same {
				want = c.code
			}
			if got := produce(t, broker.Addr(), topic, c.bytes); got != want {
				t.Errorf("broker answers %d, the table says %d (ours is %d)", got, want, c.code)
			}
		})
	}
}

func createTopic(t *testing.T, addr, name string, r *Rules) int16 {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.SetVersion(5)
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	set := func(key, value string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		topic.Configs = append(topic.Configs, c)
	}
	number := func(key string, n int64) {
		if n > 0 {
			set(key, strconv.FormatInt(n, 10))
		}
	}
	number("max.message.bytes", int64(r.MaxMessageBytes))
	number("segment.bytes", int64(r.SegmentBytes))
	number("message.timestamp.before.max.ms", r.BeforeMax.Milliseconds())
	number("message.timestamp.after.max.ms", r.AfterMax.Milliseconds())
	if r.AfterMax == 0 {
		number("message.timestamp.after.max.ms", 1<<62)
	}
	if r.Compacted {
		set("cleanup.policy", "compact")
	}
	if r.LogAppendTime {
		set("message.timestamp.type", "LogAppendTime")
	}
	if r.Uncompressed {
		set("compression.type", "uncompressed")
	}
	req.Topics = append(req.Topics, topic)
	resp := ask(t, addr, req).(*kmsg.CreateTopicsResponse)
	return resp.Topics[0].ErrorCode
}

// produce sends the bytes as the records of partition 0, again while the new topic has no leader yet.
func produce(t *testing.T, addr, topic string, records []byte) int16 {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(9)
	req.Acks, req.TimeoutMillis = -1, 10_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = records
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	for {
		resp := ask(t, addr, req).(*kmsg.ProduceResponse)
		got := resp.Topics[0].Partitions[0]
		if got.ErrorCode == 3 || got.ErrorCode == 5 || got.ErrorCode == 6 {
			select {
			case <-t.Context().Done():
				t.Fatal("topic got no leader")
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if got.ErrorMessage != nil {
			t.Logf("%d: %s", got.ErrorCode, *got.ErrorMessage)
		}
		return got.ErrorCode
	}
}

func ask(t *testing.T, addr string, req kmsg.Request) kmsg.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		t.Fatal(err)
	}
	body := frame[4:]
	if req.IsFlexible() {
		body = body[1:] // no tags in the header
	}
	resp := req.ResponseKind()
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return resp
}
