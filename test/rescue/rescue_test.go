//go:build real

package rescue_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/realkafka"
)

// roundLimit is how long a round may take; one takes about half a minute.
const roundLimit = 8 * time.Minute

// TestAckedRecordsArriveOnceThroughKills is the promise: see the package comment.
func TestAckedRecordsArriveOnceThroughKills(t *testing.T) {
	binary, err := daemon.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := workDir(t)
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	kafka := startKafka(t, dir, log)
	gateway, err := daemon.Start(t.Context(), daemon.Options{
		Binary: binary, Dir: filepath.Join(dir, "gateway"), Upstream: kafka.Addr(), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gateway.Kill()
		if t.Failed() {
			fmt.Printf("the gateway's last words:\n%s\n", process.Tail(gateway.Output(), 60))
		}
	})
	for i := range rounds {
		t.Run(fmt.Sprintf("round=%d", i), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), roundLimit)
			defer cancel()
			(&round{
				number: i, dir: dir, kafka: kafka, gateway: gateway, bootstrap: gateway.Addr(), log: log,
				rng: rand.New(rand.NewPCG(seed, uint64(i))),
			}).run(ctx, t)
		})
		if t.Failed() {
			return // what comes after a failure proves nothing new and hides its logs
		}
	}
}

// TestKafkaAloneKeepsWhatItAcked is the control: the same clients, faults and checker without a gateway. It shows that
// what the other test finds is not theirs.
func TestKafkaAloneKeepsWhatItAcked(t *testing.T) {
	dir := workDir(t)
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	kafka := startKafka(t, dir, log)
	ctx, cancel := context.WithTimeout(t.Context(), roundLimit)
	defer cancel()
	(&round{dir: dir, kafka: kafka, bootstrap: kafka.Addr(), log: log, rng: rand.New(rand.NewPCG(seed, 0))}).run(ctx, t)
}

func startKafka(t *testing.T, dir string, log *slog.Logger) *realkafka.Broker {
	t.Helper()
	kafka, err := realkafka.Start(t.Context(), realkafka.Options{Dir: filepath.Join(dir, "kafka"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = kafka.Kill()
		if t.Failed() {
			fmt.Printf("Kafka's last words:\n%s\n", process.Tail(kafka.Log(), 30))
		}
	})
	fmt.Printf("rescue: Kafka %s, SEED=%d\n", kafka.Version, seed)
	return kafka
}

// workDir is removed when the test passes, unless KEEP is set: otherwise a person wants to look into it.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "streamdown-rescue-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("KEEP") != "" {
			fmt.Printf("rescue: logs and data are kept in %s; run it again with SEED=%d\n", dir, seed)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
