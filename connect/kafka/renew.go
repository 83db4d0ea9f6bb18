package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A login that lasts for a limited time is renewed on the connection itself (KIP-368): the broker takes SaslHandshake in
// the middle of a connection's life, and ends a connection on which anything else comes after the session's end. The
// connection stays the same, so no batch gets in doubt and order is what it was.
//
// What takes time or may fail without harm, reading files and fetching a token, is done beforehand, while the
// connection goes on working; when it fails, it is tried again until the session's end.

// patientPass makes a pass for a session to be renewed: at renew, and again each quarter of what is left. It gives up
// when ctx ends.
func (c *Client) patientPass(ctx context.Context, addr string, s session) (*pass, error) {
	at := s.renew
	for {
		t := time.NewTimer(time.Until(at))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		p, err := c.pass(ctx, addr)
		if err == nil && p.mechanism == nil {
			err = errors.New("security.protocol has changed to one without a login")
		}
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		c.cfg.Logger.Warn("kafka session cannot be renewed yet", "addr", addr, "until", s.end, "err", err)
		at = time.Now().Add(max(time.Second, time.Until(s.end)/4))
	}
}

// renew keeps the connection logged in until it ends; the reader ends ctx then.
func (c *conn) renew(ctx context.Context) {
	for s := c.session; !s.renew.IsZero(); {
		p, err := c.client.patientPass(ctx, c.addr, s)
		if err != nil {
			return
		}
		c.writing.Lock() // questions wait behind; what is unanswered is answered first
		s, err = p.authenticate(ctx, c.addr, c.speaks, func(req kmsg.Request) (kmsg.Response, error) {
			answer, patience, err := c.send(req)
			if err != nil {
				return nil, err
			}
			return c.await(ctx, req, answer, patience)
		})
		c.writing.Unlock()
		c.client.gate.note(c.addr, p.login.Digest(), err, time.Now())
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// renew prepares what the pipe's writer needs to log in again, in time, until the pipe ends.
func (p *Pipe) renew(ctx context.Context, s session) {
	defer close(p.renewer)
	for !s.renew.IsZero() {
		ready, err := p.client.patientPass(ctx, p.addr, s)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.pass = ready
		p.cond.Broadcast()
		p.mu.Unlock()
		select {
		case s = <-p.renewed:
		case <-ctx.Done():
			return
		}
	}
}

// relogin logs in again, by the writer, while nothing is unanswered; what is sent meanwhile waits in the ring.
func (p *Pipe) relogin(ctx context.Context, ready *pass, words <-chan []byte) (session, error) {
	s, err := ready.authenticate(ctx, p.addr, p.speaks, func(req kmsg.Request) (kmsg.Response, error) {
		p.mu.Lock()
		id := p.next
		p.next++
		err := p.err
		if err == nil {
			p.armLocked(0)
			err = p.nc.SetWriteDeadline(time.Now().Add(p.silence / 2))
		}
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if _, err := p.nc.Write(p.client.format.AppendRequest(nil, req, id)); err != nil {
			return nil, peerTrouble(p.addr, err, true, p.silence)
		}
		frame, ok := <-words
		if !ok {
			return nil, p.Err()
		}
		resp, err := parse(req, frame, id)
		if err != nil {
			return nil, &ConnError{Addr: p.addr, Trouble: PeerGarbled, Err: err}
		}
		return resp, nil
	})
	p.client.gate.note(p.addr, ready.login.Digest(), err, time.Now())
	if err != nil {
		return s, fmt.Errorf("renew the session: %w", err)
	}
	return s, nil
}
