package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/streamdown/streamdown"
)

// secure shakes hands, if this is a port with TLS, and learns who the client's certificate says it is. It returns
// false when the connection is of no use; it has been closed then, and the log knows why.
func (c *conn) secure(ctx context.Context) bool {
	t, ok := c.net.(*tls.Conn)
	if !ok {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, c.server.cfg.HandshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(limited); err != nil {
		if ctx.Err() == nil {
			c.notSecure(err, limited.Err() != nil)
		}
		_ = t.Close() // the client is gone or unwanted
		return false
	}
	state := t.ConnectionState()
	if len(state.PeerCertificates) == 0 || c.server.cfg.Auth == nil {
		return true
	}
	who, err := c.server.cfg.Auth.OfCertificate(state.PeerCertificates[0])
	if err != nil {
		if len(c.server.cfg.SASL) > 0 {
			return true // it can still log in
		}
		_ = c.refusedLogin(certificateLogin, err) // TLS has no words for it: the log does
		_ = t.Close()
		return false
	}
	if len(c.server.cfg.SASL) > 0 {
		return true // the login says who it is, as with Kafka
	}
	c.server.stats.login(string(who.Mechanism), "ok")
	c.is(who)
	if !c.server.cfg.Auth.Knows(who.Name) {
		c.warn("a client's certificate is good, but its user is not in auth.users, so it may write nothing", "user", streamdown.Shorten(who.Name, 200))
	}
	return true
}

// notSecure says why a handshake failed, in words for the person who runs the client.
func (c *conn) notSecure(err error, late bool) {
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header):
		c.server.stats.cut(cutStranger)
		looks, http := strangerOnTLS(header.RecordHeader[:])
		if http {
			// Written past TLS, which the client does not speak, and bounded like everything that is written.
			if c.raw.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
				_, _ = c.raw.Write(httpRefusal)
			}
		}
		c.warn("connection closed: this port speaks TLS", "looks_like", looks, "try", "set the client's security.protocol to SSL or SASL_SSL")
	case late, errors.Is(err, os.ErrDeadlineExceeded):
		c.server.stats.cut(cutHandshake)
		c.warn("connection closed: the TLS handshake took too long", "waited", c.server.cfg.HandshakeTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		c.server.stats.cut(cutHandshake)
		c.logger().Debug("connection ended within the TLS handshake", "err", err)
	default:
		c.server.stats.cut(cutHandshake)
		c.warn("connection closed: TLS handshake refused", "err", err, "try", adviceOnTLS(err))
	}
}

// adviceOnTLS says what to do about a failed handshake.
func adviceOnTLS(err error) string {
	text := err.Error()
	for _, a := range []struct{ sign, advice string }{
		{"didn't provide a certificate", "give the client a certificate: ssl.keystore.location (Java) or ssl.certificate.location (librdkafka)"},
		{"expired or is not yet valid", "renew the client's certificate, or compare the clocks"},
		{"unknown authority", "let a CA of listen.kafka.tls.client_ca sign the client's certificate, or let the client send the certificates in between"},
		{"incompatible key usage", "the client's certificate needs the extended key usage clientAuth"},
		{"unsupported versions", "let the client speak TLS 1.2 or later"},
		{"revoked", "give the client a new certificate"},
		{"no application protocol", "this port speaks Kafka's protocol; HTTP has a port of its own"},
		{"requested unsupported application protocols", "this port speaks Kafka's protocol; HTTP has a port of its own"},
		{"no cipher suite", "let the client speak TLS 1.2 or later with a current cipher suite"},
		{"remote error: tls: unknown certificate authority", "the client does not know who signed our certificate: give it that CA (ssl.truststore.location, ssl.ca.location)"},
		{"remote error: tls: bad certificate", "the client refuses our certificate: it must know its CA, and the certificate must name the host that the client uses"},
		{"remote error: tls: certificate unknown", "the client refuses our certificate: it must know its CA, and the certificate must name the host that the client uses"},
		// A client that refuses our certificate in TLS 1.3 may say so before it has keys, which reads as this.
		{"bad record MAC", "the client probably refuses our certificate: it must know its CA, and the certificate must name the host that the client uses"},
		{"remote error", "the client refuses our certificate or our TLS: its own log says why"},
	} {
		if strings.Contains(text, a.sign) {
			return a.advice
		}
	}
	return "compare the client's TLS settings with listen.kafka.tls"
}

// strangerOnTLS names what is no TLS by its first bytes.
func strangerOnTLS(head []byte) (looks string, http bool) {
	for _, method := range []string{"GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "} {
		if bytes.HasPrefix(head, []byte(method)) {
			return "an HTTP request without TLS", true
		}
	}
	if len(head) >= 5 && head[0] == 0 && head[4] == 0 { // a length below 16 MiB, then an API key below 256
		return "the Kafka protocol without TLS", false
	}
	return "no TLS", false
}
