package breaker

import (
	"fmt"
	"time"
)

// State is what the breaker makes of its target.
type State uint8

// The states. The zero value is Closed.
const (
	Closed   State = iota // works as far as is known: send
	Open                  // down: do not send, probe
	HalfOpen              // answers probes: keep probing until a whole window was good
)

// String names the state for people and metric labels.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Change is one change of state, with the evidence that caused it.
type Change struct {
	At       time.Time
	From, To State
	Why      string
}

// String tells the change to a person.
func (c Change) String() string { return fmt.Sprintf("%s to %s: %s", c.From, c.To, c.Why) }

// Breaker is the state of one target. Use New. It is not safe for concurrent use.
//
// Time must not run backwards; a moment before the last one is taken as the last one.
type Breaker struct {
	config Config

	state State
	now   time.Time // of the last input
	since time.Time // of the state
	why   string    // last evidence against the target, or for it when it closed

	doubt     time.Time // Closed: first failure without a success since; zero = none
	doubtWhy  string    // the last such failure
	relapses  int       // returns to Open that came too soon, less those that quiet took back
	opened    bool      // it was Open before, so that a next time can be a relapse
	probe     time.Time // when the next probe is due; zero in Closed
	probed    time.Time // when the last probe's result came; zero if none since it opened
	backoff   time.Duration
	good      int       // HalfOpen: good probes in a row
	goodSince time.Time // HalfOpen: when the first of them came
	draws     uint64    // jitter drawn so far
}

// New returns a closed breaker. It fills in the defaults of config.
func New(config Config) *Breaker { return &Breaker{config: config.withDefaults()} }

// Allow reports whether data may be sent.
func (b *Breaker) Allow() bool { return b.state == Closed }

// State returns the state.
func (b *Breaker) State() State { return b.state }

// Since returns when the state began; zero if it never changed.
func (b *Breaker) Since() time.Time { return b.since }

// Why returns the last evidence that counted, for people: what is wrong while it is not closed, why it closed when it
// is. It is empty before anything happened.
func (b *Breaker) Why() string { return b.why }

// NextProbe returns when the next probe is due; zero when none is. It stays in the past until the probe's result is
// given to Probe. A probe without an answer within Patience has failed.
func (b *Breaker) NextProbe() time.Time { return b.probe }

// Window returns how long probes must be good before it closes: it grows when the target flaps.
func (b *Breaker) Window() time.Duration {
	window := b.config.Window
	for range b.relapses - 1 {
		if window >= b.config.MaxWindow {
			break
		}
		window *= 2
	}
	return max(b.config.Window, min(window, b.config.MaxWindow))
}

// Success says that the target answered data. Only Closed cares much; in Open it brings the next probe forward, since
// late answers of an old connection show that somebody is there, but trust comes from probes alone.
func (b *Breaker) Success(now time.Time) (Change, bool) {
	now = b.tick(now)
	switch b.state {
	case Closed:
		b.doubt = time.Time{}
	case Open:
		b.probe = b.earlier(b.probe, b.probed.Add(b.config.ProbeEvery), now)
	}
	return Change{}, false
}

// Failure says that sending failed. reset means that the connection was reset, refused or lost, which is proof enough;
// any other failure opens only if no Success comes within Patience.
func (b *Breaker) Failure(now time.Time, reset bool, why string) (Change, bool) {
	now = b.tick(now)
	switch b.state {
	case Closed:
		if reset {
			return b.open(now, why)
		}
		b.doubtWhy = why
		if b.doubt.IsZero() {
			b.doubt = now
		}
		return b.doubted(now)
	case HalfOpen:
		return b.open(now, why)
	case Open:
		b.why = why
	}
	return Change{}, false
}

// Silence says that an answer is owed and that nothing at all was heard for waited. It opens from Patience on.
func (b *Breaker) Silence(now time.Time, waited time.Duration) (Change, bool) {
	now = b.tick(now)
	if b.state == Open || waited < b.config.Patience {
		return Change{}, false
	}
	return b.open(now, fmt.Sprintf("no answer for %s", round(waited)))
}

