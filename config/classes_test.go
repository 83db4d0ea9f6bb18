package config

import (
	"context"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// classy is a config with the given keys of listen.kafka and a stream of each priority.
func classy(listen string, priorities ...Priority) string {
	src := strings.Replace(smallest, "data:", "listen: { kafka: { "+listen+" } }\ndata:", 1)
	src = src[:strings.Index(src, "streams:")] + "streams:\n"
	for _, p := range priorities {
		src += "  - { name: of-" + string(p) + ", topics: [" + string(p) + "], priority: " + string(p) + " }\n"
	}
	return src
}

func TestEachPriorityHasAPortOfItsOwn(t *testing.T) {
	users := "auth: { users: [{ name: a, role: admin, password: twelve letters, topics: [\"*\"] }] }\n"
	open := `, sasl: { mechanisms: [SCRAM-SHA-512] }, tls: { cert: c, key: k }`
	for _, c := range []struct {
		name, listen string
		priorities   []Priority
		want         []Class
		warned       bool
	}{
		{"one class, one port", `address: "127.0.0.1:9"`, []Priority{Low}, []Class{{Low, "127.0.0.1:9", "127.0.0.1:9"}}, false},
		{"the ports that follow, highest first", `address: "[::1]:9"`, []Priority{Low, Critical, Normal},
			[]Class{{Critical, "[::1]:9", "[::1]:9"}, {Normal, "[::1]:10", "[::1]:10"}, {Low, "[::1]:11", "[::1]:11"}}, false},
		{"the advertised ones follow too", `address: "127.0.0.1:9", advertise: "gate.example:30000"`, []Priority{High, Low},
			[]Class{{High, "127.0.0.1:9", "gate.example:30000"}, {Low, "127.0.0.1:10", "gate.example:30001"}}, false},
		{"any free ports", `address: "127.0.0.1:0", advertise: "gate.example:0"`, []Priority{High, Low},
			[]Class{{High, "127.0.0.1:0", "gate.example:0"}, {Low, "127.0.0.1:0", "gate.example:0"}}, false},
		{"addresses of their own", `address: "127.0.0.1:9", advertise: "gate.example:30000", classes: { low: { address: "[::1]:77", advertise: "other.example:31000" } }`,
			[]Priority{Critical, Low}, []Class{{Critical, "127.0.0.1:9", "gate.example:30000"}, {Low, "[::1]:77", "other.example:31000"}}, false},
		{"an address of its own, advertised as it is", `address: "127.0.0.1:9", classes: { low: { address: "[::1]:77" } }`,
			[]Priority{Critical, Low}, []Class{{Critical, "127.0.0.1:9", "127.0.0.1:9"}, {Low, "[::1]:77", "[::1]:77"}}, false},
		{"all addresses of the machine", `address: "0.0.0.0:9"` + open, []Priority{Normal, Low}, []Class{{Normal, "0.0.0.0:9", ""}, {Low, "0.0.0.0:10", ""}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := classy(c.listen, c.priorities...)
			if c.warned {
				src += users
			}
			got, findings := Parse("t.yaml", []byte(src), nil)
			warned := slices.ContainsFunc(findings, func(f Finding) bool { return f.Key == "listen.kafka.address" })
			if got == nil || warned != c.warned || !c.warned && len(findings) > 0 {
				t.Fatalf("%s", findings)
			}
			if !reflect.DeepEqual(got.Listen.Kafka.Classes, c.want) {
				t.Errorf("classes %+v\nwant %+v", got.Listen.Kafka.Classes, c.want)
			}
			again, findings := Parse("t.yaml", []byte(strings.Replace(string(got.Show()), redacted, "twelve letters", 1)), nil)
			if again == nil || !reflect.DeepEqual(again.Listen, got.Listen) || !reflect.DeepEqual(again.Streams, got.Streams) {
				t.Errorf("shown as\n%s\nwhich is read as %+v, %s", got.Show(), again, findings)
			}
		})
	}
}

// What follows from an address that is not to be shown gives it away.
func TestPortsThatFollowFromASecretAreNotShown(t *testing.T) {
	c, findings := Parse("t.yaml", []byte(classy(`address: "${LISTEN_SECRET}"`, Critical, Low)), func(string) (string, bool) { return "127.0.0.1:7777", true })
	if c == nil {
		t.Fatal(findings)
	}
	if shown := string(c.Show()); strings.Contains(shown, "777") {
		t.Errorf("shown:\n%s", shown)
	}
}

func TestAdvertisedNamesThatNobodyKnowsAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		listen string
		err    error
		want   string
	}{
		{`advertise: "gate.example:1"`, &net.DNSError{IsNotFound: true}, "listen.kafka.advertise"},
		{`advertise: "gate.example:1"`, nil, ""},
		{`advertise: "gate.example:1"`, &net.DNSError{IsTimeout: true}, ""}, // nobody said no
		{`advertise: "[2001:db8::1]:1"`, &net.DNSError{IsNotFound: true}, ""},
		{`address: "127.0.0.1:1", classes: { low: { advertise: "bulk.example:1" } }`, &net.DNSError{IsNotFound: true}, "listen.kafka.classes.low.advertise"},
	} {
		cfg, findings := Parse("t.yaml", []byte(classy(c.listen, Critical, Low)), nil)
		if cfg == nil {
			t.Fatal(findings)
		}
		found := cfg.Unresolved(t.Context(), "t.yaml", func(context.Context, string) ([]string, error) { return nil, c.err })
		if len(found) > 1 || len(found) == 1 && (found[0].Key != c.want || found[0].Severity != Warning) || len(found) == 0 && c.want != "" {
			t.Errorf("%s: %s, want one about %q", c.listen, found, c.want)
		}
	}
}
