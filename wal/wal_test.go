package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary is a book that remembers every body it was shown: what is in it was acknowledged.
type diary struct {
	mu   sync.Mutex
	seen [][]byte
}

func (d *diary) BookID() byte { return 99 }

func (d *diary) Apply(e *wal.Entry) {
	if e.Kind == wal.KindTopic {
		d.mu.Lock()
		d.seen = append(d.seen, bytes.Clone(e.Body))
		d.mu.Unlock()
	}
}

func (d *diary) Snapshot(dst []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.seen {
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		dst = append(dst, b...)
	}
	return dst
}

func (d *diary) Restore(s []byte) error {
	d.seen = nil
	for len(s) > 0 {
		n, w := binary.Uvarint(s)
		if w <= 0 || n > uint64(len(s)-w) {
			return errors.New("bad diary")
		}
		d.seen = append(d.seen, bytes.Clone(s[w:w+int(n)]))
		s = s[w+int(n):]
	}
	return nil
}

func (d *diary) list() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([][]byte(nil), d.seen...)
}

func open(t testing.TB, fs vfs.FS, segment int64) (*wal.Log, *diary, *wal.Recovery) {
	t.Helper()
	d := &diary{}
	l, rec, err := wal.Open(wal.Config{FS: fs, Dir: "/d", SegmentSize: segment, Books: []wal.Book{d}})
	if err != nil {
		t.Fatal(err)
	}
	return l, d, rec
}

func appendBody(t testing.TB, l *wal.Log, body []byte) streamdown.LSN {
	t.Helper()
	e := wal.Entry{Kind: wal.KindTopic, Body: body}
	if _, err := l.Append(&e); err != nil {
		t.Fatal(err)
	}
	return e.End()
}

func readAll(t testing.TB, l *wal.Log, from streamdown.LSN) (bodies [][]byte, damage []*wal.CorruptError) {
	t.Helper()
	var c wal.Chunk
	for at := from; at < l.Durable(); at = c.Next {
		err := l.Read(&c, at)
		var bad *wal.CorruptError
		if errors.As(err, &bad) {
			damage = append(damage, bad)
		} else if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Entries {
			if e.Kind == wal.KindTopic {
				bodies = append(bodies, bytes.Clone(e.Body))
			}
		}
	}
	return bodies, damage
}

