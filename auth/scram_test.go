package auth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown"
)

func authority(t testing.TB, c Config) *Authority {
	t.Helper()
	if c.Mechanisms == nil {
		c.Mechanisms = []Mechanism{Plain, SCRAM256, SCRAM512}
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verifiers(t testing.TB, password string, iterations int) []Verifier {
	t.Helper()
	var list []Verifier
	for _, m := range []Mechanism{SCRAM256, SCRAM512} {
		v, err := NewVerifier(m, password, iterations)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// exchange runs a client's own implementation against ours.
func exchange(a *Authority, client sasl.Mechanism) (*Principal, error) {
	e, ok := a.Begin(Mechanism(client.Name()))
	if !ok {
		return nil, errors.New("not offered")
	}
	session, message, err := client.Authenticate(context.Background(), "host")
	if err != nil {
		return nil, err
	}
	for {
		reply, who, err := e.Step(context.Background(), message)
		if err != nil {
			return nil, err
		}
		done, next, err := session.Challenge(reply)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the client refuses our answer: %w", err)
		case who != nil && !done:
			return nil, errors.New("the client is not done")
		case who != nil:
			return who, nil
		}
		message = next
	}
}

func clients(user, password string) []sasl.Mechanism {
	s := scram.Auth{User: user, Pass: password}
	return []sasl.Mechanism{plain.Auth{User: user, Pass: password}.AsMechanism(), s.AsSha256Mechanism(), s.AsSha512Mechanism()}
}

func TestWhoKnowsThePasswordComesInAndNobodyElse(t *testing.T) {
	const odd = `a,b=c "ü€" \`
	a := authority(t, Config{Users: []User{
		{Name: "alice", Password: streamdown.NewSecret("pencil")},
		{Name: "bob", SCRAM: verifiers(t, "crayon", 8192)},
		{Name: odd, Password: streamdown.NewSecret(odd)},
		{Name: "certificate-only"},
	}})
	for _, c := range []struct {
		user, password string
		want           Reason // "" = comes in
	}{
		{"alice", "pencil", ""}, {"bob", "crayon", ""}, {"bob", "crayon", ""}, {odd, odd, ""},
		{"alice", "pencil ", WrongPassword}, {"alice", "Pencil", WrongPassword}, {"alice", "crayon", WrongPassword},
		{"bob", "pencil", WrongPassword}, {"bob", "crayons", WrongPassword},
		{"Alice", "pencil", UnknownUser}, {"carol", "pencil", UnknownUser}, {"alice ", "pencil", UnknownUser},
		{"certificate-only", "pencil", NoVerifier},
	} {
		for _, client := range clients(c.user, c.password) {
			who, err := exchange(a, client)
			var r *Refusal
			switch {
			case c.want == "" && (err != nil || who.Name != c.user || who.Mechanism != Mechanism(client.Name())):
				t.Errorf("%s %q %q: %v, %v", client.Name(), c.user, c.password, who, err)
			case c.want != "" && (!errors.As(err, &r) || r.Reason != c.want || r.User != c.user):
				t.Errorf("%s %q %q: %v, %v, want %s", client.Name(), c.user, c.password, who, err, c.want)
			case c.want != "" && r.Say != wrong(Mechanism(client.Name()), "", "", "").Say:
				t.Errorf("%s %q: the client can tell: %q", client.Name(), c.user, r.Say)
			}
		}
	}
}

func TestOneMechanismsVerifierIsNoOthers(t *testing.T) {
	a := authority(t, Config{Users: []User{{Name: "bob", SCRAM: verifiers(t, "crayon", MinIterations)[:1]}}})
	if _, err := exchange(a, scram.Auth{User: "bob", Pass: "crayon"}.AsSha256Mechanism()); err != nil {
		t.Error(err)
	}
	_, err := exchange(a, scram.Auth{User: "bob", Pass: "crayon"}.AsSha512Mechanism())
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != NoVerifier || !strings.Contains(r.Detail, "SCRAM-SHA-512") {
		t.Error(err)
	}
	a = authority(t, Config{Mechanisms: []Mechanism{SCRAM256}, Users: []User{{Name: "bob", Password: streamdown.NewSecret("crayon")}}})
	for _, m := range []Mechanism{Plain, SCRAM512, OAuthBearer, Certificate, "", "scram-sha-256", "GSSAPI"} {
		if _, ok := a.Begin(m); ok {
			t.Errorf("%q is offered", m)
		}
	}
}

// rfc7677 is the example of RFC 7677, section 3.
const (
	rfcFirst  = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcReply  = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcOver   = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	rfcNonce  = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcStored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

// rfcExchange is at the point of the RFC's client-final-message.
func rfcExchange(t testing.TB) *scramLogin {
	t.Helper()
	v, err := ParseVerifier(rfcStored)
	if err != nil {
		t.Fatal(err)
	}
	a := authority(t, Config{Users: []User{{Name: "user", SCRAM: []Verifier{v}}}})
	s := newScram(a.table.Load(), SCRAM256)
	s.makeNonce = func() string { return rfcNonce }
	return s
}

func TestTheExampleOfRFC7677(t *testing.T) {
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if v := derive(SCRAM256, "pencil", salt, 4096); v.Reveal() != rfcStored {
		t.Errorf("verifier %s", v.Reveal())
	}
	s := rfcExchange(t)
	reply, who, err := s.step([]byte(rfcFirst))
	if string(reply) != rfcReply || who != nil || err != nil {
		t.Fatalf("%s, %v, %v", reply, who, err)
	}
	reply, who, err = s.step([]byte(rfcFinal))
	if string(reply) != rfcOver || who == nil || who.Name != "user" || err != nil {
		t.Errorf("%s, %v, %v", reply, who, err)
	}
}

// TestEachByteOfAProofCounts changes every byte of the client's last message in every way.
func TestEachByteOfAProofCounts(t *testing.T) {
	for at := range len(rfcFinal) {
		for _, change := range []byte{1, 2, 0x20, 0x80} {
			s := rfcExchange(t)
			if _, _, err := s.step([]byte(rfcFirst)); err != nil {
				t.Fatal(err)
			}
			message := []byte(rfcFinal)
			message[at] ^= change
			if reply, who, err := s.step(message); err == nil || who != nil || reply != nil {
				t.Fatalf("%q comes in: %v, %q", message, who, reply)
			}
		}
	}
}

func TestMalformedSCRAMIsRefusedInWords(t *testing.T) {
	for message, want := range map[string]string{
		"": "too few fields", "n": "too few fields", "n,": "too few fields", "n,,": "no name", "n,,n=user": "no nonce",
		"n,,r=x,n=user": "no name", "p=tls-unique,,n=user,r=x": "channel binding", "x,,n=user,r=x": "n or y", "n,b=user,n=user,r=x": "authorization id is malformed",
		"n,a=other,n=user,r=x": "another name", "n,a=,n=user,r=x": "another name", "n,,m=x,n=user,r=x": "must be understood", "n,,n=,r=x": "empty",
		"n,,n=us=er,r=x": "badly escaped", "n,,n=us=2cer,r=x": "badly escaped", "n,,n=user=,r=x": "badly escaped", "n,,n=user,r=": "nonce",
		"n,,n=user,r=a b": "nonce", "n,,n=user,r=ä": "nonce", "n,,n=us\x00er,r=x": "not text", "n,,n=\xff,r=x": "not text",
		"n,,n=user,r=" + strings.Repeat("x", maxNonce+1): "nonce", "n,,n=" + strings.Repeat("x", 2*maxName+1) + ",r=x": "empty or badly",
		"n,,n=user,r=x,tokenauth=true": "delegation tokens",
	} {
		_, who, err := rfcExchange(t).step([]byte(message))
		if err == nil || who != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", message, who, err, want)
		}
	}
	for message, want := range map[string]string{
		"": "no proof", "p=x": "no proof", "c=biws,p=x": "no channel binding or no nonce",
		strings.Replace(rfcFinal, "biws", "eSws", 1):             "another than in the first",     // y,,
		strings.Replace(rfcFinal, "biws", "bixhPXVzZXIs", 1):     "another than in the first",     // n,a=user,
		strings.Replace(rfcFinal, rfcNonce, "", 1):               "nonce is another",              // the client's half alone
		strings.Replace(rfcFinal, "rOprNGfwEbeRWgbNEkqO", "", 1): "nonce is another",              // ours alone
		strings.Replace(rfcFinal, ",p=", ",m=x,p=", 1):           "must be understood",            //
		strings.Replace(rfcFinal, ",p=", ",x=y,p=", 1):           "wrong password",                // not signed
		rfcFinal[:len(rfcFinal)-4]:                               "not base64 of the hash's size", // short
		rfcFinal + "AAAA":                                        "not base64 of the hash's size", //
		strings.Replace(rfcFinal, "p=dHzb", "p=!!!!", 1):         "not base64 of the hash's size", //
		strings.Repeat("x", 100) + "\xff":                        "not text",                      //
	} {
		s := rfcExchange(t)
		if _, _, err := s.step([]byte(rfcFirst)); err != nil {
			t.Fatal(err)
		}
		if _, who, err := s.step([]byte(message)); err == nil || who != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", message, who, err, want)
		}
	}
}

// TestTheClientsHalfMayComeTwice as librdkafka sends it before 2.6.1; and no other mixture.
func TestTheClientsHalfMayComeTwice(t *testing.T) {
	const half = "rOprNGfwEbeRWgbNEkqO"
	v := rfcExchange(t).table.users["user"].verifiers[SCRAM256]
	for nonce, in := range map[string]bool{
		half + rfcNonce: true, half + half + rfcNonce: true, half + half + half + rfcNonce: false, half + rfcNonce + rfcNonce: false,
		rfcNonce + half: false, "x" + half + rfcNonce: false, half + "x" + rfcNonce: false, rfcNonce: false, half: false,
	} {
		s := rfcExchange(t)
		if _, _, err := s.step([]byte(rfcFirst)); err != nil {
			t.Fatal(err)
		}
		// The proof is right for what is sent.
		salted, _ := pbkdf2.Key(sha256.New, "pencil", v.salt, v.Iterations, sha256.Size)
		key := mac(sha256.New, salted, "Client Key")
		without := "c=biws,r=" + nonce
		for i, b := range mac(sha256.New, v.storedKey, s.auth+","+without) {
			key[i] ^= b
		}
		_, who, err := s.step([]byte(without + ",p=" + base64.StdEncoding.EncodeToString(key)))
		if in != (err == nil && who != nil) {
			t.Errorf("%q: %v, %v", nonce, who, err)
		}
	}
}

// TestARecordedLoginIsGoodOnce plays what was heard of a good login to new exchanges.
func TestARecordedLoginIsGoodOnce(t *testing.T) {
	a := authority(t, Config{Users: []User{{Name: "user", SCRAM: verifiers(t, "pencil", MinIterations)}}})
	client := scram.Auth{User: "user", Pass: "pencil"}.AsSha256Mechanism()
	e, _ := a.Begin(SCRAM256)
	session, first, err := client.Authenticate(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	reply, _, err := e.Step(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	_, final, err := session.Challenge(reply)
	if err != nil {
		t.Fatal(err)
	}
	if _, who, err := e.Step(t.Context(), final); err != nil || who == nil {
		t.Fatalf("the login itself: %v, %v", who, err)
	}
	if _, who, err := e.Step(t.Context(), final); err == nil || who != nil {
		t.Error("the same exchange takes it again")
	}
	for range 100 {
		e, _ := a.Begin(SCRAM256)
		if _, _, err := e.Step(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, who, err := e.Step(t.Context(), final); err == nil || who != nil {
			t.Fatal("a recorded login comes in")
		}
	}
}

// TestNobodyCanTellWhichUsersExist compares what is answered to names that exist and to names that do not.
func TestNobodyCanTellWhichUsersExist(t *testing.T) {
	var users []User
	for i := range 20 {
		users = append(users, User{Name: fmt.Sprintf("user%d", i), SCRAM: verifiers(t, "pencil", MinIterations<<(i%3))})
	}
	first := func(a *Authority, name string) string {
		e, _ := a.Begin(SCRAM256)
		reply, _, err := e.Step(t.Context(), []byte("n,,n="+name+",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(reply), ",s=")
		return rest
	}
	a, restarted := authority(t, Config{Users: users}), authority(t, Config{Users: users})
	iterations := map[string]int{}
	for i := range 300 {
		name := fmt.Sprintf("nobody%d", i)
		made := first(a, name)
		if made != first(a, name) || made != first(restarted, name) {
			t.Fatalf("%s gets another salt each time", name)
		}
		if strings.Index(made, ",") != len("W22ZaJ0SNY7soEsUEjb6gQ==") || made == first(a, name+"x") {
			t.Fatalf("%s: %s", name, made)
		}
		iterations[made[strings.Index(made, ",i="):]]++
	}
	if len(iterations) != 3 {
		t.Errorf("iterations of made-up verifiers: %v, want those that real ones have", iterations)
	}
	users[0].SCRAM = verifiers(t, "other", MinIterations)
	if first(a, "nobody") == first(authority(t, Config{Users: users}), "nobody") {
		t.Error("what is made up can be known without the users' secrets")
	}
}

func TestUsersSeeTheirTopicsOnly(t *testing.T) {
	c := Config{Users: []User{{Name: "a", Topics: []streamdown.Glob{"orders.*", "x?"}}, {Name: "all", Topics: []streamdown.Glob{"*"}}, {Name: "none"}}}
	a := authority(t, c)
	for _, x := range []struct {
		user, topic string
		want        bool
	}{
		{"a", "orders.eu", true}, {"a", "orders", false}, {"a", "xy", true}, {"a", "xyz", false}, {"a", "__orders.eu", false},
		{"all", "anything", true}, {"all", "__consumer_offsets", false}, {"none", "orders.eu", false}, {"", "orders.eu", false}, {"nobody", "x", false},
	} {
		if got := a.Allows(x.user, x.topic); got != x.want {
			t.Errorf("%q may write to %q: %t", x.user, x.topic, got)
		}
	}
	if a.AllowsAny("none") || a.AllowsAny("nobody") || !a.AllowsAny("a") || a.Knows("nobody") || !a.Knows("none") {
		t.Error("who exists, or may write at all, is mixed up")
	}
	c.Users = c.Users[:1]
	c.Users[0].Topics = nil
	if err := a.Update(c); err != nil {
		t.Fatal(err)
	}
	if a.Allows("a", "orders.eu") || a.Knows("all") {
		t.Error("a right outlives its config")
	}
	c.Users = append(c.Users, c.Users[0])
	if err := a.Update(c); err == nil || !strings.Contains(err.Error(), "twice") || !a.Knows("a") {
		t.Errorf("a bad config is taken: %v", err)
	}
}

func TestVerifiersAreReadAsTheyAreWritten(t *testing.T) {
	for _, v := range verifiers(t, "x", 5000) {
		again, err := ParseVerifier(v.Reveal())
		if err != nil || again.Reveal() != v.Reveal() || !again.fits("x") || again.fits("y") {
			t.Errorf("%v", err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 { // nothing that was changed passes for a verifier of another strength without notice
		b := []byte(rfcStored)
		b[rng.IntN(len(b))] = byte(rng.IntN(256))
		if v, err := ParseVerifier(string(b)); err == nil && v.Reveal() != string(b) {
			t.Errorf("%q is read as %q", b, v.Reveal())
		}
	}
	for text, want := range map[string]string{
		"": "is not SCRAM", "secret-word": "is not SCRAM", strings.Replace(rfcStored, "4096", "4095", 1): "4095 iterations",
		strings.Replace(rfcStored, "4096", "1000001", 1): "1000001 iterations", strings.Replace(rfcStored, "4096", "-4096", 1): "iterations",
		strings.Replace(rfcStored, "SHA-256", "SHA-512", 1): "size", strings.Replace(rfcStored, "SHA-256", "SHA-1", 1): "no verifiers",
		strings.Replace(rfcStored, "W22ZaJ0SNY7soEsUEjb6gQ==", "", 1): "salt",
	} {
		_, err := ParseVerifier(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "streamdown auth scram") {
			t.Errorf("%q: %v", text, err)
		}
		if strings.Contains(err.Error(), "secret-word") {
			t.Error("a secret is in the error")
		}
	}
}
