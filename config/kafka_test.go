package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A client.properties counts as if its keys stood in the YAML; Show tells them apart and hides what is secret, and what
// it shows is the same config.
func TestPropertiesFileCountsAsIfItStoodInTheConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "client.properties")
	content := "bootstrap.servers=k1:9092,k2:9092\nsecurity.protocol=SASL_SSL\nsasl.mechanism = SCRAM-SHA-512\nrequest.timeout.ms=5000\n" +
		"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"gw\" password=\"hunter2\";\n" +
		"ssl.truststore.password=hunter2\nsasl.mechanism=SCRAM-SHA-256\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	src := strings.Replace(smallest, `bootstrap.servers: "k1:9092"`, "properties_file: client.properties, client.id: ours", 1)
	c, findings := Parse(filepath.Join(dir, "c.yaml"), []byte(src), nil)
	if c == nil || len(findings) != 1 || findings[0].Line != 3 || findings[0].File != file {
		t.Fatalf("%s", findings)
	}
	k := &c.Systems[0].Kafka
	if strings.Join(k.Bootstrap, " ") != "k1:9092 k2:9092" || k.ClientID != "ours" || k.RequestTimeout.Seconds() != 5 {
		t.Errorf("%+v", k)
	}
	l, err := k.Security.Load()
	if err != nil || l.Protocol() != "SASL_SSL" || l.MechanismName() != "SCRAM-SHA-256" || l.Who() != "user gw" {
		t.Fatalf("%v, %v", l, err)
	}
	shown := string(c.Show())
	for _, want := range []string{
		"      properties_file: client.properties\n", "      client.id: ours\n", "      # bootstrap.servers: k1:9092,k2:9092 (from properties_file)\n",
		"      # sasl.mechanism: SCRAM-SHA-256 (from properties_file)\n", "      # sasl.jaas.config: \"<redacted>\" (from properties_file)\n",
		"      # ssl.truststore.password: \"<redacted>\" (from properties_file)\n",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "hunter2") || strings.Contains(shown, "SCRAM-SHA-512") {
		t.Errorf("%s", shown)
	}
	again, findings := Parse(filepath.Join(dir, "shown.yaml"), []byte(shown), nil)
	if again == nil || len(findings) != 1 || string(again.Show()) != shown {
		t.Errorf("%s\n%s", shown, findings)
	}
}

func TestSecretsOfKafkaAreNotShown(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := strings.Replace(smallest, `bootstrap.servers: "k1:9092"`, `bootstrap.servers: "k1:9092", security.protocol: SASL_SSL, sasl.mechanism: PLAIN,
  sasl.username: gw, sasl.password: "x${file:pw}y${API_TOKEN}", ssl.keystore.location: store.p12, ssl.keystore.password: "${API_TOKEN}",
  ssl.endpoint.identification.algorithm: ""`, 1)
	c, findings := Parse(filepath.Join(dir, "c.yaml"), []byte(src), lookup)
	if c == nil || len(findings) != 2 || strings.Contains(findings.String(), "hunter2") {
		t.Fatalf("%s", findings)
	}
	shown := string(c.Show())
	for _, want := range []string{
		"sasl.username: gw\n", "sasl.password: \"<redacted>\"\n", "ssl.keystore.location: store.p12\n", "ssl.keystore.password: \"<redacted>\"\n",
		"ssl.endpoint.identification.algorithm: \"\"\n", "security.protocol: SASL_SSL\n",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "hunter2") {
		t.Errorf("%s", shown)
	}
}
