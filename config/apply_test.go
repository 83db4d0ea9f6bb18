package config

import (
	"slices"
	"strings"
	"testing"
)

func changed(from, to *Config) (live, restart []string) {
	for _, c := range Diff(from, to) {
		if c.Live {
			live = append(live, c.Key)
		} else {
			restart = append(restart, c.Key)
		}
	}
	return live, restart
}

// TestCredentialsAreTakenOver: how to log in changes while the process runs, where to does not.
func TestCredentialsAreTakenOver(t *testing.T) {
	a := parse(t, smallest)
	b := parse(t, strings.Replace(smallest, `bootstrap.servers: "k1:9092"`, `bootstrap.servers: "k2:9092", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: gw, sasl.password: "${API_TOKEN}"`, 1))
	live, restart := changed(a, b)
	if !slices.Contains(live, "systems.primary.kafka.sasl.password") || !slices.Contains(live, "systems.primary.kafka.security.protocol") || len(restart) != 1 || restart[0] != "systems.primary.kafka.bootstrap.servers" {
		t.Errorf("live %v, restart %v", live, restart)
	}
	got := Apply(a, b).Systems[0].Kafka
	if got.Bootstrap[0] != "k1:9092" || len(got.Security.Own) != 4 {
		t.Errorf("%+v", got)
	}
	environment["API_TOKEN"] = "another hunter2"
	defer func() { environment["API_TOKEN"] = "hunter2" }()
	c := parse(t, strings.Replace(smallest, `bootstrap.servers: "k1:9092"`, `bootstrap.servers: "k2:9092", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: gw, sasl.password: "${API_TOKEN}"`, 1))
	if live, restart := changed(b, c); len(live) != 1 || live[0] != "systems.primary.kafka.sasl.password" || len(restart) != 0 {
		t.Errorf("a changed secret: live %v, restart %v", live, restart)
	}
	if b.Hash() != c.Hash() {
		t.Error("a secret has part in the hash, which people see")
	}
}

// TestAReloadNeverOpensAPortThatOthersReach: what is right for the address in the file is wrong for the one that is bound.
func TestAReloadNeverOpensAPortThatOthersReach(t *testing.T) {
	const outside = `
listen: { kafka: { address: "0.0.0.0:19092", advertise: "gw:19092", tls: { cert: /c, key: /k, client_ca: /ca } } }
auth: { users: [{ name: a, topics: ["*"], role: admin }] }
`
	take := func(src string) *Config {
		c, findings := Parse("t.yaml", []byte(smallest+src), nil)
		if c == nil {
			t.Fatal(findings)
		}
		return c
	}
	running := take(outside)
	for name, listen := range map[string]string{
		"certificates that are optional": `tls: { cert: /c, key: /k, client_ca: /ca, client_auth: optional }`,
		"no certificates":                `tls: { cert: /c, key: /k }`,
		"no TLS":                         `max_connections: 5`,
	} {
		next := take(strings.Replace(outside, `address: "0.0.0.0:19092", advertise: "gw:19092", tls: { cert: /c, key: /k, client_ca: /ca }`, listen, 1))
		got := Apply(running, next).Listen.Kafka
		if !got.everyone() || got.TLS == nil || got.TLS.ClientAuth != ClientRequired || got.Address != "0.0.0.0:19092" {
			t.Errorf("%s: %+v %+v", name, got, got.TLS)
		}
	}
	login := strings.Replace(outside, "tls: { cert: /c, key: /k, client_ca: /ca }", "sasl: { mechanisms: [SCRAM-SHA-512] }", 1)
	running = take(login)
	next := take(strings.NewReplacer(`address: "0.0.0.0:19092", advertise: "gw:19092", `, "", "SCRAM-SHA-512", "PLAIN").Replace(login))
	if got := Apply(running, next).Listen.Kafka.SASL.Mechanisms; got[0] != "SCRAM-SHA-512" {
		t.Errorf("passwords would cross the network in the clear: %v", got)
	}
	if got := Apply(take(""), take(login)).Listen.Kafka; got.Identified() {
		t.Error("logins came without a restart, and the gateway has no users")
	}
}

// TestStreamsKeepTheirTarget: a stream that is new joins the others, one that is gone leaves, and none moves.
func TestStreamsKeepTheirTarget(t *testing.T) {
	a := parse(t, strings.Replace(smallest, "name: all,", "name: all, retain: 2h,", 1))
	moved := strings.NewReplacer("primary:", "other:", "name: all,", "name: few, retain: 9h,").Replace(smallest)
	b := parse(t, strings.Replace(moved, `topics: ["*"] }`, `topics: ["b*"] }, { name: all, topics: ["*"], acks: wal }`, 1))
	c := Apply(a, b)
	if len(c.Streams) != 2 || c.Streams[0].To != "primary" || c.Streams[1].To != "primary" || c.Streams[1].Acks != AcksWAL || c.Streams[1].Retain != a.Streams[0].Retain || c.Streams[0].Retain != a.Streams[0].Retain {
		t.Errorf("%+v", c.Streams)
	}
	if _, ok := c.System("primary"); !ok {
		t.Errorf("%+v", c.Systems)
	}
	if _, restart := changed(a, b); !slices.Contains(restart, "streams[all].to") || !slices.Contains(restart, "streams[all].retain") {
		t.Errorf("needs a restart: %v", restart)
	}
}
