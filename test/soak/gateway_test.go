package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/streamdown/streamdown/forward"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/vfs"
)

// gateway is one life of the node.
type gateway struct {
	life   int
	disk   *vfs.Mem
	node   *node.Node
	cancel context.CancelFunc
	done   chan struct{}
	left   int64
	err    error
}

// disk gives a disk its speed.
func (w *world) disk(m *vfs.Mem) *vfs.Mem {
	m.Slow(func(op vfs.Op, _ string) {
		if op == vfs.OpSync || op == vfs.OpSyncDir {
			sleep(w.between(50*time.Microsecond, 2*time.Millisecond))
		}
	})
	return m
}

// live begins a life on a disk. It returns false where the node does not open.
func (w *world) live(m *vfs.Mem) bool {
	w.lives++
	g := &gateway{life: w.lives, disk: w.disk(m), done: make(chan struct{})}
	h := w.host(g.life)
	fs := vfs.FS(m)
	if w.plant != nil && w.plant.disk != nil {
		fs = w.plant.disk(m)
	}
	n, err := node.Open(node.Options{
		Config: w.settings(), Logger: w.logger(g.life), FS: fs, Dial: h.Dial,
		WrapTarget: func(t forward.Target) forward.Target { return seam{t, w, w.plant} },
		Listen:     func(_, address string) (net.Listener, error) { return h.Listen(address) },
	})
	if err != nil {
		w.fail("opens", "life %d: %v", g.life, err)
		return false
	}
	g.node = n
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	w.gateway = g
	w.wg.Go(func() {
		defer close(g.done)
		g.left, g.err = n.Run(ctx)
	})
	w.say("life %d begins: %d ways back", g.life, len(w.old))
	return true
}

// crash cuts the power, or kills the process alone, and begins another life with what is on the disk.
func (w *world) crash(power bool) bool {
	g := w.gateway
	g.disk.Halt()
	w.host(g.life).Die()
	g.cancel()
	w.did["crash"]++
	var next *vfs.Mem
	if power {
		next = g.disk.Crash(w.rng)
	} else {
		next = g.disk.Kill(w.rng.IntN(2) == 0)
	}
	sleep(time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))))
	return w.live(next)
}

// freeze lets the gateway hang, and begins another life with a copy of its directory: a takeover by somebody who took it
// for dead. The frozen one wakes up later, sends what it still has, and ends.
func (w *world) freeze() bool {
	g := w.gateway
	// What it was asked and did not yet take is gone with its clients' connections: two processes that both live on and take
	// the same records cannot but send them twice.
	w.net.Cut(gatewayAddr, false)
	w.host(g.life).Freeze()
	g.disk.Inject(nil)
	sleep(3 * time.Second)
	w.did["freeze"]++
	next := g.disk.Kill(false)
	stuck := make(chan struct{})
	g.disk.Slow(func(vfs.Op, string) { <-stuck })
	w.old = append(w.old, g)
	after := time.Duration(w.rng.Int64N(int64(8 * time.Second)))
	w.underway(after + 4*time.Second)
	w.wg.Go(func() {
		sleep(after)
		w.say("life %d wakes up", g.life)
		close(stuck)
		w.host(g.life).Thaw()
		sleep(2 * time.Second)
		g.disk.Halt()
		w.host(g.life).Die()
		g.cancel()
	})
	return w.live(next)
}

// stop ends the last life in order and wants nothing left.
func (w *world) stop() {
	g := w.gateway
	lanes := g.node.Status(context.Background()).Lanes
	g.cancel()
	<-g.done
	if g.err != nil && !strings.Contains(g.err.Error(), vfs.ErrCrashed.Error()) {
		w.fail("stops", "%v", g.err)
	}
	if g.left > 0 {
		for _, l := range lanes {
			w.say("%s/%d: %s, live %t, accepted %d, confirmed %d, stop %+v, foreign %v", l.Topic, l.Partition, l.State, l.Live, l.AcceptedEnd, l.Confirmed, l.Stop, l.Foreign)
		}
		w.fail("liveness", "%d records are not at the target after everything was calm for a minute", g.left)
	}
}

var errNobody = errors.New("no broker is up")
