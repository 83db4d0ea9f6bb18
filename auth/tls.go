package auth

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS says how connections are encrypted and which certificates clients show. The files hold PEM; one that has changed
// is read again at the next connection, and when what it holds is no good the files that were read before stay in use.
// Connections that are open stay as they are.
type TLS struct {
	Cert string // our certificate, followed by those between it and the root
	Key  string // its private key
	// ClientCA holds the roots of clients' certificates; empty = clients show none.
	ClientCA string
	// ClientAuth is whether they have to.
	ClientAuth ClientAuth
	// Revoked holds the revocation lists of those roots; empty = there are none. While a list is older than it says it
	// may be, no certificate of its root is believed.
	Revoked string
	// MinVersion is tls.VersionTLS12 or tls.VersionTLS13; 0 means the former.
	MinVersion uint16
	// Protocols are those that are spoken within (ALPN, RFC 7301), best first. A client that names others is refused.
	Protocols []string
}

// ClientAuth is whether clients have to show a certificate.
type ClientAuth uint8

// The choices of ClientAuth.
const (
	NoClientCert ClientAuth = iota
	ClientCertIfGiven
	ClientCertRequired
)

// Validate reports everything that is wrong with t. It does not look at the files.
func (t *TLS) Validate() error {
	var errs []error
	if t.Cert == "" || t.Key == "" {
		errs = append(errs, errors.New("tls needs a certificate and its key"))
	}
	if (t.ClientCA == "") != (t.ClientAuth == NoClientCert) {
		errs = append(errs, errors.New("tls: client certificates need both a client CA and to be asked for"))
	}
	if t.Revoked != "" && t.ClientCA == "" {
		errs = append(errs, errors.New("tls: revocation lists need a client CA"))
	}
	if t.MinVersion != 0 && t.MinVersion != tls.VersionTLS12 && t.MinVersion != tls.VersionTLS13 {
		errs = append(errs, errors.New("tls: the least version is 1.2 or 1.3"))
	}
	return errors.Join(errs...)
}

// lookEach is how often at most the files are looked at, while connections come.
const lookEach = time.Second

// TLSFiles are the files of a TLS, read. The methods may be called concurrently.
type TLSFiles struct {
	tls  TLS
	port string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex // guards the following
	looked  time.Time
	stamps  [4]stamp
	current *tls.Config
}

// stamp tells one state of a file from another.
type stamp struct {
	info fs.FileInfo
	err  string
}

func stampOf(path string) stamp {
	if path == "" {
		return stamp{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return stamp{err: err.Error()}
	}
	return stamp{info: info}
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info && s.err == o.err
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// OpenTLS reads the files of t. port is what the log calls the listener. log may be nil, now as well.
func OpenTLS(t TLS, port string, log *slog.Logger, now func() time.Time) (*TLSFiles, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if now == nil {
		now = time.Now
	}
	c := &TLSFiles{tls: t, port: port, log: log, now: now, looked: now(), stamps: t.stamps()}
	var err error
	if c.current, err = c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (t *TLS) stamps() (s [4]stamp) {
	for i, path := range []string{t.Cert, t.Key, t.ClientCA, t.Revoked} {
		s[i] = stampOf(path)
	}
	return s
}

// Config is for connections to be: it looks at the files when one comes.
func (c *TLSFiles) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         c.tls.Protocols, // for who asks what is spoken here before a connection comes
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.latest(), nil },
	}
}

// latest returns what is to be used now.
func (c *TLSFiles) latest() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < lookEach {
		return c.current
	}
	c.looked = now
	stamps := c.tls.stamps()
	same := true
	for i := range stamps {
		same = same && stamps[i].same(c.stamps[i])
	}
	if same {
		return c.current
	}
	fresh, err := c.load()
	if err != nil {
		// Half of a pair may have been written: what changes next is looked at again.
		c.stamps = stamps
		c.log.Warn("changed TLS files are not used, those that were read before are", "port", c.port, "err", err)
		return c.current
	}
	c.stamps, c.current = stamps, fresh
	c.log.Info("changed TLS files are in use for new connections", "port", c.port, "cert", c.tls.Cert)
	return c.current
}

