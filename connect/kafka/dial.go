package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/wire"
)

// codeUnsupportedVersion is UNSUPPORTED_VERSION.
const codeUnsupportedVersion = 35

// link is an open connection whose broker has said what it speaks.
type link struct {
	net.Conn
	addr     string
	speaks   versions
	session  session
	loggedIn bool
}

// open dials addr, shakes hands and logs in: TLS, then ApiVersions (KIP-35, KIP-511) on every new connection, because a
// broker may have been up- or downgraded since the last one, then SASL. The error is a ConnError, a ReplyError, or
// ctx's.
func (c *Client) open(ctx context.Context, addr string) (*link, error) {
	p, err := c.pass(ctx, addr)
	if err != nil {
		return nil, err
	}
	nc, err := c.dialNode(ctx, addr)
	if err != nil {
		return nil, err
	}
	l, err := c.greet(ctx, p, nc, addr)
	c.gate.note(addr, p.login.Digest(), err, time.Now())
	if err != nil {
		_ = nc.Close() // its error would only hide the one that counts
		c.cfg.Logger.Debug("kafka connection not usable", "addr", addr, "err", err)
		return nil, err
	}
	c.cfg.Logger.Debug("kafka connection open", "addr", addr)
	return l, nil
}

func (c *Client) dialNode(ctx context.Context, addr string) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	nc, err := c.cfg.Dial(dialing, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial kafka at %s: %w", addr, ctx.Err())
		}
		return nil, dialTrouble(addr, err)
	}
	return nc, nil
}

func (c *Client) greet(ctx context.Context, p *pass, nc net.Conn, addr string) (*link, error) {
	if err := nc.SetDeadline(time.Now().Add(c.cfg.RequestTimeout)); err != nil {
		return nil, peerTrouble(addr, err, true, c.cfg.RequestTimeout)
	}
	// Until the handshake is done nobody else holds the connection, so a deadline in the past is how ctx ends it.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	l := &link{addr: addr, loggedIn: p.mechanism != nil}
	var err error
	known := false // it has answered in the way of speaking that we chose
	if l.Conn, err = p.secure(nc); err == nil {
		if l.speaks, err = c.handshake(l.Conn); err == nil {
			known = true
			l.session, err = p.authenticate(ctx, addr, l.speaks, c.alone(l.Conn))
		}
		if err == nil && stop() {
			if err = nc.SetDeadline(time.Time{}); err == nil {
				return l, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("handshake with kafka at %s: %w", addr, ctx.Err())
	}
	return nil, c.unwelcome(ctx, p, addr, err, known)
}

// unwelcome says why a handshake came to nothing.
func (c *Client) unwelcome(ctx context.Context, p *pass, addr string, err error, known bool) error {
	var reply *ReplyError
	var old *UnsupportedError
	if CauseOf(err) != 0 || errors.As(err, &reply) || errors.As(err, &old) {
		return err
	}
	if why := p.explain(addr, err); why != nil {
		return why
	}
	if hungUp(err) && p.asked.Load() && !p.login.Presents() {
		return p.alerted(addr, "nothing", err)
	}
	if hungUp(err) && known && p.mechanism != nil {
		err = fmt.Errorf("%w: in the middle of the login of %s by %s: look at the user name and password", err, p.login.Who(), p.login.MechanismName())
	}
	if (hungUp(err) || p.tls != nil && errors.Is(err, os.ErrDeadlineExceeded)) && !known {
		if why := c.second(ctx, p, addr, err); why != nil {
			return why
		}
	}
	return peerTrouble(addr, err, true, c.cfg.RequestTimeout)
}

// alone is how one asks on a connection that nobody else holds.
func (c *Client) alone(nc net.Conn) call {
	next := int32(4) // after the handshake's
	return func(req kmsg.Request) (kmsg.Response, error) {
		id := next
		next++
		if _, err := nc.Write(c.format.AppendRequest(nil, req, id)); err != nil {
			return nil, err
		}
		frame, err := wire.ReadFrame(nc, nil, c.cfg.MaxResponseBytes)
		if err != nil {
			return nil, err
		}
		return parse(req, frame, id)
	}
}

// parse reads the answer to a request from a frame.
func parse(req kmsg.Request, frame []byte, id int32) (kmsg.Response, error) {
	r := reader{b: frame}
	if got := r.int32(); r.bad || got != id {
		return nil, fmt.Errorf("correlation id %d instead of %d", got, id)
	}
	return parseBody(req, r.b)
}

// parseBody reads what follows the correlation id.
func parseBody(req kmsg.Request, b []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	r := reader{b: b}
	if resp.IsFlexible() {
		r.tags()
	}
	if r.bad {
		return nil, fmt.Errorf("header of %s cut short", kmsg.NameForKey(req.Key()))
	}
	if err := resp.ReadFrom(r.b); err != nil {
		return nil, fmt.Errorf("read its %s: %w", kmsg.NameForKey(req.Key()), err)
	}
	return resp, nil
}

// handshake asks for the versions, first in the form that carries our name (v3), then as brokers before 2.4 want it.
func (c *Client) handshake(nc net.Conn) (versions, error) {
	for _, version := range []int16{3, 0} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = version
		req.ClientSoftwareName = "streamdown"
		req.ClientSoftwareVersion = "1"
		if _, err := nc.Write(c.format.AppendRequest(nil, req, int32(version))); err != nil {
			return nil, err
		}
		frame, err := wire.ReadFrame(nc, nil, c.cfg.MaxResponseBytes)
		if err != nil {
			return nil, err
		}
		r := reader{b: frame}
		if id := r.int32(); r.bad || id != int32(version) {
			return nil, fmt.Errorf("correlation id %d instead of %d in the first answer", id, version)
		}
		// A broker that does not know the version says so in the form of version 0.
		if peek := r; version > 0 && peek.int16() == codeUnsupportedVersion {
			continue
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.Version = version
		if err := resp.ReadFrom(r.b); err != nil {
			return nil, fmt.Errorf("read its ApiVersions: %w", err)
		}
		if err := replyError(resp.ErrorCode, nil, "ask kafka at %s for its versions", nc.RemoteAddr()); err != nil {
			return nil, err
		}
		v := make(versions, len(resp.ApiKeys))
		for _, k := range resp.ApiKeys {
			v[k.ApiKey] = span{k.MinVersion, k.MaxVersion}
		}
		return v, nil
	}
	return nil, errors.New("it refuses every version of ApiVersions")
}
