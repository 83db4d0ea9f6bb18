package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"go.uber.org/goleak"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/streamdown/streamdown/test/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// marker is in every secret of these tests, and must be in no error and no way to print one.
const marker = "hunter2"

func of(lines ...string) Settings {
	var s Settings
	for _, l := range lines {
		key, value, _ := strings.Cut(l, "=")
		s.Own = append(s.Own, Setting{Key: key, Value: Text(value)})
	}
	return s
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSettingsAreCheckedTogether(t *testing.T) {
	const scram = `sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="gw" password="` + marker + `";`
	const oauth = `sasl.jaas.config=x.OAuthBearerLoginModule required clientId="gw" clientSecret="` + marker + `";`
	login := []string{"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", scram}
	with := func(base []string, more ...string) []string { return append(append([]string(nil), base...), more...) }
	token := with(nil, "security.protocol=SASL_SSL", "sasl.mechanism=OAUTHBEARER", oauth, "sasl.oauthbearer.token.endpoint.url=https://idp/token")
	for _, tt := range []struct {
		name  string
		lines []string
		wrong []string // keys with errors
		warn  []string // keys with warnings
	}{
		{"nothing", nil, nil, nil},
		{"login", login, nil, nil},
		{"login, in small letters", []string{"security.protocol=sasl_ssl", "sasl.mechanism=scram-sha-512", scram}, nil, nil},
		{"shaded module", with(login[:2], `sasl.jaas.config=shaded.kafka.ScramLoginModule required username="a" password="b";`), nil, nil},
		{"both ways", with(login, "sasl.username=gw"), []string{"sasl.username"}, nil},
		{"no password", with(login[:2], "sasl.username=gw"), []string{"sasl.password"}, nil},
		{"no user", login[:2], []string{"sasl.jaas.config"}, nil},
		{"empty password", with(login[:2], `sasl.jaas.config=ScramLoginModule required username="a" password="";`), []string{"sasl.jaas.config"}, nil},
		{"two modules", with(login[:2], "sasl.jaas.config=ScramLoginModule required;ScramLoginModule required;"), []string{"sasl.jaas.config"}, nil},
		{"no mechanism", []string{"security.protocol=SASL_SSL", scram}, []string{"sasl.mechanism"}, nil},
		{"two names of the mechanism", with(login, "sasl.mechanisms=PLAIN"), []string{"sasl.mechanisms"}, nil},
		{"readable password", []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=a", "sasl.password=" + marker}, nil, []string{"security.protocol"}},
		{"SCRAM hides it", []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=SCRAM-SHA-256", "sasl.username=a", "sasl.password=" + marker}, nil, nil},
		{"a login without effect", []string{scram}, nil, []string{"sasl.jaas.config"}},
		{"host names off", with(login, "ssl.endpoint.identification.algorithm="), nil, []string{"ssl.endpoint.identification.algorithm"}},
		{"host names on", with(login, "ssl.endpoint.identification.algorithm=HTTPS"), nil, nil},
		{"host names, other", with(login, "ssl.endpoint.identification.algorithm=ldaps"), []string{"ssl.endpoint.identification.algorithm"}, nil},
		{"verification off", with(login, "enable.ssl.certificate.verification=false"), []string{"enable.ssl.certificate.verification"}, nil},
		{"old TLS", with(login, "ssl.enabled.protocols=TLSv1.2, TLSv1.1"), nil, []string{"ssl.enabled.protocols"}},
		{"no TLS", with(login, "ssl.enabled.protocols=SSLv3"), []string{"ssl.enabled.protocols"}, nil},
		{"suites", with(login, "ssl.cipher.suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_AES_256_GCM_SHA384"), nil, nil},
		{"openssl's suites", with(login, "ssl.cipher.suites=ECDHE-RSA-AES256-GCM-SHA384"), []string{"ssl.cipher.suites"}, nil},
		{"some suites", with(login, "ssl.cipher.suites=TLS_AES_256_GCM_SHA384:OLD"), nil, []string{"ssl.cipher.suites"}},
		{"key alone", with(login, "ssl.key.location=x.key"), []string{"ssl.key.location"}, nil},
		{"no such store", with(login, "ssl.keystore.location=/none/x.p12"), nil, []string{"ssl.keystore.location"}},
		{"no such type", with(login, "ssl.keystore.type=BCFKS"), []string{"ssl.keystore.type"}, nil},
		{"token", token, nil, nil},
		{"token, no endpoint", token[:3], []string{"sasl.oauthbearer.token.endpoint.url"}, nil},
		{"token, no URL", with(token[:3], "sasl.oauthbearer.token.endpoint.url=idp/token"), []string{"sasl.oauthbearer.token.endpoint.url"}, nil},
		{"token, librdkafka's keys", with(token[:2], token[3], "sasl.oauthbearer.method=oidc", "sasl.oauthbearer.client.id=a", "sasl.oauthbearer.client.secret="+marker, "sasl.oauthbearer.extensions=a=b,c=d"), nil, nil},
		{"token, Kafka 4's keys", with(token[:2], token[3], "sasl.oauthbearer.client.credentials.client.id=a", "sasl.oauthbearer.client.credentials.client.secret="+marker), nil, nil},
		{"token, a handler of its own", with(token, "sasl.login.callback.handler.class=com.example.Own"), []string{"sasl.login.callback.handler.class"}, nil},
		{"token, Kafka's handler", with(token, "sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler"), nil, nil},
		{"token in a file", with(token[:2], "sasl.oauthbearer.token.endpoint.url=file:///run/token"), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var wrong, warn []string
			for _, p := range of(tt.lines...).Check() {
				if p.Warning {
					warn = append(warn, p.Key)
				} else {
					wrong = append(wrong, p.Key)
				}
				if strings.Contains(p.Text, marker) {
					t.Errorf("a secret is in %q", p.Text)
				}
			}
			if !reflect.DeepEqual(wrong, tt.wrong) || !reflect.DeepEqual(warn, tt.warn) {
				t.Errorf("errors %q, want %q; warnings %q, want %q", wrong, tt.wrong, warn, tt.warn)
			}
			l, err := of(tt.lines...).Load()
			if (err != nil) != (tt.wrong != nil) || (l == nil) != (err != nil) {
				t.Errorf("loads as %v, %v", l, err)
			}
			if all := fmt.Sprintf("%v %+v %#v %s %v", of(tt.lines...), of(tt.lines...), l, l, err); strings.Contains(all, marker) {
				t.Errorf("a secret is shown: %s", all)
			}
		})
	}
}

func TestEveryKeyThatSoundsLikeASecretIsHidden(t *testing.T) {
	for _, name := range Names() {
		sounds := strings.Contains(name, "password") || strings.Contains(name, "secret") && !strings.HasSuffix(name, "id") || strings.Contains(name, "jaas") ||
			name == "ssl.keystore.key" || name == "ssl.key.pem"
		if Open(name) == sounds {
			t.Errorf("%s: open %v", name, Open(name))
		}
	}
	for name, want := range map[string]Use{
		"acks": Ignored, "group.id": Ignored, "producer.acks": Ignored, "sasl.kerberos.service.name": Ignored, "ssl.engine.factory.class": Refused,
		"config.providers": Refused, "client.id": Connection, "ssl.key.pem": Credential, "sasl.pasword": Unknown, "": Unknown,
	} {
		if got, why := Key(name); got != want || (why == "") != (got == Unknown || got == Connection || got == Credential) {
			t.Errorf("%s: %d %q", name, got, why)
		}
	}
}

// Every file that a Login reads is read anew, whatever kind of file it is.
func TestFilesAreReadAnew(t *testing.T) {
	dir := t.TempDir()
	password := write(t, dir, "password", []byte("one\n"))
	s := of("security.protocol=SASL_SSL")
	s.File, s.Dir = write(t, dir, "client.properties", []byte("sasl.mechanism=PLAIN\nsasl.username=ann\nsecurity.protocol=PLAINTEXT\n")), dir
	s.Own = append(s.Own, Setting{"sasl.password", Text("<").And(File(password)).And(Text(">"))})
	load := func() *Login {
		t.Helper()
		l, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := load()
	if first.user != "ann" || first.password.Reveal() != "<one>" || first.Protocol() != "SASL_SSL" || first.Who() != "user ann" {
		t.Fatalf("%s %q %s", first.user, first.password.Reveal(), first.Protocol())
	}
	if load().Digest() != first.Digest() {
		t.Error("the same login has two digests")
	}
	write(t, dir, "password", []byte("two\r\n"))
	if second := load(); second.password.Reveal() != "<two>" || second.Digest() == first.Digest() {
		t.Errorf("%q", second.password.Reveal())
	}
	write(t, dir, "client.properties", []byte("sasl.mechanism=SCRAM-SHA-256\nsasl.username=bob\n"))
	if third := load(); third.user != "bob" || third.MechanismName() != "SCRAM-SHA-256" {
		t.Errorf("%s %s", third.user, third.MechanismName())
	}
	write(t, dir, "client.properties", []byte("sasl.mechanism=PLAIN\nsasl.username=\\u00\n"))
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "client.properties: line 2") {
		t.Error(err)
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "client.properties", nil)
	if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), "password cannot be read") {
		t.Error(err)
	}
}

