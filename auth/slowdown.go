package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// firstPause is what an address waits for after its first failure, twice as long after each further one, up to
	// maxPause. So the first few wrong passwords are named within a second, and guessing gets nowhere.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// forgiven is the time after which one failure is forgotten.
	forgiven = 10 * time.Second
	// maxWaiting is how many failures of one address may wait to be told at a time. Until one was, nothing else of that
	// address is checked: connections in parallel guess no faster.
	maxWaiting = 16
	// maxAddresses bounds what is remembered.
	maxAddresses = 4096
)

// Slowdown makes addresses wait that failed to log in. An IPv6 address stands for its /64: that is what one customer
// has. The zero value is ready. Good logins of an address that others fail from, behind one translator say, are held
// up only while sixteen failures wait there at the same time.
type Slowdown struct {
	mu sync.Mutex // guards the following
	by map[netip.Prefix]*debt
	// swept is when those without failures last went: a flood must not make us look through all of them each time.
	swept time.Time
}

type debt struct {
	failures int
	last     time.Time
	told     [maxWaiting]time.Time // when failures are told
}

// now forgets what time has forgiven.
func (d *debt) now(now time.Time) {
	if gone := int(now.Sub(d.last) / forgiven); gone > 0 {
		d.failures = max(0, d.failures-gone)
		d.last = d.last.Add(time.Duration(gone) * forgiven)
	}
}

func prefix(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of an invalid address the zero prefix: all of them share one
	return p
}

// Admit reports whether a login from the address may be checked now.
func (s *Slowdown) Admit(a netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.by[prefix(a)]
	if d == nil {
		return true
	}
	for _, t := range d.told {
		if !now.Before(t) {
			return true
		}
	}
	return false
}

// Failed notes a failure and returns how long to wait before it is told.
func (s *Slowdown) Failed(a netip.Addr, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := prefix(a)
	d := s.by[p]
	if d == nil {
		d = s.roomFor(p, now)
	}
	if d.now(now); d.failures == 0 {
		d.last = now
	}
	d.failures = min(d.failures+1, maxWaiting)
	pause := min(firstPause<<(d.failures-1), maxPause)
	soonest := 0
	for i, t := range d.told {
		if t.Before(d.told[soonest]) {
			soonest = i
		}
	}
	d.told[soonest] = now.Add(pause)
	return pause
}

// roomFor returns a new debt. When there are too many, those without failures go, and if there is none the addresses
// that come next share one.
func (s *Slowdown) roomFor(p netip.Prefix, now time.Time) *debt {
	if s.by == nil {
		s.by = map[netip.Prefix]*debt{}
	}
	if len(s.by) >= maxAddresses && now.Sub(s.swept) >= time.Second {
		s.swept = now
		for other, d := range s.by {
			if d.now(now); d.failures == 0 {
				delete(s.by, other)
			}
		}
	}
	if len(s.by) >= maxAddresses {
		p = netip.Prefix{}
		if d := s.by[p]; d != nil {
			return d
		}
	}
	d := &debt{}
	s.by[p] = d
	return d
}
