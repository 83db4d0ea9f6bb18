package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

// SASL on Kafka's terms: SaslHandshake chooses a mechanism (KIP-43), SaslAuthenticate carries its messages (KIP-152).
// After a SaslHandshake of version 0 they come bare, in frames without a header; a refusal cannot be said then, only
// logged. A login may have an end; the client is told when and logs in again on the same connection before it
// (KIP-368). Nothing but ApiVersions and these two is listened to before the login, in frames of at most 64 KiB.

// maxEarlyFrame bounds a frame of a client that has not shown who it is, in bytes.
const maxEarlyFrame = 64 << 10

// login is what a connection has shown about who it is. Owned by the reader, but for who.
type login struct {
	who atomic.Pointer[auth.Principal] // nil until it is known
	by  time.Time                      // until when it has to be; zero = it is, or need not be

	exchange *auth.Exchange // under way
	bare     bool           // its messages come without a request around them
	expires  time.Time      // zero = never
}

// needsLogin reports whether the connection has to log in before it may do anything else.
func (c *conn) needsLogin() bool { return len(c.server.cfg.SASL) > 0 && c.login.who.Load() == nil }

// is notes who the connection belongs to.
func (c *conn) is(who *auth.Principal) {
	c.login.who.Store(who)
	c.login.by = time.Time{}
	named := c.log.With("user", streamdown.Shorten(who.Name, 200))
	c.named.Store(named)
}

// user is the name of whom the connection belongs to, "" while it is not known.
func (c *conn) user() string {
	if who := c.login.who.Load(); who != nil {
		return who.Name
	}
	return ""
}

// mayAsk refuses what may not be asked without a login, or after it ended.
func (c *conn) mayAsk(h header) error {
	early := h.Key == keySASLHandshake || h.Key == keySASLAuthenticate || h.Key == keyAPIVersions
	switch {
	case early:
	case c.needsLogin():
		c.server.stats.cut(cutNoLogin)
		c.warn("connection closed: a client that did not log in wants more", "api", kmsg.NameForKey(h.Key), "client_id", streamdown.Shorten(h.ClientID, 100),
			"try", "set its security.protocol to SASL_SSL or SASL_PLAINTEXT, with a mechanism of listen.kafka.sasl")
		return fmt.Errorf("%w: no login", errRefused)
	case !c.login.expires.IsZero() && c.server.cfg.Now().After(c.login.expires):
		c.server.stats.cut(cutExpired)
		c.warn("connection closed: its login ended and the client did not log in again", "ended", c.login.expires.UTC())
		return fmt.Errorf("%w: the login ended", errRefused)
	}
	return nil
}

// saslHandshake chooses a mechanism.
func (c *conn) saslHandshake(h header, body []byte) (answer, error) {
	f := newFields(body, false)
	mechanism := auth.Mechanism(f.string())
	if err := f.end(); err != nil {
		return nil, err
	}
	r := kmsg.NewPtrSASLHandshakeResponse()
	r.Version = h.Version
	for _, m := range c.server.mechanisms() {
		r.SupportedMechanisms = append(r.SupportedMechanisms, string(m))
	}
	switch who := c.login.who.Load(); {
	case len(c.server.cfg.SASL) == 0:
		r.ErrorCode = codeIllegalSASLState
		c.warnOnce("sasl", "a client wants to log in where there is no login: set listen.kafka.sasl, or the client's security.protocol to PLAINTEXT or SSL")
	case who != nil && who.Mechanism != mechanism:
		r.ErrorCode = codeIllegalSASLState
		c.warn("connection closed: a client that logs in again wants another mechanism", "mechanism", streamdown.Shorten(string(mechanism), 40), "before", who.Mechanism)
		c.leave = errBadLogin
	default:
		var offered bool
		if slices.Contains(c.server.mechanisms(), mechanism) {
			c.login.exchange, offered = c.server.cfg.Auth.Begin(mechanism)
		}
		c.login.bare = offered && h.Version == 0
		if !offered {
			r.ErrorCode = codeUnsupportedMechanism
			c.server.stats.login("other", "unsupported_mechanism")
			c.warn("login refused: its mechanism is not offered", "mechanism", streamdown.Shorten(string(mechanism), 40), "offered", c.server.mechanisms(),
				"try", "set the client's sasl.mechanism to one of them, or add it to listen.kafka.sasl")
			c.leave = errBadLogin
		}
	}
	if r.ErrorCode != 0 {
		c.server.stats.refused(r.ErrorCode)
	}
	return func(context.Context) (kmsg.Response, error) { return r, nil }, nil
}

// errBadLogin closes a connection after its login was refused.
var errBadLogin = errors.New("login refused")