func TestStoresOfEveryKindAreOpened(t *testing.T) {
	dir := t.TempDir()
	ca, other := authority.New("brokers"), authority.New("others")
	us := ca.Issue(nil)
	leaf, err := x509.ParseCertificate(us.TLS.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(us.TLS.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := pkcs8.MarshalPrivateKey(us.TLS.PrivateKey, []byte("k-"+marker), nil)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(us.TLS.PrivateKey, leaf, []*x509.Certificate{ca.Cert}, marker)
	if err != nil {
		t.Fatal(err)
	}
	trustP12, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{other.Cert, ca.Cert}, marker)
	if err != nil {
		t.Fatal(err)
	}
	ks := keystore.New()
	if err := ks.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: ca.Cert.Raw}}); err != nil {
		t.Fatal(err)
	}
	if err := ks.SetPrivateKeyEntry("us", keystore.PrivateKeyEntry{
		CreationTime: time.Now(), PrivateKey: key, CertificateChain: []keystore.Certificate{{Type: "X509", Content: leaf.Raw}, {Type: "X509", Content: ca.Cert.Raw}},
	}, []byte("k-"+marker)); err != nil {
		t.Fatal(err)
	}
	var jks strings.Builder
	if err := ks.Store(&jks, []byte(marker)); err != nil {
		t.Fatal(err)
	}
	cas := filepath.Join(dir, "cas")
	if err := os.Mkdir(cas, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, cas, "a.pem", []byte(other.PEM))
	write(t, cas, "b.crt", []byte(ca.PEM))
	write(t, cas, "README", []byte("no certificate"))
	fold := func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", " ") }
	ecKey := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: encrypted}))
	trust := "ssl.truststore.certificates=" + ca.PEM
	for _, tt := range []struct {
		name  string
		lines []string
		own   bool
		fails string
	}{
		{"PEM, inline", []string{trust, "ssl.keystore.certificate.chain=" + us.Cert, "ssl.keystore.key=" + us.Key}, true, ""},
		{"PEM, joined lines", []string{"ssl.truststore.certificates=" + fold(ca.PEM), "ssl.keystore.certificate.chain=" + fold(us.Cert), "ssl.keystore.key=" + fold(us.Key)}, true, ""},
		{"PEM, one file", []string{"ssl.truststore.location=" + write(t, dir, "ca.pem", []byte("text\n"+other.PEM+ca.PEM)), "ssl.keystore.type=PEM", "ssl.keystore.location=" + write(t, dir, "us.pem", []byte(us.Key+ca.PEM+us.Cert))}, true, ""},
		{"PEM, two files", []string{"ssl.ca.location=" + filepath.Join(dir, "ca.pem"), "ssl.certificate.location=" + write(t, dir, "us.crt", []byte(us.Cert)), "ssl.key.location=" + write(t, dir, "us.key", []byte(us.Key))}, true, ""},
		{"PEM, encrypted", []string{trust, "ssl.certificate.pem=" + us.Cert, "ssl.key.pem=" + ecKey, "ssl.key.password=k-" + marker}, true, ""},
		{"PEM, wrong password", []string{trust, "ssl.certificate.pem=" + us.Cert, "ssl.key.pem=" + ecKey, "ssl.key.password=" + marker}, true, "ssl.key.password is missing or wrong"},
		{"PEM, no password", []string{trust, "ssl.certificate.pem=" + us.Cert, "ssl.key.pem=" + ecKey}, true, "ssl.key.password is missing or wrong"},
		{"PEM, another key", []string{trust, "ssl.certificate.pem=" + us.Cert, "ssl.key.pem=" + other.Issue(nil).Key}, true, "does not belong"},
		{"a directory", []string{"ssl.ca.location=" + cas}, false, ""},
		{"an empty directory", []string{"ssl.ca.location=" + t.TempDir()}, false, "no file in the directory"},
		{"PKCS12", []string{"ssl.truststore.location=" + write(t, dir, "trust.p12", trustP12), "ssl.truststore.password=" + marker, "ssl.keystore.location=" + write(t, dir, "us.p12", p12), "ssl.keystore.password=" + marker}, true, ""},
		{"PKCS12 by the name of JKS", []string{"ssl.truststore.type=JKS", "ssl.truststore.location=" + filepath.Join(dir, "trust.p12"), "ssl.truststore.password=" + marker}, false, ""},
		{"PKCS12, wrong password", []string{"ssl.truststore.location=" + filepath.Join(dir, "trust.p12"), "ssl.truststore.password=x" + marker}, false, "its password is wrong, or it is damaged"},
		{"JKS", []string{"ssl.truststore.location=" + write(t, dir, "us.jks", []byte(jks.String())), "ssl.truststore.password=" + marker,
			"ssl.keystore.location=" + filepath.Join(dir, "us.jks"), "ssl.keystore.password=" + marker, "ssl.key.password=k-" + marker}, true, ""},
		{"JKS, wrong password", []string{"ssl.truststore.location=" + filepath.Join(dir, "us.jks"), "ssl.truststore.password=x" + marker}, false, "its password is wrong"},
		{"JKS, no password", []string{"ssl.truststore.location=" + filepath.Join(dir, "us.jks")}, false, "needs its password"},
		{"JKS, wrong key password", []string{trust, "ssl.keystore.location=" + filepath.Join(dir, "us.jks"), "ssl.keystore.password=" + marker}, true, "ssl.key.password is missing or wrong"},
		{"not a store", []string{"ssl.truststore.location=" + write(t, dir, "odd", []byte("odd"))}, false, "neither PEM nor PKCS12 nor JKS"},
		{"a truncated store", []string{"ssl.truststore.location=" + write(t, dir, "cut.jks", []byte(jks.String()[:200])), "ssl.truststore.password=" + marker}, false, "damaged"},
		{"no certificate", []string{"ssl.truststore.location=" + filepath.Join(dir, "us.key")}, false, "no certificate of an authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := of(append(tt.lines, "security.protocol=SSL")...).Load()
			if err != nil {
				t.Fatal(err)
			}
			c, err := l.TLS("127.0.0.1")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), marker) {
					t.Fatalf("%v, want %q", err, tt.fails)
				}
				if p := l.check(); len(p) != 1 || !p[0].Warning || !strings.Contains(p[0].Text, tt.fails) {
					t.Errorf("%+v", p)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); err != nil {
				t.Error(err)
			}
			stranger, err := x509.ParseCertificate(authority.New("strangers").Issue(nil).TLS.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := c.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{stranger}}); err == nil {
				t.Error("a stranger is trusted")
			}
			if tt.own != (len(c.Certificates) == 1) || tt.own && !c.Certificates[0].Leaf.Equal(leaf) {
				t.Errorf("%d certificates", len(c.Certificates))
			}
			if p := l.check(); len(p) != 0 {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestTokensAreFetchedBeforeTheyEnd(t *testing.T) {
	var asked atomic.Int32
	var life atomic.Int64
	life.Store(3600)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if id, secret, _ := r.BasicAuth(); id != "gw" || secret != marker || r.PostFormValue("scope") != "a b" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"` + secret + `"}`))
			return
		}
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Unix()+life.Load()))
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("h.%s.%d", claims, n), "expires_in": 1})
	}))
	defer srv.Close()
	roots := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	login := func(more ...string) *Login {
		t.Helper()
		l, err := of(append([]string{"security.protocol=SASL_SSL", "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url=" + srv.URL + "/token"}, more...)...).Load()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	jaas := `sasl.jaas.config=OAuthBearerLoginModule required clientId="gw" clientSecret="%s" scope="a b" extension_pool="p1";`
	good := login(fmt.Sprintf(jaas, marker), "https.ca.pem="+roots)
	tokens := NewTokens()
	first := func(l *Login) (string, error) {
		m, err := l.Mechanism(t.Context(), tokens)
		if err != nil {
			return "", err
		}
		_, message, err := m.Authenticate(t.Context(), "k1:9092")
		return string(message), err
	}
	for range 3 {
		if message, err := first(good); err != nil || !strings.HasPrefix(message, "n,,\x01auth=Bearer h.") || !strings.HasSuffix(message, ".1\x01pool=p1\x01\x01") {
			t.Fatalf("%q, %v", message, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for one token", n)
	}
	life.Store(0) // of the next token nothing is left
	tokens.renew = time.Now()
	for range 2 {
		if _, err := first(good); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	for _, tt := range []struct {
		l       *Login
		refused bool
		says    string
	}{
		{login(fmt.Sprintf(jaas, "wrong-"+marker), "https.ca.pem="+roots), true, "invalid_client: look at clientId, clientSecret and scope"},
		{login(fmt.Sprintf(jaas, marker)), false, "certificate"},
		{login(fmt.Sprintf(jaas, marker), "https.ca.pem="+roots, "sasl.oauthbearer.token.endpoint.url=https://127.0.0.1:1/token"), false, "refused"},
	} {
		_, err := first(tt.l)
		var e *TokenError
		if !errors.As(err, &e) || e.Refused != tt.refused || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), marker) {
			t.Errorf("%v, want %q", err, tt.says)
		}
	}
	file := write(t, t.TempDir(), "token", []byte("from-a-file\n"))
	if message, err := first(login("sasl.oauthbearer.token.endpoint.url=file://" + file)); err != nil || message != "n,,\x01auth=Bearer from-a-file\x01\x01" {
		t.Errorf("%q, %v", message, err)
	}
}

func TestAStrangerCannotHaveUsComputeForHours(t *testing.T) {
	l, err := of("security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-256", "sasl.username=gw", "sasl.password="+marker).Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ iterations, says string }{
		{"2000000000", "more than 1048576 iterations"}, {"99999999999999999999", "more than"}, {"", "more than"}, {"x", "more than"}, {"1", "cannot be used"},
	} {
		m, err := l.Mechanism(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		s, first, err := m.Authenticate(context.Background(), "k1")
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(string(first), "r=")
		began := time.Now()
		_, _, err = s.Challenge([]byte("r=" + nonce + "x,s=" + base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=" + tt.iterations))
		if err == nil || !strings.Contains(err.Error(), tt.says) || time.Since(began) > time.Second {
			t.Errorf("%s: %v after %v", tt.iterations, err, time.Since(began))
		}
	}
}
