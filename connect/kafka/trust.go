package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/streamdown/streamdown/wire"
)

// explain turns the error of a handshake into a SecurityError if it is about TLS; otherwise it returns nil.
func (p *pass) explain(addr string, err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var roots x509.SystemRootsError
	var frame *wire.FrameError
	var op *net.OpError
	switch {
	case p.tls == nil:
		if errors.As(err, &frame) && strings.Contains(frame.Looks, "TLS") {
			return p.speaksTLS(addr, err)
		}
		return nil
	case errors.As(err, &authority), errors.As(err, &roots):
		return denied(addr, UnknownAuthority, err, "its certificate%s is signed by an authority that is not trusted here: put the authority's certificate into ssl.truststore.location (or ssl.ca.location); without either the system's authorities count",
			issuer(authority.Cert))
	case errors.As(err, &host):
		return denied(addr, WrongHost, err, "its certificate is for %s and not for %s: use a name that the certificate has in bootstrap.servers and in the brokers' advertised.listeners, or have the certificate made anew",
			certifiedNames(host.Certificate), host.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return denied(addr, Expired, err, "%s", period(invalid.Cert, time.Now()))
	case errors.As(err, &invalid):
		return denied(addr, Untrusted, err, "its certificate cannot be trusted: %v", invalid)
	case errors.As(err, &record):
		return p.speaksPlain(addr, err)
	case errors.As(err, &op) && op.Op == "remote error":
		return p.alerted(addr, op.Err.Error(), err)
	case strings.Contains(err.Error(), "protocol version"), strings.Contains(err.Error(), "cipher suite"):
		return denied(addr, NoCommonTLS, err, "%v: look at ssl.enabled.protocols and ssl.cipher.suites, here and at the broker", err)
	}
	return nil
}

// alerted explains what the broker said before it hung up (RFC 8446, 6.2).
func (p *pass) alerted(addr, alert string, err error) error {
	alert = strings.TrimPrefix(alert, "tls: ")
	switch {
	case strings.Contains(alert, "protocol version"), strings.Contains(alert, "insufficient security"), alert == "handshake failure" && !p.asked.Load():
		return denied(addr, NoCommonTLS, err, "it says %q: look at ssl.enabled.protocols and ssl.cipher.suites, here and at the broker", alert)
	case !p.login.Presents():
		return denied(addr, CertificateWanted, err, "it says %q: the listener wants a certificate of ours: set ssl.keystore.location (or ssl.certificate.location and ssl.key.location)", alert)
	}
	return denied(addr, CertificateWanted, err, "it refuses our certificate and says %q: have it signed by an authority in the broker's truststore, and look at when it ends", alert)
}

func (p *pass) speaksPlain(addr string, err error) error {
	want := "PLAINTEXT"
	if p.mechanism != nil {
		want = "SASL_PLAINTEXT"
	}
	return denied(addr, ListenerPlain, err, "the listener does not speak TLS: set security.protocol to %s, or use the port of a TLS listener", want)
}

func (p *pass) speaksTLS(addr string, err error) error {
	want := "SSL or SASL_SSL"
	if p.mechanism != nil {
		want = "SASL_SSL"
	}
	return denied(addr, ListenerTLS, err, "the listener speaks TLS: set security.protocol to %s, or use the port of a plaintext listener", want)
}

// second looks at a listener that hung up at our first words, or said nothing at all, which is all that brokers do when
// TLS meets a plaintext listener: does it answer in the other way of speaking? Nothing secret is sent.
func (c *Client) second(ctx context.Context, p *pass, addr string, err error) error {
	nc, dialErr := c.cfg.Dial(ctx, "tcp", addr)
	if dialErr != nil {
		return nil
	}
	defer nc.Close()
	if nc.SetDeadline(time.Now().Add(min(secondLook, c.cfg.RequestTimeout))) != nil {
		return nil
	}
	if p.tls != nil {
		if _, other := c.handshake(nc); other == nil {
			return p.speaksPlain(addr, err)
		}
		return nil
	}
	tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
	var op *net.OpError
	if other := tc.Handshake(); other == nil || errors.As(other, &op) && op.Op == "remote error" {
		return p.speaksTLS(addr, err)
	}
	return nil
}

// secondLook is how long a listener may take to show what it speaks.
const secondLook = 2 * time.Second

// hungUp reports whether the other side ended the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || TroubleOf(peerTrouble("", err, true, 0)) == PeerReset
}

func issuer(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(" (issued by %q)", words(c.Issuer.String()))
}

// certifiedNames lists the hosts that a certificate is for.
func certifiedNames(c *x509.Certificate) string {
	if c == nil {
		return "other hosts"
	}
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, c.Subject.CommonName)
	}
	rest := ""
	if len(names) > 5 {
		names, rest = names[:5], " and others"
	}
	return words(strings.Join(names, ", ")) + rest
}

func period(c *x509.Certificate, now time.Time) string {
	if c == nil {
		return "its certificate is not valid now: look at its dates, and at the clock of this machine"
	}
	if now.Before(c.NotBefore) {
		return fmt.Sprintf("its certificate is not valid before %s: is the clock of this machine right?", c.NotBefore.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("its certificate (%s) ended on %s: have the broker's certificate renewed", words(c.Subject.String()), c.NotAfter.UTC().Format(time.RFC3339))
}

// shy adds to the error of a connection that ended before it answered anything what is often behind it: a listener that
// wants a login answers ApiVersions and hangs up at what comes next.
func (l *link) shy(err error, answered bool) error {
	var e *ConnError
	if answered || l.loggedIn || !errors.As(err, &e) || e.Trouble != PeerReset {
		return err
	}
	return &ConnError{Addr: e.Addr, Trouble: e.Trouble, Err: fmt.Errorf("%w: if it always does so, its listener wants a login: set security.protocol to SASL_SSL or SASL_PLAINTEXT", e.Err)}
}
