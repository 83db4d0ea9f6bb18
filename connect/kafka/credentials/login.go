package credentials

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown"
)

// Login is how to log in now. It is immutable. Formatting one shows no secret, for its fields are of types that hide them.
type Login struct {
	protocol  string
	mechanism string // empty = no login
	user      string
	password  streamdown.Secret
	delegated bool // user and password are a delegation token (KIP-48)
	oauth     *OAuth
	tls       *security // nil = plaintext
	digest    [sha256.Size]byte
}

// Format tells the protocol and no more, whatever the verb: fmt looks into fields, and their own ways to hide are not asked.
func (l Login) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.protocol+" "+hidden) }

// Plaintext is what a cluster without any security wants. The zero Login is another one.
func Plaintext() *Login { return &Login{protocol: "PLAINTEXT"} }

// Protocol returns the security.protocol.
func (l *Login) Protocol() string { return l.protocol }

// Encrypted reports whether TLS is spoken.
func (l *Login) Encrypted() bool { return l.tls != nil }

// MechanismName returns the sasl.mechanism, empty if there is no login.
func (l *Login) MechanismName() string { return l.mechanism }

// Digest is the same for two Logins that were read from the same values.
func (l *Login) Digest() [sha256.Size]byte { return l.digest }

// Who names the account for a person: the user, the client of a token endpoint, or empty.
func (l *Login) Who() string {
	if l.oauth != nil {
		return l.oauth.String()
	}
	if l.user == "" {
		return ""
	}
	return "user " + l.user
}

// Presents reports whether we have a certificate to show.
func (l *Login) Presents() bool { return l.tls != nil && !l.tls.own.none() }

// TLS returns the configuration of a connection to host, with the stores read anew; nil if TLS is not spoken. The
// broker's certificate is verified in full by VerifyConnection, whose errors are those of crypto/x509.
func (l *Login) TLS(host string) (*tls.Config, error) {
	if l.tls == nil {
		return nil, nil
	}
	c := &tls.Config{
		ServerName: host, MinVersion: l.tls.least, MaxVersion: l.tls.most, CipherSuites: l.tls.suites,
		DynamicRecordSizingDisabled: true, // batches, not pages
		// VerifyConnection does it: Java's clients accept a name in a certificate's subject, which crypto/tls does not.
		InsecureSkipVerify: true,
	}
	var roots *x509.CertPool // nil = the system's
	if !l.tls.roots.none() {
		trusted, err := l.tls.roots.trusted()
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		for _, cert := range trusted {
			roots.AddCert(cert)
		}
	}
	names := l.tls.hostNames
	c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, roots, host, names, time.Now()) }
	if !l.tls.own.none() {
		own, err := l.tls.own.certificates()
		if err != nil {
			return nil, err
		}
		c.Certificates = own
	}
	return c, nil
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, host string, names bool, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the broker showed no certificate")
	}
	opt := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		opt.Intermediates.AddCert(c)
	}
	leaf := chain[0]
	if _, err := leaf.Verify(opt); err != nil {
		return err
	}
	if !names {
		return nil
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) == 0 && net.ParseIP(host) == nil {
		// RFC 2818, 3.1: without alternative names the subject's common name counts. keytool writes such certificates.
		old := *leaf
		old.DNSNames = []string{leaf.Subject.CommonName}
		leaf = &old
	}
	return leaf.VerifyHostname(host)
}

// check looks at what a Login will need at its first connection. All it finds are warnings.
func (l *Login) check() (problems []Problem) {
	if l.tls == nil {
		return nil
	}
	warn := func(s *store, err error) {
		text := strings.TrimPrefix(err.Error(), s.name()+": ")
		problems = append(problems, Problem{Key: s.key, Warning: true, Text: text + "; it is read again whenever a connection is dialled"})
	}
	now := time.Now()
	if s := &l.tls.roots; !s.none() {
		if _, err := s.trusted(); err != nil {
			warn(s, err)
		}
	}
	if s := &l.tls.own; !s.none() {
		own, err := s.certificates()
		if err != nil {
			warn(s, err)
		}
		for _, c := range own {
			if end := c.Leaf.NotAfter; now.After(end) {
				warn(s, fmt.Errorf("our certificate for %s ended on %s", c.Leaf.Subject, end.UTC().Format(time.DateOnly)))
			}
		}
	}
	return problems
}

// Mechanism returns what speaks SASL for us; nil if there is no login. For OAUTHBEARER it fetches a token, unless tokens
// holds one that will do.
func (l *Login) Mechanism(ctx context.Context, tokens *Tokens) (sasl.Mechanism, error) {
	switch l.mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: l.user, Pass: l.password.Reveal()}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return bounded{scram.Auth{User: l.user, Pass: l.password.Reveal(), IsToken: l.delegated}.AsSha256Mechanism()}, nil
	case "SCRAM-SHA-512":
		return bounded{scram.Auth{User: l.user, Pass: l.password.Reveal(), IsToken: l.delegated}.AsSha512Mechanism()}, nil
	}
	t, err := tokens.get(ctx, l.oauth, l.digest)
	if err != nil {
		return nil, err
	}
	return oauth.Auth{Token: t.Reveal(), Extensions: l.oauth.extra}.AsMechanism(), nil
}
