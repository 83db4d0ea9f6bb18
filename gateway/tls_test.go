package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

// mutual is a config that wants client certificates of ca; user "orders" may write to t.
func mutual(t testing.TB, ca *authority, revoked string) Config {
	t.Helper()
	dir := t.TempDir()
	cert, key := ca.forServer().files(t, dir)
	rules, err := auth.ParseRules("RULE:^CN=([^,]+).*$/$1/,DEFAULT")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		TLS: &auth.TLS{
			Cert: cert, Key: key, ClientCA: write(t, filepath.Join(dir, "ca.pem"), pemOf("CERTIFICATE", ca.cert.Raw)),
			ClientAuth: auth.ClientCertRequired, Revoked: revoked,
		},
		Auth: authorityOf(t, auth.Config{
			Users: []auth.User{{Name: "orders", Topics: []streamdown.Glob{"t"}}}, Certificates: auth.Mapping{Rules: rules},
		}),
	}
}

func clientTLS(ca *authority, id *identity) *tls.Config {
	c := &tls.Config{RootCAs: pool(ca.cert), ServerName: "localhost"}
	if id != nil {
		// Go would keep back a certificate that no root of the server's signed.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own := id.tls()
			return &own, nil
		}
	}
	return c
}

func TestACertificateIsALogin(t *testing.T) {
	ca := newAuthority(t, "root")
	m := newMemory("t", "secret")
	s := serve(t, mutual(t, ca, ""), m, m)
	between := ca.between("between", nil)
	deep := between.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	deep.chain = []*x509.Certificate{between.cert}
	direct := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	strong := ca.issueFor(rsaKey(t, 2048), "orders", x509.ExtKeyUsageClientAuth, nil)
	for name, id := range map[string]identity{"direct": direct, "with one between": deep, "rsa": strong} {
		t.Run(name, func(t *testing.T) {
			before := m.records("t")
			produceAll(t, s.addr, "t", 10, kgo.DialTLSConfig(clientTLS(ca, &id)))
			if m.records("t") != before+10 {
				t.Errorf("%d records", m.records("t"))
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	cl := newClient(t, s.addr, kgo.DialTLSConfig(clientTLS(ca, &direct)))
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "secret", Value: []byte("v")}).FirstErr(); err == nil {
		t.Error("written where it is not allowed")
	}
	if s.Stats().Users["orders"] == 0 {
		t.Errorf("users %v", s.Stats().Users)
	}
	// Whose certificate is good and who is not in the config hears so at every topic.
	stranger := ca.issue("nobody", x509.ExtKeyUsageClientAuth, nil)
	other := newClient(t, s.addr, kgo.DialTLSConfig(clientTLS(ca, &stranger)))
	if err := other.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err == nil || !strings.Contains(err.Error(), "Authorization") && !strings.Contains(err.Error(), "AUTHORIZATION") {
		t.Errorf("a certificate without a user: %v", err)
	}
}

// handshake speaks TLS and then asks for the versions: with TLS 1.3 a refused client learns it only when it reads.
func tlsHandshake(t *testing.T, addr string, c *tls.Config) error {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(testTime))
	conn := tls.Client(nc, c)
	if err := conn.Handshake(); err != nil {
		return err
	}
	if _, err := conn.Write(frame(1, kmsg.NewPtrApiVersionsRequest())); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 4))
	return err
}

