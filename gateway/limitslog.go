package gateway

import (
	"sync"
	"time"
)

// loud bounds how much clients can make the server log: a burst, then so many lines a second. What is left out is
// counted and named in the next line. The zero value is ready.
type loud struct {
	mu     sync.Mutex // guards the following
	room   float64
	last   time.Time
	unsaid int64
}

const (
	loudBurst = 100
	loudRate  = 5 // lines per second
)

// take reports whether a line may be logged, and how many were left out before it.
func (l *loud) take(now time.Time) (unsaid int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		l.room = loudBurst
	} else {
		l.room = min(loudBurst, l.room+now.Sub(l.last).Seconds()*loudRate)
	}
	l.last = now
	if l.room < 1 {
		l.unsaid++
		return 0, false
	}
	l.room--
	unsaid, l.unsaid = l.unsaid, 0
	return unsaid, true
}
