package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/service"
)

// reloading reads the config again on SIGHUP, and, with watch, when one of its files has changed.
type reloading struct {
	file   string
	watch  bool
	notify *service.Notifier // nil = nobody listens
	hup    chan os.Signal
	seen   *config.Watch // of --watch
}

// newReloading catches SIGHUP from now on, until stop: one that comes while the log is opened counts afterwards.
func newReloading(file string, watch bool, c *config.Config) *reloading {
	r := &reloading{file: file, watch: watch, hup: make(chan os.Signal, 1), seen: config.NewWatch(file, c)}
	signal.Notify(r.hup, syscall.SIGHUP)
	return r
}

func (r *reloading) stop() { signal.Stop(r.hup) }

// load reads and checks the config.
func (r *reloading) load() (*config.Config, config.Findings) {
	r.seen.Reading()
	c, findings := config.Load(r.file)
	r.seen.Read(c)
	return c, findings
}

// lookEach is how often --watch looks at the files. Who edits them waits so long.
const lookEach = time.Second

// beside reloads n until ctx ends.
func (r *reloading) beside(ctx context.Context, n *node.Node) {
	var look <-chan time.Time
	if r.watch {
		tick := time.NewTicker(lookEach)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hup:
		case <-look:
			if !r.seen.Changed() {
				continue
			}
		}
		_ = r.notify.Reloading() // a manager that hears nothing of it knows less, and nothing else
		_, err := n.Reload(ctx, false)
		status := "serving; the config was read again"
		if err != nil { // the node has logged it
			status = "serving with the config from before: " + err.Error()
		}
		_ = r.notify.Ready(status)
	}
}