// saslAuthenticate takes one message of the mechanism.
func (c *conn) saslAuthenticate(ctx context.Context, h header, body []byte) error {
	f := newFields(body, h.Version >= 2)
	token := f.bytes()
	f.tags()
	if err := f.end(); err != nil {
		return err
	}
	r := kmsg.NewPtrSASLAuthenticateResponse()
	r.Version = h.Version
	if c.login.exchange == nil || c.login.bare {
		r.ErrorCode, r.ErrorMessage = codeIllegalSASLState, kmsg.StringPtr("SaslHandshake comes first")
		c.server.stats.refused(r.ErrorCode)
		c.warnOnce("sasl state", "a client sends a login that it did not begin")
		c.leave = errBadLogin
		c.queue.add(owed{correlation: h.CorrelationID, late: func(context.Context) (kmsg.Response, error) { return r, nil }})
		return nil
	}
	reply, pause, err := c.step(ctx, token)
	if err == nil {
		r.SASLAuthBytes, r.SessionLifetimeMillis = reply, c.lifetime()
		c.queue.add(owed{correlation: h.CorrelationID, late: func(context.Context) (kmsg.Response, error) { return r, nil }})
		return nil
	}
	r.ErrorCode, r.ErrorMessage = codeAuthenticationFailed, kmsg.StringPtr(err.Error())
	c.server.stats.refused(r.ErrorCode)
	c.leave = errBadLogin
	c.queue.add(owed{correlation: h.CorrelationID, late: func(work context.Context) (kmsg.Response, error) { return r, wait(work, pause) }})
	return nil
}

// bareToken takes one message of a mechanism that was chosen with version 0 of SaslHandshake.
func (c *conn) bareToken(ctx context.Context, token []byte) error {
	reply, pause, err := c.step(ctx, token)
	if err != nil {
		c.queue.add(owed{bare: func(work context.Context) ([]byte, error) {
			return nil, errors.Join(errClose, wait(work, pause))
		}})
		return fmt.Errorf("%w: %w", errRefused, errBadLogin)
	}
	c.queue.add(owed{bare: func(context.Context) ([]byte, error) { return reply, nil }})
	return nil
}

// wait lets time pass, at most until work ends.
func wait(work context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-work.Done():
		return work.Err()
	}
}

// checkTime bounds how long a login may wait to be checked: for a place to do so, or for keys.
const checkTime = 10 * time.Second

// step goes on with the login. The error is what the client is told, after a pause; the log was told.
func (c *conn) step(ctx context.Context, token []byte) (reply []byte, pause time.Duration, _ error) {
	s := c.server
	if !s.slowdown.Admit(c.addr, time.Now()) {
		s.stats.login(string(c.login.exchange.Mechanism()), "too_many_failures")
		c.warn("login not checked: too many logins from this address failed", "mechanism", c.login.exchange.Mechanism())
		return nil, time.Second, errors.New("authentication failed: too many logins from this address failed, wait some seconds")
	}
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	reply, who, err := c.login.exchange.Step(limited, token)
	if err == nil && who == nil {
		return reply, 0, nil
	}
	m := c.login.exchange.Mechanism()
	c.login.exchange, c.login.bare = nil, false
	if before := c.login.who.Load(); err == nil && before != nil && before.Name != who.Name {
		err = &auth.Refusal{
			Reason: "another_user", User: who.Name, Detail: fmt.Sprintf("the connection belongs to %q and was to become that of another", before.Name),
			Say: "re-authentication failed: a connection cannot change its user",
		}
	}
	if err != nil {
		return nil, s.slowdown.Failed(c.addr, time.Now()), c.refusedLogin(string(m), err)
	}
	c.is(who)
	c.login.expires = who.Expires
	if life := s.sessionLifetime(); life > 0 {
		if end := s.cfg.Now().Add(life); who.Expires.IsZero() || end.Before(who.Expires) {
			c.login.expires = end
		}
	}
	s.stats.login(string(m), "ok")
	c.logger().Debug("client logged in", "mechanism", m, "client", c.clientName())
	return reply, 0, nil
}

// certificateLogin is the label of logins by certificate.
const certificateLogin = string(auth.Certificate)

// refusedLogin logs and counts a refusal and returns what the client may hear of it.
func (c *conn) refusedLogin(mechanism string, err error) error {
	reason, user, say := auth.Malformed, "", "authentication failed"
	var r *auth.Refusal
	if errors.As(err, &r) {
		reason, user, say = r.Reason, r.User, r.Say
		err = errors.New(r.Detail)
	}
	c.server.stats.login(mechanism, string(reason))
	c.warn("login refused", "mechanism", mechanism, "reason", reason, "claimed_user", streamdown.Shorten(user, 100), "err", err)
	return errors.New(say)
}

// lifetime is how long the login that was just made will last, in milliseconds, 0 for ever.
func (c *conn) lifetime() int64 {
	if c.login.expires.IsZero() || c.login.exchange != nil {
		return 0
	}
	return max(1, c.login.expires.Sub(c.server.cfg.Now()).Milliseconds())
}
