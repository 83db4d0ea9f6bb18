package demo

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/streamdown/streamdown/ui"
)

// Config says what to show. Zero values mean the defaults.
type Config struct {
	Duration   time.Duration // how long producers send, the outage included; longer if the drain takes longer; default 14 s
	Outage     time.Duration // how long the broker is away; default 7 s
	Producers  int           // default 4
	Partitions int           // default 3
	Rate       int           // records per second of all producers together; default 3,000
	Plant      Plant         // the fault to plant; default none
	Seed       uint64        // of record sizes and of the place of the fault; 0 = a new one
	Dir        string        // where the directory of the run is made; default the system's place for temporary files
	Keep       bool          // leave the directory of the run in place
	Version    string        // of the program, for the node's status
	View       ui.Config     // where progress is shown; nothing is shown without an Out
	Logger     *slog.Logger  // of the node, besides the file in the directory of the run; nil = silent
}

func (c Config) withDefaults() Config {
	if c.Duration == 0 {
		c.Duration = 14 * time.Second
	}
	if c.Outage == 0 {
		c.Outage = 7 * time.Second
	}
	if c.Producers == 0 {
		c.Producers = 4
	}
	if c.Partitions == 0 {
		c.Partitions = 3
	}
	if c.Rate == 0 {
		c.Rate = 3000
	}
	for c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano()) & (1<<53 - 1)
	}
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bound := func(what string, v, least, most int) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s is %d; choose %d to %d", what, v, least, most))
		}
	}
	bound("producers", c.Producers, 1, 32)
	bound("partitions", c.Partitions, 1, 64)
	bound("rate", c.Rate, 1, 50_000)
	if c.Outage < 500*time.Millisecond || c.Outage > 10*time.Minute {
		errs = append(errs, fmt.Errorf("outage is %s; choose 500ms to 10m", c.Outage))
	}
	if c.Duration < c.Outage+time.Second || c.Duration > 20*time.Minute {
		errs = append(errs, fmt.Errorf("duration is %s; choose %s (the outage and a second) to 20m", c.Duration, c.Outage+time.Second))
	}
	if !plants[c.Plant] {
		errs = append(errs, fmt.Errorf("no fault is called %q; choose drop, dup or swap", c.Plant))
	}
	return errors.Join(errs...)
}

// before is how long all is well before the outage; the same is left after it.
func (c Config) before() time.Duration { return (c.Duration - c.Outage) / 2 }
