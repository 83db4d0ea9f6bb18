package breaker

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestClosesOnlyAfterAWholeGoodWindow steps breakers with random inputs and keeps its own simple account of what the
// rules demand.
func TestClosesOnlyAfterAWholeGoodWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Patience:  time.Duration(rapid.IntRange(1, 3000).Draw(t, "patience")) * time.Millisecond,
			Window:    time.Duration(rapid.IntRange(1, 5000).Draw(t, "window")) * time.Millisecond,
			MaxWindow: time.Duration(rapid.IntRange(1, 20000).Draw(t, "max")) * time.Millisecond,
			MinProbes: rapid.IntRange(1, 5).Draw(t, "probes"),
			Quiet:     time.Duration(rapid.IntRange(1, 60000).Draw(t, "quiet")) * time.Millisecond,
			Seed:      rapid.Uint64().Draw(t, "seed"),
		}
		b := New(c)
		now := start
		var good []time.Time // probes since anything bad
		bad := func() { good = nil }
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "wait") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			case 1:
				if at := b.NextProbe(); at.After(now) {
					now = at
				}
			}
			before, window := b.State(), b.Window()
			var change Change
			var changed bool
			switch rapid.IntRange(0, 9).Draw(t, "input") {
			case 0:
				change, changed = b.Success(now)
			case 1:
				bad()
				change, changed = b.Failure(now, true, "reset")
				if b.State() != Open {
					t.Fatalf("%s after a reset", b.State())
				}
			case 2:
				change, changed = b.Failure(now, false, "failure")
				if before == HalfOpen {
					bad()
				}
			case 3:
				waited := time.Duration(rapid.IntRange(0, 4000).Draw(t, "waited")) * time.Millisecond
				change, changed = b.Silence(now, waited)
				if waited >= c.Patience {
					bad()
					if b.State() != Open {
						t.Fatalf("%s after a silence of %s", b.State(), waited)
					}
				}
			case 4:
				change, changed = b.Tick(now)
			case 5:
				change, changed = b.Probe(now, false, 0)
				if before != Closed {
					bad()
				}
			default:
				latency := time.Duration(rapid.IntRange(0, 3000).Draw(t, "latency")) * time.Millisecond
				change, changed = b.Probe(now, true, latency)
				if latency >= c.Patience {
					bad()
				} else {
					good = append(good, now)
				}
			}
			if changed != (b.State() != before) || changed && (change.From != before || change.To != b.State() || change.Why == "" || !change.At.Equal(now)) {
				t.Fatalf("from %s to %s: told %v, %+v", before, b.State(), changed, change)
			}
			if b.Allow() != (b.State() == Closed) || b.NextProbe().IsZero() != (b.State() == Closed) {
				t.Fatalf("%s: allow %v, next probe %s", b.State(), b.Allow(), b.NextProbe())
			}
			if limit := max(c.MaxWindow, c.Window); window < c.Window || window > limit {
				t.Fatalf("window %s, not within %s and %s", window, c.Window, limit)
			}
			if at := b.NextProbe(); b.State() == Open && at.Sub(now) > b.config.ProbeMax {
				t.Fatalf("next probe only in %s", at.Sub(now))
			}
			if changed && b.State() == Closed {
				if before != HalfOpen || len(good) < c.MinProbes || now.Sub(good[0]) < window {
					t.Fatalf("closed from %s with good probes at %v, window %s", before, good, window)
				}
			}
			if changed && b.State() == Open && before == HalfOpen {
				bad()
			}
			if b.State() == Closed {
				bad()
			}
		}
	})
}

func TestSameInputsSameSteps(t *testing.T) {
	run := func(seed uint64) (trace []time.Duration) {
		b := New(Config{Seed: seed})
		b.Failure(start, true, "gone")
		for range 20 {
			trace = append(trace, b.NextProbe().Sub(start))
			b.Probe(b.NextProbe(), false, 0)
		}
		return trace
	}
	a, again, other := run(1), run(1), run(2)
	differ := false
	for i := range a {
		if a[i] != again[i] {
			t.Fatalf("probe %d at %s, then at %s", i, a[i], again[i])
		}
		differ = differ || a[i] != other[i]
	}
	if !differ {
		t.Fatal("another seed gives the same jitter")
	}
}

func TestTimeThatRunsBackwardsDoesNoHarm(t *testing.T) {
	b := New(Config{})
	b.Failure(start, true, "gone")
	b.Probe(start.Add(time.Second), true, 0)
	b.Probe(start.Add(-time.Hour), true, 0)
	b.Probe(start.Add(-time.Hour), true, 0)
	b.Probe(start.Add(1900*time.Millisecond), true, 0)
	if b.State() != HalfOpen {
		t.Fatalf("%s before the window is over", b.State())
	}
	if c, ok := b.Probe(start.Add(2*time.Second), true, 0); !ok || c.To != Closed {
		t.Fatalf("%s after it", b.State())
	}
}

func TestValidateSaysEverything(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Fatal(err)
	}
	err := Config{Patience: -1, Quiet: -1, MinProbes: -2}.Validate()
	for _, want := range []string{"patience", "quiet", "-2 probes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in %v", want, err)
		}
	}
}

func TestStepsDoNotAllocate(t *testing.T) {
	b := New(Config{})
	now := start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		b.Success(now)
		b.Silence(now, time.Millisecond)
		b.Tick(now)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
