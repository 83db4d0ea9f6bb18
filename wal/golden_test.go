package wal_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

var updateGolden = flag.Bool("update-golden", false, "write the golden log of this format version anew")

// TestLogsOfEarlierVersionsOpen opens a log that an earlier build wrote (G14). The golden directory of a released format
// is never written again; a new format gets a directory of its own beside it.
func TestLogsOfEarlierVersionsOpen(t *testing.T) {
	golden := filepath.Join("testdata", "golden-v1")
	if *updateGolden {
		writeGolden(t, golden)
	}
	dir := t.TempDir()
	names, err := os.ReadDir(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(golden, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := &diary{}
	l, rec, err := wal.Open(wal.Config{Dir: dir, Books: []wal.Book{d}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if len(rec.Damage) > 0 || rec.Torn > 0 || rec.LogID.IsZero() {
		t.Fatalf("%+v", rec)
	}
	if tp, ok := l.LaneName(1); !ok || tp.Topic != "payments" || tp.Partition != 7 {
		t.Fatalf("lane 1 is %s", tp)
	}
	want := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("three"), 100)}
	if !same(d.list(), want) {
		t.Fatalf("the book was shown %q", d.list())
	}
	var c wal.Chunk
	var batches int
	for at := streamdown.LSN(64); at < l.Durable(); at = c.Next {
		if err := l.Read(&c, at); err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Entries {
			if e.Kind != wal.KindBatch {
				continue
			}
			batches++
			h, err := batch.ParseHeader(e.Body)
			if err != nil || e.Lane != 1 || e.Ordinal != 40 || e.Count != 2 || e.Arrival != 1700000000123 || h.ProducerID != 99 || h.BaseSequence != 5 {
				t.Fatalf("%+v, %+v, %v", e, h, err)
			}
		}
	}
	if batches != 1 {
		t.Fatalf("%d batches, want 1", batches)
	}
}

func writeGolden(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := (vfs.OS{}).MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	l, _, err := wal.Open(wal.Config{Dir: dir, Now: func() time.Time { return time.UnixMilli(1700000000123) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, topic := range []string{"orders", "payments"} {
		if _, err := l.Lane(streamdown.TopicPartition{Topic: topic, Partition: int32(7 * i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, body := range [][]byte{[]byte("one"), nil, bytes.Repeat([]byte("three"), 100)} {
		appendBody(t, l, body)
	}
	var b batch.Builder
	b.Append(1700000000000, []byte("key"), []byte("value"))
	b.Append(1700000000001, nil, []byte("value 2"))
	raw, err := b.Build(batch.Gzip, batch.Stamp{ProducerID: 99, Epoch: 1, BaseSequence: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(&wal.Entry{Kind: wal.KindBatch, Lane: 1, Ordinal: 40, Count: 2, Body: raw}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
}
