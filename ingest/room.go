package ingest

import (
	"errors"
	"sync/atomic"
	"time"
)

// When space ends, the lowest class stops first (promise G4): each class leaves room for those above it. Confirmed records
// that are only retained make room before that: the forwarder lets go of them when a tenth of the log is left.
const (
	perClass = 3                     // percent of the log's maximal size that a class leaves for each one above it
	lookEach = 20 * time.Millisecond // how old the figure may be: asking the disk for it is a system call
)

// errKept is held for as wal.ErrFull is.
var errKept = errors.New("the room that is left in the log is kept for streams of a higher priority")

// room is what the log had left a moment ago, without what was taken since.
type room struct {
	look func() (left, of int64) // nil = nobody asks
	at   atomic.Int64            // unix nanoseconds of the last look
	left atomic.Int64
	of   atomic.Int64

	known atomic.Bool
}

// kept reports whether what is left is for others than a class that has so many above it.
func (r *room) kept(above int, now time.Time) bool {
	if above <= 0 || r.look == nil {
		return false
	}
	if last := r.at.Load(); (now.UnixNano()-last >= int64(lookEach) || now.UnixNano() < last) && r.at.CompareAndSwap(last, now.UnixNano()) {
		left, of := r.look()
		r.of.Store(of)
		r.left.Store(left)
		r.known.Store(left >= 0)
	}
	return r.known.Load() && r.left.Load() < r.of.Load()/100*perClass*int64(above)
}

// take notes that so many bytes were taken. Without it a burst between two looks would have all there is.
func (r *room) take(bytes int) {
	if r.look != nil {
		r.left.Add(-int64(bytes))
	}
}
