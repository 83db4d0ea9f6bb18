package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/ledger"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a log and its ledger.
type world struct {
	t      testing.TB
	fs     *vfs.Mem
	log    *wal.Log
	keeper *ledger.Keeper
	cfg    ledger.Config
	next   map[streamdown.LaneID]streamdown.Ordinal
	clock  atomic.Int64 // unix milliseconds
	n      int
	size   int64 // of segments
}

func newWorld(t testing.TB, fs *vfs.Mem) *world {
	w := &world{t: t, fs: fs, next: map[streamdown.LaneID]streamdown.Ordinal{}, size: 3000}
	w.clock.Store(1700000000000)
	return w
}

func (w *world) now() time.Time { return time.UnixMilli(w.clock.Load()) }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }

func (w *world) try() error {
	cfg := w.cfg
	cfg.FS, cfg.Dir, cfg.LogDir, cfg.State = w.fs, "/d/ledger", "/d", delivery.New()
	cfg.Now = w.now
	w.keeper = ledger.New(cfg)
	book := delivery.New()
	var err error
	if w.log, _, err = wal.Open(wal.Config{FS: w.fs, Dir: "/d", SegmentSize: w.size, Books: []wal.Book{book, w.keeper}, Now: cfg.Now}); err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = w.log.Close() })
	for _, l := range book.Lanes() {
		w.next[l.ID] = l.End
	}
	return w.keeper.Open(w.log)
}

