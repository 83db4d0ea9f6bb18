package breaker

import (
	"errors"
	"fmt"
	"time"
)

// Config says how patient the breaker is. Zero values mean the defaults.
type Config struct {
	Patience   time.Duration // silence, or failures without a success, for so long open it; default 1.5 s
	Window     time.Duration // probes must be good for so long before it closes; default 1 s
	MaxWindow  time.Duration // what the window may grow to when the target flaps; default 30 s, at least Window
	MinProbes  int           // good probes in a window; default 3
	Quiet      time.Duration // time in Closed that takes back one relapse; default 1 min
	ProbeEvery time.Duration // first pause between probes while open; default 100 ms
	ProbeMax   time.Duration // longest pause between probes; default 2 s, at least ProbeEvery
	Seed       uint64        // of the jitter; give each breaker its own
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"patience", c.Patience}, {"window", c.Window}, {"max window", c.MaxWindow}, {"quiet", c.Quiet},
		{"probe pause", c.ProbeEvery}, {"longest probe pause", c.ProbeMax},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("breaker: %s is negative (%s); leave it out for the default", d.name, d.value))
		}
	}
	if c.MinProbes < 0 {
		errs = append(errs, fmt.Errorf("breaker: %d probes in a window; leave it out for the default", c.MinProbes))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	fill := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	fill(&c.Patience, 1500*time.Millisecond)
	fill(&c.Window, time.Second)
	fill(&c.MaxWindow, 30*time.Second)
	fill(&c.Quiet, time.Minute)
	fill(&c.ProbeEvery, 100*time.Millisecond)
	fill(&c.ProbeMax, 2*time.Second)
	if c.MinProbes <= 0 {
		c.MinProbes = 3
	}
	c.MaxWindow = max(c.MaxWindow, c.Window)
	c.ProbeMax = max(c.ProbeMax, c.ProbeEvery)
	return c
}
