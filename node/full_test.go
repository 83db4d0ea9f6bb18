package node_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A log that holds nothing but what the target has must make room for what comes, whatever `retain` wishes and whatever
// the size of its segments: here more than twice its maximal size goes through it.
func TestALogFullOfDeliveredRecordsMakesRoom(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	n := startWith(t, t.TempDir(), c.ListenAddrs()[0], ", max_size: 16MiB")
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	noise := rand.NewChaCha8([32]byte{1})
	var acked atomic.Int64
	const records = 4000
	for range records {
		value := make([]byte, 10_000)
		_, _ = noise.Read(value) // never fails
		cl.Produce(t.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
			acked.Add(1)
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := n.Status(t.Context())
	if acked.Load() != records || s.Log.SizeBytes > s.Log.MaxSizeBytes {
		t.Fatalf("%d of %d records acknowledged; the log has %d of %d bytes", acked.Load(), records, s.Log.SizeBytes, s.Log.MaxSizeBytes)
	}
	n.stop(t)
}
