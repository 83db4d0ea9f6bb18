package wal_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/batch"
	"github.com/streamdown/streamdown/vfs"
	"github.com/streamdown/streamdown/wal"
)

// All benchmarks here run on the disk of TMPDIR, with every fsync. A temporary directory in memory measures nothing.

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b) // never fails
	return b
}

// batchOf is a whole record batch of n bytes, but for a few: reading checks it.
func batchOf(b *testing.B, n int) []byte {
	b.Helper()
	var build batch.Builder
	build.Append(1, nil, noise(n-batch.HeaderSize-16))
	body, err := build.Build(batch.None, batch.NoStamp)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func openDisk(b *testing.B) *wal.Log {
	b.Helper()
	l, _, err := wal.Open(wal.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// BenchmarkAppend has so many producers, each of which appends a batch, waits until it is durable, and appends the
// next. The figure per fsync is what group commit made of that.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10, 1 << 20} {
		for _, producers := range []int{1, 16, 64} {
			if size*producers > 16<<20 {
				continue
			}
			b.Run(fmt.Sprintf("fsync=on/batch=%dKiB/producers=%d", size>>10, producers), func(b *testing.B) {
				benchmarkAppend(b, size, producers)
			})
		}
	}
}

func benchmarkAppend(b *testing.B, size, producers int) {
	l := openDisk(b)
	body := noise(size)
	before := l.Stats()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.SetParallelism((producers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	var failed sync.Once
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Ready()
			e := wal.Entry{Kind: wal.KindBatch, Count: 1, Body: body}
			_, err := l.Append(&e)
			if err == nil {
				err = l.Wait(b.Context(), e.End())
			}
			if err != nil {
				failed.Do(func() { b.Error(err) })
				return
			}
		}
	})
	b.StopTimer()
	after := l.Stats()
	if groups := after.Groups - before.Groups; groups > 0 {
		b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(groups), "bytes/fsync")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
}

// BenchmarkBareDisk is the floor for BenchmarkAppend: the same calls with the same pieces, and no log around them.
func BenchmarkBareDisk(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("fsync=on/bytes_per_fsync=%dKiB", size>>10), func(b *testing.B) {
			const piece, segment = 256 << 10, 128 << 20
			var fs vfs.OS
			dir, data := b.TempDir(), noise(size)
			var f vfs.File
			files, used := 0, segment
			b.SetBytes(int64(size))
			for b.Loop() {
				if used >= segment {
					if f != nil {
						_ = f.Close() // all of it is synced
					}
					var err error
					if f, err = fs.Create(filepath.Join(dir, fmt.Sprint(files))); err != nil {
						b.Fatal(err)
					}
					files, used = files+1, 0
				}
				for rest := data; len(rest) > 0; {
					n, err := f.WriteAt(rest[:min(len(rest), piece)], int64(used+size-len(rest)))
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				used += size
			}
			_ = f.Close() // all of it is synced
		})
	}
}

const (
	laneBatch  = 3 << 10 // bytes of one batch: small ones are where many partitions hurt
	laneWindow = 256     // batches that are made durable together
	laneSyncs  = 16      // files synced at once when there is one per partition
)

// BenchmarkPartitions makes windows of 256 batches of 3 KiB durable that go round so many partitions: in one log with
// one sync per window, and in a file per partition, where a window costs a sync for each file it touched. One
// operation is one window.
func BenchmarkPartitions(b *testing.B) {
	for _, partitions := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("fsync=on/batch=3KiB/one_log/partitions=%d", partitions), func(b *testing.B) {
			benchmarkOneLog(b, partitions)
		})
	}
	for _, partitions := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("fsync=on/batch=3KiB/file_per_partition/partitions=%d", partitions), func(b *testing.B) {
			benchmarkFilePerPartition(b, partitions)
		})
	}
}

