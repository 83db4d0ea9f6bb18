package kafka

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
)

// gate keeps us from trying a login again and again that a broker refuses: directories behind brokers lock accounts for
// that. A login that was read anew and differs is tried at once.
type gate struct {
	mu      sync.Mutex // guards the following
	refused map[string]refusal
}

type refusal struct {
	digest [sha256.Size]byte
	err    error
	wait   time.Duration
	until  time.Time
}

// A refused login is tried again after a second, then after twice as long each time, up to this.
const (
	firstRefusal   = time.Second
	longestRefusal = 16 * time.Second
)

// refusal returns why a login need not be tried at an address now, or nil.
func (g *gate) refusal(addr string, digest [sha256.Size]byte, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, ok := g.refused[addr]
	if !ok || r.digest != digest || !now.Before(r.until) {
		return nil
	}
	var e *ConnError
	if !errors.As(r.err, &e) {
		return r.err
	}
	again := *e
	again.Err = fmt.Errorf("%w (to be tried again in %v)", e.Err, r.until.Sub(now).Round(100*time.Millisecond))
	return &again
}

// note takes the outcome of a login at an address.
func (g *gate) note(addr string, digest [sha256.Size]byte, err error, now time.Time) {
	cause := CauseOf(err)
	g.mu.Lock()
	defer g.mu.Unlock()
	if cause != WrongLogin && cause != NoMechanism {
		if err == nil {
			delete(g.refused, addr)
		}
		return
	}
	wait := firstRefusal
	if r, ok := g.refused[addr]; ok && r.digest == digest {
		wait = min(2*r.wait, longestRefusal)
	}
	if g.refused == nil {
		g.refused = make(map[string]refusal)
	}
	g.refused[addr] = refusal{digest, err, wait, now.Add(wait)}
}
