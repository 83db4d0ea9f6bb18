package httpin

import (
	"context"
	"errors"
	"sync"
	"time"
)

// room counts the bytes of bodies that are not answered, and holds those who would add to them while there are too
// many. Bytes are charged when there is a buffer for them, not when they were announced: who announces much and sends
// little must not stop the others.
type room struct {
	mu    sync.Mutex // guards the following
	open  int64
	held  int64         // how often somebody had to wait
	freed chan struct{} // closed when open falls; nil while nobody waits
}

var errNoRoom = errors.New("no room in time")

// wait returns nil once less than most is open, errNoRoom after patience, or the context's error.
func (r *room) wait(ctx context.Context, most int64, patience time.Duration) error {
	var late <-chan time.Time
	for {
		r.mu.Lock()
		if r.open < most {
			r.mu.Unlock()
			return nil
		}
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		freed := r.freed
		if late == nil {
			r.held++
		}
		r.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-freed:
		case <-late:
			return errNoRoom
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add charges n bytes, or gives them back when n is negative.
func (r *room) add(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open += n
	if r.freed != nil && n < 0 {
		close(r.freed)
		r.freed = nil
	}
}

func (r *room) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}
