//go:build real

package realkafka_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/test/realkafka"
)

// A cluster whose leader was alone in sync, dies, and is followed by a replica that had slept: what the leader acked
// meanwhile is gone. The same with a door that is shut in between.
func TestAnUncleanElectionLosesWhatWasAcked(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	began := time.Now()
	c, err := realkafka.StartCluster(ctx, realkafka.ClusterOptions{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("three brokers and a controller of Kafka %s answer after %v", c.Controller.Version, time.Since(began).Round(time.Millisecond))
	for _, m := range c.Brokers {
		if u, err := m.Usage(); err != nil {
			t.Error(err)
		} else {
			t.Logf("node %d: resident %d MiB, cpu %v", m.ID(), u.ResidentBytes>>20, u.CPU)
		}
	}
	a, err := realkafka.NewAdmin(c.Addrs()...)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Create(ctx, "frail", [][]int32{{1, 2}}, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers[0].Door.Addr()), kgo.DefaultProduceTopic("frail"), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	send := func(n int) {
		t.Helper()
		for range n {
			if err := cl.ProduceSync(ctx, kgo.StringRecord("v")).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(10)
	if err := c.Broker(2).Pause(); err != nil {
		t.Fatal(err)
	}
	alone := func(ps []kadm.PartitionDetail) bool { return slices.Equal(ps[0].ISR, []int32{1}) }
	began = time.Now()
	if err := a.Await(ctx, "frail", alone); err != nil {
		t.Fatal(err)
	}
	t.Logf("the sleeper is out of sync after %v", time.Since(began).Round(time.Millisecond))
	c.Broker(1).Door.Refuse()
	if err := c.Broker(1).Door.Open(); err != nil {
		t.Fatal(err)
	}
	send(5)
	if err := c.Broker(1).Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker(2).Continue(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if err := a.Await(ctx, "frail", func(ps []kadm.PartitionDetail) bool { return ps[0].Leader == 2 }); err != nil {
		t.Fatal(err)
	}
	t.Logf("it leads after %v", time.Since(began).Round(time.Millisecond))
	if ends, err := a.Ends(ctx, "frail"); err != nil || ends[0] != 10 {
		t.Errorf("the topic ends at %d, %v; want the 10 of before", ends, err)
	}
	began = time.Now()
	if err := c.Broker(1).Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Await(ctx, "frail", func(ps []kadm.PartitionDetail) bool { return len(ps[0].ISR) == 2 }); err != nil {
		t.Fatal(err)
	}
	t.Logf("both are in sync %v after the start", time.Since(began).Round(time.Millisecond))
	if err := a.Reorder(ctx, "frail", 0, []int32{2, 1}); err != nil {
		t.Fatal(err)
	}
	if err := a.Elect(ctx, "frail", 1, false); err != nil {
		t.Fatal(err)
	}
	send(1)
	if ends, err := a.Ends(ctx, "frail"); err != nil || ends[0] != 11 {
		t.Errorf("the topic ends at %d, %v", ends, err)
	}
}
