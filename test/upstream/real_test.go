//go:build real

package upstream_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/connect/kafka"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/realkafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// marker is in every secret, and must be in no log.
const marker = "hunter2"

const jaas = "org.apache.kafka.common.security."

// house is a real Kafka with a listener for each way to log in, and a directory with what its clients need.
type house struct {
	*realkafka.Broker
	dir     string
	brokers *authority.Authority
	clients *authority.Authority
}

func (h *house) write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(h.dir, name)
	// As tools that rotate secrets do it: whole or not at all.
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return file
}

// keystore puts a certificate and its key into a store by keytool's and openssl's own hand.
func (h *house) keystore(t *testing.T, name, kind string, c authority.Issued) string {
	t.Helper()
	pem, file := h.write(t, name+".pem", c.Key+c.Cert), filepath.Join(h.dir, name)
	run(t, "openssl", "pkcs12", "-export", "-in", pem, "-out", file+".p12", "-name", "us", "-passout", "pass:"+marker)
	if kind == "PKCS12" {
		return file + ".p12"
	}
	run(t, "keytool", "-importkeystore", "-noprompt", "-srckeystore", file+".p12", "-srcstoretype", "PKCS12", "-srcstorepass", marker,
		"-destkeystore", file, "-deststoretype", kind, "-deststorepass", marker)
	return file
}

