// Package tally counts and measures without knowing who will read the numbers.
//
// Stability: may change.
package tally

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// subBits is the number of steps within each power of two: 8, so a bucket is at most 12.5 % wide.
const subBits = 3

// Buckets is the number of buckets of a Histogram: from 1 µs to about 4.8 hours.
const Buckets = 32 << subBits

// Histogram counts durations in buckets that grow by at most 12.5 %. The zero value is ready.
// All methods may be called concurrently and none allocates, but for Snapshot.
type Histogram struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 0))
	if us < 1<<subBits {
		return int(us)
	}
	exp := bits.Len64(us) - 1 - subBits
	i := (exp+1)<<subBits + int(us>>exp&(1<<subBits-1))
	return min(i, Buckets-1)
}

// Upper returns the upper bound, exclusive, of bucket i.
func Upper(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i+1) * time.Microsecond
	}
	exp := i>>subBits - 1
	return time.Duration((i&(1<<subBits-1)+1<<subBits+1)<<exp) * time.Microsecond
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is a Histogram at one moment.
type Snapshot struct {
	Counts [Buckets]uint64
	Total  uint64
	Sum    time.Duration
}

// Snapshot copies the counts. Counts that arrive meanwhile may be missing; none is counted twice.
func (h *Histogram) Snapshot() *Snapshot {
	s := &Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
		s.Total += s.Counts[i]
	}
	return s
}

// Quantile returns the upper bound of the bucket that holds the q-quantile, 0 without observations.
func (s *Snapshot) Quantile(q float64) time.Duration {
	if s.Total == 0 {
		return 0
	}
	want := uint64(q * float64(s.Total))
	var seen uint64
	for i, n := range s.Counts {
		seen += n
		if n > 0 && (seen > want || seen == s.Total) {
			return Upper(i)
		}
	}
	return Upper(Buckets - 1)
}
