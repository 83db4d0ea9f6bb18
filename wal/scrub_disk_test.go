package wal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// cachedPages counts the pages of a file that are in the page cache (cachestat(2), since Linux 6.5).
func cachedPages(t testing.TB, path string, drop bool) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if drop {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	var st unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 1 << 40}, &st, 0); errors.Is(err, unix.ENOSYS) {
		t.Skip("this kernel has no cachestat")
	} else if err != nil {
		t.Fatal(err)
	}
	return st.Cache
}

func oneBatch(t testing.TB, n int) []byte {
	t.Helper()
	var b batch.Builder
	b.Append(1, nil, noise(n))
	body, err := b.Build(batch.None, batch.NoStamp)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// diskLog is an open log in dir on the real disk with some sealed segments of batches.
func diskLog(t testing.TB, fs vfs.FS, dir string, segments int, segment int64, body []byte) (*wal.Log, []string) {
	t.Helper()
	l, _, err := wal.Open(wal.Config{FS: fs, Dir: dir, SegmentSize: segment})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for l.Stats().Segments <= segments {
		var end streamdown.LSN
		for range 4 {
			l.Ready()
			e := wal.Entry{Kind: wal.KindBatch, Count: 1, Body: body}
			if _, err := l.Append(&e); err != nil {
				t.Fatal(err)
			}
			end = e.End()
		}
		if err := l.Wait(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return l, paths[:len(paths)-1]
}

// TestScrubLeavesThePageCacheToReaders has one segment in the page cache and the others not: a pass changes neither.
// The control, a disk that is read in the ordinary way, must be noticed.
func TestScrubLeavesThePageCacheToReaders(t *testing.T) {
	for _, control := range []bool{false, true} {
		var fs vfs.FS = vfs.OS{}
		if control {
			fs = struct{ vfs.FS }{fs}
		}
		l, paths := diskLog(t, fs, t.TempDir(), 4, 1<<20, oneBatch(t, 50_000))
		var before, after []uint64
		for i, path := range paths {
			before = append(before, cachedPages(t, path, i != 1))
		}
		st := pass(t, atOnce(l))
		for _, path := range paths {
			after = append(after, cachedPages(t, path, false))
		}
		if !control {
			t.Logf("%s is read by way of %s", os.TempDir(), st.Way)
			if st.Way == vfs.WayCached {
				t.Skip("the temporary directory is not read past a page cache: set TMPDIR to a disk")
			}
		}
		if before[0] > 0 || before[1] == 0 {
			t.Skipf("the page cache cannot be arranged: %d", before)
		}
		if slices.Equal(before, after) == control || st.Ranges != 0 || st.WholeBytes < 3<<20 {
			t.Errorf("control %v: pages of each segment before %d, after %d; %+v", control, before, after, st)
		}
	}
}

// BenchmarkScrub reads sealed segments on the disk of TMPDIR without a limit. CPU is that of the whole process.
func BenchmarkScrub(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		b.Run(map[int]string{1 << 10: "batch=1KiB", 16 << 10: "batch=16KiB", 256 << 10: "batch=256KiB"}[size], func(b *testing.B) {
			l, _ := diskLog(b, vfs.OS{}, b.TempDir(), 4, 64<<20, oneBatch(b, size))
			s := atOnce(l)
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				pass(b, s)
			}
			st := s.Stats()
			b.SetBytes(st.WholeBytes)
			b.ReportMetric((processorTime(b)-before).Seconds()/float64(st.Bytes)*1e9, "cpu-s/GB")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
