package gateway

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// A connection has to get on: with its handshake and login, with a frame that it began, with taking its answers
// (writer.go). One that does not is closed, so that whoever holds connections open for nothing holds few of them.

var (
	errNoLogin = errors.New("no login in time")
	errSlow    = errors.New("a request that does not arrive")
	errIdle    = errors.New("idle")
)

// minRate is how fast a frame has to arrive after its first moment, in bytes per second.
const minRate = 1 << 10

// paced reads from a connection against a clock. It belongs to the connection's reader.
type paced struct {
	c       *conn
	stopped func() bool // the connection was told to end
	frame   bool        // a frame has begun
	begun   time.Time   // then
	got     int64       // bytes since
}

// idle says that nothing is under way.
func (p *paced) idle() { p.frame = false }

// begin says that a frame is under way from now on.
func (p *paced) begin() { p.frame, p.begun, p.got = true, time.Now(), 0 }

// Read returns errNoLogin, errSlow or errIdle when the connection's time is up, and os.ErrDeadlineExceeded when it was
// told to stop.
func (p *paced) Read(b []byte) (int, error) {
	for {
		limit, why := p.limit(time.Now())
		if err := p.c.net.SetReadDeadline(limit); err != nil {
			return 0, err
		}
		// Who stops the connection says so first and sets a deadline that has passed then. So either it is seen
		// here, or that deadline comes after ours.
		if p.stopped() {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := p.c.net.Read(b)
		p.got += int64(n)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || p.stopped() {
			return n, err
		}
		if errors.Is(why, errIdle) && p.c.queue.owes() {
			continue // the client waits for us
		}
		return 0, why
	}
}

// limit is until when the next bytes have to come, and what it means when they do not.
func (p *paced) limit(now time.Time) (time.Time, error) {
	cfg := &p.c.server.cfg
	limit, why := now.Add(cfg.IdleTimeout), errIdle
	if p.frame {
		// Something has to come all the time, and enough of it over time.
		limit, why = now.Add(cfg.StallTimeout), errSlow
		if all := p.begun.Add(cfg.StallTimeout + time.Duration(p.got)*time.Second/minRate); all.Before(limit) {
			limit = all
		}
	}
	if by := p.c.login.by; !by.IsZero() && by.Before(limit) {
		limit, why = by, errNoLogin
	}
	return limit, why
}

// addressOf is the address that a connection comes from, of IPv6 the network of 64 bits: one customer has that many.
func addressOf(nc net.Conn) netip.Addr {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	a := tcp.AddrPort().Addr().Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
