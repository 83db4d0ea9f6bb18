package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/test/broker"
	"github.com/streamdown/streamdown/test/memnet"
)

// world is one run: a cluster, a gateway that lives and dies before it, and producers. All of it is in one bubble.
type world struct {
	seed    uint64
	rng     *rand.Rand // the story's, used by its one goroutine
	net     *memnet.Net
	cluster *broker.Cluster
	brokers []string // addresses
	checker *check.Checker
	began   time.Time
	clients []*producer
	gateway *gateway
	old     []*gateway // frozen ones
	lives   int
	level   slog.Level // of the node's log
	large   bool       // records of some kilobytes
	maxSize string     // of the log: small ones have small segments
	plant   *seamPlant
	hold    int            // switches that keep requests queued
	landing time.Time      // when the last of them has landed; see underway
	heals   bool           // what the cluster lost comes back
	wg      sync.WaitGroup // of producers and of gateways that are dying

	mu     sync.Mutex // guards the following
	trace  strings.Builder
	luck   *rand.Rand // for what goroutines ask
	broken string
	did    map[string]int
}

const gatewayAddr = "127.0.0.1:19092"

// newWorld draws what does not change in a run.
func newWorld(seed uint64) *world {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), luck: rand.New(rand.NewPCG(seed, 2)), net: &memnet.Net{}, began: time.Now(),
		checker: check.New(check.Config{}), did: map[string]int{},
	}
	w.net.Latency = func() time.Duration { return w.between(20*time.Microsecond, time.Millisecond) }
	var listeners []net.Listener
	n := []int{1, 3, 3}[w.rng.IntN(3)]
	for i := range n {
		l, err := w.net.Host(fmt.Sprintf("kafka-%d", i)).Listen(fmt.Sprintf("127.0.0.1:%d", 9092+i))
		if err != nil {
			panic(err)
		}
		listeners = append(listeners, l)
		w.brokers = append(w.brokers, l.Addr().String())
	}
	expiry := []time.Duration{24 * time.Hour, 24 * time.Hour, 10 * time.Second, 4 * time.Second}[w.rng.IntN(4)]
	w.cluster = broker.New(broker.Config{
		Seed: seed, ProducerExpiry: expiry, Lag: func() time.Duration { return w.between(100*time.Microsecond, 5*time.Millisecond) },
	}, listeners...)
	w.cluster.Create("orders", 2)
	w.cluster.Create("clicks", 2)
	if w.rng.IntN(4) == 0 {
		w.say("clicks: LogAppendTime")
		w.cluster.SetConfig("clicks", "message.timestamp.type", "LogAppendTime")
	}
	if w.rng.IntN(6) == 0 {
		w.say("clicks: gzip")
		w.cluster.SetConfig("clicks", "compression.type", "gzip")
	}
	w.large = w.rng.IntN(3) == 0
	w.maxSize = []string{"16MiB", "64MiB", "1GiB"}[w.rng.IntN(3)]
	w.say("%d brokers, producers expire after %v", n, expiry)
	return w
}

// between is a time drawn for whoever asks.
func (w *world) between(least, most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return least + time.Duration(w.luck.Int64N(int64(most-least)))
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.trace, "%12v %s\n", time.Since(w.began), fmt.Sprintf(format, args...))
}

// fail notes the first promise that is broken.
func (w *world) fail(promise, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.say("BROKEN %s: %s", promise, text)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "" {
		w.broken = promise + ": " + text
	}
}

func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken != ""
}

// Write takes the log of the node.
func (w *world) Write(b []byte) (int, error) {
	w.say("node: %s", strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// logger writes into the trace, at the trace's own clock.
func (w *world) logger(life int) *slog.Logger {
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: w.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(h).With("life", life)
}

// settings is the configuration of each life.
func (w *world) settings() *config.Config {
	src := fmt.Sprintf(`version: 1
listen: { kafka: { address: %q }, http: { address: "127.0.0.1:8790" } }
data: { dir: /data, scrub: 0, max_size: %s }
systems: { primary: { kafka: { bootstrap.servers: %q, request.timeout.ms: 3000 } } }
streams:
  - { name: orders, topics: ["orders"], to: primary, acks: remote, ack_patience: 1s }
  - { name: rest, topics: ["*"], to: primary, acks: wal, ack_patience: 1s }
`, gatewayAddr, w.maxSize, strings.Join(w.brokers, ","))
	cfg, findings := config.Parse("soak.yaml", []byte(src), nil)
	if cfg == nil {
		panic(findings.Err())
	}
	return cfg
}

// host is the network of one life of the gateway.
func (w *world) host(life int) *memnet.Host { return w.net.Host(fmt.Sprintf("gateway-%d", life)) }

func (w *world) dial(ctx context.Context) (net.Conn, error) {
	return w.net.Host("producers").Dial(ctx, "tcp", gatewayAddr)
}

func (w *world) somePartition() streamdown.TopicPartition {
	list := w.cluster.Partitions()
	return list[w.rng.IntN(len(list))]
}
