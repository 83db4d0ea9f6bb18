package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/streamdown/streamdown/delivery"
	"github.com/streamdown/streamdown/wal"
)

// ErrHandOver is the cause with which Run's context ends when another process waits for the data directory: clients hold
// their breath meanwhile, so nothing is waited for but the answers that are owed.
var ErrHandOver = errors.New("the next process takes over")

func (n *Node) listen(purpose, address string) (net.Listener, error) {
	if n.opt.Listen != nil {
		return n.opt.Listen(purpose, address)
	}
	return net.Listen("tcp", address)
}

// nobody is what no lane is called: an order about it changes nothing.
const nobody = "the watchdog asks"

// A Pulse asks whether the process does its work. It belongs to one goroutine.
type Pulse struct {
	n    *Node
	last wal.Stats
}

// Pulse returns a new one.
func (n *Node) Pulse() *Pulse { return &Pulse{n: n} }

// Beat returns nil when the owner of the lanes answers and the log's writer gets on, both before ctx ends. A writer that
// had nothing to do since the last beat is given an order that changes nothing. One that waits for a disk, or says why it
// cannot write, is alive: a new process would have the same disk, and the clients that wait would be lost.
func (p *Pulse) Beat(ctx context.Context) error {
	if _, err := p.n.forwarder.Status(ctx); err != nil {
		return fmt.Errorf("the forwarder does not answer: %w", err)
	}
	s, last := p.n.wal.Stats(), p.last
	p.last = s
	if s.Groups != last.Groups || excused(s) {
		return nil
	}
	e, err := delivery.HoldEntry(delivery.Hold{Target: nobody})
	if err != nil {
		return err
	}
	if _, err := p.n.wal.Append(e); err != nil {
		return fmt.Errorf("the log takes nothing: %w", err)
	}
	if err := p.n.wal.Wait(ctx, e.End()); err != nil {
		if s := p.n.wal.Stats(); excused(s) {
			return nil
		}
		return fmt.Errorf("the log's writer does not answer: %w", err)
	}
	return nil
}

// slowDisk is from when on the disk is what a writer waits for.
const slowDisk = time.Second

func excused(s wal.Stats) bool { return s.Waiting > slowDisk || s.Stuck != "" || s.Full != "" }
