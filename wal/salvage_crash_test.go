package wal_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// ruin is a log with all kinds of damage at once that salvage mends, durably.
func ruin(t testing.TB) *wreck {
	t.Helper()
	w := newWreck(t, 20, false)
	o := otherLog(t)
	b, _ := vfs.ReadFile(o, "/d/"+o.names[1])
	w.put(t, "0000000099"+o.names[1][10:], b)
	b, _ = vfs.ReadFile(otherLog(t), "/d/manifest")
	w.put(t, "manifest", b)
	w.rename(t, w.names[1], "x")
	w.rename(t, w.names[3], w.names[1])
	w.rename(t, "x", w.names[3])
	w.header(w.names[2])
	w.copy(t, w.names[2], w.names[2]+".copy")
	w.change(w.names[2], func(b []byte) []byte { clear(b[len(b)-400 : len(b)-300]); return b })
	w.change(w.names[2]+".copy", func(b []byte) []byte { clear(b[len(b)-900 : len(b)-700]); return b })
	w.rename(t, w.names[0], w.names[0]+".bak")
	if err := w.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	return w
}

var simLong = flag.Bool("salvage-long", false, "cut the power in a salvage in all ways")

// TestASalvageThatCrashesIsFinishedByTheNext cuts the power at every operation of a salvage, and again at every
// operation of the one that follows. Until it is finished the log does not open, nothing is gone, and the result is
// always the same.
func TestASalvageThatCrashesIsFinishedByTheNext(t *testing.T) {
	w := ruin(t)
	before := contents(t, w, "/d")
	whole := w.Kill(false)
	if p, err := salvage(t.Context(), salvageConfig(whole, "/d")); err != nil || p.Verdict != wal.SalvageRepair || len(p.Steps) < 6 || p.Lost() {
		t.Fatalf("%v\n%s", err, p)
	}
	opens(t, whole.Kill(false), w.id, w.want)
	crash := func(fs *vfs.Mem, n int) (reached bool) {
		fs.CrashAt(fs.Ops() + n)
		_, err := salvage(t.Context(), salvageConfig(fs, "/d"))
		if !fs.Dead() {
			if err != nil {
				t.Fatal(err)
			}
			return false
		}
		if !errors.Is(err, vfs.ErrCrashed) {
			t.Fatalf("without power: %v", err)
		}
		return true
	}
	check := func(fs *vfs.Mem, what string, args ...any) {
		// Opening finds all, or refuses.
		try := fs.Kill(false)
		if l, _, _, err := openTracked(try, "/d", "", 1500); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := wholeIn(t, try, "/d"); !slices.Equal(got, w.want) {
				t.Fatalf(what+": it opens with %d of %d batches", append(args, len(got), len(w.want))...)
			}
		} else if !strings.Contains(err.Error(), "wal salvage") {
			t.Fatalf(what+": %v", append(args, err)...)
		}
		if _, err := salvage(t.Context(), salvageConfig(fs, "/d")); err != nil {
			t.Fatalf(what+": %v", append(args, err)...)
		}
		if got := wholeIn(t, fs, "/d"); !slices.Equal(got, w.want) {
			t.Fatalf(what+": %d of %d batches", append(args, len(got), len(w.want))...)
		}
		nothingIsGone(t, before, contents(t, fs, "/d"))
		if p := plan(t, fs); p.Verdict != wal.SalvageNothing {
			t.Fatalf(what+": %s", append(args, p)...)
		}
		if t.Failed() {
			t.Fatalf(what, args...)
		}
	}
	limit, again := 6, 10
	if *simLong {
		limit, again = 1000, 1
	}
	states, points := 0, 0
	for n := 1; ; n++ {
		fs := w.Kill(false)
		if !crash(fs, n) {
			break
		}
		points++
		for left := range fs.CrashStates(limit) {
			states++
			check(left, "crash at %d, state %d", n, states)
		}
		for seed := range uint64(2) {
			states++
			check(fs.Crash(rand.New(rand.NewPCG(seed, uint64(n)))), "crash at %d, seed %d", n, seed)
		}
		if n%again != 0 {
			continue
		}
		for m := 1; ; m++ { // and in the next one
			second := fs.Crash(rand.New(rand.NewPCG(7, uint64(n*1000+m))))
			if !crash(second, m) {
				break
			}
			states++
			check(second.Crash(rand.New(rand.NewPCG(8, uint64(n*1000+m)))), "crash at %d, then at %d", n, m)
		}
	}
	t.Logf("%d points, %d disks", points, states)
	if points < 30 {
		t.Errorf("the salvage has %d operations only", points)
	}
}

