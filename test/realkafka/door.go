package realkafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Door is a TCP port that clients take for a broker's: what comes in is passed on to the broker, as long as the door is
// open. Its methods may be called concurrently.
type Door struct {
	addr, behind string
	wait         sync.WaitGroup // for everything that was started

	mu       sync.Mutex // guards the following
	state    doorState
	moved    chan struct{} // closed when the state changes
	closed   bool
	listener net.Listener // nil while it refuses
	conns    map[net.Conn]struct{}
}

type doorState uint8

const (
	doorOpen   doorState = iota
	doorMute             // requests arrive, answers do not
	doorSilent           // nothing arrives
)

func openDoor(addr, behind string) (*Door, error) {
	d := &Door{addr: addr, behind: behind, moved: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	return d, d.Open()
}

// Addr is where clients knock, "127.0.0.1:port".
func (d *Door) Addr() string { return d.addr }

// Open ends Refuse, Mute and Silence. What was held back meanwhile goes on its way.
func (d *Door) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turnLocked(doorOpen)
	if d.listener != nil || d.closed {
		return nil
	}
	l, err := net.Listen("tcp", d.addr)
	if err != nil {
		return fmt.Errorf("open the door at %s: %w", d.addr, err)
	}
	d.listener = l
	d.wait.Go(func() { d.accept(l) })
	return nil
}

// Cut resets the connections that stand; new ones are taken.
func (d *Door) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
		_ = c.Close()
	}
}

// Refuse resets the connections that stand, and refuses new ones until Open.
func (d *Door) Refuse() {
	d.mu.Lock()
	if d.listener != nil {
		_ = d.listener.Close()
		d.listener = nil
	}
	d.mu.Unlock()
	d.Cut()
}

// Mute lets requests pass and holds back the answers until Open: the broker stores, and nobody hears of it.
func (d *Door) Mute() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turnLocked(doorMute)
}

// Silence holds back both ways until Open: connections stand, or are taken, and nothing comes of them.
func (d *Door) Silence() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turnLocked(doorSilent)
}

// Close ends the door for good and waits for all that it started.
func (d *Door) Close() {
	d.mu.Lock()
	d.closed = true
	d.turnLocked(doorOpen)
	d.mu.Unlock()
	d.Refuse()
	d.wait.Wait()
}

func (d *Door) turnLocked(s doorState) {
	d.state = s
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *Door) accept(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", d.behind) // loopback: at once, or refused
		if err != nil {
			if tcp, ok := in.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = in.Close()
			continue
		}
		d.mu.Lock()
		d.conns[in], d.conns[out] = struct{}{}, struct{}{}
		gone := d.closed || d.listener != l
		d.mu.Unlock()
		if gone {
			d.Cut()
		}
		d.wait.Go(func() { d.pass(in, out) })
	}
}

// pass carries both ways until one of them ends.
func (d *Door) pass(in, out net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { d.carry(out, in, doorSilent) })
	d.carry(in, out, doorMute)
	both.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, in)
	delete(d.conns, out)
}

// carry copies from src to dst. Bytes that were read while the door is at state `from` or beyond wait.
func (d *Door) carry(dst, src net.Conn, from doorState) {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			d.pause(from)
			if _, werr := dst.Write(buf[:n]); err == nil {
				err = werr
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				if tcp, ok := dst.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // a reset stays one
				}
			}
			_ = dst.Close()
			_ = src.Close()
			return
		}
	}
}

// pause waits while the door is at state `from` or beyond.
func (d *Door) pause(from doorState) {
	for {
		d.mu.Lock()
		state, moved := d.state, d.moved
		d.mu.Unlock()
		if state < from {
			return
		}
		<-moved
	}
}