// Probe gives the result of a probe: ok if the target answered as it should, after latency. An answer that took
// Patience or more is no better than none. In Closed it changes nothing.
func (b *Breaker) Probe(now time.Time, ok bool, latency time.Duration) (Change, bool) {
	now = b.tick(now)
	slow := ok && latency >= b.config.Patience
	b.probed = now
	switch {
	case b.state == Closed:
		return Change{}, false
	case slow:
		return b.failedProbe(now, fmt.Sprintf("probe answered after %s", round(latency)))
	case !ok:
		return b.failedProbe(now, "")
	case b.state == Open:
		b.good, b.goodSince = 1, now
		b.probe = now.Add(b.interval())
		return b.move(now, HalfOpen, fmt.Sprintf("probe answered in %s", round(latency)))
	}
	if now.Sub(b.probe) >= b.config.Patience {
		// Nobody looked for a while: what was good before does not join up with now.
		b.good, b.goodSince = 0, now
	}
	b.good++
	b.probe = now.Add(b.interval())
	if b.good < b.config.MinProbes || now.Sub(b.goodSince) < b.Window() {
		return Change{}, false
	}
	b.probe = time.Time{}
	return b.move(now, Closed, fmt.Sprintf("%d probes answered over %s", b.good, round(now.Sub(b.goodSince))))
}

// Tick lets time pass: doubt becomes certainty, and a half-open breaker whose probe stays without a result opens.
func (b *Breaker) Tick(now time.Time) (Change, bool) {
	now = b.tick(now)
	switch b.state {
	case Closed:
		return b.doubted(now)
	case HalfOpen:
		if now.Sub(b.probe) >= b.config.Patience {
			return b.open(now, fmt.Sprintf("no result of a probe for %s", round(now.Sub(b.probe))))
		}
	}
	return Change{}, false
}

func (b *Breaker) tick(now time.Time) time.Time {
	if now.After(b.now) {
		b.now = now
	}
	return b.now
}

// doubted opens when a failure was not followed by a success in time.
func (b *Breaker) doubted(now time.Time) (Change, bool) {
	if b.doubt.IsZero() || now.Sub(b.doubt) < b.config.Patience {
		return Change{}, false
	}
	return b.open(now, fmt.Sprintf("%s, and no success for %s", b.doubtWhy, round(now.Sub(b.doubt))))
}

func (b *Breaker) failedProbe(now time.Time, why string) (Change, bool) {
	if b.state == HalfOpen {
		if why == "" {
			why = "probe failed"
		}
		return b.open(now, why)
	}
	if why != "" {
		b.why = why
	}
	b.probe = now.Add(b.pause())
	return Change{}, false
}

// open moves to Open from Closed or HalfOpen and counts the relapse if it is one.
func (b *Breaker) open(now time.Time, why string) (Change, bool) {
	quiet := int(now.Sub(b.since) / b.config.Quiet)
	switch {
	case b.state == Closed && (!b.opened || quiet > 0):
		b.relapses = max(0, b.relapses-quiet)
	case b.Window() < b.config.MaxWindow:
		b.relapses++ // no further than the window grows: otherwise quiet would never catch up
	}
	b.opened = true
	b.doubt, b.probed = time.Time{}, time.Time{}
	b.backoff = 0
	b.probe = now.Add(b.pause())
	return b.move(now, Open, why)
}

func (b *Breaker) move(now time.Time, to State, why string) (Change, bool) {
	c := Change{At: now, From: b.state, To: to, Why: why}
	b.state, b.since, b.why = to, now, why
	return c, true
}

// interval is the time between probes in HalfOpen.
func (b *Breaker) interval() time.Duration {
	n := time.Duration(b.config.MinProbes)
	return min(max((b.Window()+n-1)/n, b.config.ProbeEvery), b.config.ProbeMax)
}

// pause is the time to the next probe in Open: it doubles up to ProbeMax and varies by up to a quarter, so that
// many breakers do not probe a returning broker in step.
func (b *Breaker) pause() time.Duration {
	if b.backoff == 0 {
		b.backoff = b.config.ProbeEvery
	} else {
		b.backoff = min(b.backoff*2, b.config.ProbeMax)
	}
	b.draws++
	quarter := uint64(b.backoff) / 4
	jitter := time.Duration(mix(b.config.Seed+b.draws*0x9E3779B97F4A7C15) % (2*quarter + 1))
	return min(b.backoff-time.Duration(quarter)+jitter, b.config.ProbeMax)
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// earlier returns the sooner of due and at, but not before now.
func (b *Breaker) earlier(due, at, now time.Time) time.Time {
	if at.Before(now) {
		at = now
	}
	if at.Before(due) {
		return at
	}
	return due
}

// round keeps evidence readable.
func round(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
