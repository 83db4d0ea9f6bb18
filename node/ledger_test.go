package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/reconcile"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// flood sends so many records of 10 kB and sees all of them acked.
func flood(t *testing.T, addr string, records int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	noise := rand.NewChaCha8([32]byte{2})
	var acked atomic.Int64
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
	if err := cl.Flush(t.Context()); err != nil || acked.Load() != int64(records) {
		t.Fatalf("%d of %d records acked: %v", acked.Load(), records, err)
	}
}

// compareAll reconciles a directory with an embedded cluster.
func compareAll(t *testing.T, fs vfs.FS, dir, bootstrap string) (*reconcile.Report, *wal.Reader) {
	t.Helper()
	log, err := wal.OpenReader(fs, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	rows, err := ledger.OpenReader(fs, filepath.Join(dir, "ledger"), log.ID())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kafka.New(kafka.Config{Bootstrap: []string{bootstrap}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r, err := reconcile.Run(t.Context(), reconcile.Config{Log: log, Ledger: rows, Topic: reconcile.NewKafkaTopics(client)})
	if err != nil {
		t.Fatal(err)
	}
	return r, log
}

// TestProofOutlivesPayload: more goes through the log than it can hold, and all of it can be proved afterwards. Nothing was read
// from the log for it.
func TestProofOutlivesPayload(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	dir := t.TempDir()
	n := startWith(t, dir, c.ListenAddrs()[0], ", max_size: 16MiB")
	flood(t, n.KafkaAddr(), 3000)
	waitFor(t, "confirmed", n, func(s statusView) bool { return s.backlog == 0 })
	l := n.Status(t.Context()).Log.Ledger
	n.stop(t)
	if l.Trouble != "" || l.SkippedBytes != 0 {
		t.Errorf("%+v", l)
	}
	r, log := compareAll(t, vfs.OS{}, dir, c.ListenAddrs()[0])
	if r.Exit() != 0 || r.Total.Compared != 3000 || log.First() < 5_000_000 {
		t.Fatalf("the log begins at %d: %s", log.First(), r)
	}
}

// TestAFullDiskReleasesWithoutRows: acked records need the room more than the proof does, and it is said what cannot be proved.
func TestAFullDiskReleasesWithoutRows(t *testing.T) {
	c := cluster(t, t.TempDir())
	defer c.Close()
	dir := t.TempDir()
	disk := &failing{}
	n := startOn(t, disk, dir, c.ListenAddrs()[0], ", max_size: 16MiB")
	flood(t, n.KafkaAddr(), 100)
	disk.fail.Store(true)
	flood(t, n.KafkaAddr(), 3000)
	waitFor(t, "confirmed", n, func(s statusView) bool { return s.backlog == 0 })
	if l := n.Status(t.Context()).Log.Ledger; l.Trouble == "" {
		t.Errorf("%+v", l)
	}
	disk.fail.Store(false)
	flood(t, n.KafkaAddr(), 100)
	waitFor(t, "confirmed", n, func(s statusView) bool { return s.backlog == 0 })
	n.stop(t)
	r, _ := compareAll(t, vfs.OS{}, dir, c.ListenAddrs()[0])
	if r.Exit() != 3 || r.Total.Accepted != 3200 || r.Total.Unexplained.Records == 0 || r.Worst[0].Reason != reconcile.Unlisted {
		t.Fatal(r)
	}
}

// failing is a disk on which the ledger finds no room while fail is set.
type failing struct {
	vfs.OS
	fail atomic.Bool
}

// Create implements vfs.FS.
func (f *failing) Create(name string) (vfs.File, error) {
	if strings.HasSuffix(filepath.Dir(name), "ledger") {
		if f.fail.Load() {
			return nil, syscall.ENOSPC
		}
		file, err := f.OS.Create(name)
		return &fullFile{file, f}, err
	}
	return f.OS.Create(name)
}

type fullFile struct {
	vfs.File
	on *failing
}

// WriteAt implements vfs.File.
func (f *fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.on.fail.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

// startOn starts a node on a disk.
func startOn(t *testing.T, disk vfs.FS, dir, bootstrap, data string) *running {
	t.Helper()
	src := fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q%s }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary } ]
`, dir, data, bootstrap)
	cfg, findings := config.Parse("test.yaml", []byte(src), nil)
	if cfg == nil {
		t.Fatal(findings)
	}
	n, err := node.Open(node.Options{Config: cfg, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Node: n, logs: &journal{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.left, r.err = n.Run(ctx)
	}()
	return r
}