// windows runs the benchmark and reports batches per second and allocations per batch.
func windows(b *testing.B, window func(first int)) {
	b.Helper()
	b.SetBytes(laneBatch * laneWindow)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		window(n * laneWindow)
		n++
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(n*laneWindow)/b.Elapsed().Seconds(), "batches/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(n*laneWindow), "allocs/batch")
}

func benchmarkOneLog(b *testing.B, partitions int) {
	l := openDisk(b)
	body := noise(laneBatch)
	lanes := make([]streamdown.LaneID, partitions)
	ordinals := make([]streamdown.Ordinal, partitions)
	for p := range partitions {
		var err error
		if lanes[p], err = l.Lane(streamdown.TopicPartition{Topic: "orders", Partition: int32(p)}); err != nil { //nolint:gosec // small
			b.Fatal(err)
		}
	}
	var e wal.Entry
	before := l.Stats().Groups
	windows(b, func(first int) {
		for i := range laneWindow {
			p := (first + i) % partitions
			e = wal.Entry{Kind: wal.KindBatch, Lane: lanes[p], Ordinal: ordinals[p], Count: 10, Arrival: 1, Body: body}
			l.Ready()
			if _, err := l.Append(&e); err != nil {
				b.Fatal(err)
			}
			ordinals[p] += 10
		}
		if err := l.Wait(b.Context(), e.End()); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(float64(l.Stats().Groups-before)/float64(b.N), "fsyncs/window")
}

func benchmarkFilePerPartition(b *testing.B, partitions int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(partitions)+100 {
		b.Skipf("%d files open at once are allowed (%v); raise `ulimit -n`", limit.Cur, err)
	}
	var fs vfs.OS
	dir, body := b.TempDir(), noise(laneBatch)
	files := make([]vfs.File, partitions)
	for p := range files {
		var err error
		if files[p], err = fs.Create(filepath.Join(dir, fmt.Sprint(p))); err != nil {
			b.Fatal(err)
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		b.Fatal(err)
	}
	defer func() {
		for _, f := range files {
			_ = f.Close() // all of it is synced
		}
	}()
	var todo, errs = make(chan vfs.File, laneWindow), make(chan error, laneWindow)
	var syncers sync.WaitGroup
	for range laneSyncs {
		syncers.Go(func() {
			for f := range todo {
				errs <- f.Sync()
			}
		})
	}
	defer syncers.Wait()
	defer close(todo)
	syncs := 0
	windows(b, func(first int) {
		for i := range laneWindow {
			if _, err := files[(first+i)%partitions].WriteAt(body, int64((first+i)/partitions*len(body))); err != nil {
				b.Fatal(err)
			}
		}
		touched := min(laneWindow, partitions)
		for i := range touched {
			todo <- files[(first+i)%partitions]
		}
		for range touched {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
		syncs += touched
	})
	b.ReportMetric(float64(syncs)/float64(b.N), "fsyncs/window")
}

// BenchmarkRead reads a log of 3 KiB batches back in chunks of 1 MiB, as the forwarder does, from the page cache.
func BenchmarkRead(b *testing.B) {
	l := openDisk(b)
	body := batchOf(b, laneBatch)
	var e wal.Entry
	for o := range streamdown.Ordinal(20_000) {
		e = wal.Entry{Kind: wal.KindBatch, Ordinal: o, Count: 1, Arrival: 1, Body: body}
		l.Ready()
		if _, err := l.Append(&e); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Wait(b.Context(), e.End()); err != nil {
		b.Fatal(err)
	}
	first := l.Stats().First
	b.Run("chunk=1MiB/batch=3KiB", func(b *testing.B) {
		c := wal.Chunk{Buf: make([]byte, 1<<20)}
		at, bytes := first, int64(0)
		b.ReportAllocs()
		for b.Loop() {
			if at >= e.End() {
				at = first
			}
			if err := l.Read(&c, at); err != nil {
				b.Fatal(err)
			}
			bytes += int64(c.Next - at) //nolint:gosec // a chunk
			at = c.Next
		}
		b.ReportMetric(float64(bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
	})
}
