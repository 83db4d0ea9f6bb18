package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
)

// Credentials say how to log in; credentials.Settings do. Load is called whenever a connection is dialled or its session
// renewed, so that what is rotated needs no restart. It may be called concurrently.
type Credentials interface {
	Load() (*credentials.Login, error)
}

// pass is what one connection needs to get in, made before it is dialled.
type pass struct {
	login     *credentials.Login
	tls       *tls.Config
	mechanism sasl.Mechanism
	asked     atomic.Bool // the broker asked for a certificate
}

// pass reads the credentials anew, and fetches a token if one is needed. Nothing is sent to the broker. An account that
// the broker has just refused is not tried again at once.
func (c *Client) pass(ctx context.Context, addr string) (*pass, error) {
	p := &pass{login: credentials.Plaintext()}
	var err error
	if c.cfg.Credentials != nil {
		if p.login, err = c.cfg.Credentials.Load(); err != nil {
			return nil, denied(addr, Unreadable, err, "the credentials cannot be used: %v", err)
		}
	}
	if err := c.gate.refusal(addr, p.login.Digest(), time.Now()); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if p.tls, err = p.login.TLS(host); err != nil {
		return nil, denied(addr, Unreadable, err, "%v", err)
	}
	if p.tls != nil {
		certificates := p.tls.Certificates
		p.tls.Certificates = nil
		p.tls.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			p.asked.Store(true)
			for i := range certificates {
				if r.SupportsCertificate(&certificates[i]) == nil {
					return &certificates[i], nil
				}
			}
			if len(certificates) > 0 { // the broker's list of authorities is a hint; let it judge
				return &certificates[0], nil
			}
			return new(tls.Certificate), nil
		}
	}
	if p.mechanism, err = p.login.Mechanism(ctx, c.tokens); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("get a token for kafka at %s: %w", addr, ctx.Err())
		}
		return nil, denied(addr, NoToken, err, "%v", err)
	}
	return p, nil
}

// secure speaks TLS on a fresh connection, if that is wanted. The connection has a deadline.
func (p *pass) secure(nc net.Conn) (net.Conn, error) {
	if p.tls == nil {
		return nc, nil
	}
	tc := tls.Client(nc, p.tls)
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	return tc, nil
}

// session is how long a login lasts (KIP-368). The zero value lasts for ever.
type session struct{ renew, end time.Time }

// The share of a session's life after which it is renewed: Java's clients take a random moment from 85 to 95 %. Ours
// is the earlier end, and a broker's connections differ by when they were opened.
const renewAfter = 85

// leastSession is the shortest time between two logins on a connection: brokers end one that comes sooner.
const leastSession = 1100 * time.Millisecond

func sessionOf(life time.Duration, now time.Time) session {
	if life <= 0 {
		return session{}
	}
	return session{renew: now.Add(max(leastSession, life/100*renewAfter)), end: now.Add(life)}
}

// mostRounds is more than any mechanism takes.
const mostRounds = 8

// call sends one request and returns its answer, after the answers to all that was sent before it.
type call func(req kmsg.Request) (kmsg.Response, error)

// authenticate logs in: SaslHandshake (KIP-43) tells the mechanism, SaslAuthenticate (KIP-152) carries its messages. It
// is the same on a fresh connection and on one whose session is about to end.
func (p *pass) authenticate(ctx context.Context, addr string, speaks versions, ask call) (session, error) {
	if p.mechanism == nil {
		return session{}, nil
	}
	name := p.mechanism.Name()
	hello := kmsg.NewPtrSASLHandshakeRequest()
	hello.Mechanism = name
	v, err := speaks.pick(addr, hello.Key(), 1, 1)
	if err != nil {
		return session{}, err
	}
	hello.Version = v
	answer, err := ask(hello)
	if err != nil {
		return session{}, err
	}
	switch r := answer.(*kmsg.SASLHandshakeResponse); r.ErrorCode {
	case 0:
	case codeUnsupportedMechanism:
		return session{}, denied(addr, NoMechanism, nil, "the listener does not take %s: it offers %s; set sasl.mechanism to one of those, or have %s added to the broker's sasl.enabled.mechanisms",
			name, offered(r.SupportedMechanisms), name)
	case codeIllegalSASLState:
		return session{}, denied(addr, LoginNotWanted, nil, "the listener takes no logins: set security.protocol to %s, or use the port of a SASL listener",
			strings.TrimPrefix(p.login.Protocol(), "SASL_"))
	default:
		return session{}, replyError(r.ErrorCode, nil, "offer %s to kafka at %s", name, addr)
	}
	exchange, message, err := p.mechanism.Authenticate(ctx, addr)
	if err != nil {
		return session{}, denied(addr, WrongLogin, err, "%v", err)
	}
	for range mostRounds {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		if req.Version, err = speaks.pick(addr, req.Key(), 0, 2); err != nil {
			return session{}, err
		}
		req.SASLAuthBytes = message
		answer, err := ask(req)
		if err != nil {
			return session{}, err
		}
		r := answer.(*kmsg.SASLAuthenticateResponse)
		if r.ErrorCode != 0 {
			return session{}, p.refused(addr, r)
		}
		done, next, err := exchange.Challenge(r.SASLAuthBytes)
		switch {
		case err != nil && name == "OAUTHBEARER":
			return session{}, denied(addr, WrongLogin, err, "it refuses the token of %s: %s: look at the audience, scope and signature that the listener wants",
				p.login.Who(), words(string(r.SASLAuthBytes)))
		case err != nil:
			return session{}, denied(addr, WrongLogin, err, "login of %s by %s: %v", p.login.Who(), name, err)
		case done:
			return sessionOf(time.Duration(r.SessionLifetimeMillis)*time.Millisecond, time.Now()), nil
		}
		message = next
	}
	return session{}, denied(addr, WrongLogin, nil, "login by %s does not come to an end", name)
}

