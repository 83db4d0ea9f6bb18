package wal_test

import (
	"bytes"
	"flag"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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

// Logs whose segments lie in more than one file each, or in two directories: the directory in testdata, what makes it,
// and what it must hold. d and r in it are the first directory and the refuge.
var goldenPlaces = []struct {
	name   string
	refuge string
	make   func(t *testing.T, disk *vfs.Mem, l *wal.Log, put func())
	reused int // segments that were written over released ones, at least
	inD    int // segments in the first directory
	inR    int
}{
	{"golden-v1-reused", "", func(t *testing.T, disk *vfs.Mem, l *wal.Log, put func()) {
		for range 7 {
			put()
			put()
			if _, err := l.Release(l.Durable()); err != nil {
				t.Fatal(err)
			}
		}
		put()
		put()
	}, 4, 4, 0},
	{"golden-v1-refuge", "/r", func(_ *testing.T, disk *vfs.Mem, _ *wal.Log, put func()) {
		put()
		disk.Inject(broken("/d"))
		put()
		put()
		disk.Inject(nil)
		time.Sleep(time.Minute)
		put()
	}, 0, 2, 2},
}

// TestLogsOfEarlierVersionsInOtherPlacesOpen opens logs of earlier builds with files that were written over, and with a
// refuge.
func TestLogsOfEarlierVersionsInOtherPlacesOpen(t *testing.T) {
	for _, g := range goldenPlaces {
		t.Run(g.name, func(t *testing.T) {
			golden := filepath.Join("testdata", g.name)
			if *updateGolden {
				synctest.Test(t, func(t *testing.T) {
					disk, n := vfs.NewMem(), 0
					l, _, err := wal.Open(wal.Config{FS: disk, Dir: "/d", Refuge: g.refuge, SegmentSize: 1200, Books: []wal.Book{&numbered{}}})
					if err != nil {
						t.Fatal(err)
					}
					g.make(t, disk, l, func() {
						n++
						tell(t, l, fmt.Appendf(nil, "%d:%s", n, strings.Repeat("golden", 100)))
					})
					dump(t, disk, golden) // of a running process: what a kill leaves
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
				})
			}
			disk := load(t, golden)
			list, err := wal.Segments(t.Context(), disk, "/d", false)
			if err != nil {
				t.Fatal(err)
			}
			reused := 0
			for _, s := range list {
				if s.Reused {
					reused++
				}
			}
			if d, r := len(names(t, disk, "/d", "*.wal")), len(names(t, disk, "/r", "*.wal")); reused < g.reused || d != g.inD || r != g.inR {
				t.Fatalf("%d segments in /d, %d in /r, %d reused", d, r, reused)
			}
			l, rec, err := wal.Open(wal.Config{FS: disk, Dir: "/d", Refuge: g.refuge, Books: []wal.Book{&numbered{}}})
			if err != nil {
				t.Fatal(err)
			}
			if len(rec.Damage) > 0 || rec.Torn > 0 {
				t.Errorf("%+v", rec)
			}
			bodies, damage := readAll(t, l, l.Stats().First)
			if len(damage) > 0 || len(bodies) < 4 {
				t.Fatalf("%d entries, damage %v", len(bodies), damage)
			}
			var first int
			for i, b := range bodies {
				number, rest, _ := strings.Cut(string(b), ":")
				n, err := strconv.Atoi(number)
				if i == 0 {
					first = n
				}
				if err != nil || n != first+i || rest != strings.Repeat("golden", 100) {
					t.Fatalf("entry %d is %.20q", first+i, b)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// dump writes the files of a disk in memory to the test's directory.
func dump(t *testing.T, disk *vfs.Mem, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/d", "/r"} {
		for _, name := range names(t, disk, dir, "*") {
			b, err := vfs.ReadFile(disk, filepath.Join(dir, name))
			if err == nil {
				err = os.MkdirAll(filepath.Join(to, dir), 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(to, dir, name), b, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// load reads them back.
func load(t *testing.T, from string) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	err := filepath.WalkDir(from, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := disk.Create("/" + filepath.ToSlash(path[len(from)+1:]))
		if err == nil {
			_, err = f.WriteAt(b, 0)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return disk
}
