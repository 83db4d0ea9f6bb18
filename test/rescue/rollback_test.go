//go:build real

package rescue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/api"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/test/daemon"
	"github.com/streamdown/streamdown/test/process"
	"github.com/streamdown/streamdown/test/reader"
	"github.com/streamdown/streamdown/test/realkafka"
)

// TestARolledBackDirectoryLosesNothingNew puts an old copy of the data directory back under a gateway that was killed, with
// Kafka there and with Kafka away until the gateway was started twice; and runs two gateways on copies side by side.
// Nothing that was acked since is lost, doubled or out of order; what the disk lost is still at Kafka; both are told.
func TestARolledBackDirectoryLosesNothingNew(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	r := newRollback(ctx, t)

	r.send(r.one, "before", 900)
	r.drained(r.one)
	r.copy(r.one, "copy 1")
	r.send(r.one, "lost with the disk", 600)
	r.drained(r.one)
	first := r.status(r.one).LogID
	r.restore("copy 1")
	r.start(r.one)
	r.send(r.one, "after", 1500) // more than the target is ahead
	r.drained(r.one)
	r.judged("lost with the disk", 600, 1)
	if s := r.status(r.one); s.LogID == first || s.Log.Renewals[0].Was != first {
		t.Errorf("the log is still %s: %+v", s.LogID, s.Log.Renewals)
	}

	r.copy(r.one, "copy 2")
	r.send(r.one, "lost with the disk, too", 300)
	r.drained(r.one)
	if err := r.kafka.Kill(); err != nil {
		t.Fatal(err)
	}
	r.restore("copy 2")
	for life := range 2 {
		r.start(r.one)
		r.send(r.one, fmt.Sprintf("in the outage %d", life), 450)
		if life == 0 {
			if err := r.one.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.kafka.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	r.drained(r.one)
	r.judged("lost with the disk, too", 300, 2)

	// A copy beside the original, which was idle when it was made.
	if err := r.one.Kill(); err != nil {
		t.Fatal(err)
	}
	r.copy(r.one, "copy 3")
	r.start(r.one)
	two, err := daemon.Start(ctx, daemon.Options{Binary: r.binary, Dir: r.path("copy 3"), Upstream: r.kafka.Addr(), Log: r.log})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Kill()
	var both sync.WaitGroup
	for name, d := range map[string]*daemon.Daemon{"original": r.one, "copy": two} {
		both.Go(func() { r.send(d, name, 1200) })
	}
	both.Wait()
	r.drained(r.one)
	r.drained(two)
	r.read()
}

// rollback is a Kafka, a gateway, and all that was acked.
type rollback struct {
	ctx    context.Context //nolint:containedctx // of one test
	t      *testing.T
	dir    string
	binary string
	log    *slog.Logger
	kafka  *realkafka.Broker
	one    *daemon.Daemon

	mu   sync.Mutex // guards the following
	sent map[string]int
}

func newRollback(ctx context.Context, t *testing.T) *rollback {
	r := &rollback{ctx: ctx, t: t, dir: workDir(t), log: slog.New(slog.NewTextHandler(os.Stdout, nil)), sent: map[string]int{}}
	var err error
	if r.binary, err = daemon.Build(ctx, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	r.kafka = startKafka(t, r.dir, r.log)
	if err := r.kafka.CreateTopic(ctx, "orders", partitions, nil); err != nil {
		t.Fatal(err)
	}
	if r.one, err = daemon.Start(ctx, daemon.Options{Binary: r.binary, Dir: r.path("gateway"), Upstream: r.kafka.Addr(), Log: r.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.one.Kill()
		if t.Failed() {
			fmt.Printf("the gateway's last words:\n%s\n", process.Tail(r.one.Output(), 60))
		}
	})
	return r
}

func (r *rollback) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rollback) start(d *daemon.Daemon) {
	r.t.Helper()
	if err := d.Restart(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// copy makes a copy of a gateway's data directory, where another gateway would look for it.
func (r *rollback) copy(d *daemon.Daemon, name string) {
	r.t.Helper()
	if err := os.CopyFS(filepath.Join(r.path(name), "data"), os.DirFS(filepath.Join(filepath.Dir(d.Config()), "data"))); err != nil {
		r.t.Fatal(err)
	}
}

// restore kills the gateway and puts a copy in the place of its data.
func (r *rollback) restore(name string) {
	r.t.Helper()
	if err := r.one.Kill(); err != nil {
		r.t.Fatal(err)
	}
	data := filepath.Join(r.path("gateway"), "data")
	if err := os.RemoveAll(data); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(r.path(name), "data"))); err != nil {
		r.t.Fatal(err)
	}
}

// send makes n records, in turn to all partitions, and waits until all are acked.
func (r *rollback) send(d *daemon.Daemon, name string, n int) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.Addr()), kgo.DefaultProduceTopic("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100), kgo.ProducerBatchMaxBytes(2000))
	if err != nil {
		r.t.Error(err)
		return
	}
	defer cl.Close()
	for i := range n {
		cl.Produce(r.ctx, &kgo.Record{Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%06d %s", i, name)}, func(_ *kgo.Record, err error) { //nolint:gosec // small
			if err != nil {
				r.t.Errorf("%s: %v", name, err)
			}
		})
	}
	if err := cl.Flush(r.ctx); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[name] = n
}

func (r *rollback) status(d *daemon.Daemon) (s api.Status) {
	r.t.Helper()
	resp, err := http.Get(d.HTTP() + "/v1/status") //nolint:noctx // on loopback
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		r.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return s
}

// drained waits until the gateway has nothing left to send.
func (r *rollback) drained(d *daemon.Daemon) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := r.status(d)
		if s.Records.Backlog == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			r.t.Fatalf("not drained: %+v", s.Lanes)
		}
	}
}