const (
	codeUnsupportedMechanism = 33
	codeIllegalSASLState     = 34
)

// refused turns a broker's no into words.
func (p *pass) refused(addr string, r *kmsg.SASLAuthenticateResponse) error {
	said := ""
	if r.ErrorMessage != nil {
		said = words(*r.ErrorMessage)
	}
	reply := &ReplyError{Doing: "log in", Code: r.ErrorCode, Message: said}
	try := "look at the user name and password"
	switch {
	case p.login.MechanismName() == "OAUTHBEARER":
		try = "look at the audience, scope and signature that the listener wants"
	case strings.HasPrefix(p.login.MechanismName(), "SCRAM"):
		try = "look at the user name and password, and whether the user has credentials for this mechanism: kafka-configs.sh --describe --entity-type users"
	}
	return denied(addr, WrongLogin, reply, "it refuses the login of %s by %s: %s: %s", p.login.Who(), p.login.MechanismName(), said, try)
}

func offered(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	list = slices.Clone(list[:min(len(list), 20)])
	for i := range list {
		list[i] = words(list[i])
	}
	return strings.Join(list, ", ")
}

// words makes a broker's own words fit for a log.
func words(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), mostMessage)], "?")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// Cause names what keeps us and a broker apart.
type Cause uint8

// The causes.
const (
	Unreadable        Cause = iota + 1 // a file with credentials cannot be read or makes no sense
	NoToken                            // the token endpoint gives none
	WrongLogin                         // the broker refuses user, password or token
	NoMechanism                        // the listener does not take the mechanism
	LoginNotWanted                     // the listener takes no logins
	UnknownAuthority                   // the broker's certificate is signed by nobody that we trust
	WrongHost                          // the broker's certificate is for another host
	Expired                            // the broker's certificate is not valid at this time
	Untrusted                          // the broker's certificate is wrong in another way
	ListenerPlain                      // TLS was spoken to a listener without it
	ListenerTLS                        // plaintext was spoken to a listener with TLS
	CertificateWanted                  // the listener wants a certificate of ours, or another one
	NoCommonTLS                        // no version or cipher suite that both speak
)

var causeNames = [...]string{
	"unknown", "unreadable", "no_token", "wrong_login", "no_mechanism", "login_not_wanted", "unknown_authority", "wrong_host", "expired",
	"untrusted", "listener_plain", "listener_tls", "certificate_wanted", "no_common_tls",
}

// String names the cause for people and metric labels.
func (c Cause) String() string { return causeNames[min(int(c), len(causeNames)-1)] }

// SecurityError says why a broker does not let us in or is not to be trusted, and what to change. Its text holds no
// secret. Nothing was sent on the connection but the attempt to get in.
type SecurityError struct {
	Cause Cause
	Text  string
	Err   error // nil if Text says it all
}

func (e *SecurityError) Error() string { return e.Text }

// Unwrap returns what was behind it.
func (e *SecurityError) Unwrap() error { return e.Err }

// denied returns the error of a connection that got no further than the door.
func denied(addr string, cause Cause, err error, format string, args ...any) error {
	return &ConnError{Addr: addr, Trouble: Denied, Err: &SecurityError{Cause: cause, Text: fmt.Sprintf(format, args...), Err: err}}
}

// CauseOf returns what kept us out, or 0 if err is about something else.
func CauseOf(err error) Cause {
	var e *SecurityError
	if errors.As(err, &e) {
		return e.Cause
	}
	return 0
}
