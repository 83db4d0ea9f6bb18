package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Visit is one connection to one broker that is opened step by step, for somebody who wants to see how far a client of
// this cluster gets: Dial, Secure, Greet, Login, then Ask. Each step needs the one before. The errors are those of a
// Client. A Visit belongs to one goroutine; no step takes longer than its ctx. Close it.
type Visit struct {
	c         *Client
	addr      string
	p         *pass
	raw, conn net.Conn
	speaks    versions
	call      call
	offered   []string
	known     bool // it has answered in the way of speaking that we chose
}

// Visit reads the credentials, and fetches a token if one is needed. Nothing is sent to the broker yet.
func (c *Client) Visit(ctx context.Context, addr string) (*Visit, error) {
	p, err := c.pass(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &Visit{c: c, addr: addr, p: p}, nil
}

// Credentials is how the visitor logs in.
func (v *Visit) Credentials() *credentials.Login { return v.p.login }

// Dial opens the connection at one of the host's addresses.
func (v *Visit) Dial(ctx context.Context, ip string) error {
	_, port, err := net.SplitHostPort(v.addr)
	if err != nil {
		return err
	}
	nc, err := v.c.cfg.Dial(ctx, "tcp", net.JoinHostPort(ip, port))
	if err != nil {
		return dialTrouble(net.JoinHostPort(ip, port), err)
	}
	v.raw, v.conn = nc, nc
	return nil
}

// within runs a step with ctx's end as the connection's deadline.
func (v *Visit) within(ctx context.Context, step func() error) error {
	by, ok := ctx.Deadline()
	if !ok {
		by = time.Now().Add(v.c.cfg.RequestTimeout)
	}
	patience := time.Until(by)
	if err := v.raw.SetDeadline(by); err != nil {
		return peerTrouble(v.addr, err, true, patience)
	}
	stop := context.AfterFunc(ctx, func() { _ = v.raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := step()
	if err == nil {
		return nil
	}
	if TroubleOf(err) != 0 {
		return err
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("visit kafka at %s: %w", v.addr, ctx.Err())
	}
	// A second look has a little time of its own: the step's may be over, and why it failed is what is asked for.
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*secondLook)
	defer cancel()
	err = v.c.unwelcome(looking, v.p, v.addr, err, v.known)
	var e *ConnError
	if errors.As(err, &e) && e.Trouble == PeerSilent {
		e.Err = fmt.Errorf("it did not answer for %v", patience.Round(100*time.Millisecond))
	}
	return err
}

// Secure speaks TLS and returns what was agreed on; nil if the credentials want none.
func (v *Visit) Secure(ctx context.Context) (*tls.ConnectionState, error) {
	if v.p.tls == nil {
		return nil, nil
	}
	err := v.within(ctx, func() error {
		nc, err := v.p.secure(v.raw)
		if err == nil {
			v.conn = nc
		}
		return err
	})
	if CauseOf(err) == NoCommonTLS { // streamdown, and others, tell a stranger so in the words of TLS
		looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), secondLook)
		defer cancel()
		if why := v.c.second(looking, v.p, v.addr, err); why != nil {
			err = why
		}
	}
	if err != nil {
		return nil, err
	}
	state := v.conn.(*tls.Conn).ConnectionState()
	return &state, nil
}

// Span is the versions of one API that a broker speaks, ends included.
type Span struct{ Least, Most int16 }

// Greet asks the broker what it speaks: versions by API key.
func (v *Visit) Greet(ctx context.Context) (map[int16]Span, error) {
	err := v.within(ctx, func() (err error) {
		v.speaks, err = v.c.handshake(v.conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	v.known = true
	v.call = v.c.alone(v.conn)
	speaks := make(map[int16]Span, len(v.speaks))
	for key, s := range v.speaks {
		speaks[key] = Span{s.least, s.most}
	}
	return speaks, nil
}

// Login logs in, if the credentials say so, and returns the mechanisms that the listener offers, as far as it said so,
// and how long the login lasts, 0 = for ever.
func (v *Visit) Login(ctx context.Context) (offered []string, life time.Duration, err error) {
	began := time.Now()
	err = v.within(ctx, func() error {
		s, err := v.p.authenticate(ctx, v.addr, v.speaks, v.noting(v.call))
		if !s.end.IsZero() {
			life = s.end.Sub(began).Round(time.Second)
		}
		return err
	})
	return v.offered, life, err
}

// noting keeps the mechanisms that a SaslHandshake names.
func (v *Visit) noting(ask call) call {
	return func(req kmsg.Request) (kmsg.Response, error) {
		resp, err := ask(req)
		if r, ok := resp.(*kmsg.SASLHandshakeResponse); ok && err == nil {
			v.offered = r.SupportedMechanisms
		}
		return resp, err
	}
}

// Offered asks for the mechanisms that the listener takes, without logging in; the connection is of no use afterwards.
// None and no error means that it takes no logins.
func (v *Visit) Offered(ctx context.Context) (list []string, err error) {
	err = v.within(ctx, func() error {
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Mechanism = "PLAIN"
		if req.Version, err = v.speaks.pick(v.addr, req.Key(), 1, 1); err != nil {
			return err
		}
		resp, err := v.call(req)
		if r, ok := resp.(*kmsg.SASLHandshakeResponse); ok && err == nil && r.ErrorCode != codeIllegalSASLState {
			list = r.SupportedMechanisms
		}
		return err
	})
	return list, err
}

// Ask sends one request in the highest version from lo to hi that both sides speak and returns the answer.
func (v *Visit) Ask(ctx context.Context, req kmsg.Request, lo, hi int16) (resp kmsg.Response, err error) {
	err = v.within(ctx, func() error {
		version, err := v.speaks.pick(v.addr, req.Key(), lo, hi)
		if err != nil {
			return err
		}
		req.SetVersion(version)
		resp, err = v.call(req)
		return err
	})
	return resp, err
}

// Close ends the connection.
func (v *Visit) Close() error {
	if v.raw == nil {
		return nil
	}
	return v.raw.Close()
}
