//go:build real

package realkafka_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/test/realkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := cl.Ping(short); err == nil {
		t.Error("a paused broker answered")
	}
	began := time.Now()
	if err := b.Continue(); err != nil {
		t.Fatal(err)
	}
	if err := cl.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("answers %v after it went on", time.Since(began).Round(time.Millisecond))
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
