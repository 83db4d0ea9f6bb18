//go:build real

package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// A writer appends numbered entries to a log and knows how many are acknowledged.
type writer struct {
	t   *testing.T
	log *wal.Log
	c   *counter
	n   uint64 // handed over
}

func begin(t *testing.T, cfg wal.Config) *writer {
	t.Helper()
	w := &writer{t: t, c: &counter{}}
	cfg.Books = []wal.Book{w.c}
	var err error
	if w.log, _, err = wal.Open(cfg); err != nil {
		t.Fatal(err)
	}
	w.n = w.c.last.Load()
	return w
}

// put hands over one entry.
func (w *writer) put() {
	w.t.Helper()
	w.n++
	if _, err := w.log.Append(entry(w.n)); err != nil {
		w.t.Fatal(err)
	}
}

// acked waits until all is acknowledged, or for so long.
func (w *writer) acked(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for w.c.last.Load() < w.n {
		ch := w.log.Changed()
		if w.c.last.Load() == w.n {
			break
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// until waits for a state of the log.
func (w *writer) until(patience time.Duration, what string, is func(s wal.Stats) bool) {
	w.t.Helper()
	end := time.After(patience)
	for !is(w.log.Stats()) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-end:
			w.t.Fatalf("not in %v: %s: %+v", patience, what, w.log.Stats())
		}
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readOnly makes the kernel find an error in the file system, which becomes read-only while files are open in it.
func (d *drive) readOnly(t *testing.T) {
	t.Helper()
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(d.loop), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("test"), 0); err != nil {
		t.Skipf("the kernel finds no error on request: %v", err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "probe"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Fatalf("the file system is not read-only: %v", err)
	}
}

// TestADiskThatBecomesReadOnly: the log goes on in its refuge, or holds what it is given and says why. What was
// acknowledged is there when the file system is mounted again.
func TestADiskThatBecomesReadOnly(t *testing.T) {
	for _, name := range []string{"with a refuge", "without"} {
		t.Run(name, func(t *testing.T) {
			d := newDrive(t, "ext4", 64)
			d.options = "errors=remount-ro"
			if err := d.again(); err != nil {
				t.Fatal(err)
			}
			dir, refuge := mkdir(t, filepath.Join(d.dir, "log")), ""
			if name == "with a refuge" {
				refuge = mkdir(t, filepath.Join(t.TempDir(), "refuge"))
			}
			cfg := wal.Config{Dir: dir, Refuge: refuge, SegmentSize: segmentSize}
			w := begin(t, cfg)
			for range 50 {
				w.put()
			}
			if !w.acked(10 * time.Second) {
				t.Fatal(w.log.Stats().Stuck)
			}
			d.readOnly(t)
			before := w.n
			for range 50 {
				w.put()
			}
			if refuge != "" {
				began := time.Now()
				if !w.acked(20 * time.Second) {
					t.Fatalf("the refuge did not take over: %s", w.log.Stats().Stuck)
				}
				t.Logf("50 entries acknowledged in the refuge %v after the disk became read-only: %s", time.Since(began).Round(time.Millisecond), w.log.Stats().RefugeWhy)
				if w.log.Stats().Refuge.IsZero() {
					t.Error("the log does not say that it is in its refuge")
				}
			} else {
				w.until(time.Minute, "it says why it holds", func(s wal.Stats) bool { return strings.Contains(s.Stuck, "read-only") })
				if w.c.last.Load() != before {
					t.Errorf("%d entries were acknowledged on a read-only disk", w.c.last.Load()-before)
				}
				err := unix.Mount(d.loop, d.dir, "ext4", unix.MS_REMOUNT, d.options)
				if err == nil {
					err = os.WriteFile(filepath.Join(d.dir, "probe"), nil, 0o600)
				}
				if err != nil { // Linux 6.18
					t.Logf("the kernel lets nobody write there until it is unmounted, and so until the log is closed: %v", err)
				} else if !w.acked(20 * time.Second) {
					t.Errorf("it is mounted for writing again, and %s", w.log.Stats().Stuck)
				}
			}
			acked := w.c.last.Load()
			if err := w.log.Close(); (err == nil) != (acked == w.n) {
				t.Errorf("%d of %d entries acknowledged; close: %v", acked, w.n, err)
			}
			if err := d.again(); err != nil {
				t.Fatal(err)
			}
			if _, err := audit(vfs.OS{}, dir, refuge, acked, w.n); err != nil {
				t.Fatal(err)
			}
			w = begin(t, cfg)
			w.put()
			if !w.acked(time.Minute) || !w.log.Stats().Refuge.IsZero() {
				t.Errorf("after a mount: %+v", w.log.Stats())
			}
			if err := w.log.Close(); err != nil {
				t.Error(err)
			}
			if _, err := audit(vfs.OS{}, dir, refuge, w.n, w.n); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestADiskThatHangs freezes the file system: nothing is acknowledged, the log says how long it waits, and goes on.
func TestADiskThatHangs(t *testing.T) {
	for kind, size := range map[string]int64{"ext4": 64, "xfs": 320} {
		t.Run(kind, func(t *testing.T) {
			d := newDrive(t, kind, size)
			w := begin(t, wal.Config{Dir: mkdir(t, filepath.Join(d.dir, "log")), SegmentSize: segmentSize})
			w.put()
			if !w.acked(10 * time.Second) {
				t.Fatal(w.log.Stats().Stuck)
			}
			f, err := os.Open(d.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE, FITHAW
			if err := unix.IoctlSetInt(int(f.Fd()), freeze, 0); err != nil {
				t.Skipf("this file system cannot be frozen: %v", err)
			}
			melt := sync.OnceFunc(func() {
				if err := unix.IoctlSetInt(int(f.Fd()), thaw, 0); err != nil {
					t.Error(err)
				}
			})
			defer melt()
			w.put()
			w.until(time.Minute, "it says that it waits", func(s wal.Stats) bool { return s.Waiting > 300*time.Millisecond })
			if w.c.last.Load() == w.n {
				t.Error("an entry was acknowledged on a frozen disk")
			}
			melt()
			if !w.acked(10 * time.Second) {
				t.Error(w.log.Stats().Stuck)
			}
			if err := w.log.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestADiskThatIsFull fills the file system to the last block. Batches are refused then, what is no batch is written, and
// when there is room again all goes on, without a restart.
func TestADiskThatIsFull(t *testing.T) {
	var b batch.Builder
	b.Append(1, []byte("key"), make([]byte, 20_000))
	body, err := b.Build(batch.None, batch.NoStamp)
	if err != nil {
		t.Fatal(err)
	}
	for kind, size := range map[string]int64{"ext4": 64, "xfs": 320} {
		t.Run(kind, func(t *testing.T) {
			d := newDrive(t, kind, size)
			dir := mkdir(t, filepath.Join(d.dir, "log"))
			w := begin(t, wal.Config{Dir: dir, SegmentSize: 4 << 20})
			w.put()
			if !w.acked(10 * time.Second) {
				t.Fatal(w.log.Stats().Stuck)
			}
			w.until(time.Minute, "the reserve is made", func(wal.Stats) bool {
				names, _ := filepath.Glob(filepath.Join(dir, "reserve-*"))
				return len(names) == 3
			})
			filler := filepath.Join(d.dir, "filler")
			fill(t, filler)
			refused := 0
			for i := range 2000 {
				_, err := w.log.Append(&wal.Entry{Kind: wal.KindBatch, Count: 1, Body: body})
				if errors.Is(err, wal.ErrFull) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
				if i%20 == 0 {
					w.put()
					if !w.acked(10 * time.Second) {
						t.Fatalf("the disk is full, and what is no batch is not written: %s", w.log.Stats().Stuck)
					}
				}
			}
			if refused == 0 || w.log.Stats().Full == "" {
				t.Fatalf("%d batches were refused: %+v", refused, w.log.Stats())
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if err := (vfs.OS{}).SyncDir(d.dir); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			w.until(time.Minute, "there is room again", func(s wal.Stats) bool { return s.Full == "" })
			if _, err := w.log.Append(&wal.Entry{Kind: wal.KindBatch, Count: 1, Body: body}); err != nil {
				t.Error(err)
			}
			w.put()
			if !w.acked(10 * time.Second) {
				t.Error(w.log.Stats().Stuck)
			}
			t.Logf("%d of 2,000 batches refused; taken again %v after there was room", refused, time.Since(began).Round(time.Millisecond))
			if err := w.log.Close(); err != nil {
				t.Error(err)
			}
			if _, err := audit(vfs.OS{}, dir, "", w.n, w.n); err != nil {
				t.Error(err)
			}
		})
	}
}

// fill writes a file until no block is left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}