// TestASalvageWithoutRoomChangesNothing: it says how much it needs, and a disk that fills up meanwhile spoils nothing.
func TestASalvageWithoutRoomChangesNothing(t *testing.T) {
	w := ruin(t)
	before := contents(t, w, "/d")
	w.SetSpace(w.Used()+1000, syscall.ENOSPC)
	p, err := salvage(t.Context(), salvageConfig(w, "/d"))
	if err == nil || !strings.Contains(err.Error(), "are needed and 1000 are free") || !strings.Contains(p.String(), "space /d: ") {
		t.Fatalf("%v\n%s", err, p)
	}
	if after := contents(t, w, "/d"); len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	// It fills up in the middle of writing.
	w.SetSpace(-1, nil)
	n := 0
	w.Inject(func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			if n++; n == 3 {
				return syscall.ENOSPC
			}
		}
		return nil
	})
	if _, err := salvage(t.Context(), salvageConfig(w, "/d")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	w.Inject(nil)
	if _, err := salvage(t.Context(), salvageConfig(w, "/d")); err != nil {
		t.Fatal(err)
	}
	nothingIsGone(t, before, contents(t, w, "/d"))
	opens(t, w, w.id, w.want)
}

// TestTwoDirectoriesAreOneLog: segments of one log lie in two directories, one of them twice.
func TestTwoDirectoriesAreOneLog(t *testing.T) {
	fs := vfs.NewMem()
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	l, _, _, err := openTracked(fs, "/d", "/r", 1500)
	if err != nil {
		t.Fatal(err)
	}
	id := l.ID()
	want := fillWreck(t, l, next, 40, false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names := segmentNames(t, fs)
	for _, n := range names[2:5] { // as if they had been made there
		b, _ := vfs.ReadFile(fs, "/d/"+n)
		if err := errors.Join(vfs.WriteFile(fs, "/r/"+n, b), fs.Remove("/d/"+n)); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := vfs.ReadFile(fs, "/r/"+names[3])
	if err := vfs.WriteFile(fs, "/d/"+names[3], b[:200]); err != nil { // a try that was given up
		t.Fatal(err)
	}
	fs.Change("/r/"+names[4], func(b []byte) []byte { b[40] ^= 1; return b })
	if err := fs.Rename("/r/"+names[2], "/r/"+names[2]+".old"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("/r/refuge"); err != nil {
		t.Fatal(err)
	}
	p, err := salvage(t.Context(), salvageConfig(fs, "/d"))
	if err != nil || p.Verdict != wal.SalvageRepair || p.Refuge != "/r" || p.Lost() {
		t.Fatalf("%v\n%s", err, p)
	}
	l, _, rec, err := openTracked(fs, "/d", "/r", 1500)
	if err != nil || l.ID() != id || len(rec.Damage) > 0 {
		t.Fatalf("%+v %v", rec, err)
	}
	var c wal.Chunk
	n := 0
	for at := streamdown.LSN(64); at < l.Durable(); at = c.Next {
		if err := l.Read(&c, at); err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Entries {
			if e.Kind == wal.KindBatch {
				n++
			}
		}
	}
	if n != len(want) {
		t.Errorf("%d batches, want %d", n, len(want))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestARefugeAloneOpensWithWhatItHolds: the first disk is lost for good and exchanged.
func TestARefugeAloneOpensWithWhatItHolds(t *testing.T) {
	fs := vfs.NewMem()
	next := map[streamdown.LaneID]streamdown.Ordinal{}
	l, _, _, err := openTracked(fs, "/d", "/r", 1500)
	if err != nil {
		t.Fatal(err)
	}
	want := fillWreck(t, l, next, 20, false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names := segmentNames(t, fs)
	for i, n := range names {
		b, _ := vfs.ReadFile(fs, "/d/"+n)
		if i >= 2 {
			err = vfs.WriteFile(fs, "/r/"+n, b)
		}
		if err := errors.Join(err, fs.Remove("/d/"+n)); err != nil {
			t.Fatal(err)
		}
	}
	// A copy of the first directory leaves the refuge alone while the first one is there.
	man, _ := vfs.ReadFile(fs, "/d/manifest")
	if err := vfs.WriteFile(fs, "/copy/manifest", man); err != nil {
		t.Fatal(err)
	}
	s, err := wal.OpenSalvage(t.Context(), salvageConfig(fs, "/copy"))
	if err != nil || s.Plan().Refuge != "" || !strings.Contains(s.Plan().String(), "is left alone") {
		t.Fatalf("%v\n%s", err, s.Plan())
	}
	if err := errors.Join(s.Close(), fs.Remove("/d/manifest")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := openTracked(fs, "/d", "/r", 1500); err == nil {
		t.Error("it opens by itself")
	}
	cfg := salvageConfig(fs, "/d")
	cfg.Refuge = "/r"
	p, err := salvage(t.Context(), cfg)
	if err != nil || p.Verdict != wal.SalvageRepair || !p.Lost() || p.Batches == 0 || p.Batches >= int64(len(want)) {
		t.Fatalf("%v\n%s", err, p)
	}
	l, _, rec, err := openTracked(fs, "/d", "/r", 1500)
	if err != nil || rec.Created {
		t.Fatalf("%+v %v", rec, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
