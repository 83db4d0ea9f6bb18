//go:build real

package gateway

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/check"
	"github.com/streamdown/streamdown/test/load"
	"github.com/streamdown/streamdown/test/realkafka"
)

// realDoor is a server with TLS, every mechanism and, if mutual, certificates for clients.
type realDoor struct {
	*running
	*memory
	log   *text
	ca    string // file
	id    string // file with the key and the certificate of user orders
	token string // file with a token of alice
}

func openRealDoor(t *testing.T, encrypted, needsCert bool) *realDoor {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority(t, "root")
	key := newKey(t)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	users := people(t)
	users.Users = append(users.Users, auth.User{Name: "orders", Topics: []streamdown.Glob{"t"}})
	users.Mechanisms = auth.SASL
	users.OAuth = &auth.OAuth{Issuer: "https://id.example", Audience: []string{"streamdown"}, Keys: write(t, filepath.Join(dir, "keys.json"), set)}
	users.Certificates.Rules, err = auth.ParseRules("RULE:^CN=([^,]+).*$/$1/")
	if err != nil {
		t.Fatal(err)
	}
	d := &realDoor{memory: newMemory("t", "secret"), log: &text{}, ca: write(t, filepath.Join(dir, "ca.pem"), pemOf("CERTIFICATE", ca.cert.Raw))}
	cfg := Config{SASL: auth.SASL, Auth: authorityOf(t, users), Logger: logTo(d.log)}
	if encrypted {
		cert, key := ca.forServer().files(t, dir)
		cfg.TLS = &auth.TLS{Cert: cert, Key: key}
		if needsCert {
			cfg.TLS.ClientCA, cfg.TLS.ClientAuth, cfg.SASL = d.ca, auth.ClientCertRequired, nil
		}
	}
	id := ca.issue("orders", x509.ExtKeyUsageClientAuth, nil)
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	d.id = write(t, filepath.Join(dir, "orders.pem"), append(pemOf("PRIVATE KEY", der), pemOf("CERTIFICATE", id.cert.Raw)...))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, _ := json.Marshal(map[string]any{
		"iss": "https://id.example", "aud": "streamdown", "sub": "alice", "scope": "x", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	d.token = write(t, filepath.Join(dir, "token"), []byte(token))
	d.running = serve(t, cfg, d.memory, d.memory)
	return d
}

// TestKcatComesInWithEachLogin runs librdkafka as Debian packs it. It needs kcat (apt-get install kcat).
func TestKcatComesInWithEachLogin(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Fatalf("kcat is missing: apt-get install kcat: %v", err)
	}
	version, _ := exec.Command(kcat, "-V").CombinedOutput()
	t.Logf("%s", version)
	produce := func(t *testing.T, d *realDoor, topic string, opts ...string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testTime)
		defer cancel()
		args := []string{"-P", "-b", strings.Replace(d.addr, "127.0.0.1", "localhost", 1), "-t", topic, "-X", "message.timeout.ms=4000", "-X", "enable.idempotence=true"}
		for _, o := range opts {
			args = append(args, "-X", o)
		}
		cmd := exec.CommandContext(ctx, kcat, args...)
		cmd.Stdin = strings.NewReader(strings.Repeat("a value\n", 100))
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		err := cmd.Run()
		return said.String(), err
	}
	login := func(mechanism, user, password string) []string {
		return []string{"sasl.mechanism=" + mechanism, "sasl.username=" + user, "sasl.password=" + password}
	}
	plain, encrypted, mutual := openRealDoor(t, false, false), openRealDoor(t, true, false), openRealDoor(t, true, true)
	ssl := func(d *realDoor, protocol string) []string {
		return []string{"security.protocol=" + protocol, "ssl.ca.location=" + d.ca}
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for user, password := range map[string]string{"alice": "alices-secret", "bob": "bobs-secret"} {
			t.Run("SASL_SSL "+mechanism+" "+user, func(t *testing.T) {
				before := encrypted.records("t")
				if said, err := produce(t, encrypted, "t", append(ssl(encrypted, "SASL_SSL"), login(mechanism, user, password)...)...); err != nil || encrypted.records("t") != before+100 {
					t.Errorf("%v, %d records\n%s", err, encrypted.records("t")-before, said)
				}
			})
		}
		t.Run("SASL_PLAINTEXT "+mechanism, func(t *testing.T) {
			before := plain.records("t")
			if said, err := produce(t, plain, "t", append(login(mechanism, "bob", "bobs-secret"), "security.protocol=SASL_PLAINTEXT")...); err != nil || plain.records("t") != before+100 {
				t.Errorf("%v, %d records\n%s", err, plain.records("t")-before, said)
			}
		})
		t.Run("wrong password "+mechanism, func(t *testing.T) {
			began := time.Now()
			said, err := produce(t, encrypted, "t", append(ssl(encrypted, "SASL_SSL"), login(mechanism, "alice", "no")...)...)
			t.Logf("%v after %v: %s", err, time.Since(began).Round(time.Millisecond), said)
			if err == nil || !strings.Contains(said, "wrong user name or password") {
				t.Error("not named")
			}
		})
	}
	t.Run("SSL with a certificate", func(t *testing.T) {
		opts := append(ssl(mutual, "SSL"), "ssl.certificate.location="+mutual.id, "ssl.key.location="+mutual.id)
		if said, err := produce(t, mutual, "t", opts...); err != nil || mutual.records("t") != 100 {
			t.Errorf("%v, %d records\n%s", err, mutual.records("t"), said)
		}
		if said, err := produce(t, mutual, "secret", opts...); err == nil || !strings.Contains(said, "authorization failed") {
			t.Errorf("a topic of others: %v\n%s", err, said)
		}
	})
	for name, c := range map[string]struct {
		door *realDoor
		opts []string
		said string // by the client
		log  string // by us
	}{
		"no certificate":                {mutual, ssl(mutual, "SSL"), "", "didn't provide a certificate"},
		"another CA":                    {encrypted, []string{"security.protocol=SSL", "ssl.ca.location=" + mutual.ca}, "certificate verify failed", "refuses our certificate"},
		"no login":                      {plain, nil, "", "did not log in"},
		"no login with TLS":             {encrypted, ssl(encrypted, "SSL"), "", "did not log in"},
		"no TLS on a port with it":      {encrypted, nil, "security.protocol", "Kafka protocol without TLS"},
		"TLS on a port without it":      {plain, ssl(encrypted, "SSL"), "handshake failure", "TLS ClientHello"},
		"a mechanism that is not there": {plain, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt=true", "sasl.oauthbearer.config=principal=alice"}, "not a JWT that is signed", "bad_token"},
		"a topic of others":             {plain, append(login("PLAIN", "alice", "alices-secret"), "security.protocol=SASL_PLAINTEXT"), "authorization failed", "may not write"},
	} {
		t.Run(name, func(t *testing.T) {
			topic := "t"
			if name == "a topic of others" {
				topic = "secret"
			}
			said, err := produce(t, c.door, topic, c.opts...)
			if err == nil || !strings.Contains(said, c.said) {
				t.Errorf("%v; want %q in\n%s", err, c.said, said)
			}
			c.door.log.says(t, c.log)
		})
	}
}

// TestJavaComesInWithEachLogin runs Kafka's own producer, of the version of the tests and of the one before 4.
func TestJavaComesInWithEachLogin(t *testing.T) {
	for _, version := range []string{realkafka.Version(), "3.9.2"} {
		t.Run(version, func(t *testing.T) { javaComesIn(t, version) })
	}
}

func javaComesIn(t *testing.T, version string) {
	lib, err := realkafka.Jars(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	plain, encrypted, mutual := openRealDoor(t, false, false), openRealDoor(t, true, false), openRealDoor(t, true, true)
	send := func(t *testing.T, d *realDoor, topic string, records uint64, properties map[string]string) load.Result {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		properties = maps.Clone(properties)
		properties["max.block.ms"], properties["delivery.timeout.ms"], properties["request.timeout.ms"] = "5000", "6000", "5000"
		r, err := load.Run(ctx, load.Spec{
			Client: load.Java, Bootstrap: strings.Replace(d.addr, "127.0.0.1", "localhost", 1), Topic: topic, Partitions: 1, Producer: 1, Incarnation: 1, Idempotent: true,
			Records: records, Properties: properties, Dir: t.TempDir(), Classpath: filepath.Join(lib, "*"), Journal: check.New(check.Config{}),
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	jaas := func(mechanism, user, password string) string {
		class := "scram.ScramLoginModule"
		if mechanism == "PLAIN" {
			class = "plain.PlainLoginModule"
		}
		return fmt.Sprintf(`org.apache.kafka.common.security.%s required username="%s" password="%s";`, class, user, password)
	}
	trust := func(d *realDoor) map[string]string {
		return map[string]string{"security.protocol": "SASL_SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": d.ca}
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run("SASL_SSL "+mechanism, func(t *testing.T) {
			p := trust(encrypted)
			p["sasl.mechanism"], p["sasl.jaas.config"] = mechanism, jaas(mechanism, "bob", "bobs-secret")
			before := encrypted.records("t")
			if r := send(t, encrypted, "t", 200, p); r.Acked != 200 || encrypted.records("t") != before+200 {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("SASL_PLAINTEXT and a wrong password", func(t *testing.T) {
		p := map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": jaas("SCRAM", "alice", "no")}
		r := send(t, plain, "t", 1, p)
		t.Log(r.FirstFailure)
		if r.Acked != 0 || !strings.Contains(r.FirstFailure, "wrong user name or password") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("SSL with a certificate", func(t *testing.T) {
		p := trust(mutual)
		p["security.protocol"], p["ssl.keystore.type"], p["ssl.keystore.location"] = "SSL", "PEM", mutual.id
		if r := send(t, mutual, "t", 200, p); r.Acked != 200 || mutual.records("t") != 200 {
			t.Errorf("%+v", r)
		}
		if r := send(t, mutual, "secret", 1, p); r.Acked != 0 || !strings.Contains(r.FirstFailure, "Not authorized to access topics") {
			t.Errorf("a topic of others: %+v", r)
		}
	})
	t.Run("OAUTHBEARER", func(t *testing.T) {
		t.Setenv("JAVA_TOOL_OPTIONS", "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://"+encrypted.token+" -Dorg.apache.kafka.sasl.oauthbearer.allowed.files="+encrypted.token)
		p := trust(encrypted)
		p["sasl.mechanism"] = "OAUTHBEARER"
		p["sasl.jaas.config"] = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
		p["sasl.login.callback.handler.class"] = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler"
		p["sasl.oauthbearer.token.endpoint.url"] = "file://" + encrypted.token
		before := encrypted.records("t")
		if r := send(t, encrypted, "t", 200, p); r.Acked != 200 || encrypted.records("t") != before+200 {
			t.Errorf("%+v", r)
		}
	})
	for name, c := range map[string]struct {
		door *realDoor
		p    map[string]string
		log  string
	}{
		"no TLS on a port with it": {encrypted, map[string]string{}, "Kafka protocol without TLS"},
		"TLS on a port without it": {plain, map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": encrypted.ca}, "TLS ClientHello"},
		"no certificate":           {mutual, map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": mutual.ca}, "didn't provide a certificate"},
		"another CA":               {encrypted, map[string]string{"security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.location": mutual.ca}, "the client"},
	} {
		t.Run(name, func(t *testing.T) {
			r := send(t, c.door, "t", 1, c.p)
			t.Log(r.FirstFailure)
			c.door.log.says(t, c.log)
			if r.Acked != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}
