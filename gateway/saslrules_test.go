package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

// TestNothingIsHeardBeforeALogin asks for every version of every API first.
func TestNothingIsHeardBeforeALogin(t *testing.T) {
	m := newMemory("t")
	cfg := withLogins(t)
	cfg.Logger = nil
	s := serve(t, cfg, m, m)
	for key := range int16(kmsg.MaxKey + 1) {
		q := kmsg.RequestForKey(key)
		if q == nil {
			continue
		}
		for version := range q.MaxVersion() + 1 {
			if key == keyAPIVersions || key == keySASLHandshake && version <= 1 || key == keySASLAuthenticate && version <= 2 {
				continue
			}
			q.SetVersion(version)
			p := dial(t, s.addr)
			p.send(frame(1, q))
			p.closed()
			p.nc.Close()
		}
	}
	p := dial(t, s.addr)
	p.send(frame(1, produceOf(9, -1, "t", 0)))
	p.closed()
	if m.records("t") != 0 {
		t.Error("somebody wrote without a login")
	}
}

// TestHostileFramesBeforeALogin: each ends its connection and nothing else, in little memory.
func TestHostileFramesBeforeALogin(t *testing.T) {
	size := func(n uint32, rest ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), rest...) }
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	begin := frame(1, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "PLAIN"})
	scramFirst := frame(1, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "SCRAM-SHA-256"})
	raw := frame(1, &kmsg.SASLHandshakeRequest{Version: 0, Mechanism: "PLAIN"})
	token := func(version int16, b []byte) []byte {
		return frame(2, &kmsg.SASLAuthenticateRequest{Version: version, SASLAuthBytes: b})
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		log   string
	}{
		{"one byte more than a login may have", append(size(maxEarlyFrame+1), make([]byte, 100)...), "no login is as long"},
		{"as long as a produce may be", size(100<<20, 0, 0, 0, 9), "no login is as long"},
		{"as long as can be said", size(0x7fffffff), "no login is as long"},
		{"a negative length", size(0xffffffff), "not a frame"},
		{"a length of 3", size(3, 0, 0, 0), "not a frame"},
		{"no header", size(4, 0, 18, 0, 0), "header"},
		{"a metadata request", frame(1, metadataOf(9, true, "t")), "did not log in"},
		{"a produce request", frame(1, produceOf(9, -1, "t", 0)), "did not log in"},
		{"an API that does not exist", size(10, 0x7f, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff), "did not log in"},
		{"tags beyond the end of apiversions", framed(18, 3, append([]byte{1, 1}, huge...)...), "tagged fields"},
		{"a mechanism beyond the end", framed(17, 1, 0x7f, 0xff), "beyond the end"},
		{"no mechanism", framed(17, 1, 0xff, 0xff), "null"},
		{"bytes after the mechanism", framed(17, 1, 0, 1, 'x', 0), "left over"},
		{"an unknown mechanism", frame(1, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "GSSAPI"}), "not offered"},
		{"an empty mechanism", frame(1, &kmsg.SASLHandshakeRequest{Version: 1}), "not offered"},
		{"a mechanism in small letters", frame(1, &kmsg.SASLHandshakeRequest{Version: 1, Mechanism: "plain"}), "not offered"},
		{"a token before a mechanism", token(1, []byte("\x00alice\x00alices-secret")), "did not begin"},
		{"a token without a request around it", size(20, []byte("\x00alice\x00alices-secret")...), "header"},
		{"a null token", append(begin, framed(36, 1, 0xff, 0xff, 0xff, 0xff)...), "login refused"},
		{"a token beyond the end", append(begin, framed(36, 1, 0x7f, 0xff, 0xff, 0xff)...), "beyond the end"},
		{"a flexible token beyond the end", append(begin, framed(36, 2, huge...)...), "beyond the end"},
		{"as many tags as there are numbers", append(begin, framed(36, 2, append([]byte{1}, huge...)...)...), "tagged fields"},
		{"an empty token", append(begin, token(2, []byte{})...), "login refused"},
		{"a token of zeros", append(begin, token(2, make([]byte, 60_000))...), "too long"},
		{"a token of many zeros in the right size", append(begin, token(2, make([]byte, 4_000))...), "login refused"},
		{"a login that goes on after its end", bytes.Join([][]byte{begin, token(2, []byte("\x00alice\x00x")), token(2, []byte("\x00alice\x00alices-secret"))}, nil), "wrong password"},
		{"a produce in the middle of a login", append(scramFirst, frame(2, produceOf(9, -1, "t", 0))...), "did not log in"},
		{"a bare token of another protocol", append(raw, "\x00\x00\x00\x0aGET / HTTP"...), "login refused"},
		{"a bare token in a request", append(raw, token(1, []byte("\x00alice\x00alices-secret"))...), "login refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory("t")
			var log text
			cfg := withLogins(t)
			cfg.Logger = logTo(&log)
			s := serve(t, cfg, m, m)
			p := dial(t, s.addr)
			p.send(c.bytes)
			if _, err := io.Copy(io.Discard, p.nc); err != nil { // answers, then the end
				t.Fatal(err)
			}
			log.says(t, c.log)
			if strings.Contains(log.String(), "alices-secret") {
				t.Errorf("the log shows the password: %s", log.String())
			}
			if m.records("t") != 0 || s.Stats().Logins[Login{"PLAIN", "ok"}] != 0 {
				t.Error("somebody came in")
			}
		})
	}
}

