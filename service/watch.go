package service

import (
	"context"
	"log/slog"
	"time"
)

// Watch answers the watchdog until ctx ends, three times within its timeout, as long as ask returns nil in time. What
// ask asks has to be what the process is for: a timer that ticks is no life. While ask fails the manager hears nothing
// but a status, and kills the process at the timeout. A timeout of 0 returns at once.
func (n *Notifier) Watch(ctx context.Context, timeout time.Duration, ask func(context.Context) error, log *slog.Logger) {
	if n == nil || timeout <= 0 {
		return
	}
	every := timeout / 3
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, every)
		err := ask(asking)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the watchdog is not answered: the process does not do its work", "err", err, "killed_after", timeout)
			_ = n.Status("does not do its work: " + err.Error()) // the journal has it
		default:
			if err := n.Alive(); err != nil {
				log.Warn("watchdog", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Meanwhile asks the manager for more time, again and again, until ctx ends: for a start or a stop that gets on but
// may take long.
func (n *Notifier) Meanwhile(ctx context.Context, log *slog.Logger) {
	if n == nil {
		return
	}
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		if err := n.Extend(3 * extendEvery); err != nil {
			log.Warn("more time for the service", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const extendEvery = 5 * time.Second
