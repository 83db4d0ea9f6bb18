package wal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// tracker is a book that knows of each lane where it ends and what is confirmed, as the delivery book does.
type tracker struct {
	end, confirmed map[streamdown.LaneID]streamdown.Ordinal
}

func newTracker() *tracker {
	return &tracker{map[streamdown.LaneID]streamdown.Ordinal{}, map[streamdown.LaneID]streamdown.Ordinal{}}
}

func (b *tracker) BookID() byte { return 98 }

func (b *tracker) Apply(e *wal.Entry) {
	switch e.Kind {
	case wal.KindBatch:
		b.end[e.Lane] = e.Ordinal + streamdown.Ordinal(e.Count)
	case wal.KindProgress:
		b.confirmed[e.Lane] = e.Ordinal
	}
}

func (b *tracker) Snapshot(dst []byte) []byte {
	var lanes []streamdown.LaneID
	for l := range b.end {
		lanes = append(lanes, l)
	}
	slices.Sort(lanes)
	for _, l := range lanes {
		dst = binary.AppendUvarint(dst, uint64(l))
		dst = binary.AppendUvarint(dst, uint64(b.end[l]))       //nolint:gosec // not negative
		dst = binary.AppendUvarint(dst, uint64(b.confirmed[l])) //nolint:gosec // not negative
	}
	return dst
}

func (b *tracker) Restore(s []byte) error {
	clear(b.end)
	clear(b.confirmed)
	for len(s) > 0 {
		var v [3]uint64
		for i := range v {
			x, n := binary.Uvarint(s)
			if n <= 0 {
				return errors.New("bad tracker")
			}
			v[i], s = x, s[n:]
		}
		l := streamdown.LaneID(v[0])                                                  //nolint:gosec // as written
		b.end[l], b.confirmed[l] = streamdown.Ordinal(v[1]), streamdown.Ordinal(v[2]) //nolint:gosec // as written
	}
	return nil
}

func (b *tracker) progress(l streamdown.LaneID) (end, confirmed streamdown.Ordinal) {
	return b.end[l], b.confirmed[l]
}

// wreck is a log to be damaged: several lives, three lanes, several segments, the first batches confirmed.
type wreck struct {
	*vfs.Mem
	id    streamdown.ID
	want  []string // identities of all batches, in the order of the log
	names []string // of the segments
}

const wreckTime = 1700000000000

func openTracked(fs vfs.FS, dir, refuge string, segment int64) (*wal.Log, *tracker, *wal.Recovery, error) {
	b := newTracker()
	l, rec, err := wal.Open(wal.Config{
		FS: fs, Dir: dir, Refuge: refuge, SegmentSize: segment, Books: []wal.Book{b},
		Now: func() time.Time { return time.UnixMilli(wreckTime) },
	})
	return l, b, rec, err
}

// identity is what a batch is, whatever file it lies in.
func identity(lane streamdown.TopicPartition, ordinal streamdown.Ordinal, body []byte) string {
	return fmt.Sprintf("%s/%d/%x", lane, ordinal, body)
}

// fillWreck appends n batches, and a progress now and then, or with confirm set always.
func fillWreck(t testing.TB, l *wal.Log, next map[streamdown.LaneID]streamdown.Ordinal, n int, confirm bool) (ids []string) {
	t.Helper()
	var b batch.Builder
	put := func(e wal.Entry) { // each in a group of its own, so that segments end where they always do
		if _, err := l.Append(&e); err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(t.Context(), e.End()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		tp := streamdown.TopicPartition{Topic: "orders", Partition: int32(i % 3)}
		lane, err := l.Lane(tp)
		if err != nil {
			t.Fatal(err)
		}
		count := 1 + i%2
		for j := range count {
			b.Append(wreckTime+int64(i), []byte("k"), fmt.Appendf(nil, "value %d of %d at %d%s", j, i, next[lane], strings.Repeat("!", i%5)))
		}
		raw, err := b.Build(batch.None, batch.NoStamp)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, identity(tp, next[lane], raw))
		put(wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: next[lane], Count: int32(count), Body: raw, Arrival: wreckTime + int64(next[lane])*1000})
		next[lane] += streamdown.Ordinal(count)
		switch {
		case confirm:
			put(wal.Entry{Kind: wal.KindProgress, Lane: lane, Ordinal: next[lane]})
		case i%5 == 4:
			put(wal.Entry{Kind: wal.KindProgress, Lane: lane, Ordinal: next[lane] / 2})
		}
	}
	return ids
}

