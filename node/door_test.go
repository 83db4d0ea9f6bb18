package node_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/streamdown/streamdown/auth"
	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/node"
	"github.com/streamdown/streamdown/test/authority"
)

// marker is a password that no output may hold.
const marker = "marker-of-a-secret-that-nobody-may-see"

// TestProducersFromElsewhereComeInByTheirLoginAlone: a port that others can reach, from the config to the status page,
// with the cluster there and with the cluster away.
func TestProducersFromElsewhereComeInByTheirLoginAlone(t *testing.T) {
	dir := t.TempDir()
	ca := authority.New("clients trust this")
	server := ca.Issue(func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	verifier, err := auth.NewVerifier(auth.SCRAM512, marker, auth.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster(t, t.TempDir())
	src := fmt.Sprintf(`version: 1
listen:
  kafka:
    address: "0.0.0.0:0"
    advertise: "localhost:0"
    tls: { cert: %q, key: %q }
    sasl: { mechanisms: [SCRAM-SHA-512], session_lifetime: 1h }
  http: { address: "127.0.0.1:0" }
auth:
  users:
    - { name: shop, scram: "${SHOP}", topics: [orders] }
    - { name: other, password: "${OTHER}", topics: [clicks], role: viewer }
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary, acks: wal } ]
`, put("tls.crt", server.Cert), put("tls.key", server.Key), filepath.Join(dir, "data"), c.ListenAddrs()[0])
	cfg, findings := config.Parse("test.yaml", []byte(src), func(name string) (string, bool) {
		return map[string]string{"SHOP": verifier.Reveal(), "OTHER": marker}[name], true
	})
	if cfg == nil {
		t.Fatal(findings)
	}
	logs := &journal{}
	n, err := node.Open(node.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Node: n, logs: logs, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.left, r.err = n.Run(ctx)
	}()
	_, port, err := net.SplitHostPort(n.KafkaAddr())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	client := func(user, password string) *kgo.Client {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers("localhost:"+port), kgo.DialTLSConfig(&tls.Config{RootCAs: roots}),
			kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()), kgo.RecordDeliveryTimeout(10*time.Second),
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	limited, done := context.WithTimeout(t.Context(), time.Minute)
	defer done()
	shop := client("shop", marker)
	write := func(cl *kgo.Client, topic string) error {
		return cl.ProduceSync(limited, &kgo.Record{Topic: topic, Value: []byte("v")}).FirstErr()
	}
	for _, when := range []string{"with the cluster", "without it"} {
		if err := write(shop, "orders"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := write(client("other", marker), "orders"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s: a topic of others: %v", when, err)
		}
		if err := client("shop", "wrong").Ping(limited); err == nil || !strings.Contains(err.Error(), "wrong user name or password") {
			t.Errorf("%s: a wrong password: %v", when, err)
		}
		c.Close()
	}
	st := n.Status(limited)
	if st.Gateway.Users["shop"] == 0 {
		t.Errorf("users %v", st.Gateway.Users)
	}
	said, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	ask, err := http.NewRequestWithContext(limited, http.MethodGet, "http://"+n.HTTPAddr()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.SetBasicAuth("other", marker)
	ask.Close = true
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range []string{
		`streamdown_user_connections{user="shop"}`, `streamdown_logins_total{mechanism="SCRAM-SHA-512",outcome="wrong_password"} 2`,
		`streamdown_logins_total{mechanism="SCRAM-SHA-512",outcome="ok"}`,
	} {
		if !strings.Contains(string(page), series) {
			t.Errorf("no %s in /metrics", series)
		}
	}
	r.stop(t)
	if !r.logs.has("reason=wrong_password") || !r.logs.has("claimed_user=shop") {
		t.Error("the log does not name the wrong password")
	}
	_, keys, _ := strings.Cut(verifier.Reveal(), ":")
	for name, text := range map[string]string{"status": string(said), "metrics": string(page), "config show": string(cfg.Show()), "log": r.logs.text.String(), "config": fmt.Sprintf("%+v", cfg)} {
		for _, secret := range append(strings.FieldsFunc(keys, func(r rune) bool { return r == '$' || r == ':' }), marker) {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows a secret", name)
			}
		}
	}
}
