package gateway

import (
	"context"
	"sync"
	"sync/atomic"
)

// hold counts the bytes that all connections have open and holds their reading while there are too many.
//
// Bytes are charged after a frame was read, not when its length was announced: a client that announces much and sends
// little must not stop the others. So frames that were begun below the bound may pass it.
type hold struct {
	max   int64
	waits atomic.Int64 // how often a reader had to wait

	mu   sync.Mutex // guards the following
	open int64
	free chan struct{} // closed when open falls below max; nil while nobody waits
}

// wait returns nil once there is room, or the context's error.
func (h *hold) wait(ctx context.Context) error {
	for waited := false; ; waited = true {
		h.mu.Lock()
		if h.open < h.max {
			h.mu.Unlock()
			return nil
		}
		if h.free == nil {
			h.free = make(chan struct{})
		}
		free := h.free
		h.mu.Unlock()
		if !waited {
			h.waits.Add(1)
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add charges n bytes, or gives them back when n is negative.
func (h *hold) add(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open += n
	if h.free != nil && h.open < h.max {
		close(h.free)
		h.free = nil
	}
}

func (h *hold) bytes() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}
