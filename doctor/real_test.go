//go:build real

package doctor_test

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streamdown/streamdown/connect/kafka/credentials"
	"github.com/streamdown/streamdown/doctor"
	"github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/realkafka"
)

// TestEveryBrokenStageIsNamed breaks one stage after the other of the way to a real Kafka with rights.
func TestEveryBrokenStageIsNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good, strangers := authority.New("brokers"), authority.New("strangers")
	keystore := func(name string, i authority.Issued) map[string]string {
		return map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": write(name+".pem", i.Key+i.Cert)}
	}
	login := keystore("login", good.Issue(nil))
	login["sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
	login["scram-sha-512.sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	b, err := realkafka.Start(t.Context(), realkafka.Options{
		Dir: t.TempDir(),
		Properties: map[string]string{
			"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS;User:boss",
		},
		Listeners: []realkafka.Listener{
			{Name: "LOGIN", Protocol: "SASL_SSL", Properties: login},
			{Name: "EXPIRED", Protocol: "SSL", Properties: keystore("expired", good.Issue(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
			}))},
			{Name: "OTHER", Protocol: "SSL", Properties: keystore("other", good.Issue(func(c *x509.Certificate) {
				c.DNSNames, c.IPAddresses = []string{"elsewhere.example"}, nil
			}))},
			{Name: "STRANGE", Protocol: "SSL", Properties: keystore("strange", strangers.Issue(nil))},
			{Name: "SOON", Protocol: "SSL", Properties: keystore("soon", good.Issue(func(c *x509.Certificate) {
				c.NotAfter = time.Now().Add(72 * time.Hour)
			}))},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	t.Log("Kafka", b.Version)
	if err := b.CreateTopic(t.Context(), "orders", 3, nil); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"boss", "guest"} {
		if err := b.SetPassword(t.Context(), user, "hunter2"); err != nil {
			t.Fatal(err)
		}
	}
	ca := write("ca.pem", good.PEM)
	settings := func(name, text string) credentials.Settings {
		return credentials.Settings{File: write(name+".properties", text)}
	}
	encrypted := settings("encrypted", "security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location="+ca)
	as := func(user, password string) credentials.Settings {
		return settings(user+password, fmt.Sprintf("security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location=%s\nsasl.mechanism=SCRAM-SHA-512\n"+
			`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="%s" password="%s";`, ca, user, password))
	}
	byName := func(addr string) string {
		_, port, _ := net.SplitHostPort(addr)
		return net.JoinHostPort("localhost", port)
	}
	plainCA := settings("untrusting", "security.protocol=SSL")
	for _, c := range []struct {
		name   string
		target string
		as     *credentials.Settings
		topic  string
		write  bool
		step   string // at which it ends; empty = it does not
		says   string
		exit   int
	}{
		{name: "all is well", target: b.Addr(), topic: "orders", write: true},
		{name: "all is well with TLS and a login", target: b.AddrOf("LOGIN"), as: ptr(as("boss", "hunter2")), topic: "orders", write: true},
		{name: "closed port", target: "127.0.0.1:1", step: doctor.StepTCP, says: "refused", exit: 69},
		{name: "unknown name", target: "kafka.invalid:9092", step: doctor.StepDNS, says: "kafka.invalid", exit: 69},
		{name: "TLS to a plain port", target: b.Addr(), as: &encrypted, step: doctor.StepTLS, says: "does not speak TLS", exit: 3},
		{name: "no TLS to a TLS port", target: b.AddrOf("OTHER"), step: doctor.StepVersions, says: "speaks TLS", exit: 3},
		{name: "expired", target: b.AddrOf("EXPIRED"), as: &encrypted, step: doctor.StepTLS, says: "ended on", exit: 3},
		{name: "another name", target: b.AddrOf("OTHER"), as: &encrypted, step: doctor.StepTLS, says: "elsewhere.example", exit: 3},
		{name: "unknown authority", target: b.AddrOf("STRANGE"), as: &encrypted, step: doctor.StepTLS, says: "not trusted here", exit: 3},
		{name: "no truststore", target: b.AddrOf("SOON"), as: &plainCA, step: doctor.StepTLS, says: "ssl.truststore.location", exit: 3},
		{name: "ends soon", target: b.AddrOf("SOON"), as: &encrypted, step: "", exit: 0},
		{name: "name in place of address", target: byName(b.AddrOf("SOON")), as: &encrypted, exit: 0},
		{name: "wrong password", target: b.AddrOf("LOGIN"), as: ptr(as("boss", "hunter3")), step: doctor.StepLogin, says: "refuses the login of user boss", exit: 3},
		{name: "no login where one is wanted", target: b.AddrOf("LOGIN"), as: &encrypted, step: doctor.StepMetadata, says: "it offers SCRAM-SHA-512", exit: 3},
		{name: "unknown topic", target: b.Addr(), topic: "nowhere", step: doctor.StepTopic, says: "no such topic", exit: 3},
		{name: "no rights", target: b.AddrOf("LOGIN"), as: ptr(as("guest", "hunter2")), topic: "orders", step: doctor.StepTopic, says: "may not see it", exit: 3},
		{name: "no idempotent producer", target: b.AddrOf("LOGIN"), as: ptr(as("guest", "hunter2")), step: doctor.StepProducerID, says: "may not have an idempotent producer", exit: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := doctor.Config{Target: c.target, Produce: c.write, Patience: 20 * time.Second}
			if c.as != nil {
				cfg.Credentials = *c.as
			}
			if c.topic != "" {
				cfg.Topics = []string{c.topic}
			}
			r := walk(t, cfg)
			var said strings.Builder
			for _, s := range r.Steps {
				fmt.Fprintf(&said, "%-11s %-11s %s %s\n", s.Verdict, s.Name, s.Saw, problem(s))
			}
			t.Log("\n" + said.String())
			if r.Exit() != c.exit {
				t.Errorf("exit %d, want %d", r.Exit(), c.exit)
			}
			if strings.Contains(said.String(), "hunter") {
				t.Error("it shows a password")
			}
			if c.step == "" {
				return
			}
			if s := at(t, r, c.step); s.Problem == nil || !strings.Contains(*s.Problem, c.says) {
				t.Errorf("step %s says %q, want %q", c.step, problem(s), c.says)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