func (w *world) open() {
	w.t.Helper()
	if err := w.try(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.t.Helper()
	if err := w.log.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) append(e *wal.Entry) {
	w.t.Helper()
	if _, err := w.log.Append(e); err != nil {
		w.t.Fatal(err)
	}
	if err := w.log.Wait(w.t.Context(), e.End()); err != nil {
		w.t.Fatal(err)
	}
}

// accept appends a batch of n records.
func (w *world) accept(lane, n int, codec batch.Codec) {
	w.t.Helper()
	tp := streamdown.TopicPartition{Topic: "t", Partition: int32(lane)}
	id, err := w.log.Lane(tp)
	if err != nil {
		w.t.Fatal(err)
	}
	var b batch.Builder
	for range n {
		w.n++
		b.Append(w.clock.Load()-int64(w.n%7), fmt.Appendf(nil, "key %d", w.n), fmt.Appendf(nil, "value %d", w.n), batch.RecordHeader{Key: []byte("h")})
	}
	raw, err := b.Build(codec, batch.NoStamp)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pass(3 * time.Millisecond)
	w.append(&wal.Entry{Kind: wal.KindBatch, Lane: id, Ordinal: w.next[id], Count: int32(n), Body: raw})
	w.next[id] += streamdown.Ordinal(n)
}

func (w *world) flush() {
	w.t.Helper()
	if err := w.keeper.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// rows reads the whole ledger.
func (w *world) rows() (rows []ledger.Row, holes []ledger.Hole) {
	w.t.Helper()
	lr, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		w.t.Fatal(err)
	}
	defer lr.Close()
	r, err := ledger.OpenReader(w.fs, "/d/ledger", lr.ID())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = r.Walk(w.t.Context(), 0, ledger.Visitor{
		Row: func(r *ledger.Row) error {
			c := *r
			c.Body = slices.Clone(r.Body)
			rows = append(rows, c)
			return nil
		},
		Hole: func(h ledger.Hole) error { holes = append(holes, h); return nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows, holes
}

// logged makes the rows that the log's entries should have, from position from on.
func (w *world) logged(from streamdown.LSN) (rows []ledger.Row) {
	w.t.Helper()
	err := wal.Walk(w.t.Context(), w.fs, "/d", 0, func(e *wal.Entry, _ streamdown.TopicPartition) error {
		if e.LSN < from || !ledger.Kept(e.Kind) {
			return nil
		}
		r, err := ledger.RowOf(e)
		r.Body = slices.Clone(r.Body)
		rows = append(rows, r)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

func (w *world) same(what string, got, want []ledger.Row) {
	w.t.Helper()
	for i := range min(len(got), len(want)) {
		if len(got[i].Body) == 0 && len(want[i].Body) == 0 {
			got[i].Body, want[i].Body = nil, nil
		}
		got[i].Digest, got[i].Digested = ledger.Digest{}, false
		if !reflect.DeepEqual(got[i], want[i]) {
			w.t.Fatalf("%s: row %d is\n%+v, want\n%+v", what, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		w.t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
}

func TestEveryBatchHasItsRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t, vfs.NewMem())
	w.open()
	for i := range 400 {
		w.accept(rng.IntN(5), 1+rng.IntN(4), batch.Codec(rng.IntN(5)))
		switch rng.IntN(20) {
		case 0:
			w.append(delivery.BindingEntry(delivery.Binding{Lane: 1, Cluster: "c", PID: 7, Epoch: int16(i), Base: w.next[1]}))
		case 1, 2:
			w.flush()
		case 3:
			w.close()
			w.pass(time.Minute)
			w.open()
			if err := w.log.Begin(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.flush()
	got, holes := w.rows()
	if len(holes) > 0 {
		t.Errorf("holes: %v", holes)
	}
	w.same("all", got, w.logged(0))
	st := w.keeper.Stats()
	if st.Trouble != "" || st.Written == 0 || st.Files == 0 || w.keeper.Floor() != st.Written {
		t.Errorf("%+v", st)
	}
	// The log goes, the rows stay.
	n, err := w.log.Release(w.keeper.Floor())
	if err != nil || n == 0 {
		t.Fatalf("released %d: %v", n, err)
	}
	after, _ := w.rows()
	w.same("after the release", after, got)
}

func TestALogWithoutALedgerGetsOne(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.open()
	for range 50 {
		w.accept(0, 2, batch.None)
	}
	w.close() // nothing was flushed
	w.open()
	w.flush()
	got, _ := w.rows()
	w.same("derived", got, w.logged(0))
	if w.keeper.Stats().Reread == 0 {
		t.Error("nothing was read from the log")
	}
	reread := w.keeper.Stats().Reread
	w.accept(0, 2, batch.None)
	w.flush()
	if w.keeper.Stats().Reread != reread {
		t.Error("the log was read for what the book was shown")
	}
}

// TestNoRowIsMissingOrTwiceAfterACrash crashes at every operation on the disk, in every way that it may have reordered
// what was not synced, and goes on: the ledger and what the log still has agree, and nothing that was released is missing.
// wait reports whether the log became durable before the disk was dead.
func (w *world) wait(lsn streamdown.LSN) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		ch := w.log.Changed()
		if w.log.Durable() >= lsn {
			return true
		}
		select {
		case <-ch:
		case <-tick.C:
			if w.fs.Dead() {
				return w.log.Durable() >= lsn
			}
		}
	}
}

func TestNoRowIsMissingOrTwiceAfterACrash(t *testing.T) {
	story := func(w *world) (acked []string) {
		defer func() { _ = w.log.Close() }()
		for i := range 40 {
			w.pass(time.Second)
			e := &wal.Entry{Kind: wal.KindBatch, Lane: 0, Ordinal: w.next[0], Count: 1}
			var b batch.Builder
			b.Append(w.clock.Load(), nil, make([]byte, 300))
			e.Body, _ = b.Build(batch.None, batch.NoStamp)
			if _, err := w.log.Append(e); err != nil {
				return acked
			}
			if !w.wait(e.End()) {
				return acked
			}
			acked = append(acked, fmt.Sprint(e.LSN))
			w.next[0]++
			if i%3 == 2 && w.keeper.Flush(t.Context()) == nil {
				if _, err := w.log.Release(min(w.keeper.Floor(), e.LSN)); err != nil {
					return acked
				}
			}
			if w.fs.Dead() {
				return acked
			}
		}
		return acked
	}
	whole := newWorld(t, vfs.NewMem())
	whole.open()
	story(whole)
	ops := whole.fs.Ops()
	runs := 0
	for at := 1; at <= ops; at += 1 + ops/150 {
		w := newWorld(t, vfs.NewMem())
		w.fs.CrashAt(at)
		if w.try() != nil {
			continue
		}
		acked := story(w)
		for fs := range w.fs.CrashStates(6) {
			runs++
			again := newWorld(t, fs)
			again.open()
			again.accept(0, 1, batch.None)
			again.flush()
			rows, holes := again.rows()
			if len(holes) > 0 {
				t.Fatalf("crash at %d: holes %v", at, holes)
			}
			var batches []ledger.Row
			for _, r := range rows {
				if r.Kind == wal.KindBatch {
					batches = append(batches, r)
				}
			}
			for i, r := range batches {
				if int(r.Ordinal) != i {
					t.Fatalf("crash at %d: row %d is of record %d", at, i, r.Ordinal)
				}
			}
			if len(batches) < len(acked)+1 {
				t.Fatalf("crash at %d: %d rows for %d batches", at, len(batches), len(acked)+1)
			}
			again.same("what the log has", rows[len(rows)-len(again.logged(0)):], again.logged(0))
			again.close()
		}
	}
	if runs < 200 {
		t.Errorf("only %d crashes", runs)
	}
}

func TestALedgerThatCannotBeWrittenHoldsTheLog(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.open()
	w.accept(0, 1, batch.None)
	w.flush()
	floor := w.keeper.Floor()
	full := true
	w.fs.Inject(func(op vfs.Op, name string) error {
		if full && op.Changes() && strings.HasPrefix(name, "/d/ledger") {
			return syscall.ENOSPC
		}
		return nil
	})
	for range 40 {
		w.accept(0, 3, batch.None) // acks do not wait for it
	}
	if err := w.keeper.Flush(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	if st := w.keeper.Stats(); w.keeper.Floor() != floor || st.Trouble == "" {
		t.Errorf("floor %d after %d: %+v", w.keeper.Floor(), floor, st)
	}
	full = false
	w.flush()
	if st := w.keeper.Stats(); st.Trouble != "" || st.Skipped != 0 {
		t.Errorf("%+v", st)
	}
	got, holes := w.rows()
	if len(holes) > 0 {
		t.Errorf("holes: %v", holes)
	}
	w.same("all", got, w.logged(0))
}

func TestWhatWasReleasedWithoutRowsIsAHole(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.open()
	w.accept(0, 1, batch.None)
	w.flush()
	broken := errors.New("broken")
	w.fs.Inject(func(op vfs.Op, name string) error {
		if op.Changes() && strings.HasPrefix(name, "/d/ledger") {
			return broken
		}
		return nil
	})
	for range 60 {
		w.accept(0, 1, batch.None)
	}
	if err := w.keeper.Flush(t.Context()); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if n, err := w.log.Release(w.log.Durable()); err != nil || n == 0 { // it needs the room
		t.Fatalf("released %d: %v", n, err)
	}
	w.fs.Inject(nil)
	w.flush()
	w.accept(0, 1, batch.None)
	w.flush()
	got, holes := w.rows()
	if len(holes) != 1 || w.keeper.Stats().Skipped != uint64(holes[0].To-holes[0].From) {
		t.Fatalf("holes %v, %+v", holes, w.keeper.Stats())
	}
	first, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	if holes[0].To > first.First() {
		t.Errorf("the hole ends at %d, and the log begins at %d", holes[0].To, first.First())
	}
	after := slices.DeleteFunc(slices.Clone(got), func(r ledger.Row) bool { return r.LSN < holes[0].To })
	w.same("behind the hole", after, w.logged(holes[0].To))
}

// TestALogThatLostItsEndIsNoticed: the ledger's rows of what is gone count no more where the log goes on with other entries.
func TestALogThatLostItsEndIsNoticed(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.size = 1 << 20
	w.open()
	for range 5 {
		w.accept(0, 1, batch.None)
	}
	w.flush()
	w.close()
	names, err := w.fs.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	older := map[string][]byte{} // the log's files, not the ledger's
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") || name == "manifest" {
			if older[name], err = vfs.ReadFile(w.fs, "/d/"+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.open()
	for range 7 {
		w.accept(0, 2, batch.None)
	}
	w.flush()
	w.close()
	if names, err = w.fs.List("/d"); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, kept := older[name]; kept {
			w.fs.Change("/d/"+name, func([]byte) []byte { return b })
		} else if strings.HasSuffix(name, ".wal") {
			if err := w.fs.Remove("/d/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.open()
	if st := w.keeper.Stats(); st.Lost != 7 {
		t.Errorf("%+v", st)
	}
	for range 3 {
		w.accept(1, 1, batch.None)
	}
	w.close() // before a flush
	for range 2 {
		w.open()
		w.flush()
		got, _ := w.rows()
		w.same("the log as it is", got, w.logged(0))
		w.close()
	}
}

func TestRotIsAHoleAndNoticed(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.open()
	for range 3 {
		for range 10 {
			w.accept(0, 1, batch.None)
		}
		w.flush()
	}
	w.close()
	names, err := w.fs.List("/d/ledger")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	path := filepath.Join("/d/ledger", names[0])
	whole, _ := w.rows()
	size := 0
	w.fs.Change(path, func(b []byte) []byte { size = len(b); return b })
	met := map[string]int{}
	for at := 0; at < size; at += 17 {
		w.fs.Flip(path, at*8+1)
		rows, holes := w.rows()
		met[fmt.Sprint(len(holes))]++
		if len(rows) == len(whole) && at >= 64 && len(holes) == 0 {
			// the state is not read by a walk
			met["state"]++
		}
		last := streamdown.LSN(0)
		for _, r := range rows {
			if i := slices.IndexFunc(whole, func(x ledger.Row) bool { return x.LSN == r.LSN }); i < 0 || !reflect.DeepEqual(whole[i].CRC, r.CRC) || r.LSN <= last {
				t.Fatalf("byte %d: a row that never was: %+v", at, r)
			}
			last = r.LSN
		}
		// A process goes on all the same.
		again := newWorld(t, w.fs.Kill(false))
		again.open()
		again.keeper.Verify()
		if at < size-800 && len(again.keeper.Stats().Damaged) == 0 {
			t.Fatalf("byte %d of %d: not noticed", at, size)
		}
		again.accept(0, 1, batch.None)
		again.flush()
		if _, holes := again.rows(); len(holes) > 1 {
			t.Fatalf("byte %d: holes %v", at, holes)
		}
		again.close()
		w.fs.Flip(path, at*8+1)
	}
	if met["1"] == 0 {
		t.Errorf("no hole was met: %v", met)
	}
}

func TestOldRowsGo(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.cfg.Keep = 16 * time.Hour
	w.open()
	for range 40 {
		w.accept(0, 1, batch.None)
		w.pass(time.Hour)
		w.flush()
	}
	rows, holes := w.rows()
	if len(rows) > 22 || len(rows) < 12 || len(holes) > 0 || rows[len(rows)-1].Ordinal != 39 {
		t.Errorf("%d rows, holes %v", len(rows), holes)
	}
	if st := w.keeper.Stats(); st.Files > 22 || st.First == 0 || w.now().Sub(st.Oldest) > 20*time.Hour {
		t.Errorf("%+v", st)
	}
	// What is left stands for itself: the oldest file's state knows where its lanes were.
	lr, err := wal.OpenReader(w.fs, "/d")
	if err != nil {
		t.Fatal(err)
	}
	defer lr.Close()
	r, err := ledger.OpenReader(w.fs, "/d/ledger", lr.ID())
	if err != nil {
		t.Fatal(err)
	}
	book := delivery.New()
	at, ok, err := r.Restore(book)
	if err != nil || !ok || at > rows[0].LSN || book.Lane(rows[0].Lane).End != rows[0].Ordinal {
		t.Errorf("state at %d, %v, %v: %+v", at, ok, err, book.Lane(rows[0].Lane))
	}
}

func TestARowIsSmallAndCostsNoAllocation(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	w.size = 64 << 20
	w.open()
	const n = 20000
	var b batch.Builder
	b.Append(1700000000000, []byte("k"), make([]byte, 100))
	raw, err := b.Build(batch.LZ4, batch.NoStamp)
	if err != nil {
		t.Fatal(err)
	}
	at := streamdown.LSN(1 << 40)
	e := wal.Entry{Kind: wal.KindBatch, Body: raw, Count: 1}
	k := ledger.New(ledger.Config{})
	fill := func() {
		for i := range n {
			e.LSN, e.Lane, e.Ordinal, e.Arrival = at, streamdown.LaneID(i%3000), streamdown.Ordinal(1<<33+i), 1700000000000+int64(i)
			at = e.End()
			k.Apply(&e)
		}
	}
	for range 5 {
		fill()
	}
	if allocs := testing.AllocsPerRun(5, fill); allocs > 0 {
		t.Errorf("%.0f allocations for %d batches", allocs, n)
	}
	before := w.keeper.Stats().Bytes
	for i := range 300 {
		w.accept(i%9, 1, batch.None)
	}
	w.flush()
	if each := float64(w.keeper.Stats().Bytes-before-1000) / 300; each > 40 {
		t.Errorf("%.1f bytes a batch", each)
	}
}
