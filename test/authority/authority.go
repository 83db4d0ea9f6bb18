// Package authority signs certificates for tests: good ones, and wrong ones on purpose.
//
//	ca := authority.New("brokers")
//	broker := ca.Issue(nil)                                                    // for 127.0.0.1
//	stale := ca.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
//
// Keys are small and certificates live for an hour. It panics where only a broken random source could be the cause.
//
// Stability: may change.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority signs certificates.
type Authority struct {
	PEM  string // its own certificate
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issued is a certificate with its key.
type Issued struct {
	TLS  tls.Certificate
	Cert string // PEM
	Key  string // PEM, PKCS8
}

// New makes an authority of that name.
func New(name string) *Authority {
	a := &Authority{key: newKey()}
	tmpl := template(name)
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key))
	a.Cert = must(x509.ParseCertificate(der))
	a.PEM = block("CERTIFICATE", der)
	return a
}

// Pool returns a pool that holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// Issue signs a certificate with the subject CN=broker for 127.0.0.1 and localhost, for servers and clients alike, as
// edit changes it; edit may be nil.
func (a *Authority) Issue(edit func(*x509.Certificate)) Issued {
	tmpl := template("broker")
	tmpl.IPAddresses, tmpl.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if edit != nil {
		edit(tmpl)
	}
	key := newKey()
	der := must(x509.CreateCertificate(rand.Reader, tmpl, a.Cert, &key.PublicKey, a.key))
	i := Issued{Cert: block("CERTIFICATE", der), Key: block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))}
	i.TLS = must(tls.X509KeyPair([]byte(i.Cert), []byte(i.Key)))
	return i
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("make a certificate for a test: %v", err))
	}
	return v
}
