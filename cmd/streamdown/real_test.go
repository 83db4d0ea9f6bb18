//go:build real

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/test/realkafka"
)

// TestRealKafkaIsReconciled proves a log against a real Kafka that was killed (kill -9) in between.
func TestRealKafkaIsReconciled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
	file := filepath.Join(t.TempDir(), "streamdown.yaml")
	text := fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [{ name: all, topics: ["*"] }]
`, t.TempDir(), b.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(work func(addr string)) {
		t.Helper()
		cfg, findings := config.Load(file)
		if cfg == nil {
			t.Fatal(findings)
		}
		n, err := node.Open(node.Options{Config: cfg})
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() {
			_, err := n.Run(running)
			done <- err
		}()
		work(n.KafkaAddr())
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	reconciled := func(want int, text string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := execute(ctx, []string{"reconcile", "-c", file}, &out, &errs); code != want || !strings.Contains(out.String(), text) {
			t.Fatalf("exit code %d, want %d:\n%s%s", code, want, &out, &errs)
		}
		t.Log(strings.TrimSpace(out.String()))
	}
	serve(func(addr string) {
		send(ctx, t, addr, 5000)
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		send(ctx, t, addr, 5000)
	})
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	reconciled(0, "compared 5000 of 10000 records") // the rest waits in the log
	serve(func(addr string) {
		for { // until what waited has arrived
			var out, errs bytes.Buffer
			if execute(ctx, []string{"reconcile", "-c", file}, &out, &errs) == 0 && strings.Contains(out.String(), "(100.00 %)") {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%s%s", &out, &errs)
			}
		}
	})
	reconciled(0, "compared 10000 of 10000 records (100.00 %)")
}

func send(ctx context.Context, t *testing.T, addr string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Key: fmt.Appendf(nil, "%d", i%100), Value: fmt.Appendf(nil, "value %d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}
