package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// room is what may be on its way in one direction, bytes.
const room = 1 << 20

// conn is one end of a connection. All of it is guarded by Net.mu.
type conn struct {
	net           *Net
	host          string
	to            string // the address that was dialled
	local, remote *net.TCPAddr
	peer          *conn
	changed       *sync.Cond

	in       []chunk // what the peer wrote and nobody read, oldest first
	size     int     // of that
	last     time.Time
	ended    bool // the peer writes no more
	reset    bool
	closed   bool
	readBy   limit
	writeBy  limit
	arriving *time.Timer
}

// chunk is what one write sent, and when it arrives.
type chunk struct {
	b  []byte
	at time.Time
}

// limit is a deadline.
type limit struct {
	at    time.Time
	timer *time.Timer
}

func (l *limit) over() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }

func newConn(n *Net, host, to string, local, remote *net.TCPAddr) *conn {
	return &conn{net: n, host: host, to: to, local: local, remote: remote, changed: sync.NewCond(&n.mu)}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		silent := c.net.silent[c.to] || c.net.frozen[c.host] || c.peer != nil && c.net.frozen[c.peer.host]
		switch {
		case c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case c.readBy.over():
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case len(c.in) > 0 && !silent && !c.in[0].at.After(time.Now()):
			n := copy(b, c.in[0].b)
			if c.in[0].b = c.in[0].b[n:]; len(c.in[0].b) == 0 {
				c.in = c.in[1:]
				c.wakeLater()
			}
			c.size -= n
			if c.peer != nil {
				c.peer.changed.Broadcast()
			}
			return n, nil
		case len(c.in) > 0 || silent:
		case c.reset:
			return 0, c.failed("read", errReset)
		case c.ended:
			return 0, io.EOF
		}
		c.changed.Wait()
	}
}

// wakeLater has the reader look again when the next chunk arrives.
func (c *conn) wakeLater() {
	if len(c.in) == 0 {
		return
	}
	wait := time.Until(c.in[0].at)
	if wait <= 0 {
		c.changed.Broadcast()
		return
	}
	if c.arriving != nil {
		c.arriving.Stop()
	}
	c.arriving = time.AfterFunc(wait, c.wake)
}

func (c *conn) wake() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.changed.Broadcast()
}

func (c *conn) Write(b []byte) (n int, err error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		p := c.peer
		switch {
		case c.closed:
			return n, c.failed("write", net.ErrClosed)
		case c.reset || p == nil || p.closed:
			return n, c.failed("write", errBroken)
		case c.writeBy.over():
			return n, c.failed("write", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return n, nil
		case p.size < room:
			k := min(len(b), room-p.size)
			at := time.Now()
			if c.net.Latency != nil {
				at = at.Add(c.net.Latency())
			}
			if at.Before(p.last) {
				at = p.last
			}
			p.last = at
			p.in = append(p.in, chunk{append([]byte(nil), b[:k]...), at})
			p.size += k
			if len(p.in) == 1 {
				p.wakeLater()
			}
			n += k
			b = b[k:]
			continue
		}
		c.changed.Wait()
	}
}

// Close ends the connection: the peer reads what was sent, and then the end.
func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.closed = true
	c.in, c.size = nil, 0
	c.still()
	delete(c.net.conns, c)
	if c.peer != nil {
		c.peer.ended = true
		c.peer.changed.Broadcast()
	}
	c.changed.Broadcast()
	return nil
}

// resetLocked ends the connection at this end. With keep set, what has been sent to it can still be read.
func (c *conn) resetLocked(keep bool) {
	if c.closed {
		return
	}
	c.reset = true
	if !keep {
		c.in, c.size = nil, 0
	}
	c.changed.Broadcast()
}

// still stops the timers of the connection.
func (c *conn) still() {
	for _, t := range []*time.Timer{c.readBy.timer, c.writeBy.timer, c.arriving} {
		if t != nil {
			t.Stop()
		}
	}
}

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error { return c.set(&c.readBy, t) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(&c.writeBy, t) }

func (c *conn) set(l *limit, t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.failed("set", net.ErrClosed)
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.at, l.timer = t, nil
	if !t.IsZero() {
		l.timer = time.AfterFunc(max(0, time.Until(t)), c.wake)
	}
	c.changed.Broadcast()
	return nil
}
