package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	next int64
}

// identity is a certificate with its key and what stands between it and the root.
type identity struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain []*x509.Certificate
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, a.key.Public(), nil, a.key)
	return a
}

func (a *authority) sign(c *x509.Certificate, key crypto.PublicKey, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	a.t.Helper()
	a.next++
	c.SerialNumber = big.NewInt(a.next)
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed
}

// issue gives a certificate; change may spoil it before it is signed.
func (a *authority) issue(name string, usage x509.ExtKeyUsage, change func(*x509.Certificate)) identity {
	a.t.Helper()
	return a.issueFor(newKey(a.t), name, usage, change)
}

func (a *authority) issueFor(key crypto.Signer, name string, usage x509.ExtKeyUsage, change func(*x509.Certificate)) identity {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	if change != nil {
		change(c)
	}
	return identity{cert: a.sign(c, key.Public(), a.cert, a.key), key: key}
}

// between gives an authority that this one signed.
func (a *authority) between(name string, change func(*x509.Certificate)) *authority {
	a.t.Helper()
	b := &authority{t: a.t, key: newKey(a.t), next: 1000}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(c)
	}
	b.cert = a.sign(c, b.key.Public(), a.cert, a.key)
	return b
}

func pemOf(kind string, ders ...[]byte) (out []byte) {
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return out
}

func write(t testing.TB, path string, b []byte) string {
	t.Helper()
	// As a careful operator does it: a new file takes the place of the old one.
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// files writes certificate and key.
func (i identity) files(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	ders := [][]byte{i.cert.Raw}
	for _, c := range i.chain {
		ders = append(ders, c.Raw)
	}
	return write(t, filepath.Join(dir, "tls.crt"), pemOf("CERTIFICATE", ders...)), write(t, filepath.Join(dir, "tls.key"), pemOf("PRIVATE KEY", der))
}

func (i identity) tls() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, between := range i.chain {
		c.Certificate = append(c.Certificate, between.Raw)
	}
	return c
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// forServer is a certificate for 127.0.0.1 and localhost.
func (a *authority) forServer() identity {
	return a.issue("gateway", x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) {
		c.IPAddresses, c.DNSNames = loopbackIPs, []string{"localhost"}
	})
}
