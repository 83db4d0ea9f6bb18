//go:build real

package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Rights come from Kafka's own ACLs, hold while Kafka is away and streamdown starts again, and end when Kafka ends them.
func TestRealKafkaGivesRights(t *testing.T) {
	h := buildWith(t, map[string]string{"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS"})
	topic, other := h.topic(t, "orders-eu"), h.topic(t, "payments")
	direct, err := kgo.NewClient(kgo.SeedBrokers(h.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	rule := func(b *kadm.ACLBuilder, topic string, pattern kadm.ACLPattern) {
		t.Helper()
		if _, err := kadm.NewClient(direct).CreateACLs(t.Context(), b.Topics(topic).Operations(kadm.OpWrite).ResourcePatternType(pattern)); err != nil {
			t.Fatal(err)
		}
	}
	rule(kadm.NewACLs().Allow("User:shop").AllowHosts("*"), "orders-", kadm.ACLPatternPrefixed)
	src := fmt.Sprintf(`version: 1
listen:
  kafka: { address: "127.0.0.1:0", sasl: { mechanisms: [SCRAM-SHA-512] } }
  http: { address: "127.0.0.1:0", login: "off" }
auth:
  acls: primary
  users: [ { name: shop, password: %[1]s }, { name: web, password: %[1]s, topics: [payments] } ]
data: { dir: %q }
systems: { primary: { kafka: { bootstrap.servers: %q } } }
streams: [ { name: all, topics: ["*"], to: primary } ]
`, marker+"-and-long-enough", t.TempDir(), h.Addr())
	g := h.run(t, src)
	// write says how one record was received.
	write := func(user, topic string) error {
		cl, err := kgo.NewClient(
			kgo.SeedBrokers(g.KafkaAddr()), kgo.SASL(scram.Auth{User: user, Pass: marker + "-and-long-enough"}.AsSha512Mechanism()),
			kgo.RecordDeliveryTimeout(time.Minute),
		)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(user)}).FirstErr()
	}
	denied := func(err error) bool {
		return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
	}
	within := func(what string, ok func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("never: %s\n%s", what, g.logged())
			}
		}
	}
	within("the right that Kafka gives", func() bool { return write("shop", topic) == nil })
	if err := write("shop", other); !denied(err) {
		t.Errorf("shop wrote to %s: %v", other, err)
	}
	if err := write("web", other); err != nil {
		t.Errorf("web has a right of its own: %v", err)
	}
	if err := write("web", topic); !denied(err) {
		t.Errorf("web wrote to %s: %v", topic, err)
	}

	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	g.end()
	g = h.run(t, src) // in the outage
	if err := write("shop", topic); err != nil {
		t.Errorf("in the outage, after a restart: %v", err)
	}
	if err := write("shop", other); !denied(err) {
		t.Errorf("in the outage shop wrote to %s: %v", other, err)
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	rule(kadm.NewACLs().Deny("User:shop").DenyHosts("*"), topic, kadm.ACLPatternLiteral)
	within("the right that Kafka takes", func() bool { return denied(write("shop", topic)) })
	g.until(t, "drained", 2*time.Minute, drained)
}
