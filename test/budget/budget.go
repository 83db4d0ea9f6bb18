// Package budget fails a test when one input costs more processor time or memory than it is worth.
//
// A fuzzer reports crashes; that an input of 13 bytes burns two minutes it reports as a slow worker, and passes. So
// every target that reads bytes from outside runs its code within a budget:
//
//	budget.Check(t, len(input), func() { parse(input) })
//
// Stability: may change.
package budget

import (
	"runtime"
	"testing"
	"time"
)

// Time is what one input may cost, in processor time of the thread that handles it. The race detector makes code some
// ten times slower.
const Time = 10 * time.Millisecond * slower

// What may be allocated for an input, in bytes: Factor times its size, and Constant.
const (
	Factor   = 8
	Constant = 64 << 10
)

// tries is how often an input that costs too much is tried.
const tries = 5

// Check runs f, which handles an input of size bytes, and fails t when that costs too much. A run that does is tried
// again, and the cheapest counts: a machine may hiccup and another goroutine may allocate, code that is slow stays slow.
// So f must do the same each time.
func Check(t testing.TB, size int, f func()) {
	t.Helper()
	Allow(t, Factor*uint64(size)+Constant, f)
}

// Allow is Check for code that may allocate so many bytes, for a reason that the caller gives.
func Allow(t testing.TB, bytes uint64, f func()) {
	t.Helper()
	var took time.Duration
	var memory uint64
	for range tries {
		took, memory = measure(f)
		if took <= Time && memory <= bytes {
			return
		}
	}
	t.Errorf("%v of processor time and %d bytes of memory: at most %v and %d", took, memory, Time, bytes)
}

func measure(f func()) (took time.Duration, memory uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := clock()
	f()
	took = clock() - began
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}