// TestBadCertificatesAreRefused has the twelve of the issue, each with a twin that differs only in what is bad.
func TestBadCertificatesAreRefused(t *testing.T) {
	ca, foreign := newAuthority(t, "root"), newAuthority(t, "root") // of the same name
	client := func(change func(*x509.Certificate)) *identity {
		id := ca.issue("orders", x509.ExtKeyUsageClientAuth, change)
		return &id
	}
	good := client(nil)
	revokedID := client(nil)
	list, err := x509.CreateRevocationList(nil, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revokedID.cert.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)}},
	}, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	revoked := write(t, filepath.Join(t.TempDir(), "revoked.pem"), pemOf("X509 CRL", list))

	other := foreign.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	self := &authority{t: t, key: newKey(t)}
	selfSigned := identity{key: self.key}
	selfSigned.cert = self.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "orders"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, self.key.Public(), nil, self.key)
	server := ca.issue("orders", x509.ExtKeyUsageServerAuth, nil)
	weak := ca.issueFor(rsaKey(t, 1024), "orders", x509.ExtKeyUsageClientAuth, nil)
	between := ca.between("between", nil)
	missing := between.issue("orders", x509.ExtKeyUsageClientAuth, nil) // without what is between
	limited := ca.between("limited", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"acme.example"}
		c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
	})
	named := func(change func(*x509.Certificate)) *identity {
		id := limited.issue("orders", x509.ExtKeyUsageClientAuth, change)
		id.chain = []*x509.Certificate{limited.cert}
		return &id
	}
	leafAsCA := &authority{t: t, cert: good.cert, key: good.key, next: 5000}
	below := leafAsCA.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	below.chain = []*x509.Certificate{good.cert}

	for _, c := range []struct {
		name   string
		id     *identity
		change func(*tls.Config)
		log    string // "" = must come in
	}{
		{"good", good, nil, ""},
		{"expired", client(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
		}), nil, "expired or is not yet valid"},
		{"not yet valid", client(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), nil, "expired or is not yet valid"},
		{"a name that its CA may not give", named(func(c *x509.Certificate) { c.DNSNames = []string{"evil.example"} }), nil, "not permitted"},
		{"a name that it may give", named(func(c *x509.Certificate) { c.DNSNames = []string{"orders.acme.example"} }), nil, ""},
		{"an address that its CA may not give", named(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }), nil, "not permitted"},
		{"an address that it may give", named(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 1, 2, 3)} }), nil, ""},
		{"another CA of the same name", &other, nil, "unknown authority"},
		{"made for servers", &server, nil, "incompatible key usage"},
		{"a weak key", &weak, nil, "1024"},
		{"revoked", revokedID, nil, "revoked"},
		{"the chain is missing", &missing, nil, "unknown authority"},
		{"signed by one who is no CA", &below, nil, "unknown authority"},
		{"self-signed", &selfSigned, nil, "unknown authority"},
		{"none", nil, nil, "didn't provide a certificate"},
		{"TLS 1.0", good, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }, "unsupported versions"},
		{"TLS 1.1", good, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "unsupported versions"},
		{"TLS 1.2", good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
		{"another protocol within TLS", good, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "protocol"},
		{"a weak cipher suite", good, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
		}, "no cipher suite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log text
			cfg := mutual(t, ca, revoked)
			cfg.Logger = logTo(&log)
			m := newMemory("t")
			s := serve(t, cfg, m, m)
			tc := clientTLS(ca, c.id)
			if c.change != nil {
				c.change(tc)
			}
			err := tlsHandshake(t, s.addr, tc)
			if c.log == "" {
				if err != nil {
					t.Errorf("refused: %v; %s", err, log.String())
				}
				return
			}
			if err == nil {
				t.Fatal("comes in")
			}
			eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), c.log) && strings.Contains(log.String(), "try=") })
			if s.Stats().Cut[cutHandshake] != 1 {
				t.Errorf("cut %v", s.Stats().Cut)
			}
		})
	}
}

