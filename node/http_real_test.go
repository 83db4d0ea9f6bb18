//go:build real

package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/realkafka"
)

// TestRealKafkaGetsWhatHTTPWasToldThroughKills is TestAckedOverHTTPIsStoredThroughKills on a real Kafka, which is killed
// -9 and started again, too, while clients post.
func TestRealKafkaGetsWhatHTTPWasToldThroughKills(t *testing.T) {
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
	httpThroughKills(t, b.Addr(), 3, func(i int) {
		if i == 2 {
			return // the gateway stops next, and should have something to deliver to
		}
		if err := b.Kill(); err != nil {
			t.Error(err)
		}
		if err := b.Restart(ctx); err != nil {
			t.Error(err)
		}
	})
}
