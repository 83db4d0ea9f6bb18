package reconcile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/reconcile"
)

// TestTopicsAreReadWhoeverLeadsThem moves the partition between and in the middle of the calls: each batch is given
// once all the same. The brokers are embedded ones.
func TestTopicsAreReadWhoeverLeadsThem(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tp := streamdown.TopicPartition{Topic: "orders"}
	const batches, perBatch = 40, 3
	producer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 100<<10) // so that reading all takes several questions
	for range batches {
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord("a"), kgo.StringRecord(large), kgo.StringRecord(large)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	producer.Close()
	client, err := kafka.New(kafka.Config{Bootstrap: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	live := reconcile.NewKafkaTopics(client)
	pin, err := live.Pin(t.Context(), tp)
	if err != nil {
		t.Fatal(err)
	}
	if pin.Start != 0 || pin.End != batches*perBatch || pin.Topic.IsZero() || pin.Cluster == "" || pin.Compacted {
		t.Errorf("%+v", pin)
	}
	leader := 0
	move := func() {
		leader++
		if err := c.MoveTopicPartition("orders", 0, int32(leader%3)); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"never", "before", "inside"} {
		if when == "before" {
			move()
			move() // the leader is another one now, wherever it was
		}
		var got []streamdown.Offset
		err := live.Walk(t.Context(), tp, pin.Topic, 0, pin.End, func(base streamdown.Offset, raw []byte) error {
			if when == "inside" && len(got) == 3 {
				move()
			}
			got = append(got, base)
			return batch.Verify(raw)
		})
		if err != nil {
			t.Fatalf("moved %s: %v", when, err)
		}
		for i, base := range got {
			if int(base) != i*perBatch {
				t.Fatalf("moved %s: got %v", when, got)
			}
		}
		if len(got) != batches {
			t.Fatalf("moved %s: %d batches", when, len(got))
		}
	}
	for _, none := range []streamdown.TopicPartition{{Topic: "orders", Partition: 1}, {Topic: "none"}} {
		if _, err := live.Pin(t.Context(), none); !errors.Is(err, reconcile.ErrNoTopic) {
			t.Errorf("%s: %v", none, err)
		}
	}
}
