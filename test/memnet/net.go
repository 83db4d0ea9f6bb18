package memnet

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Net is one network. The zero value is ready.
type Net struct {
	// Latency is asked once for each write: how long it is on its way. Nil = no time. Set it before the first dial.
	Latency func() time.Duration

	mu        sync.Mutex // guards the following, and all connections
	listeners map[string]*listener
	conns     map[*conn]struct{}
	refused   map[string]bool
	silent    map[string]bool // addresses
	dead      map[string]bool // hosts
	frozen    map[string]bool // hosts
	port      int
}

// Host is one process on the network, which can die alone.
type Host struct {
	net  *Net
	name string
}

// Host returns a host by its name.
func (n *Net) Host(name string) *Host { return &Host{n, name} }

type listener struct {
	net    *Net
	host   string
	addr   *net.TCPAddr
	ready  *sync.Cond
	queue  []*conn
	closed bool
}

// Listen takes an address, "127.0.0.1:port"; port 0 is any.
func (h *Host) Listen(addr string) (net.Listener, error) {
	n := h.net
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if number == 0 {
		n.port++
		number = 20000 + n.port
	}
	a := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number}
	if n.listeners[a.String()] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{net: n, host: h.name, addr: a, ready: sync.NewCond(&n.mu)}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	n.listeners[a.String()] = l
	return l, nil
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.ready.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

func (l *listener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	l.closed = true
	if l.net.listeners[l.addr.String()] == l {
		delete(l.net.listeners, l.addr.String())
	}
	for _, c := range l.queue {
		c.resetLocked(false)
	}
	l.queue = nil
	l.ready.Broadcast()
}

// Dial opens a connection to an address. It is refused at once where nobody listens, and takes as long as ctx allows
// where silence reigns.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n := h.net
	n.mu.Lock()
	if n.silent[addr] || n.frozen[h.name] {
		n.mu.Unlock()
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	}
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	l := n.listeners[addr]
	if l == nil || n.refused[addr] || n.dead[h.name] {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	n.port++
	here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000 + n.port%20000}
	a, b := newConn(n, h.name, addr, here, l.addr), newConn(n, l.host, addr, l.addr, here)
	a.peer, b.peer = b, a
	if n.conns == nil {
		n.conns = map[*conn]struct{}{}
	}
	n.conns[a], n.conns[b] = struct{}{}, struct{}{}
	l.queue = append(l.queue, b)
	l.ready.Signal()
	return a, nil
}

// Die ends the host as a process ends that is killed: nobody listens, its connections are reset, and what it had sent
// may still be read. It opens none again.
func (h *Host) Die() {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead == nil {
		n.dead = map[string]bool{}
	}
	n.dead[h.name] = true
	n.deafenLocked(h.name)
	for c := range n.conns {
		if c.host == h.name {
			c.resetLocked(false)
			if c.peer != nil {
				c.peer.resetLocked(true)
			}
		}
	}
}

// Freeze keeps back all bytes to and from a host and closes its listeners, so that another host can have their addresses:
// a process that hangs. Thaw lets the bytes pass.
func (h *Host) Freeze() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.frozen == nil {
		h.net.frozen = map[string]bool{}
	}
	h.net.frozen[h.name] = true
	h.net.deafenLocked(h.name)
}

// Thaw ends Freeze; the listeners stay closed.
func (h *Host) Thaw() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	delete(h.net.frozen, h.name)
	for c := range h.net.conns {
		c.changed.Broadcast()
	}
}

func (n *Net) deafenLocked(host string) {
	for _, l := range n.listeners {
		if l.host == host {
			l.closeLocked()
		}
	}
}

// Cut resets all connections to an address. With keep set, what was on its way to that address can still be read there.
func (n *Net) Cut(addr string, keep bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		if c.to == addr {
			c.resetLocked(keep && c.local.String() == addr)
		}
	}
}

// Refuse lets nobody connect to an address, or lets them again.
func (n *Net) Refuse(addr string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused == nil {
		n.refused = map[string]bool{}
	}
	n.refused[addr] = on
}

// Silence keeps back all bytes to and from an address, or lets them pass again.
func (n *Net) Silence(addr string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.silent == nil {
		n.silent = map[string]bool{}
	}
	n.silent[addr] = on
	for c := range n.conns {
		if c.to == addr {
			c.changed.Broadcast()
		}
	}
}

var errReset = os.NewSyscallError("read", syscall.ECONNRESET)

var errBroken = os.NewSyscallError("write", syscall.EPIPE)
