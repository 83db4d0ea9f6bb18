//go:build real

package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/realkafka"
)

// TestRealKafkaGetsEachRecordOnceThroughKills kills a real Kafka with kill -9 again and again, and stops and starts the
// gateway, while a producer goes on.
func TestRealKafkaGetsEachRecordOnceThroughKills(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	b, err := realkafka.Start(ctx, realkafka.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Kill()
	t.Log("Kafka", realkafka.Version())
	if err := b.CreateTopic(ctx, "orders", 3, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	n := start(t, dir, b.Addr())
	addr := n.KafkaAddr()
	const total = 30000
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.RecordDeliveryTimeout(3*time.Minute), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := range total {
			cl.Produce(ctx, &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, "value %d", i)}, func(r *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce %s: %v", r.Value, err)
				}
			})
			if i%10 == 0 {
				select {
				case <-time.After(2 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range 3 {
		wait(ctx, time.Duration(500+rng.IntN(1000))*time.Millisecond)
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		wait(ctx, time.Duration(200+rng.IntN(2000))*time.Millisecond)
		if err := b.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "drained", n, func(s statusView) bool { return s.backlog == 0 })
	consume(t, b.Addr(), total)
	s := n.Status(ctx)
	t.Logf("answers %v, scans %d, damage %v, acked locally %d, retries %d", s.Forward.Answers, s.Forward.Scans, s.Log.Damage, s.Records.AckedLocally, s.Records.ClientRetries)
	for _, l := range s.Lanes {
		t.Logf("%+v", l)
	}
	n.stop(t)
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