// judged wants all that was acked at Kafka, and the records that the log has lost named by status and reconcile.
func (r *rollback) judged(lost string, n int64, renewals int) {
	r.t.Helper()
	r.read()
	s := r.status(r.one)
	var foreign int64
	for i := range s.Lanes {
		for _, f := range s.Lanes[i].Foreign {
			foreign += f.Records
			if f.Records != int64(f.End-f.Offset) || f.Records != int64(f.To-f.From) {
				r.t.Errorf("%s: %+v", lost, f)
			}
		}
	}
	if foreign != n || len(s.Log.Renewals) != renewals {
		r.t.Errorf("%s: %d records are reported as foreign, want %d; renewals %+v", lost, foreign, n, s.Log.Renewals)
	}
	out, _ := exec.CommandContext(r.ctx, r.binary, "reconcile", "-c", r.one.Config(), "--format", "json").Output() //nolint:gosec // ours
	var rep reconcile.Report
	if err := json.Unmarshal(out, &rep); err != nil {
		r.t.Fatalf("%s: reconcile: %v: %s", lost, err, out)
	}
	total := &rep.Total
	if total.Foreign.Records < n || total.Absent.Records+total.Altered.Records+total.Doubled.Records+total.Reordered.Records+total.Pending.Records != 0 {
		r.t.Errorf("%s: reconcile says\n%s", lost, &rep)
	}
	r.t.Logf("%s: %s", lost, &rep)
}

// read reads the topic: each record that was acked once, in the order in which it was sent.
func (r *rollback) read() {
	r.t.Helper()
	j := &tally{last: map[string]int{}, seen: map[string]int{}}
	rd, err := reader.Open(r.kafka.Addr(), "orders", partitions, j)
	if err != nil {
		r.t.Fatal(err)
	}
	err = rd.CatchUp(r.ctx)
	rd.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, what := range j.wrong {
		r.t.Error(what)
	}
	for name, n := range r.sent {
		if j.seen[name] != n {
			r.t.Errorf("%s: %d of %d records are at Kafka", name, j.seen[name], n)
		}
	}
}

// tally counts what is read.
type tally struct {
	last  map[string]int // index, by name and partition
	seen  map[string]int
	wrong []string
}

func (j *tally) Seen(tp streamdown.TopicPartition, at streamdown.Offset, value []byte) {
	i := 0
	if _, err := fmt.Sscanf(string(value), "%06d", &i); err != nil || len(value) < 8 {
		j.wrong = append(j.wrong, fmt.Sprintf("%s offset %d: %q", tp, at, value))
		return
	}
	name := string(value[7:])
	key := fmt.Sprint(tp, name)
	if was, ok := j.last[key]; (!ok || was+partitions != i) && (ok || i != int(tp.Partition)) {
		j.wrong = append(j.wrong, fmt.Sprintf("%s offset %d: record %d of %q after %d", tp, at, i, name, was))
	}
	j.last[key] = i
	j.seen[name]++
}