func TestARenegotiationIsRefused(t *testing.T) {
	ca := newAuthority(t, "root")
	id := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	m := newMemory("t")
	s := serve(t, mutual(t, ca, ""), m, m)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(testTime))
	c := clientTLS(ca, &id)
	c.MaxVersion = tls.VersionTLS12
	conn := tls.Client(nc, c)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	// Go's client cannot begin one. A record of the handshake's type, whatever is in it, is how one would begin.
	if _, err := nc.Write([]byte{22, 3, 3, 0, 4, 1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err == nil {
		t.Error("the connection ends as if nothing had happened")
	}
}

func TestChangedFilesAreUsedAtOnce(t *testing.T) {
	ca, next := newAuthority(t, "root"), newAuthority(t, "next root")
	var log text
	cfg := mutual(t, ca, "")
	cfg.Logger = logTo(&log)
	m := newMemory("t")
	s := serve(t, cfg, m, m)
	old, fresh := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil), next.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	comes := func(root *authority, id *identity) bool { return tlsHandshake(t, s.addr, clientTLS(root, id)) == nil }
	if !comes(ca, &old) || comes(ca, &fresh) {
		t.Fatal("the first files are not those in use")
	}
	open, err := tls.Dial("tcp", s.addr, clientTLS(ca, &old))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	// Half of what belongs together does not count.
	dir := filepath.Dir(cfg.TLS.Cert)
	key, err := os.ReadFile(cfg.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	replacement := next.forServer()
	replacement.files(t, dir)
	newKey, err := os.ReadFile(cfg.TLS.Key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, cfg.TLS.Key, key)
	eventually(t, "the pair that does not fit is noticed", func() bool {
		return comes(ca, &old) && strings.Contains(log.String(), "are not used")
	})
	write(t, cfg.TLS.Key, newKey)
	write(t, cfg.TLS.ClientCA, pemOf("CERTIFICATE", next.cert.Raw))
	eventually(t, "the new files are in use", func() bool { return comes(next, &fresh) && !comes(next, &old) })
	if _, err := open.Write(frame(1, kmsg.NewPtrApiVersionsRequest())); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Read(make([]byte, 4)); err != nil {
		t.Errorf("a connection that was open ends: %v", err)
	}
	if err := os.Remove(cfg.TLS.Cert); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a missing file is noticed", func() bool {
		return comes(next, &fresh) && strings.Contains(log.String(), "no such file")
	})
}

// TestAnOldRevocationListLetsNobodyIn, because who was revoked since is not known.
func TestAnOldRevocationListLetsNobodyIn(t *testing.T) {
	ca := newAuthority(t, "root")
	id := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	path := filepath.Join(t.TempDir(), "revoked.pem")
	issue := func(until time.Time) {
		list, err := x509.CreateRevocationList(nil, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: until}, ca.cert, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, pemOf("X509 CRL", list))
	}
	issue(time.Now().Add(-time.Hour))
	m := newMemory("t")
	s := serve(t, mutual(t, ca, path), m, m)
	if tlsHandshake(t, s.addr, clientTLS(ca, &id)) == nil {
		t.Error("comes in")
	}
	issue(time.Now().Add(time.Hour))
	eventually(t, "a new list is in use", func() bool { return tlsHandshake(t, s.addr, clientTLS(ca, &id)) == nil })
}

func TestStrangersAreNamedAndAnswered(t *testing.T) {
	ca := newAuthority(t, "root")
	cert, key := ca.forServer().files(t, t.TempDir())
	hello := func(nc net.Conn) error {
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake() //nolint:gosec // it is refused before any certificate
	}
	get := func(nc net.Conn) (int, string) {
		if _, err := io.WriteString(nc, "GET /topics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	for _, logins := range []bool{false, true} {
		for _, encrypted := range []bool{false, true} {
			var log text
			cfg := Config{}
			if logins {
				cfg = withLogins(t)
			}
			if cfg.Logger = logTo(&log); encrypted {
				cfg.TLS = &auth.TLS{Cert: cert, Key: key}
			}
			m := newMemory("t")
			s := serve(t, cfg, m, m)
			if code, body := get(dial(t, s.addr).nc); code != 400 || !strings.Contains(body, "Kafka") {
				t.Errorf("HTTP: %d %q", code, body)
			}
			log.says(t, "HTTP")
			if encrypted {
				p := dial(t, s.addr)
				p.send(frame(1, kmsg.NewPtrApiVersionsRequest()))
				p.closed()
				log.says(t, "Kafka protocol without TLS", "SSL or SASL_SSL")
				within := tls.Client(dial(t, s.addr).nc, &tls.Config{RootCAs: pool(ca.cert), ServerName: "localhost"})
				if code, body := get(within); code != 400 || !strings.Contains(body, "Kafka") {
					t.Errorf("HTTP within TLS: %d %q", code, body)
				}
				continue
			}
			if err := hello(dial(t, s.addr).nc); err == nil || !strings.Contains(err.Error(), "handshake failure") {
				t.Errorf("TLS: %v", err)
			}
			log.says(t, "TLS ClientHello")
		}
	}
}
