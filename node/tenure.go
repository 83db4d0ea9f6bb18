package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/streamdown/streamdown/handover"
	"github.com/streamdown/streamdown/service"
)

// Tenure is the life of a process that serves: a node, what its service manager hears, and the upgrade that ends it. It
// opens a second node only when an upgrade came to nothing.
type Tenure struct {
	Options Options
	Notify  *service.Notifier // nil = nobody listens
	Timeout time.Duration     // of the watchdog; 0 = there is none
	Sockets *handover.Sockets // that this process was given; required
	Heir    *handover.Heir    // if this process takes over from another

	// Upgrade asks for an upgrade whenever something comes; nil = never.
	Upgrade <-chan os.Signal
	Program handover.Program // what an upgrade starts

	// Opened is told of each node before it serves; nil is fine.
	Opened func(*Node)
	// Beside runs beside each node until its ctx ends, when the node is about to stop; nil is fine.
	Beside func(ctx context.Context, n *Node)

	log *slog.Logger
}

// ErrHandedOver is returned by Run when another process serves now.
var ErrHandedOver = errors.New("another process serves now")

// readyPatience is how long a new process may take to read its configuration, and to open the log and serve. Until then
// clients wait, who give up after some 30 s.
const (
	readyPatience = 30 * time.Second
	servePatience = 20 * time.Second
)

// Run serves until ctx ends and returns how many records are left in the log, as Node.Run does, or until another process
// serves.
func (t Tenure) Run(ctx context.Context) (left int64, err error) {
	if t.log = t.Options.Logger; t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.Heir != nil {
		if t.Sockets, err = t.Heir.Ready(ctx, t.Options.Version); err != nil {
			return 0, fmt.Errorf("take over: %w", err)
		}
	}
	defer func() { err = errors.Join(err, t.Sockets.Close()) }()
	t.Options.Listen = t.Sockets.Listen
	for {
		n, err := t.open(ctx)
		if err != nil {
			return 0, t.abandon(err)
		}
		left, next, err := t.reign(ctx, n)
		t.Options.Config = n.now() // what was revoked by a reload stays revoked, whoever goes on
		if err != nil || next == nil {
			return left, t.abandon(err)
		}
		if err = t.pass(ctx, next); err == nil {
			return left, ErrHandedOver
		}
		if err = errors.Join(err, next.Stop()); ctx.Err() != nil {
			return left, nil // told to stop in the middle of it: the log is closed
		}
		t.log.Error("the upgrade came to nothing: this process opens the log again and goes on", "err", err)
	}
}

// open recovers the log, however long that takes.
func (t *Tenure) open(ctx context.Context) (*Node, error) {
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beside.Go(func() { t.Notify.Meanwhile(ctx, t.log) })
	t.note(t.Notify.Status("opens the log"))
	n, err := Open(t.Options)
	if err != nil {
		return nil, err
	}
	for _, s := range t.Sockets.Prune() {
		t.log.Warn("a socket that this process was given is not in the config; it is closed", "socket", s)
	}
	if t.Opened != nil {
		t.Opened(n)
	}
	return n, nil
}

// abandon lets a process that waits for this one go on alone.
func (t *Tenure) abandon(err error) error {
	if t.Heir != nil {
		err = errors.Join(err, t.Heir.Abandon())
		t.Heir = nil
	}
	return err
}

// reign runs the node until ctx ends or a new process is ready to follow, which it returns.
func (t *Tenure) reign(ctx context.Context, n *Node) (left int64, next *handover.Successor, err error) {
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		select {
		case <-n.gateway.Begun():
		case <-running.Done():
			return
		}
		t.serving(running, n)
		if t.Beside != nil {
			beside.Go(func() { t.Beside(running, n) })
		}
		beside.Go(func() { t.Notify.Watch(running, t.Timeout, n.Pulse().Beat, t.log) })
		if next = t.successor(running); next != nil {
			end(ErrHandOver)
		}
	})
	var stopping sync.WaitGroup
	over, ended := context.WithCancel(context.WithoutCancel(ctx))
	stopping.Go(func() {
		select {
		case <-running.Done():
		case <-over.Done():
			return
		}
		if !errors.Is(context.Cause(running), ErrHandOver) {
			t.note(t.Notify.Stopping("answers what is under way"))
		}
		t.Notify.Meanwhile(over, t.log)
	})
	left, err = n.Run(running)
	end(nil)
	ended()
	stopping.Wait()
	beside.Wait()
	if next != nil && (err != nil || ctx.Err() != nil) {
		_ = next.Stop() // it was told nothing yet
		next = nil
	}
	return left, next, err
}

// serving tells whoever waits that clients are served.
func (t *Tenure) serving(ctx context.Context, n *Node) {
	if t.Heir != nil {
		if err := t.Heir.Serving(ctx); err != nil {
			t.log.Warn("the process before this one did not hear that it can end", "err", err)
		}
		t.Heir = nil
	}
	// A manager that keeps no sockets drops them, so there is nothing to ask first.
	t.Sockets.Each(func(name string, c handover.Conn) { t.note(t.Notify.Store(name, c)) })
	t.note(t.Notify.Ready(fmt.Sprintf("serves Kafka producers on %s, pages on %s", n.KafkaAddr(), n.HTTPAddr())))
}

func (t *Tenure) note(err error) {
	if err != nil {
		t.log.Warn("service manager", "err", err)
	}
}

// successor waits until an upgrade is asked for and its process could serve. Whatever is wrong with that process costs
// the clients nothing.
func (t *Tenure) successor(ctx context.Context) *handover.Successor {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.Upgrade:
		}
		if os.Getpid() == 1 {
			t.log.Error("no upgrade: this is process 1, and a container ends with it; start a new container instead")
			continue
		}
		next, err := handover.Launch(t.Program)
		if err != nil {
			t.log.Error("no upgrade: the new program cannot be started; this process goes on", "err", err)
			continue
		}
		t.log.Info("upgrade: the new process reads its config", "pid", next.PID(), "program", t.Program.Path)
		ready, cancel := context.WithTimeout(ctx, readyPatience)
		version, err := next.Ready(ready)
		cancel()
		if err == nil {
			t.log.Info("upgrade: the new process is ready, so this one answers what is under way and closes the log", "pid", next.PID(), "version", version)
			return next
		}
		t.log.Error("no upgrade: the new process does not get ready; this one goes on", "err", err, "ended", next.Stop(),
			"try", "look at what it said above; streamdown config lint")
	}
}

// pass hands everything over to a process that waits for it.
func (t *Tenure) pass(ctx context.Context, next *handover.Successor) error {
	if err := next.Yield(t.Sockets); err != nil {
		return err
	}
	serving, cancel := context.WithTimeout(ctx, servePatience)
	defer cancel()
	if err := next.Serving(serving); err != nil {
		return err
	}
	t.note(t.Notify.MainPID(next.PID()))
	t.log.Info("upgrade: the new process serves", "pid", next.PID())
	return next.Leave()
}