func same(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestWhatWasAppendedIsReadBackInOrder(t *testing.T) {
	fs := vfs.NewMem()
	l, d, rec := open(t, fs, 4096)
	if !rec.Created {
		t.Fatal("a new log was not reported as created")
	}
	var want [][]byte
	for i := range 500 {
		b := bytes.Repeat([]byte{byte(i)}, i%300)
		want = append(want, b)
		end := appendBody(t, l, b)
		if i%7 == 0 {
			if err := l.Wait(t.Context(), end); err != nil {
				t.Fatal(err)
			}
		}
	}
	big := bytes.Repeat([]byte("x"), 3<<20)
	want = append(want, big)
	if err := l.Wait(t.Context(), appendBody(t, l, big)); err != nil {
		t.Fatal(err)
	}
	got, damage := readAll(t, l, 64)
	if !same(got, want) || len(damage) > 0 || !same(d.list(), want) {
		t.Fatalf("read %d bodies, damage %v, want %d", len(got), damage, len(want))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, d, rec = open(t, fs, 4096)
	if rec.Torn != 0 || len(rec.Damage) != 0 || !same(d.list(), want) {
		t.Fatalf("after a clean close: %+v, %d bodies", rec, len(d.list()))
	}
	got, _ = readAll(t, l, 64)
	if !same(got, want) {
		t.Fatalf("after reopening %d bodies, want %d", len(got), len(want))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAckedSurvivesCrash crashes the disk again and again at random moments: what a book saw is there afterwards, in
// order, and nothing that was never appended.
func TestAckedSurvivesCrash(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewMem()
		var submitted, acked [][]byte
		for round := range 4 {
			l, d, rec := open(t, fs, int64(1+rng.IntN(4096)))
			got := d.list()
			if len(rec.Damage) > 0 {
				t.Fatalf("seed %d round %d: a crash was taken for rot: %v", seed, round, rec.Damage[0])
			}
			if len(got) < len(acked) || !same(got[:len(acked)], acked) || len(got) > len(submitted) || !same(got, submitted[:len(got)]) {
				t.Fatalf("seed %d round %d: acked %d, recovered %d, submitted %d", seed, round, len(acked), len(got), len(submitted))
			}
			submitted = append([][]byte(nil), got...)
			for i := range rng.IntN(60) {
				b := fmt.Appendf(nil, "%d/%d/%s", round, i, strings.Repeat("y", rng.IntN(200)))
				submitted = append(submitted, b)
				end := appendBody(t, l, b)
				if rng.IntN(4) == 0 {
					if err := l.Wait(t.Context(), end); err != nil {
						t.Fatal(err)
					}
				}
			}
			acked = d.list()
			fs2 := fs.Crash(rng)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			fs = fs2
		}
	}
}

func TestFailedSyncGoesToANewSegment(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpSync, vfs.OpWrite, vfs.OpCreate, vfs.OpSyncDir, vfs.OpRename} {
		t.Run(string(op), func(t *testing.T) {
			fs := vfs.NewMem()
			l, d, _ := open(t, fs, 1<<20)
			end := appendBody(t, l, []byte("before"))
			if err := l.Wait(t.Context(), end); err != nil {
				t.Fatal(err)
			}
			var n int
			fs.Inject(func(o vfs.Op, name string) error {
				if o == op || n == 0 && o == vfs.OpSync && strings.Contains(name, ".wal") {
					if n++; n <= 3 {
						return syscall.EIO
					}
				}
				return nil
			})
			end = appendBody(t, l, []byte("during"))
			if err := l.Wait(t.Context(), end); err != nil {
				t.Fatal(err)
			}
			if n < 1 || l.Stats().Failures == 0 {
				t.Fatal("no fault was met")
			}
			want := [][]byte{[]byte("before"), []byte("during")}
			if got, damage := readAll(t, l, 64); !same(got, want) || len(damage) > 0 || !same(d.list(), want) {
				t.Fatalf("got %q, damage %v", got, damage)
			}
			crashed := fs.Crash(nil)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, d, rec := open(t, crashed, 1<<20)
			if !same(d.list(), want) || len(rec.Damage) > 0 {
				t.Fatalf("after crash %q, %+v", d.list(), rec)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRotIsReportedAndCostsItsEntry flips one byte at a time below the durable mark.
func TestRotIsReportedAndCostsItsEntry(t *testing.T) {
	base := vfs.NewMem()
	var want [][]byte
	for round := range 2 {
		l, _, _ := open(t, base, 1<<20)
		for i := range 12 {
			b := fmt.Appendf(nil, "record %d of %d", i, round)
			want = append(want, b)
			end := appendBody(t, l, b)
			if i%5 == 0 {
				if err := l.Wait(t.Context(), end); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := base.List("/d")
	for _, name := range names {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		path := filepath.Join("/d", name)
		b, _ := vfs.ReadFile(base, path)
		for pos := range b {
			fs := base.Crash(nil)
			fs.Change(path, func(b []byte) []byte { b[pos] ^= 0x40; return b })
			l, _, rec := open(t, fs, 1<<20)
			if rec.Torn > 0 {
				t.Fatalf("%s byte %d: %d bytes below the durable mark were cut", name, pos, rec.Torn)
			}
			got, damage := readAll(t, l, 64)
			if len(damage) == 0 && !same(got, want) {
				t.Fatalf("%s byte %d: %d of %d bodies and no damaged range", name, pos, len(got), len(want))
			}
			if len(got) < len(want)-1 || len(damage) > 1 {
				t.Fatalf("%s byte %d: one flipped byte cost %d bodies, %d damaged ranges", name, pos, len(want)-len(got), len(damage))
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReleaseKeepsTwoWholeStates(t *testing.T) {
	fs := vfs.NewMem()
	l, d, _ := open(t, fs, 256)
	for i := range 50 {
		if err := l.Wait(t.Context(), appendBody(t, l, fmt.Appendf(nil, "record number %d", i))); err != nil {
			t.Fatal(err)
		}
	}
	n, err := l.Release(l.Durable())
	if err != nil || n < 5 || l.Stats().Segments != 2 {
		t.Fatalf("released %d segments, %d left: %v", n, l.Stats().Segments, err)
	}
	var c wal.Chunk
	if err := l.Read(&c, 64); !errors.Is(err, wal.ErrReleased) {
		t.Fatalf("reading what was released: %v", err)
	}
	crashed := fs.Crash(nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l2, d2, _ := open(t, crashed, 256)
	if !same(d2.list(), d.list()) {
		t.Fatal("state lost by release")
	}
	if err := l2.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	l, _, _ := open(t, fs, 0)
	if _, _, err := wal.Open(wal.Config{FS: fs, Dir: "/d"}); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLaneNamesSurvive(t *testing.T) {
	fs := vfs.NewMem()
	l, _, _ := open(t, fs, 512)
	for i := range 100 {
		tp := streamdown.TopicPartition{Topic: fmt.Sprintf("t%d", i%7), Partition: int32(i)}
		id, err := l.Lane(tp)
		if err != nil || id != streamdown.LaneID(i) {
			t.Fatalf("lane %s: %d, %v", tp, id, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _, _ = open(t, fs, 512)
	for i := range 100 {
		if tp, ok := l.LaneName(streamdown.LaneID(i)); !ok || tp.Partition != int32(i) {
			t.Fatalf("lane %d is %s", i, tp)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullLogRefusesBatchesOnly(t *testing.T) {
	l, _, err := wal.Open(wal.Config{FS: vfs.NewMem(), Dir: "/d", MaxSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	e := wal.Entry{Kind: wal.KindBatch, Body: make([]byte, 2000)}
	if _, err := l.Append(&e); !errors.Is(err, wal.ErrFull) {
		t.Fatalf("append to a full log: %v", err)
	}
	appendBody(t, l, make([]byte, 2000))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
