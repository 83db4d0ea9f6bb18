package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// numbered is a book that knows how many entries it was shown and remembers none.
type numbered struct{ n byte }

func (b *numbered) BookID() byte { return 98 }
func (b *numbered) Apply(e *wal.Entry) {
	if e.Kind != wal.KindMark {
		b.n++
	}
}
func (b *numbered) Snapshot(dst []byte) []byte { return append(dst, b.n) }
func (b *numbered) Restore(s []byte) error     { b.n = s[0]; return nil }

func openSmall(t *testing.T, fs vfs.FS, cfg wal.Config) (*wal.Log, *wal.Recovery) {
	t.Helper()
	cfg.FS, cfg.Dir, cfg.Books = fs, "/d", []wal.Book{&numbered{}}
	l, rec, err := wal.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, rec
}

// tell appends an entry that is no batch and waits until it is durable.
func tell(t *testing.T, l *wal.Log, body []byte) streamdown.LSN {
	t.Helper()
	e := wal.Entry{Kind: wal.KindTopic, Body: body}
	if _, err := l.Append(&e); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(t.Context(), e.End()); err != nil {
		t.Fatal(err)
	}
	return e.LSN
}

func names(t *testing.T, fs vfs.FS, dir, like string) (out []string) {
	t.Helper()
	all, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if ok, _ := filepath.Match(like, n); ok {
			out = append(out, n)
		}
	}
	return out
}

// reused reports whether a segment was written over another one.
func reused(t *testing.T, fs vfs.FS, dir string) (n int) {
	t.Helper()
	list, err := wal.Segments(t.Context(), fs, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Reused {
			n++
		}
	}
	return n
}

