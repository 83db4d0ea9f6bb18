package gateway

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFloodsOfCertificatesAreRefused: chains that are long, or that have very many ways to be built, end with an alert,
// and who comes with a good certificate meanwhile comes in.
func TestFloodsOfCertificatesAreRefused(t *testing.T) {
	ca, foreign := newAuthority(t, "root"), newAuthority(t, "foreign")
	m := newMemory("t")
	s := serve(t, mutual(t, ca, ""), m, m)
	good := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	healthy := newClient(t, s.addr, kgo.DialTLSConfig(clientTLS(ca, &good)))
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	say := func() {
		t.Helper()
		if err := healthy.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatalf("a healthy client: %v", err)
		}
	}
	say()

	long := foreign.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	last := foreign
	for range 50 {
		last = last.between("deeper", nil)
		long.chain = append(long.chain, last.cert)
	}
	// Every one of them may have signed the leaf and each other, by name and key: the ways to build a chain multiply.
	maze := foreign.between("maze", nil)
	lost := maze.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	for range 60 {
		again := &authority{t: t, key: maze.key, cert: maze.cert, next: 9000}
		lost.chain = append(lost.chain, again.sign(&x509.Certificate{
			Subject: maze.cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}, maze.key.Public(), maze.cert, maze.key))
	}
	many := foreign.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	for range 2000 {
		many.chain = append(many.chain, foreign.cert)
	}
	for name, id := range map[string]identity{"50 deep": long, "a maze of 60": lost, "2,000 times the same": many} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				if err := tlsHandshake(t, s.addr, clientTLS(ca, &id)); err == nil {
					t.Error("came in")
				}
			}
			say()
		})
	}
}
