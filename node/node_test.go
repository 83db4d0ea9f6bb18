package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster starts an embedded broker that speaks the real protocol; it is not a Kafka.
func cluster(t testing.TB, dir string, ports ...int) *kfake.Cluster {
	t.Helper()
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(dir), kfake.DefaultNumPartitions(3), kfake.AllowAutoTopicCreation(), kfake.SeedTopics(3, "orders")}
	if len(ports) > 0 {
		opts = append(opts, kfake.Ports(ports...))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// journal keeps what was logged.
type journal struct {
	mu   sync.Mutex // guards the following
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(s string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.text.String(), s)
}

type running struct {
	*node.Node
	logs   *journal
	cancel context.CancelFunc
	done   chan struct{}
	left   int64
	err    error
}

func start(t *testing.T, dir, bootstrap string) *running {
	t.Helper()
	return startWith(t, dir, bootstrap, "")
}

// startWith adds keys to those of `data`.
func startWith(t *testing.T, dir, bootstrap, data string) *running {
	t.Helper()
	src := fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q%s }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary } ]
`, dir, data, bootstrap)
	return startFrom(t, src)
}

// startFrom starts a node with a config.
func startFrom(t *testing.T, src string) *running {
	t.Helper()
	cfg, findings := config.Parse("test.yaml", []byte(src), nil)
	if cfg == nil {
		t.Fatal(findings)
	}
	logs := &journal{}
	var w io.Writer = logs
	if testing.Verbose() {
		w = io.MultiWriter(logs, os.Stderr)
	}
	n, err := node.Open(node.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(w, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Node: n, logs: logs, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.left, r.err = n.Run(ctx)
	}()
	return r
}

func (r *running) stop(t *testing.T) int64 {
	t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.left
}

func produce(t *testing.T, addr string, from, to int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := from; i < to; i++ {
		cl.Produce(t.Context(), &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%5), Value: fmt.Appendf(nil, "value %d", i)}, func(r *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce %s: %v", r.Value, err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// consume reads n records straight from the broker and checks that each is there once, in order per key.
func consume(t *testing.T, addr string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	seen := map[int]bool{}
	last := map[string]int{}
	for len(seen) < n {
		fs := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(seen), n, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			var i int
			if _, err := fmt.Sscanf(string(r.Value), "value %d", &i); err != nil {
				t.Fatal(err)
			}
			if seen[i] {
				t.Errorf("record %d twice", i)
			}
			if was, ok := last[string(r.Key)]; ok && was > i {
				t.Errorf("key %s: %d after %d", r.Key, i, was)
			}
			seen[i], last[string(r.Key)] = true, i
		})
	}
}

func TestRecordsReachTheBrokerOnceAndInOrder(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	n := start(t, t.TempDir(), c.ListenAddrs()[0])
	produce(t, n.KafkaAddr(), 0, 2000)
	consume(t, c.ListenAddrs()[0], 2000)
	if left := n.stop(t); left != 0 {
		t.Fatalf("%d records left", left)
	}
}

func waitFor(t *testing.T, what string, n *running, ok func(s statusView) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s := n.Status(ctx)
		if ok(statusView{s.Records.Backlog, s.Target.Breaker}) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %+v", what, s)
		}
	}
}

type statusView struct {
	backlog int64
	breaker string
}

// TestProducersNoticeNothingOfAnOutage stops the broker, goes on producing, stops and starts the gateway meanwhile, and
// starts the broker again.
func TestProducersNoticeNothingOfAnOutage(t *testing.T) {
	brokerDir, dir := t.TempDir(), t.TempDir()
	c := cluster(t, brokerDir)
	addr := c.ListenAddrs()[0]
	port := 0
	if _, err := fmt.Sscanf(addr[len("127.0.0.1:"):], "%d", &port); err != nil {
		t.Fatal(addr, err)
	}
	n := start(t, dir, addr)
	produce(t, n.KafkaAddr(), 0, 1000)
	c.Close()
	produce(t, n.KafkaAddr(), 1000, 3000)
	waitFor(t, "breaker open", n, func(s statusView) bool { return s.breaker == "open" })
	if left := n.stop(t); left < 2000 {
		t.Fatalf("%d records left after an outage", left)
	}
	n = start(t, dir, addr) // with the broker still away: topics are remembered
	produce(t, n.KafkaAddr(), 3000, 4000)
	c = cluster(t, brokerDir, port)
	defer c.Close()
	waitFor(t, "drained", n, func(s statusView) bool { return s.backlog == 0 && s.breaker == "closed" })
	produce(t, n.KafkaAddr(), 4000, 4500)
	consume(t, addr, 4500)
	if left := n.stop(t); left != 0 {
		t.Fatalf("%d records left", left)
	}
}

// TestNoBatchIsPassedOver has the forwarder read the log in many chunks, far behind and nearly caught up, stopping and
// going on: what two reads share must not lose a batch.
func TestNoBatchIsPassedOver(t *testing.T) {
	brokerDir := t.TempDir()
	c := cluster(t, brokerDir)
	addr := c.ListenAddrs()[0]
	port := 0
	if _, err := fmt.Sscanf(addr[len("127.0.0.1:"):], "%d", &port); err != nil {
		t.Fatal(addr, err)
	}
	n := start(t, t.TempDir(), addr)
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.KafkaAddr()), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(5000), kgo.MaxBufferedRecords(5000), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	filler := strings.Repeat("x", 1000)
	send := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			cl.Produce(t.Context(), &kgo.Record{Key: fmt.Appendf(nil, "k%d", i%5), Value: fmt.Appendf(nil, "value %d %s", i, filler)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("produce: %v", err)
				}
			})
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(0, 10000)
	c.Close()
	waitFor(t, "breaker open", n, func(s statusView) bool { return s.breaker == "open" })
	send(10000, 20000)
	c = cluster(t, brokerDir, port)
	defer c.Close()
	waitFor(t, "breaker closed", n, func(s statusView) bool { return s.breaker == "closed" })
	send(20000, 40000)
	waitFor(t, "drained", n, func(s statusView) bool { return s.backlog == 0 })
	for _, l := range n.Status(t.Context()).Lanes {
		if l.Stop != nil || len(l.Lost) > 0 {
			t.Errorf("%+v", l)
		}
	}
	if n.logs.has("passed over") {
		t.Error("a batch was passed over and had to be read again")
	}
	consume(t, addr, 40000)
	n.stop(t)
}
