//go:build real

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamdown/streamdown/config"
	"github.com/streamdown/streamdown/test/authority"
	"github.com/streamdown/streamdown/test/realkafka"
)

// TestInitSaysWhatTheClusterWants asks each kind of listener of a real Kafka; the file is one that `run` takes, and where
// the cluster wants more than it tells, what is to be set is said.
func TestInitSaysWhatTheClusterWants(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	brokers, clients := authority.New("brokers"), authority.New("clients")
	server := brokers.Issue(nil)
	encrypted := map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": write("server.pem", server.Key+server.Cert)}
	login := map[string]string{
		"sasl.enabled.mechanisms": "PLAIN",
		"plain.sasl.jaas.config":  `org.apache.kafka.common.security.plain.PlainLoginModule required user_gw="secret";`,
	}
	both := map[string]string{}
	wanted := map[string]string{"ssl.client.auth": "required", "ssl.truststore.type": "PEM", "ssl.truststore.location": write("clients.pem", clients.PEM)}
	for k, v := range encrypted {
		both[k], wanted[k] = v, v
	}
	for k, v := range login {
		both[k] = v
	}
	b, err := realkafka.Start(t.Context(), realkafka.Options{Dir: t.TempDir(), Listeners: []realkafka.Listener{
		{Name: "TLS", Protocol: "SSL", Properties: encrypted},
		{Name: "CERT", Protocol: "SSL", Properties: wanted},
		{Name: "LOGIN", Protocol: "SASL_PLAINTEXT", Properties: login},
		{Name: "TLSLOGIN", Protocol: "SASL_SSL", Properties: both},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Kill()
	t.Log("Kafka", b.Version)
	for _, topic := range []string{"orders.new", "orders.paid"} {
		if err := b.CreateTopic(t.Context(), topic, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, addr string
		said, file []string
	}{
		{"no login", b.Addr(), []string{"it has 2 topics and takes connections without a login (security.protocol PLAINTEXT)"}, []string{`topics: ["orders.*"]`}},
		{"TLS", b.AddrOf("TLS"), []string{"speaks TLS", "authority that this machine does not trust", "ssl.truststore.location"}, []string{"security.protocol: SSL"}},
		{"a certificate of ours", b.AddrOf("CERT"), []string{"speaks TLS", "ssl.truststore.location"}, []string{"security.protocol: SSL"}},
		{"a login", b.AddrOf("LOGIN"), []string{"SASL_PLAINTEXT", "sasl.mechanism"}, nil},
		{"TLS and a login", b.AddrOf("TLSLOGIN"), []string{"speaks TLS", "ssl.truststore.location"}, []string{"security.protocol: SSL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "streamdown.yaml")
			var out, errs bytes.Buffer
			if code := execute(t.Context(), []string{"init", c.addr, "-o", file}, &out, &errs); code != 0 {
				t.Fatalf("exit code %d:\n%s", code, &errs)
			}
			t.Log(strings.TrimSpace(errs.String()))
			for _, want := range c.said {
				if !strings.Contains(errs.String(), want) {
					t.Errorf("does not say %q:\n%s", want, &errs)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.file {
				if !strings.Contains(string(text), want) {
					t.Errorf("the file has no %q:\n%s", want, text)
				}
			}
			if cfg, findings := config.Load(file); cfg == nil {
				t.Errorf("`run` does not take the file: %v\n%s", findings, text)
			}
		})
	}
}