// load reads the files.
func (c *TLSFiles) load() (*tls.Config, error) {
	t := &c.tls
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key %s: %w", t.Cert, t.Key, err)
	}
	if left := pair.Leaf.NotAfter.Sub(c.now()); left < 14*24*time.Hour {
		c.log.Warn("the certificate of a port ends soon: renew it, the new file is used at once", "port", c.port, "cert", t.Cert, "ends", pair.Leaf.NotAfter.UTC())
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   max(t.MinVersion, tls.VersionTLS12),
		NextProtos:   t.Protocols,
		Time:         c.now,
	}
	if t.ClientAuth == NoClientCert {
		return cfg, nil
	}
	roots, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read the roots of clients' certificates: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	cas, err := certificatesIn(roots)
	if err != nil || len(cas) == 0 {
		return nil, fmt.Errorf("read the roots of clients' certificates: %s holds no certificate in PEM (%w)", t.ClientCA, errors.Join(err, errEmpty))
	}
	for _, ca := range cas {
		cfg.ClientCAs.AddCert(ca)
	}
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	if t.ClientAuth == ClientCertRequired {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	// A certificate that was revoked, or whose root went, must not live on in a ticket.
	cfg.SessionTicketsDisabled = true
	lists, err := revocations(t.Revoked, cas)
	if err != nil {
		return nil, err
	}
	cfg.VerifyConnection = func(s tls.ConnectionState) error { return checkChains(s.VerifiedChains, lists, c.now()) }
	return cfg, nil
}

var errEmpty = errors.New("nothing to be found")

func certificatesIn(b []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// revocation is one list, ready to be asked.
type revocation struct {
	issuer  []byte // raw subject
	serials map[string]bool
	next    time.Time // when a newer one is due; zero = never
}

// revocations reads lists and checks that one of the roots signed each.
func revocations(path string, cas []*x509.Certificate) (lists []revocation, err error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read revocation lists: %w", err)
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		l, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read revocation lists from %s: %w", path, err)
		}
		signed := false
		for _, ca := range cas {
			signed = signed || l.CheckSignatureFrom(ca) == nil
		}
		if !signed {
			return nil, fmt.Errorf("read revocation lists from %s: none of the client CAs signed that of %q", path, l.Issuer)
		}
		r := revocation{issuer: l.RawIssuer, serials: map[string]bool{}, next: l.NextUpdate}
		for _, e := range l.RevokedCertificateEntries {
			r.serials[e.SerialNumber.String()] = true
		}
		lists = append(lists, r)
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("read revocation lists: %s holds none in PEM", path)
	}
	return lists, nil
}

// checkChains refuses a client's certificate that has no chain of strong keys in which nothing is revoked. Go has
// checked the rest.
func checkChains(chains [][]*x509.Certificate, lists []revocation, now time.Time) error {
	var err error
	for _, chain := range chains {
		if err = checkChain(chain, lists, now); err == nil {
			return nil
		}
	}
	return err // nil without chains: there was no certificate, and none was demanded
}

func checkChain(chain []*x509.Certificate, lists []revocation, now time.Time) error {
	for _, c := range chain {
		switch k := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if k.N.BitLen() < 2048 {
				return fmt.Errorf("the RSA key of %q has %d bits: at least 2048 are needed", c.Subject, k.N.BitLen())
			}
		case *ecdsa.PublicKey:
			if k.Curve.Params().BitSize < 256 {
				return fmt.Errorf("the key of %q is on the curve %s: at least 256 bits are needed", c.Subject, k.Curve.Params().Name)
			}
		}
		for _, l := range lists {
			if string(l.issuer) != string(c.RawIssuer) {
				continue
			}
			if l.serials[c.SerialNumber.String()] {
				return fmt.Errorf("the certificate of %q was revoked", c.Subject)
			}
			if !l.next.IsZero() && now.After(l.next) {
				return fmt.Errorf("the revocation list of %q ended at %s: fetch a new one, it is used at once", c.Issuer, l.next.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
}
