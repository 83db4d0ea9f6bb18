package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streamdown/streamdown"
	pki "github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/budget"
	"github.com/streamdown/streamdown/test/hostile"
)

// FuzzSASL plays two messages of each mechanism: nobody comes in without a password, and no message costs more than it
// is worth.
func FuzzSASL(f *testing.F) {
	i := newIssuer(f)
	token := i.sign("ec", good(claims{"sub": "mallory"}))
	for m := range byte(4) {
		f.Add(m, []byte(rfcFirst), []byte(rfcFinal))
		f.Add(m, []byte("n,a=user,n=us=2Cer,r=x,m=y"), []byte("c=biws,r=x,p="))
		f.Add(m, []byte("\x00user\x00pencil"), []byte{})
		f.Add(m, []byte("n,,\x01auth=Bearer "+token+"\x01\x01"), []byte("\x01"))
		f.Add(m, []byte("n,,\x01auth=Bearer e30.e30.e30\x01a=b\x01\x01"), []byte(nil))
		f.Add(m, make([]byte, maxToken), make([]byte, maxToken))
	}
	for n, message := range hostile.Tokens() {
		f.Add(byte(n%4), []byte(message), []byte(rfcFinal))
	}
	a := believing(f, OAuth{Keys: i.file()}, nil, nil)
	c := Config{
		Mechanisms: SASL, Users: []User{{Name: "user", Password: streamdown.NewSecret("correct horse battery staple")}, {Name: "alice"}},
		OAuth: &a.table.Load().oauth.oauth,
	}
	if err := a.Update(c); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, mechanism byte, first, second []byte) {
		budget.Check(t, len(first)+len(second), func() {
			e, ok := a.Begin(SASL[int(mechanism)%len(SASL)])
			if !ok {
				t.Fatal("not offered")
			}
			for _, message := range [][]byte{first, second} {
				reply, who, err := e.Step(context.Background(), message)
				if who != nil {
					t.Fatalf("%q came in as %s", message, who.Name)
				}
				if err != nil && reply != nil {
					t.Fatal("an answer beside a refusal")
				}
			}
		})
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(rfcStored)
	f.Fuzz(func(t *testing.T, text string) {
		budget.Check(t, len(text), func() {
			if v, err := ParseVerifier(text); err == nil && v.Iterations > MaxIterations {
				t.Fatal("a verifier that costs too much")
			}
		})
	})
}

func FuzzMappingRules(f *testing.F) {
	f.Add("RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1@$2/L,DEFAULT", "CN=a,OU=b,O=c")
	f.Add(`RULE:a\/b/c\/d/U, RULE:(x+x+)+y/$9/`, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	f.Fuzz(func(t *testing.T, rules, name string) {
		r, err := ParseRules(rules)
		if err != nil {
			return
		}
		if again, err := ParseRules(r.String()); err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q: %v", rules, r, err)
		}
		r.apply(name)
	})
}

// FuzzClientHello gives whatever bytes to our end of a TLS handshake: it ends, nobody has shaken hands, and no input costs
// more than it is worth.
func FuzzClientHello(f *testing.F) {
	ca := pki.New("root")
	dir := f.TempDir()
	put := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
		return file
	}
	own := ca.Issue(nil)
	files, err := OpenTLS(TLS{
		Cert: put("tls.crt", own.Cert), Key: put("tls.key", own.Key), ClientCA: put("ca.pem", ca.PEM), ClientAuth: ClientCertRequired,
	}, "listen.kafka", slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	for _, i := range hostile.Seeds(hostile.Encrypted) {
		f.Add(i.Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Half a handshake allocates some 100 KiB, whatever began it.
		budget.Allow(t, 512<<10+16*uint64(len(b)), func() {
			if tls.Server(script{bytes.NewReader(b)}, files.Config()).Handshake() == nil {
				t.Fatal("hands were shaken without a certificate")
			}
		})
	})
}

// script is a peer who says what was written down, whatever it hears.
type script struct{ io.Reader }

func (script) Write(b []byte) (int, error)      { return len(b), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }
