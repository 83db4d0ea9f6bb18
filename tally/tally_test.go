package tally

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinABucket(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		h.Observe(d)
		all = append(all, d)
	}
	slices.Sort(all)
	s := h.Snapshot()
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		got := s.Quantile(q)
		if got < want || float64(got) > float64(want)*1.125+float64(2*time.Microsecond) {
			t.Errorf("quantile %g: %s, want %s or at most an eighth more", q, got, want)
		}
	}
	if s.Total != 20000 {
		t.Errorf("total %d", s.Total)
	}
}

func TestBucketsCoverEveryDurationOnce(t *testing.T) {
	for i := 1; i < Buckets; i++ {
		low := Upper(i - 1)
		if got := bucketOf(low); got != i {
			t.Fatalf("%s falls into bucket %d, want %d", low, got, i)
		}
		if got := bucketOf(low - time.Microsecond); got != i-1 {
			t.Fatalf("%s falls into bucket %d, want %d", low-time.Microsecond, got, i-1)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(1<<62) != Buckets-1 {
		t.Fatal("extremes fall outside")
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); n > 0 {
		t.Fatalf("%g allocations", n)
	}
}
