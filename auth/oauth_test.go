package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// issuer makes tokens.
type issuer struct {
	t    testing.TB
	keys map[string]crypto.Signer
	alg  map[string]string
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{t: t, keys: map[string]crypto.Signer{}, alg: map[string]string{}}
	i.add("ec", "ES256")
	return i
}

func (i *issuer) add(id, alg string) {
	i.t.Helper()
	var key crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(alg, "ES"):
		key, err = ecdsa.GenerateKey(map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg], rand.Reader)
	case alg == "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.keys[id], i.alg[id] = key, alg
}

// set is what the issuer publishes.
func (i *issuer) set() []byte {
	i.t.Helper()
	s := jose.JSONWebKeySet{}
	for id, k := range i.keys {
		s.Keys = append(s.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: id, Use: "sig"})
	}
	b, err := json.Marshal(s)
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

func (i *issuer) file() string {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), "keys.json")
	if err := os.WriteFile(path, i.set(), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

type claims map[string]any

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func good(change claims) claims {
	c := claims{
		"iss": "https://id.example", "aud": []string{"streamdown", "x"}, "sub": "alice", "exp": noon.Add(time.Hour).Unix(),
		"nbf": noon.Add(-time.Minute).Unix(), "iat": noon.Add(-time.Minute).Unix(),
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) sign(id string, c claims) string {
	i.t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.signRaw(id, jose.SignatureAlgorithm(i.alg[id]), i.keys[id], b, nil)
}

func (i *issuer) signRaw(id string, alg jose.SignatureAlgorithm, key any, payload []byte, extra map[jose.HeaderKey]any) string {
	i.t.Helper()
	o := (&jose.SignerOptions{ExtraHeaders: extra}).WithType("JWT")
	if id != "" {
		o = o.WithHeader("kid", id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

func believing(t testing.TB, o OAuth, now func() time.Time, client *http.Client) *Authority {
	t.Helper()
	o.Issuer, o.Audience = "https://id.example", []string{"streamdown"}
	if now == nil {
		now = func() time.Time { return noon }
	}
	return authority(t, Config{Mechanisms: []Mechanism{OAuthBearer}, Users: []User{{Name: "alice"}, {Name: "service"}}, OAuth: &o, Now: now, HTTP: client})
}

func bearer(a *Authority, token string) (*Principal, error) {
	return exchange(a, oauth.Auth{Token: token}.AsMechanism())
}

func reason(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

func TestTokensAreGoodOnlyAsTheyWereMeant(t *testing.T) {
	i := newIssuer(t)
	a := believing(t, OAuth{Keys: i.file()}, nil, nil)
	who, err := bearer(a, i.sign("ec", good(nil)))
	if err != nil || who.Name != "alice" || !who.Expires.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v, %v", who, err)
	}
	for name, c := range map[string]struct {
		change claims
		want   Reason
		say    string
	}{
		"another issuer":       {claims{"iss": "https://evil.example"}, BadToken, "issuer"},
		"a longer issuer":      {claims{"iss": "https://id.example/"}, BadToken, "issuer"},
		"no issuer":            {claims{"iss": nil}, BadToken, "issuer"},
		"for somebody else":    {claims{"aud": "billing"}, BadToken, "meant for"},
		"for nobody":           {claims{"aud": nil}, BadToken, "meant for"},
		"for ever":             {claims{"exp": nil}, BadToken, "never expires"},
		"expired":              {claims{"exp": noon.Add(-31 * time.Second).Unix()}, ExpiredToken, "expired at 2026-11-23T11:59:29Z"},
		"expired long ago":     {claims{"exp": 1}, ExpiredToken, "expired"},
		"a time as text":       {claims{"exp": "tomorrow"}, BadToken, "no key of the issuer fits"},
		"not yet":              {claims{"nbf": noon.Add(31 * time.Second).Unix()}, BadToken, "not valid before"},
		"issued in the future": {claims{"iat": noon.Add(time.Minute).Unix()}, BadToken, "clocks"},
		"no user":              {claims{"sub": nil}, BadToken, "names no user"},
		"an empty user":        {claims{"sub": ""}, BadToken, "names no user"},
		"a user of numbers":    {claims{"sub": 5}, BadToken, "no key of the issuer fits"},
		"an unprintable user":  {claims{"sub": "a\nb"}, BadToken, "names no user"},
		"an unknown user":      {claims{"sub": "mallory"}, UnknownUser, "not known"},
	} {
		_, err := bearer(a, i.sign("ec", good(c.change)))
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != c.want || !strings.Contains(r.Say, c.say) {
			t.Errorf("%s: %v, want %s and %q", name, err, c.want, c.say)
		}
	}
	for name, change := range map[string]claims{
		"within the skew": {"exp": noon.Add(-29 * time.Second).Unix()}, "early within the skew": {"nbf": noon.Add(29 * time.Second).Unix()},
		"one audience": {"aud": "streamdown"}, "nothing optional": {"nbf": nil, "iat": nil},
	} {
		if _, err := bearer(a, i.sign("ec", good(change))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := believing(t, OAuth{Keys: i.file(), UserClaim: "client_id"}, nil, nil)
	if who, err := bearer(other, i.sign("ec", good(claims{"client_id": "service"}))); err != nil || who.Name != "service" {
		t.Errorf("another claim: %v, %v", who, err)
	}
}

// TestOnlyTheIssuersKeysAndAlgorithmsCount has the attacks of RFC 8725.
func TestOnlyTheIssuersKeysAndAlgorithmsCount(t *testing.T) {
	i := newIssuer(t)
	for _, alg := range Signatures {
		i.add("k-"+alg, alg)
	}
	a := believing(t, OAuth{Keys: i.file()}, nil, nil)
	for _, alg := range Signatures {
		if _, err := bearer(a, i.sign("k-"+alg, good(nil))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	payload, _ := json.Marshal(good(nil))
	b := base64.RawURLEncoding.EncodeToString
	none := b([]byte(`{"alg":"none","kid":"ec"}`)) + "." + b(payload) + "."
	public, _ := json.Marshal(jose.JSONWebKey{Key: i.keys["k-RS256"].Public()})
	stranger := newIssuer(t)
	signed := i.sign("ec", good(nil))
	head, rest, _ := strings.Cut(signed, ".")
	for name, token := range map[string]string{
		"none": none, "None": strings.Replace(none, "bm9uZS", "Tm9uZS", 1), "no signature": signed[:strings.LastIndex(signed, ".")+1],
		"the public key as a shared secret": i.signRaw("k-RS256", jose.HS256, []byte(string(public)+strings.Repeat(" ", 32)), payload, nil),
		"a stranger's key":                  stranger.sign("ec", good(nil)),
		"a key that the token brings":       stranger.signRaw("", jose.ES256, jose.JSONWebKey{Key: stranger.keys["ec"]}, payload, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: stranger.keys["ec"].Public()}}),
		"a place of keys that it brings":    stranger.signRaw("ec", jose.ES256, stranger.keys["ec"], payload, map[jose.HeaderKey]any{"jku": "https://evil.example/keys"}),
		"what must be understood":           i.signRaw("ec", jose.ES256, i.keys["ec"], payload, map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}),
		"another key's name":                i.signRaw("k-ES256", jose.ES256, i.keys["ec"], payload, nil),
		"an unknown key":                    i.signRaw("gone", jose.ES256, i.keys["ec"], payload, nil),
		"an RSA key for PS named RS":        i.signRaw("ec", jose.PS256, i.keys["k-PS256"], payload, nil),
		"a payload of one's own":            head + "." + b([]byte(`{"sub":"alice"}`)) + signed[strings.LastIndex(signed, "."):],
		"four parts":                        signed + ".x",
		"an encrypted one":                  signed + ".x.y",
		"two parts":                         head,
		"no JSON":                           b([]byte("x")) + "." + rest,
		"a header that is too long":         b([]byte(`{"alg":"ES256","x":"`+strings.Repeat("x", maxTokenHeader)+`"}`)) + "." + rest,
		"a deep header":                     b([]byte(`{"alg":"ES256","x":`+strings.Repeat("[", maxTokenHeader/2)+`}`)) + "." + rest,
	} {
		if who, err := bearer(a, token); err == nil || reason(err) != BadToken {
			t.Errorf("%s: %v, %v", name, who, err)
		}
	}
	for at := range len(signed) {
		changed := []byte(signed)
		changed[at] ^= 1
		spare := at+1 == len(signed) || signed[at+1] == '.' // a part's last character has bits that mean nothing
		if who, err := bearer(a, string(changed)); err == nil && !spare {
			t.Fatalf("changed at %d: %v", at, who)
		}
	}
	strict := believing(t, OAuth{Keys: i.file(), Algorithms: []string{"RS256"}}, nil, nil)
	if _, err := bearer(strict, signed); reason(err) != BadToken {
		t.Errorf("an algorithm that is not allowed: %v", err)
	}
}

func TestMalformedBearerMessages(t *testing.T) {
	i := newIssuer(t)
	a := believing(t, OAuth{Keys: i.file()}, nil, nil)
	token := i.sign("ec", good(nil))
	say := func(message string) (*Principal, error) {
		e, _ := a.Begin(OAuthBearer)
		_, who, err := e.Step(t.Context(), []byte(message))
		return who, err
	}
	for _, message := range []string{
		"", "n,,", "n,,\x01\x01", "n,,\x01auth=Bearer \x01\x01", "n,,\x01auth=Basic x\x01\x01", "x,,\x01auth=Bearer " + token + "\x01\x01",
		"n,,\x01auth=Bearer " + token, "n,,\x01auth=Bearer " + token + "\x01", "n,a=mallory,\x01auth=Bearer " + token + "\x01\x01",
		"n,,\x01host=x\x01\x01", strings.Repeat("\x01", 100), "\x01", "n,,\x01" + strings.Repeat("x=y\x01", 100) + "auth=Bearer " + token + "\x01\x01",
		"n,,\x01auth=Bearer " + strings.Repeat("x", maxToken) + "\x01\x01", "n,,\x01auth=Bearer\x01\x01",
	} {
		if who, err := say(message); reason(err) != Malformed {
			t.Errorf("%.60q: %v, %v", message, who, err)
		}
	}
	for _, message := range []string{
		"n,,\x01auth=Bearer " + token + "\x01\x01", "n,a=alice,\x01auth=bearer " + token + "\x01\x01",
		"n,,\x01host=h\x01port=9092\x01auth=Bearer " + token + "\x01logicalCluster=x\x01\x01", // extensions, KIP-342
	} {
		if _, err := say(message); err != nil {
			t.Errorf("%.60q: %v", message, err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	i := newIssuer(t)
	var asked, status atomic.Int64
	status.Store(http.StatusOK)
	published := atomic.Pointer[[]byte]{}
	publish := func() { b := i.set(); published.Store(&b) }
	publish()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write(*published.Load())
	}))
	defer s.Close()
	client := s.Client()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	now := noon
	a := believing(t, OAuth{Keys: s.URL}, func() time.Time { return now }, client)
	if asked.Load() != 0 {
		t.Error("a start waits for the issuer")
	}
	come := func(id string, want Reason, times int64) {
		t.Helper()
		_, err := bearer(a, i.sign(id, good(nil)))
		if reason(err) != want || asked.Load() != times {
			t.Errorf("%s: %v after %d requests, want %q after %d", id, err, asked.Load(), want, times)
		}
	}
	come("ec", "", 1)
	come("ec", "", 1)
	i.add("new", "ES256")
	come("new", BadToken, 1) // asked a moment ago: nobody makes us ask at each login
	now = now.Add(fetchPause)
	publish()
	come("new", "", 2)
	status.Store(http.StatusInternalServerError)
	now = now.Add(20 * time.Minute)
	come("ec", "", 3) // the keys are old, and the issuer is away: what was known stays
	come("ec", "", 3)
	i.add("newer", "ES256")
	come("newer", NoKeys, 3)
	status.Store(http.StatusOK)
	delete(i.keys, "ec")
	publish()
	i.keys["ec"], i.alg["ec"] = newIssuer(t).keys["ec"], "ES256"
	now = now.Add(fetchPause)
	come("newer", "", 4)
	come("ec", BadToken, 4) // withdrawn
}

func TestKeysAreFetchedWithinLimits(t *testing.T) {
	i := newIssuer(t)
	set := i.set()
	var elsewhere atomic.Int64
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); _, _ = w.Write(set) }))
	defer other.Close()
	stop := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat(" ", maxKeySet)))
		_, _ = w.Write(set)
	})
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) })
	mux.HandleFunc("/secret", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"ec","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}`))
	})
	mux.HandleFunc("/many", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`))
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	s := httptest.NewTLSServer(mux)
	defer s.Close()
	defer close(stop)
	client := s.Client()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	for _, path := range []string{"/redirect", "/long", "/html", "/empty", "/secret", "/many", "/none"} {
		a := believing(t, OAuth{Keys: s.URL + path}, nil, client)
		if _, err := bearer(a, i.sign("ec", good(nil))); reason(err) != NoKeys {
			t.Errorf("%s: %v", path, err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
	a := believing(t, OAuth{Keys: s.URL + "/silent"}, nil, client)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	e, _ := a.Begin(OAuthBearer)
	if _, _, err := e.Step(ctx, []byte("n,,\x01auth=Bearer "+i.sign("ec", good(nil))+"\x01\x01")); reason(err) != NoKeys {
		t.Errorf("a silent issuer: %v", err)
	}
	// Its certificate is checked.
	a = believing(t, OAuth{Keys: s.URL + "/"}, nil, nil)
	if _, err := bearer(a, i.sign("ec", good(nil))); reason(err) != NoKeys || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an issuer with a certificate of nobody: %v", err)
	}
	for place, want := range map[string]string{
		"": "missing", "http://id.example/keys": "https", "keys.json": "absolute", "https://u:p@id.example/": "password", "file:///etc/passwd": "https", "https:///keys": "https",
	} {
		o := OAuth{Issuer: "x", Audience: []string{"x"}, Keys: place}
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", place, err)
		}
	}
}