// newWreck makes a log of two lives with n batches each. released says that its beginning is gone.
func newWreck(t testing.TB, n int, released bool) *wreck {
	t.Helper()
	w := &wreck{Mem: vfs.NewMem()}
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	for life := range 2 {
		l, _, _, err := openTracked(w.Mem, "/d", "", 1500)
		if err != nil {
			t.Fatal(err)
		}
		w.id = l.ID()
		w.want = append(w.want, fillWreck(t, l, next, n, released)...)
		if released && life == 1 {
			if gone, err := l.Release(l.Durable() / 2); err != nil || gone == 0 {
				t.Fatalf("%d released: %v", gone, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.names = segmentNames(t, w.Mem)
	w.want = w.want[len(w.want)-len(wholeIn(t, w.Mem, "/d")):]
	return w
}

// wholeIn are the identities of the batches that a reader of the directory finds.
func wholeIn(t testing.TB, fs vfs.FS, dir string) (ids []string) {
	t.Helper()
	err := wal.Walk(t.Context(), fs, dir, 0, func(e *wal.Entry, lane streamdown.TopicPartition) error {
		if e.Kind == wal.KindBatch {
			ids = append(ids, identity(lane, e.Ordinal, e.Body))
		}
		return nil
	})
	if err != nil && !errors.As(err, new(*wal.CorruptError)) {
		t.Fatal(err)
	}
	return ids
}

func salvageConfig(fs vfs.FS, dir string) wal.SalvageConfig {
	b := newTracker()
	return wal.SalvageConfig{
		FS: fs, Dir: dir, Books: []wal.Book{b}, Progress: b.progress,
		Now: func() time.Time { return time.UnixMilli(wreckTime) },
	}
}

// plan makes a plan and gives the lock back.
func plan(t testing.TB, fs vfs.FS) *wal.SalvagePlan {
	t.Helper()
	s, err := wal.OpenSalvage(t.Context(), salvageConfig(fs, "/d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Plan()
}

// salvage plans and runs until there is nothing to do.
func salvage(ctx context.Context, cfg wal.SalvageConfig) (*wal.SalvagePlan, error) {
	var first *wal.SalvagePlan
	for range 3 {
		s, err := wal.OpenSalvage(ctx, cfg)
		if err != nil {
			return first, err
		}
		p := s.Plan()
		if first == nil || first.Verdict == wal.SalvageInterrupted {
			first = p
		}
		if p.Verdict != wal.SalvageInterrupted && p.Verdict != wal.SalvageRepair && p.Verdict != wal.SalvageNewLog && (p.Export == nil || p != first) {
			return first, s.Close()
		}
		if err := errors.Join(s.Run(ctx), s.Close()); err != nil {
			return first, err
		}
		cfg.Export, cfg.NewLog = "", false
		b := newTracker()
		cfg.Books, cfg.Progress = []wal.Book{b}, b.progress
		if p.Verdict == wal.SalvageNewLog {
			return first, nil
		}
	}
	return first, fmt.Errorf("there is always something to do: %s", first)
}

// contents are the files of a directory and those below it.
func contents(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, n := range names {
		b, err := vfs.ReadFile(fs, filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		out[n] = b
	}
	return out
}

// nothingIsGone checks that every content of before is still there, under whatever name.
func nothingIsGone(t testing.TB, before, after map[string][]byte) {
	t.Helper()
	for name, b := range before {
		if strings.HasSuffix(name, ".tmp") || name == "salvage.pending" || name == "salvage.moving" {
			continue // its own, or what opening removes
		}
		there := false
		for _, c := range after {
			there = there || bytes.Equal(b, c)
		}
		if !there {
			t.Errorf("the content of %s is gone", name)
		}
	}
}

// opens checks that the log opens, with all that should be whole in it, and goes on; it returns what opening said.
func opens(t testing.TB, fs vfs.FS, id streamdown.ID, want []string) *wal.Recovery {
	t.Helper()
	if got := wholeIn(t, fs, "/d"); !slices.Equal(got, want) {
		t.Errorf("%d batches can be read, want %d", len(got), len(want))
	}
	l, _, rec, err := openTracked(fs, "/d", "", 1500)
	if err != nil {
		t.Fatal(err)
	}
	if l.ID() != id {
		t.Errorf("log %s opened, want %s", l.ID(), id)
	}
	var c wal.Chunk
	n := 0
	for at := l.Stats().First; at < l.Durable(); at = c.Next {
		if err := l.Read(&c, at); err != nil && !errors.As(err, new(*wal.CorruptError)) {
			t.Fatal(err)
		}
		for _, e := range c.Entries {
			if e.Kind == wal.KindBatch {
				n++
			}
		}
	}
	if n != len(want) {
		t.Errorf("the open log gives %d batches, want %d", n, len(want))
	}
	if err := l.Wait(t.Context(), appendBody(t, l, []byte("it goes on"))); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return rec
}

func TestAHealthyDirectoryIsLeftAsItIs(t *testing.T) {
	for _, released := range []bool{false, true} {
		w := newWreck(t, 20, released)
		before := contents(t, w, "/d")
		p := plan(t, w)
		if p.Verdict != wal.SalvageNothing || len(p.Steps) > 0 || p.Lost() || p.Batches != int64(len(w.want)) || p.Unsure {
			t.Fatalf("%s", p)
		}
		if _, err := salvage(t.Context(), salvageConfig(w, "/d")); err != nil {
			t.Fatal(err)
		}
		if after := contents(t, w, "/d"); len(after) != len(before) {
			t.Errorf("%d files became %d", len(before), len(after))
		}
		opens(t, w, w.id, w.want)
	}
}

func TestSalvageNeedsTheLock(t *testing.T) {
	w := newWreck(t, 5, false)
	l, _, _, err := openTracked(w, "/d", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wal.OpenSalvage(t.Context(), salvageConfig(w, "/d")); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("beside a process: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