func (h *house) truststore(t *testing.T, name, kind string) string {
	t.Helper()
	pem, file := h.write(t, name+".pem", h.brokers.PEM), filepath.Join(h.dir, name)
	run(t, "keytool", "-importcert", "-noprompt", "-alias", "brokers", "-file", pem, "-keystore", file, "-storetype", kind, "-storepass", marker)
	return file
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func build(t *testing.T) *house {
	t.Helper()
	return buildWith(t, nil)
}

func buildWith(t *testing.T, properties map[string]string) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), brokers: authority.New("brokers"), clients: authority.New("clients")}
	server := h.brokers.Issue(nil)
	encrypted := map[string]string{
		"ssl.keystore.type": "PEM", "ssl.keystore.location": h.write(t, "server.pem", server.Key+server.Cert),
	}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{encrypted, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	logins := map[string]string{
		"sasl.enabled.mechanisms":                 "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"plain.sasl.jaas.config":                  jaas + `plain.PlainLoginModule required user_gw="` + marker + `";`,
		"scram-sha-256.sasl.jaas.config":          jaas + `scram.ScramLoginModule required;`,
		"scram-sha-512.sasl.jaas.config":          jaas + `scram.ScramLoginModule required;`,
		"scram-sha-512.connections.max.reauth.ms": "4000",
	}
	b, err := realkafka.Start(t.Context(), realkafka.Options{Dir: t.TempDir(), Properties: properties, Listeners: []realkafka.Listener{
		{Name: "LOGIN", Protocol: "SASL_SSL", Properties: with(logins)},
		{Name: "PLAINLOGIN", Protocol: "SASL_PLAINTEXT", Properties: logins},
		{Name: "CERT", Protocol: "SSL", Properties: with(map[string]string{
			"ssl.client.auth": "required", "ssl.truststore.type": "PEM", "ssl.truststore.location": h.write(t, "clients.pem", h.clients.PEM),
		})},
		{Name: "TOKEN", Protocol: "SASL_SSL", Properties: with(map[string]string{
			"sasl.enabled.mechanisms":               "OAUTHBEARER",
			"oauthbearer.sasl.jaas.config":          jaas + `oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
			"oauthbearer.connections.max.reauth.ms": "600000",
		})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	t.Log("Kafka", b.Version)
	h.Broker = b
	if err := b.SetPassword(t.Context(), "gw", marker); err != nil {
		t.Fatal(err)
	}
	h.write(t, "ca.pem", h.brokers.PEM)
	return h
}

// gateway is a running node.
type gateway struct {
	*node.Node
	mu  sync.Mutex // guards log
	log bytes.Buffer
	end func()
}

func (g *gateway) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(b)
}

func (g *gateway) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// open runs a gateway whose system has these keys.
func (h *house) open(t *testing.T, listener string, keys map[string]string) *gateway {
	t.Helper()
	var lines strings.Builder
	for k, v := range keys {
		fmt.Fprintf(&lines, "      %s: '%s'\n", k, v)
	}
	src := fmt.Sprintf(`version: 1
listen: { kafka: { address: "127.0.0.1:0" }, http: { address: "127.0.0.1:0" } }
data: { dir: %q }
systems:
  primary:
    kafka:
      bootstrap.servers: %q
%sstreams: [ { name: all, topics: ["*"], to: primary } ]
`, t.TempDir(), h.AddrOf(listener), lines.String())
	return h.run(t, src)
}

// run runs a gateway with a configuration.
func (h *house) run(t *testing.T, src string) *gateway {
	t.Helper()
	cfg, findings := config.Parse(filepath.Join(h.dir, "streamdown.yaml"), []byte(src), nil)
	if len(findings) > 0 {
		t.Log(findings)
	}
	if cfg == nil {
		t.Fatal("no config")
	}
	g := &gateway{}
	n, err := node.Open(node.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(g, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	g.Node = n
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := n.Run(ctx)
		done <- err
	}()
	g.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if all := g.logged() + string(cfg.Show()) + findings.String(); strings.Contains(all, marker) {
			t.Errorf("a secret is shown:\n%s", all)
		}
	})
	t.Cleanup(g.end)
	return g
}

// produce sends n records to the gateway and waits until each is acked.
func (g *gateway) produce(t *testing.T, topic string, from, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.KafkaAddr()), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for i := range n {
		records = append(records, kgo.StringRecord(fmt.Sprintf("value %d", from+i)))
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// until waits for a state of the gateway.
func (g *gateway) until(t *testing.T, what string, within time.Duration, ok func(breaker, why string, backlog int64) bool) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s := g.Status(ctx)
		if ok(s.Target.Breaker, s.Target.BreakerWhy, s.Records.Backlog) {
			return time.Since(began)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s; breaker %s, %s, backlog %d\n%s", within, what, s.Target.Breaker, s.Target.BreakerWhy, s.Records.Backlog, g.logged())
		}
	}
}

func drained(_, _ string, backlog int64) bool { return backlog == 0 }

// consume reads from the broker itself and wants each record once.
func (h *house) consume(t *testing.T, topic string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.Addr()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[string]int{}
	for len(seen) < n {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records", len(seen), n)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if seen[string(r.Value)]++; seen[string(r.Value)] > 1 {
				t.Errorf("%q twice", r.Value)
			}
		})
	}
}

func (h *house) topic(t *testing.T, name string) string {
	t.Helper()
	if err := h.CreateTopic(t.Context(), name, 3, nil); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRealKafkaTakesEveryLogin(t *testing.T) {
	h := build(t)
	idp := tokens(t)
	scram := jaas + `scram.ScramLoginModule required username="gw" password="` + marker + `";`
	trust := map[string]string{"ssl.ca.location": "ca.pem"}
	ours := h.clients.Issue(nil)
	h.write(t, "own.crt", ours.Cert)
	h.write(t, "own.key", ours.Key)
	encryptedKey := filepath.Join(h.dir, "own.encrypted.key")
	run(t, "openssl", "pkcs8", "-topk8", "-in", filepath.Join(h.dir, "own.key"), "-out", encryptedKey, "-passout", "pass:"+marker)
	h.write(t, "client.properties", "# as the Java clients have it\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\n"+
		"sasl.jaas.config="+jaas+"scram.ScramLoginModule required \\\n  username=\"gw\" \\\n  password=\""+marker+"\";\n"+
		"ssl.truststore.location="+h.truststore(t, "trust.jks", "JKS")+"\nssl.truststore.password="+marker+"\nacks=all\n")
	for i, tt := range []struct {
		name, listener string
		keys           []map[string]string
	}{
		{"PLAIN over TLS, PEM", "LOGIN", []map[string]string{trust, {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas + `plain.PlainLoginModule required username="gw" password="` + marker + `";`}}},
		{"SCRAM-SHA-256 over TLS, client.properties with JKS", "LOGIN", []map[string]string{{"properties_file": "client.properties"}}},
		{"SCRAM-SHA-512 over TLS, PKCS12", "LOGIN", []map[string]string{{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": scram,
			"ssl.truststore.type": "PKCS12", "ssl.truststore.location": h.truststore(t, "trust.p12", "PKCS12"), "ssl.truststore.password": marker}}},
		{"SCRAM-SHA-512, librdkafka's keys", "PLAINLOGIN", []map[string]string{{"security.protocol": "sasl_plaintext", "sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "gw", "sasl.password": marker}}},
		{"mutual TLS, PEM files", "CERT", []map[string]string{trust, {"security.protocol": "SSL", "ssl.certificate.location": "own.crt", "ssl.key.location": "own.key"}}},
		{"mutual TLS, encrypted key", "CERT", []map[string]string{trust, {"security.protocol": "SSL", "ssl.certificate.location": "own.crt", "ssl.key.location": encryptedKey, "ssl.key.password": marker}}},
		{"mutual TLS, JKS", "CERT", []map[string]string{trust, {"security.protocol": "SSL", "ssl.keystore.location": h.keystore(t, "own.jks", "JKS", ours), "ssl.keystore.password": marker}}},
		{"mutual TLS, PKCS12", "CERT", []map[string]string{trust, {"security.protocol": "SSL", "ssl.keystore.type": "PKCS12", "ssl.keystore.location": h.keystore(t, "own", "PKCS12", ours), "ssl.keystore.password": marker}}},
		{"OAUTHBEARER", "TOKEN", []map[string]string{trust, {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": idp.URL,
			"sasl.jaas.config": jaas + `oauthbearer.OAuthBearerLoginModule required clientId="gw" clientSecret="` + marker + `" scope="kafka";`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			topic, keys := h.topic(t, fmt.Sprintf("login-%d", i)), map[string]string{}
			for _, m := range tt.keys {
				for k, v := range m {
					keys[k] = v
				}
			}
			g := h.open(t, tt.listener, keys)
			g.produce(t, topic, 0, 1000)
			g.until(t, "all delivered", 2*time.Minute, drained)
			h.consume(t, topic, 1000)
			if s := g.Status(t.Context()); s.Target.Breaker != "closed" {
				t.Errorf("breaker %s: %s", s.Target.Breaker, s.Target.BreakerWhy)
			}
		})
	}
}

// tokens is an endpoint that gives the client gw tokens of a minute, without a signature: what Kafka's own default
// validator takes.
func tokens(t *testing.T) *httptest.Server {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "gw" || secret != marker || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "kafka" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		now := time.Now().Unix()
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": part(map[string]any{"alg": "none"}) + "." + part(map[string]any{"sub": "gw", "iat": now, "exp": now + 60, "scope": "kafka"}) + ".",
			"expires_in":   60, "token_type": "Bearer",
		})
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRealKafkaRefusesByName(t *testing.T) {
	h := build(t)
	h.write(t, "stranger.pem", authority.New("strangers").PEM)
	wrong := func(mechanism, class string) map[string]string {
		return map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": mechanism, "ssl.ca.location": "ca.pem",
			"sasl.jaas.config": jaas + class + ` required username="gw" password="wrong-` + marker + `";`}
	}
	stale := h.clients.Issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	h.write(t, "stale.crt", stale.Cert)
	h.write(t, "stale.key", stale.Key)
	for _, tt := range []struct {
		name, listener string
		keys           map[string]string
		cause          kafka.Cause
		says           string
	}{
		{"wrong password, PLAIN", "LOGIN", wrong("PLAIN", "plain.PlainLoginModule"), kafka.WrongLogin, "refuses the login of user gw by PLAIN"},
		{"wrong password, SCRAM-SHA-256", "LOGIN", wrong("SCRAM-SHA-256", "scram.ScramLoginModule"), kafka.WrongLogin, "refuses the login of user gw by SCRAM-SHA-256"},
		{"wrong password, SCRAM-SHA-512", "LOGIN", wrong("SCRAM-SHA-512", "scram.ScramLoginModule"), kafka.WrongLogin, "refuses the login of user gw by SCRAM-SHA-512"},
		{"unsupported mechanism", "TOKEN", wrong("PLAIN", "plain.PlainLoginModule"), kafka.NoMechanism, "it offers OAUTHBEARER"},
		{"unknown authority", "CERT", map[string]string{"security.protocol": "SSL", "ssl.ca.location": "stranger.pem"}, kafka.UnknownAuthority, `issued by "CN=brokers"`},
		{"no certificate of ours", "CERT", map[string]string{"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}, kafka.CertificateWanted, "wants a certificate of ours"},
		{"our certificate ended", "CERT", map[string]string{"security.protocol": "SSL", "ssl.ca.location": "ca.pem", "ssl.certificate.location": "stale.crt", "ssl.key.location": "stale.key"}, kafka.CertificateWanted, "refuses our certificate"},
		{"TLS on a plain port", "PLAINLOGIN", wrong("PLAIN", "plain.PlainLoginModule"), kafka.ListenerPlain, "does not speak TLS"},
		{"plain on a TLS port", "LOGIN", map[string]string{"security.protocol": "PLAINTEXT"}, kafka.ListenerTLS, "speaks TLS"},
		{"a login where none is wanted", "", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "gw", "sasl.password": marker}, kafka.LoginNotWanted, "takes no logins"},
		{"no login where one is wanted", "PLAINLOGIN", map[string]string{"security.protocol": "PLAINTEXT"}, 0, "its listener wants a login"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var y strings.Builder
			for k, v := range tt.keys {
				fmt.Fprintf(&y, "      %s: '%s'\n", k, v)
			}
			addr := h.Addr()
			if tt.listener != "" {
				addr = h.AddrOf(tt.listener)
			}
			cfg, findings := config.Parse(filepath.Join(h.dir, "streamdown.yaml"), fmt.Appendf(nil,
				"version: 1\ndata: { dir: x }\nsystems:\n  primary:\n    kafka:\n      bootstrap.servers: %q\n%sstreams: [{ name: all, topics: [\"*\"] }]\n", addr, y.String()), nil)
			if cfg == nil {
				t.Fatal(findings)
			}
			c, err := kafka.New(kafka.Config{Bootstrap: []string{addr}, Credentials: cfg.Systems[0].Kafka.Security})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			_, err = c.Look(ctx, nil)
			took := time.Since(began)
			if kafka.CauseOf(err) != tt.cause || err == nil || !strings.Contains(err.Error(), tt.says) || !kafka.Reset(err) || strings.Contains(err.Error(), marker) {
				t.Errorf("%v (%s)", err, kafka.CauseOf(err))
			}
			t.Logf("%v: %v", took.Round(time.Millisecond), err)
		})
	}
}

// The password is wrong at first, put right, changed at the broker, and put right again; the session is renewed every
// few seconds. What was acked meanwhile is delivered once.
func TestRealKafkaPasswordIsChangedWhileRecordsCome(t *testing.T) {
	h := build(t)
	topic := h.topic(t, "password")
	h.write(t, "password", "wrong-"+marker)
	g := h.open(t, "LOGIN", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": "ca.pem", "sasl.username": "gw", "sasl.password": "${file:password}"})
	named := func(breaker, why string, _ int64) bool {
		return breaker != "closed" && strings.Contains(why, "refuses the login of user gw")
	}
	took := g.until(t, "the wrong password is named", time.Minute, named)
	t.Logf("a wrong password is named after %v", took.Round(time.Millisecond))
	h.write(t, "password", marker)
	closed := func(breaker, _ string, _ int64) bool { return breaker == "closed" }
	t.Logf("in %v after the password was put right", g.until(t, "in", 2*time.Minute, closed).Round(time.Millisecond))

	ctx, stop := context.WithCancel(t.Context())
	var sent atomic.Int64
	var wg sync.WaitGroup
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.KafkaAddr()), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprintf("value %d", sent.Load()))).FirstErr(); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			sent.Add(1)
		}
	})
	began := time.Now()
	// Several renewals with nothing to be seen of them.
	for time.Since(began) < 10*time.Second {
		s := g.Status(ctx)
		if s.Target.Breaker != "closed" {
			t.Errorf("breaker %s: %s", s.Target.Breaker, s.Target.BreakerWhy)
			break
		}
		pause(ctx, 20*time.Millisecond)
	}
	before := sent.Load()
	if err := h.SetPassword(ctx, "gw", "new-"+marker); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records before the change; the broker's new password is noticed after %v, at the next renewal", before,
		g.until(t, "the old password is refused", 2*time.Minute, named).Round(time.Millisecond))
	h.write(t, "password", "new-"+marker)
	t.Logf("in %v after the file was changed", g.until(t, "in again", 2*time.Minute, closed).Round(time.Millisecond))
	g.until(t, "drained", 2*time.Minute, func(_, _ string, backlog int64) bool { return backlog < 50 })
	stop()
	wg.Wait()
	cl.Close()
	g.until(t, "drained", 2*time.Minute, drained)
	h.consume(t, topic, int(sent.Load()))
	t.Logf("%d records, each once", sent.Load())
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Both sides get new certificates from new authorities, by files, while records come.
func TestRealKafkaCertificatesAreChangedWhileRecordsCome(t *testing.T) {
	h := build(t)
	topic := h.topic(t, "certificates")
	ours := h.clients.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "gw"} })
	h.write(t, "own.crt", ours.Cert)
	h.write(t, "own.key", ours.Key)
	g := h.open(t, "CERT", map[string]string{"security.protocol": "SSL", "ssl.ca.location": "ca.pem", "ssl.certificate.location": "own.crt", "ssl.key.location": "own.key"})
	g.produce(t, topic, 0, 100)
	g.until(t, "delivered", 2*time.Minute, drained)

	// The broker changes its authority, and the one whose clients it lets in.
	next, nextClients := authority.New("next brokers"), authority.New("next clients")
	server := next.Issue(nil)
	if err := h.Alter(t.Context(), "CERT", map[string]string{"ssl.keystore.location": h.write(t, "server2.pem", server.Key+server.Cert)}); err != nil {
		t.Fatal(err)
	}
	if err := h.Alter(t.Context(), "CERT", map[string]string{"ssl.truststore.location": h.write(t, "clients2.pem", nextClients.PEM)}); err != nil {
		t.Fatal(err)
	}
	g.produce(t, topic, 100, 100) // on the connection that stands
	g.until(t, "delivered", 2*time.Minute, drained)
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.produce(t, topic, 200, 100) // acked from the log
	g.until(t, "the new authority is named", 2*time.Minute, func(breaker, why string, _ int64) bool {
		return breaker != "closed" && strings.Contains(why, "signed by an authority that is not trusted")
	})
	h.write(t, "ca.pem", h.brokers.PEM+next.PEM)
	ours = nextClients.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "gw"} })
	h.write(t, "own.crt", ours.Cert)
	h.write(t, "own.key", ours.Key)
	t.Logf("delivered %v after the files were changed", g.until(t, "delivered", 2*time.Minute, drained).Round(time.Millisecond))
	h.consume(t, topic, 300)
}

// A login without the right to write stops its lane by name; nothing is lost, and it goes on when the right is there.
func TestRealKafkaNamesTheMissingRight(t *testing.T) {
	h := buildWith(t, map[string]string{"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS"})
	topic := h.topic(t, "rights")
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	allow := func(ops ...kadm.ACLOperation) {
		t.Helper()
		b := kadm.NewACLs().Allow("User:gw").AllowHosts("*").Topics(topic).Operations(ops...).ResourcePatternType(kadm.ACLPatternLiteral)
		if _, err := kadm.NewClient(cl).CreateACLs(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	allow(kadm.OpDescribe)
	g := h.open(t, "LOGIN", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": "ca.pem", "sasl.username": "gw", "sasl.password": marker})
	g.until(t, "a look at the cluster", 2*time.Minute, func(string, string, int64) bool { return g.Status(t.Context()).Target.ClusterID != nil })
	g.produce(t, topic, 0, 100)
	stopped := func(code string) func(string, string, int64) bool {
		return func(string, string, int64) bool {
			for _, l := range g.Status(t.Context()).Lanes {
				if l.Stop != nil && strings.Contains(l.Stop.Reason, code) {
					t.Log(l.Stop.Reason)
					return true
				}
			}
			return false
		}
	}
	g.until(t, "the missing right is named", 2*time.Minute, stopped("AUTHORIZATION_FAILED"))
	allow(kadm.OpWrite, kadm.OpRead, kadm.OpDescribeConfigs)
	t.Logf("delivered %v after the right was given", g.until(t, "delivered", 2*time.Minute, drained).Round(time.Millisecond))
	h.consume(t, topic, 100)
}
