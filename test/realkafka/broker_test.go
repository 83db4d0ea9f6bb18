//go:build real

package realkafka_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/realkafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestKilledBrokerComesBackWithEverythingAcked(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	t.Logf("Kafka %s answers after %v (jars and format included)", b.Version, time.Since(began).Round(time.Millisecond))
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, kgo.StringRecord("before")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident %d MiB, cpu %v", u.ResidentBytes>>20, u.CPU)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("answers %v after the start that followed kill -9", time.Since(began).Round(time.Millisecond))
	if err := cl.ProduceSync(ctx, kgo.StringRecord("after")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	t.Logf("acks after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := b.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("answers %v after the start that followed a stop", time.Since(began).Round(time.Millisecond))
	if n := ends(t, ctx, cl); n != 2 {
		t.Errorf("%d records after two acks", n)
	}
}

func TestPausedBrokerAnswersOnceItGoesOn(t *testing.T) {
	b, err := realkafka.Start(t.Context(), realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	nc, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	// ApiVersions v0: length 10, key 18, version 0, correlation id 7, no client id.
	if _, err := nc.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	var answer [8]byte // length and correlation id
	if err := nc.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(answer[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused broker answered %d bytes, %v", n, err)
	}
	if err := b.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, answer[:]); err != nil || answer[7] != 7 {
		t.Fatalf("after it went on: % x, %v", answer, err)
	}
}

// ends is the number of records in the three partitions of topic t.
func ends(t *testing.T, ctx context.Context, cl *kgo.Client) (n int64) {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = "t"
	for p := range int32(3) {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p, -1
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					t.Fatalf("partition %d: error %d", p.Partition, p.ErrorCode)
				}
				n += p.Offset
			}
		}
	}
	return n
}