func TestLoginsOfLongAgoComeInToo(t *testing.T) {
	m := newMemory("t")
	s := serve(t, withLogins(t), m, m)
	p := dial(t, s.addr)
	if r := p.handshake(0, "PLAIN"); r.ErrorCode != 0 || len(r.SupportedMechanisms) != 3 {
		t.Fatalf("%+v", r)
	}
	bare := func(b string) { p.send(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)) }
	bare("\x00alice\x00alices-secret")
	var size [4]byte
	if _, err := io.ReadFull(p.nc, size[:]); err != nil || size != [4]byte{} {
		t.Fatalf("%v %v", size, err)
	}
	p.ask(metadataOf(1, false, "t"), described(1))

	p = dial(t, s.addr)
	p.handshake(0, "PLAIN")
	bare("\x00alice\x00wrong")
	p.closed() // there is no place for words
}

func TestAWrongMechanismIsToldWhichThereAre(t *testing.T) {
	m := newMemory("t")
	s := serve(t, withLogins(t), m, m)
	p := dial(t, s.addr)
	if r := p.handshake(1, "GSSAPI"); r.ErrorCode != codeUnsupportedMechanism || strings.Join(r.SupportedMechanisms, " ") != "SCRAM-SHA-512 SCRAM-SHA-256 PLAIN" {
		t.Errorf("%+v", r)
	}
	p.closed()
	// Where there are no logins, a client that wants one learns that from the answer.
	open := serve(t, Config{}, m, m)
	p = dial(t, open.addr)
	if r := p.handshake(1, "PLAIN"); r.ErrorCode != codeIllegalSASLState || len(r.SupportedMechanisms) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestALoginEndsAndIsRenewedOnTheSameConnection is KIP-368.
func TestALoginEndsAndIsRenewedOnTheSameConnection(t *testing.T) {
	m := newMemory("t")
	cfg := withLogins(t)
	now := newClock()
	cfg.SessionLifetime, cfg.Now = time.Hour, now.time
	s := serve(t, cfg, m, m)
	p := dial(t, s.addr)
	if r := p.authenticate("alice", "alices-secret"); r.ErrorCode != 0 || r.SessionLifetimeMillis != time.Hour.Milliseconds() {
		t.Fatalf("%+v", r)
	}
	p.ask(metadataOf(9, false, "t"), described(9))
	now.add(50 * time.Minute)
	p.login("alice", "alices-secret")
	now.add(50 * time.Minute)
	p.ask(metadataOf(9, false, "t"), described(9))
	now.add(20 * time.Minute)
	p.login("alice", "alices-secret") // late, but before anything else
	p.ask(metadataOf(9, false, "t"), described(9))
	now.add(61 * time.Minute)
	p.send(frame(1, metadataOf(9, false, "t")))
	p.closed()
	if s.Stats().Cut[cutExpired] != 1 {
		t.Errorf("cut %v", s.Stats().Cut)
	}

	// Who a connection belongs to does not change, nor how that was shown.
	p = dial(t, s.addr)
	p.login("alice", "alices-secret")
	if r := p.authenticate("bob", "bobs-secret"); r.ErrorCode != codeAuthenticationFailed || !strings.Contains(*r.ErrorMessage, "cannot change its user") {
		t.Errorf("%+v", r)
	}
	p.closed()
	p = dial(t, s.addr)
	p.login("alice", "alices-secret")
	if r := p.handshake(1, "SCRAM-SHA-256"); r.ErrorCode != codeIllegalSASLState {
		t.Errorf("%+v", r)
	}
	p.closed()
	// A renewal with a wrong password ends the connection.
	p = dial(t, s.addr)
	p.login("alice", "alices-secret")
	if r := p.authenticate("alice", "wrong"); r.ErrorCode != codeAuthenticationFailed {
		t.Errorf("%+v", r)
	}
	p.closed()
}

func TestFranzGoRenewsItsLoginWithTokens(t *testing.T) {
	key := newKey(t)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := func(subject string, life time.Duration) string {
		b, _ := json.Marshal(map[string]any{"iss": "i", "aud": "streamdown", "sub": subject, "exp": time.Now().Add(life).Unix()})
		signed, err := signer.Sign(b)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	a := authorityOf(t, auth.Config{
		Mechanisms: []auth.Mechanism{auth.OAuthBearer}, Users: []auth.User{{Name: "alice", Topics: []streamdown.Glob{"*"}}},
		OAuth: &auth.OAuth{Issuer: "i", Audience: []string{"streamdown"}, Keys: write(t, filepath.Join(t.TempDir(), "keys.json"), set)},
	})
	m := newMemory("t")
	s := serve(t, Config{SASL: []auth.Mechanism{auth.OAuthBearer}, Auth: a}, m, m)
	cl := newClient(t, s.addr, kgo.SASL(oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		return oauth.Auth{Token: token("alice", 3*time.Second)}, nil
	})))
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	defer cancel()
	// The client writes until it has logged in again on a connection that it has.
	eventually(t, "the login is renewed", func() bool {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		st := s.Stats()
		return st.Logins[Login{"OAUTHBEARER", "ok"}] > st.Accepted
	})
	bad := newClient(t, s.addr, kgo.SASL(oauth.Auth{Token: token("alice", -time.Hour)}.AsMechanism()))
	if err := bad.Ping(ctx); err == nil || !strings.Contains(err.Error(), "expired at") {
		t.Errorf("an expired token: %v", err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("too late")
	}
}
