package auth

import (
	"net/netip"
	"testing"
	"time"
)

func TestFailuresMakeAnAddressSlowAndTimeForgives(t *testing.T) {
	var s Slowdown
	now := noon
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var pauses []time.Duration
	total := time.Duration(0)
	for range 10 {
		p := s.Failed(a, now)
		pauses, total = append(pauses, p), total+p
	}
	if pauses[0] != firstPause || pauses[2] > time.Second || pauses[9] != maxPause {
		t.Errorf("pauses %v", pauses)
	}
	if p := s.Failed(b, now); p != firstPause {
		t.Errorf("another address waits %v", p)
	}
	if p := s.Failed(netip.MustParseAddr("::ffff:192.0.2.1"), now); p != maxPause {
		t.Errorf("the same address in another form waits %v", p)
	}
	if p := s.Failed(a, now.Add(20*forgiven)); p != firstPause {
		t.Errorf("much later: %v", p)
	}
	six, neighbour := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1")
	s.Failed(six, now)
	if p := s.Failed(neighbour, now); p == firstPause {
		t.Error("a network of 2^64 addresses gets a first try for each")
	}
}

// TestGuessingInParallelIsNoFaster: with any number of connections an address gets so many tries in a time.
func TestGuessingInParallelIsNoFaster(t *testing.T) {
	var s Slowdown
	a := netip.MustParseAddr("192.0.2.1")
	tries := 0
	for now := noon; now.Before(noon.Add(time.Minute)); now = now.Add(10 * time.Millisecond) {
		for range 20 {
			if s.Admit(a, now) {
				tries++
				s.Failed(a, now)
			}
		}
	}
	if most := maxWaiting * (60/5 + 6); tries > most || tries < maxWaiting {
		t.Errorf("%d tries in a minute, want at most %d", tries, most)
	}
	if !s.Admit(netip.MustParseAddr("192.0.2.2"), noon) {
		t.Error("others have to wait")
	}
}

func TestWhatIsRememberedOfAddressesIsBounded(t *testing.T) {
	var s Slowdown
	at := netip.MustParseAddr("10.0.0.0")
	for range 3 * maxAddresses {
		s.Failed(at, noon)
		at = at.Next()
	}
	if len(s.by) > maxAddresses+1 {
		t.Errorf("%d addresses", len(s.by))
	}
	if p := s.Failed(netip.MustParseAddr("192.0.2.1"), noon); p != maxPause {
		t.Errorf("a newcomer in the flood waits %v", p)
	}
	if p := s.Failed(netip.MustParseAddr("192.0.2.1"), noon.Add(time.Hour)); p != firstPause || len(s.by) > 2 {
		t.Errorf("after the flood: %v, %d addresses", p, len(s.by))
	}
}
