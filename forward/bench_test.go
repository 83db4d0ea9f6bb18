package forward_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/streamdown/streamdown/wal"
)

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for bad addresses only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDrain forwards a backlog that is in the page cache to a target that costs nothing. One operation is one
// batch; binding the lanes and the first half of the backlog are not measured.
func BenchmarkDrain(b *testing.B) {
	for _, c := range []struct{ size, lanes, total int }{{300, 100, 200 << 20}, {3 << 10, 100, 400 << 20}, {3 << 10, 5000, 400 << 20}, {64 << 10, 100, 800 << 20}, {1 << 20, 100, 800 << 20}} {
		b.Run(fmt.Sprintf("batch=%d/lanes=%d", c.size, c.lanes), func(b *testing.B) {
			s := newBench(b, c.lanes)
			n := c.total / c.size
			body := batchOf(b, c.size)
			rng := rand.New(rand.NewPCG(1, 2))
			var last *wal.Entry
			for range n {
				last = s.append(rng.IntN(c.lanes), body)
			}
			if err := s.log.Wait(b.Context(), last.End()); err != nil {
				b.Fatal(err)
			}
			var before, after runtime.MemStats
			var began time.Time
			var used time.Duration
			s.to.at, s.to.reached = int64(n/2), func() { runtime.ReadMemStats(&before); began, used = time.Now(), cpu() }
			b.ResetTimer()
			stop := s.run()
			s.confirmed(int64(n))
			took := time.Since(began)
			used = cpu() - used
			runtime.ReadMemStats(&after)
			b.StopTimer()
			stop()
			half := float64(n - n/2)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/half, "allocs/batch")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/half, "alloc-B/batch")
			b.ReportMetric(float64(used.Nanoseconds())/half, "cpu-ns/batch")
			b.ReportMetric(half/took.Seconds(), "batches/s")
			b.ReportMetric(half*float64(c.size)/1e6/took.Seconds(), "MB/s")
			b.ReportMetric(float64(after.HeapSys)/1e6, "heap-MB")
		})
	}
}

// BenchmarkLive appends a batch, waits until it is confirmed, and appends the next. The log's own allocations are in it.
func BenchmarkLive(b *testing.B) {
	s := newBench(b, 1)
	body := batchOf(b, 3<<10)
	stop := s.run()
	defer stop()
	n := int64(0)
	for range 100 {
		s.append(0, body)
		n++
		s.confirmed(n)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.append(0, body)
		n++
		s.confirmed(n)
	}
}
