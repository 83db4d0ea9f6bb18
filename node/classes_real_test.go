//go:build real

package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/realkafka"
)

// freeAddress is one that a process can be started at again.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Kafka's own producer of critical records goes on while Kafka is down, the log has no room left for low ones and their
// answers are held, and through a restart of ours, by topic ids (Produce 13). A topic that is made anew is another one.
func TestRealClientsKeepClassesAndTopicIDsApart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Kill()
	t.Log("Kafka", realkafka.Version())
	for _, topic := range []string{"orders", "clicks"} {
		if err := b.CreateTopic(ctx, topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	src := fmt.Sprintf(`version: 1
listen: { kafka: { address: %q, classes: { low: { address: %q } } }, http: { address: "127.0.0.1:0" } }
data: { dir: %q, max_size: 64MiB }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams:
  - { name: first, topics: ["orders"], priority: critical }
  - { name: last, topics: ["clicks"], priority: low }
`, freeAddress(t), freeAddress(t), t.TempDir(), b.Addr())
	n := startFrom(t, src)
	upstream, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	admin := kadm.NewClient(upstream)
	ids := func() [16]byte {
		topics, err := admin.ListTopics(ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		return topics["orders"].ID
	}
	same := func(when string, want [16]byte) {
		t.Helper()
		if got := shows(t, n.KafkaAddr(), "orders").Topics[0].TopicID; got != want || got == [16]byte{} {
			t.Errorf("%s: producers are told id %x, Kafka has %x", when, got, want)
		}
	}
	id := ids()
	same("at the start", id)

	// Kafka's own client goes on through all that follows.
	stop, java := make(chan struct{}), make(chan error, 1)
	var sent load.Result
	counts := &ackCount{}
	go func() {
		var err error
		sent, err = load.Run(ctx, load.Spec{
			Client: load.Java, Bootstrap: n.KafkaAddr(), Topic: "orders", Partitions: 1, Producer: 1, Incarnation: 1, Idempotent: true,
			Rate: 500, Stop: stop, Dir: t.TempDir(), Classpath: b.Classpath(), Journal: counts,
		})
		java <- err
	}()
	more := func(what string) {
		t.Helper()
		for from := counts.Load(); counts.Load() < from+200; {
			select {
			case err := <-java:
				t.Fatalf("%s: the Java client ended: %v %+v", what, err, sent)
			case <-ctx.Done():
				t.Fatalf("%s: %d acks, no more", what, counts.Load())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	more("Kafka is up")
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	more("Kafka is down")
	same("Kafka is down", id)
	giveUp := holdLow(ctx, t, n)
	more("low records are held")
	giveUp()
	n.stop(t)
	n = startFrom(t, src)
	same("Kafka is down, and we were started again", id)
	more("Kafka is down, and we were started again")
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	more("Kafka is back")
	same("Kafka is back", id)
	close(stop)
	if err := <-java; err != nil || sent.Failed > 0 || sent.Acked != sent.Sent {
		t.Errorf("%v, %+v", err, sent)
	}
	want := int64(sent.Acked)
	for {
		ends, err := admin.ListEndOffsets(ctx, "orders")
		if err == nil && ends["orders"][0].Offset >= want {
			if got := ends["orders"][0].Offset; got != want {
				t.Errorf("Kafka has %d records of orders, %d were acked", got, want)
			}
			break
		}
		pause(t)
		if ctx.Err() != nil {
			t.Fatalf("Kafka does not have the %d records: %v %v", want, ends, err)
		}
	}
	t.Logf("Java: %+v", sent)
	if refused := n.Status(ctx).Gateway.Refusals; refused["UNKNOWN_TOPIC_ID"] != 0 || refused["NOT_LEADER_FOR_PARTITION"] != 0 {
		t.Errorf("refusals %v", refused)
	}

	// Made anew, the topic has another id. Whoever has the old one is told so: that tells version 13 from 12, too.
	old, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := old.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("before")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	stop = make(chan struct{})
	counts = &ackCount{}
	go func() {
		var err error
		sent, err = load.Run(ctx, load.Spec{
			Client: load.Java, Bootstrap: n.KafkaAddr(), Topic: "orders", Partitions: 1, Producer: 9, Incarnation: 1, Idempotent: true,
			Rate: 200, Stop: stop, Dir: t.TempDir(), Classpath: filepath.Clean(b.Classpath()), Journal: counts,
		})
		java <- err
	}()
	more("before the topic is deleted")
	if _, err := admin.DeleteTopics(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	anew := id
	for anew == id || anew == [16]byte{} {
		pause(t)
		_ = b.CreateTopic(ctx, "orders", 1, nil) // it exists until it is deleted, or a producer had it made
		anew = ids()
	}
	for shows(t, n.KafkaAddr(), "orders").Topics[0].TopicID != anew {
		pause(t)
	}
	for n.Status(ctx).Gateway.Refusals["UNKNOWN_TOPIC_ID"] == 0 {
		pause(t)
	}
	more("the topic was made anew")
	close(stop)
	err = <-java
	t.Logf("Java over a topic that was made anew: %v, %+v", err, sent)
	if err := old.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("after")}).FirstErr(); err != nil && !errors.Is(err, kerr.UnknownTopicID) {
		t.Errorf("franz-go: %v", err)
	}
	cancel()
	n.stop(t)
}

// holdLow sends low records until there is no room for more, and returns what ends that.
func holdLow(ctx context.Context, t *testing.T, n *running) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.DefaultProduceTopic("clicks"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(100_000), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		t.Fatal(err)
	}
	for range 9000 { // 90 MB
		cl.TryProduce(ctx, &kgo.Record{Value: make([]byte, 10_000)}, func(_ *kgo.Record, err error) {
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	for n.Status(ctx).Gateway.HeldReplies == 0 {
		pause(t)
	}
	return func() {
		if cl.BufferedProduceRecords() == 0 {
			t.Error("all low records were taken")
		}
		cancel()
		cl.Close()
	}
}

// ackCount counts acks.
type ackCount struct{ atomic.Int64 }

func (*ackCount) Sent(check.Stream, uint64)    {}
func (c *ackCount) Acked(check.Stream, uint64) { c.Add(1) }