func TestAReleasedSegmentIsWrittenOverAndItsOldBytesAreNeverTakenForNewOnes(t *testing.T) {
	for _, dir := range []string{"memory", "disk"} {
		t.Run(dir, func(t *testing.T) {
			var fs vfs.FS = vfs.NewMem()
			base := "/d"
			if dir == "disk" {
				fs, base = vfs.OS{}, t.TempDir()
			}
			l, _, err := wal.Open(wal.Config{FS: fs, Dir: base, SegmentSize: 40 << 10, Books: []wal.Book{&numbered{}}})
			if err != nil {
				t.Fatal(err)
			}
			var kept []streamdown.LSN
			var bodies [][]byte
			for i := range 200 {
				body := bytes.Repeat([]byte{byte(i + 1)}, 1000+137*(i%11))
				kept, bodies = append(kept, tell(t, l, body)), append(bodies, body)
				if i > 60 {
					if _, err := l.Release(kept[i-30]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := reused(t, fs, base); n < 2 {
				t.Fatalf("%d segments were written over", n)
			}
			check := func(l *wal.Log) {
				t.Helper()
				read, damage := readAll(t, l, kept[170])
				if len(damage) > 0 || !same(read, bodies[170:]) {
					t.Fatalf("%d of %d entries, damage %v", len(read), len(bodies)-170, damage)
				}
			}
			check(l)
			r, err := wal.Verify(t.Context(), fs, base, nil)
			if err != nil || r.Verdict != "clean" || r.Tail != 0 || r.Cut != 0 {
				t.Fatalf("verify: %v %v", err, r.String())
			}
			// The process dies: its last segment goes on with what an older one held.
			if m, ok := fs.(*vfs.Mem); ok {
				fs = m.Kill(false)
				m.Halt()
			}
			if err := l.Close(); err != nil && dir == "disk" {
				t.Fatal(err)
			}
			l, rec, err := wal.Open(wal.Config{FS: fs, Dir: base, SegmentSize: 40 << 10, Books: []wal.Book{&numbered{}}})
			if err != nil || rec.Torn > 0 || len(rec.Damage) > 0 {
				t.Fatalf("open again: %v %+v", err, rec)
			}
			check(l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func aBatch(t *testing.T, size int) []byte {
	t.Helper()
	var b batch.Builder
	b.Append(0, nil, make([]byte, size))
	raw, err := b.Build(batch.None, batch.NoStamp)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(raw)
}

func TestOnAFullDiskBatchesWaitAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		l, _ := openSmall(t, disk, wal.Config{SegmentSize: 1 << 20})
		time.Sleep(time.Second) // the reserve is there
		lane, err := l.Lane(streamdown.TopicPartition{Topic: "t"})
		if err != nil {
			t.Fatal(err)
		}
		body := aBatch(t, 20_000)
		put := func() error {
			e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Count: 1, Body: body}
			if _, err := l.Append(&e); err != nil {
				return err
			}
			return l.Wait(t.Context(), e.End())
		}
		for range 5 {
			if err := put(); err != nil {
				t.Fatal(err)
			}
		}
		disk.SetSpace(disk.Used()+30_000, syscall.ENOSPC)
		refused := 0
		for range 20 {
			if err := put(); errors.Is(err, wal.ErrFull) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if refused < 15 || !strings.Contains(l.Stats().Full, "full") {
			t.Fatalf("%d of 20 batches were refused; %q", refused, l.Stats().Full)
		}
		for i := range 100 { // what a person orders, and what is confirmed, has a place
			tell(t, l, []byte(fmt.Sprint("order ", i)))
		}
		if err := l.Close(); err != nil {
			t.Fatalf("close on a full disk: %v", err)
		}
		// A start on a full disk must not fail either.
		l, rec := openSmall(t, disk, wal.Config{SegmentSize: 1 << 20})
		if rec.Torn > 0 || len(rec.Damage) > 0 {
			t.Fatalf("%+v", rec)
		}
		disk.SetSpace(-1, nil)
		time.Sleep(3 * time.Second)
		if why := l.Stats().Full; why != "" {
			t.Fatal("there is room again, and the log says: ", why)
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A log that is full and wholly confirmed must get empty, whatever the size of its segments.
func TestAFullLogThatIsConfirmedMakesRoom(t *testing.T) {
	for _, full := range []string{"max_size", "disk"} {
		t.Run(full, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := vfs.NewMem()
				cfg := wal.Config{SegmentSize: 64 << 20}
				if full == "max_size" {
					cfg.MaxSize = 4 << 20
				} else {
					disk.SetSpace(4<<20, syscall.ENOSPC)
				}
				l, _ := openSmall(t, disk, cfg)
				lane, err := l.Lane(streamdown.TopicPartition{Topic: "t"})
				if err != nil {
					t.Fatal(err)
				}
				body := aBatch(t, 100_000)
				taken := 0
				for range 1000 {
					e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: streamdown.Ordinal(taken), Count: 1, Body: body}
					_, err := l.Append(&e)
					if err == nil {
						taken++
						err = l.Wait(t.Context(), e.End())
					}
					if err != nil && !errors.Is(err, wal.ErrFull) {
						t.Fatal(err)
					}
					if err != nil { // all is confirmed by now, as it were
						time.Sleep(200 * time.Millisecond)
						if _, err := l.Release(l.Durable()); err != nil {
							t.Fatal(err)
						}
					}
				}
				if taken < 300 {
					t.Fatalf("%d of 1000 batches were taken: %+v", taken, l.Stats())
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestABrokenDirectoryIsLeftForTheRefugeAndReturnedTo(t *testing.T) {
	for _, why := range []error{syscall.EIO, syscall.EROFS, syscall.ENOSPC} {
		t.Run(why.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := vfs.NewMem()
				cfg := wal.Config{SegmentSize: 1 << 20, Refuge: "/r"}
				l, _ := openSmall(t, disk, cfg)
				first := tell(t, l, []byte("before"))
				var bodies = [][]byte{[]byte("before")}
				more := func(s string) {
					t.Helper()
					tell(t, l, []byte(s))
					bodies = append(bodies, []byte(s))
				}
				disk.Inject(func(op vfs.Op, name string) error {
					if op.Changes() && strings.HasPrefix(name, "/d") {
						return why
					}
					return nil
				})
				more("in the refuge")
				if st := l.Stats(); st.Refuge.IsZero() || st.Full != "" || !strings.Contains(st.RefugeWhy, why.Error()) {
					t.Fatalf("%+v", st)
				}
				if len(names(t, disk, "/r", "*.wal")) != 1 {
					t.Fatal(names(t, disk, "/r", "*"))
				}
				time.Sleep(30 * time.Second)
				more("still there")
				disk.Inject(nil)
				time.Sleep(6 * time.Minute)
				if st := l.Stats(); !st.Refuge.IsZero() {
					t.Fatalf("the directory works again, and the log stays in its refuge: %+v", st)
				}
				more("back")
				left := disk.Kill(false)
				disk.Halt()
				_ = l.Close() // says that the power is off

				// Without the refuge it must not open: acknowledged records would be missing.
				bad := cfg
				bad.Refuge, bad.FS, bad.Dir, bad.Books = "", left, "/d", []wal.Book{&numbered{}}
				if l, _, err := wal.Open(bad); err == nil || !strings.Contains(err.Error(), "/r") {
					t.Fatalf("opened without its refuge: %v %v", l, err)
				}
				l, rec := openSmall(t, left, cfg)
				read, damage := readAll(t, l, first)
				if len(damage) > 0 || !same(read, bodies) || rec.Torn > 0 || len(rec.Damage) > 0 {
					t.Fatalf("%q, damage %v, %+v", read, damage, rec)
				}
				r, err := wal.Verify(t.Context(), left, "/d", nil)
				if err != nil || r.Verdict != "clean" {
					t.Fatalf("verify: %v %v", err, r.String())
				}
				// Once what it holds is released, it is not needed any more.
				for len(names(t, left, "/r", "*.wal")) > 0 {
					tell(t, l, make([]byte, 300_000))
					if _, err := l.Release(l.Durable()); err != nil {
						t.Fatal(err)
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if l, _, err = wal.Open(bad); err != nil {
					t.Fatal(err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestARefugeOfAnotherLogAndOneThatIsNotMountedAreRefused(t *testing.T) {
	disk := vfs.NewMem()
	cfg := wal.Config{FS: disk, Dir: "/d", Refuge: "/r", Books: []wal.Book{&numbered{}}}
	openClose := func(cfg wal.Config) error {
		l, _, err := wal.Open(cfg)
		if err == nil {
			err = l.Close()
		}
		return err
	}
	if err := openClose(cfg); err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.Dir = "/e"
	if err := openClose(wal.Config{FS: disk, Dir: "/e", Books: cfg.Books}); err != nil {
		t.Fatal(err)
	}
	if err := openClose(other); err == nil || !strings.Contains(err.Error(), "belongs to log") {
		t.Fatalf("the refuge of another log: %v", err)
	}
	if err := disk.Remove("/r/refuge"); err != nil {
		t.Fatal(err)
	}
	if err := openClose(cfg); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Fatalf("an empty directory in place of the refuge: %v", err)
	}
	if err := openClose(wal.Config{FS: disk, Dir: "/g", Refuge: "/r", Books: cfg.Books}); err != nil {
		t.Fatal(err)
	}
	away := cfg
	away.Dir = "/not-mounted"
	if err := openClose(away); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Fatalf("an empty directory in place of that whose refuge it is: %v", err)
	}
	// A damaged name of the log is written again where the manifest says the same.
	if err := vfs.WriteFile(disk, "/r/refuge", []byte(`{"log":"damaged`)); err != nil {
		t.Fatal(err)
	}
	mine := cfg
	mine.Dir = "/g"
	if err := openClose(mine); err != nil {
		t.Fatal(err)
	}
	copied := cfg
	copied.Dir = "/copy"
	for _, name := range names(t, disk, "/g", "*") {
		if b, err := vfs.ReadFile(disk, "/g/"+name); err == nil && name != "lock" {
			if err := vfs.WriteFile(disk, "/copy/"+name, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := openClose(copied); err == nil || !strings.Contains(err.Error(), "copy of /g") {
		t.Fatalf("a copy uses the refuge of the original: %v", err)
	}
	same := cfg
	same.Dir, same.Refuge = "/f", "/f/"
	if err := openClose(same); err == nil {
		t.Fatal("the directory is its own refuge")
	}
}

func TestADirectoryWithADamagedManifestAndNothingElseIsNoNewLog(t *testing.T) {
	disk := vfs.NewMem()
	if err := vfs.WriteFile(disk, "/d/manifest", []byte(`{"format":1,"log":"…`)); err != nil {
		t.Fatal(err)
	}
	if l, _, err := wal.Open(wal.Config{FS: disk, Dir: "/d"}); err == nil || !strings.Contains(err.Error(), "mounted") {
		t.Fatalf("%v %v", l, err)
	}
}

// TestWhatTheRefugeReleasedBeforeAKillStaysReleased: a process dies between taking a segment's name away and syncing
// that; the next one does not see it and takes the one after it. A crash may keep the second and undo the first, which
// looks like a segment that was lost in between.
func TestWhatTheRefugeReleasedBeforeAKillStaysReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		cfg := wal.Config{SegmentSize: 1 << 20, Refuge: "/r"}
		body := make([]byte, 600_000)
		l, _ := openSmall(t, disk, cfg)
		tell(t, l, body)
		var lsns []streamdown.LSN
		disk.Inject(func(op vfs.Op, name string) error {
			if op.Changes() && strings.HasPrefix(name, "/d") {
				return syscall.EIO
			}
			return nil
		})
		for len(names(t, disk, "/r", "*.wal")) < 4 {
			lsns = append(lsns, tell(t, l, body))
		}
		disk.Inject(nil)
		time.Sleep(6 * time.Minute)
		for range 6 {
			lsns = append(lsns, tell(t, l, body))
		}
		// takeOne cuts the power when Release has taken one name in the refuge away and is about to sync that.
		takeOne := func(fs *vfs.Mem, l *wal.Log) {
			t.Helper()
			before := len(names(t, fs, "/r", "*.wal"))
			fs.Slow(func(op vfs.Op, name string) {
				if op == vfs.OpSyncDir && name == "/r" {
					fs.Halt()
				}
			})
			_, err := l.Release(lsns[len(lsns)-1])
			if left := len(names(t, fs.Kill(false), "/r", "*.wal")); !errors.Is(err, vfs.ErrCrashed) || left != before-1 {
				t.Fatalf("%v: %d segments in the refuge before, %d after", err, before, left)
			}
			_ = l.Close() // says that the power is off
		}
		takeOne(disk, l)
		killed := disk.Kill(false)
		l, rec := openSmall(t, killed, cfg)
		if len(rec.Damage) > 0 || rec.Torn > 0 {
			t.Fatalf("%+v", rec)
		}
		tell(t, l, body)
		takeOne(killed, l)
		n := 0
		for left := range killed.CrashStates(1 << 10) {
			n++
			r, err := wal.Verify(t.Context(), left, "/d", nil)
			if err != nil || r.Verdict != "clean" {
				t.Fatalf("disk %d, with %v in the refuge: %v %v", n, names(t, left, "/r", "*.wal"), err, r.String())
			}
			l, rec := openSmall(t, left, cfg)
			read, damage := readAll(t, l, lsns[len(lsns)-1])
			if len(rec.Damage) > 0 || rec.Torn > 0 || len(damage) > 0 || len(read) != 2 {
				t.Fatalf("disk %d: %d entries, %v, %+v", n, len(read), damage, rec)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if n < 2 {
			t.Fatalf("%d disks", n)
		}
	})
}

// TestARefugeIsNotUsedBeforeTheManifestThatNamesItIsDurable: the sync of the directory failed when the manifest got its
// name, a later one says nothing about it, and a crash takes it away. What lay in the refuge by then would be looked for
// by nobody whose configuration does not name it. (The crash lab found this after 3 million crashes.)
func TestARefugeIsNotUsedBeforeTheManifestThatNamesItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		cfg := wal.Config{SegmentSize: 1 << 20, Refuge: "/r", FS: disk, Dir: "/d", Books: []wal.Book{&numbered{}}}
		renamed := false
		// The name is there although its sync failed.
		disk.Inject(func(op vfs.Op, name string) error {
			if op == vfs.OpRename && strings.HasPrefix(name, "/d/manifest") {
				renamed = true
			} else if renamed && op == vfs.OpSyncDir && name == "/d" {
				return syscall.EROFS
			}
			return nil
		})
		if l, _, err := wal.Open(cfg); err == nil {
			t.Fatal("opened although the manifest is not durable", l.Close())
		}
		next := disk.Kill(false)
		if len(names(t, next, "/d", "manifest")) != 1 {
			t.Fatal("the manifest is not to be seen, so this tests nothing")
		}
		disk.Halt()
		next.Inject(func(op vfs.Op, name string) error {
			if strings.HasPrefix(name, "/d") && op == vfs.OpCreate {
				return syscall.ENOSPC
			}
			return nil
		})
		cfg.FS = next
		if l, _, err := wal.Open(cfg); err == nil {
			t.Error("opened in a refuge that a crash leaves to nobody", l.Close())
		}
		if left := names(t, next, "/r", "*.wal*"); len(left) > 0 {
			t.Errorf("the refuge holds %v", left)
		}
		next.Halt()
	})
}

// TestWhatIsBeingWrittenCountsToo: while a disk takes its time with one group, the next ones must not be promised the
// room that it takes.
func TestWhatIsBeingWrittenCountsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		l, _ := openSmall(t, disk, wal.Config{MaxSize: 16 << 20})
		lane, err := l.Lane(streamdown.TopicPartition{Topic: "t"})
		if err != nil {
			t.Fatal(err)
		}
		disk.Slow(func(op vfs.Op, _ string) {
			if op == vfs.OpWrite {
				time.Sleep(time.Second)
			}
		})
		body := make([]byte, 100_000)
		for ordinal := streamdown.Ordinal(0); ; ordinal++ {
			l.Ready()
			e := wal.Entry{Kind: wal.KindBatch, Lane: lane, Ordinal: ordinal, Count: 1, Arrival: 1, Body: body}
			if _, err := l.Append(&e); errors.Is(err, wal.ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if s := l.Stats(); s.Size > s.MaxSize || s.Size < s.MaxSize/2 {
			t.Errorf("the log has %d bytes of at most %d", s.Size, s.MaxSize)
		}
		disk.Slow(nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
