package config

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/streamdown/streamdown/auth"
)

// showClasses writes where the classes below the first are. What follows from an address that is not shown is not shown.
func (c *Config) showClasses(line func(format string, args ...any), q func(path, s string) string) {
	const at = "listen.kafka."
	for i, class := range c.Listen.Kafka.Classes[1:] {
		if i == 0 {
			line("    classes:")
		}
		line("      %s:", class.Priority)
		for _, f := range []struct{ key, value string }{{"address", class.Address}, {"advertise", class.Advertise}} {
			path := at + "classes." + string(class.Priority) + "." + f.key
			switch {
			case f.value == "":
				continue
			case c.secrets[at+"address"] || c.secrets[at+"advertise"]:
				path = at + "address"
				if !c.secrets[path] {
					path = at + "advertise"
				}
			}
			line("        %s: %s", f.key, q(path, f.value))
		}
	}
}

// showKafkaListener writes what is below listen.kafka, after the addresses.
func (c *Config) showKafkaListener(line func(format string, args ...any), q func(path, s string) string) {
	k := &c.Listen.Kafka
	showTLS(line, q, "listen.kafka.tls.", k.TLS)
	if s := &k.SASL; len(s.Mechanisms) > 0 {
		line("    sasl:")
		names := make([]string, len(s.Mechanisms))
		for i, m := range s.Mechanisms {
			names[i] = string(m)
		}
		line("      mechanisms: [%s]", strings.Join(names, ", "))
		if s.SessionLifetime > 0 {
			line("      session_lifetime: %s", formatDuration(s.SessionLifetime))
		}
		if s.PasswordsInTheClear {
			line("      %s: true", inTheClear)
		}
	}
	line("    max_connections: %d", k.MaxConnections)
	line("    max_connections_per_address: %d", k.MaxConnectionsPerAddress)
}

// showHTTPListener writes what is below listen.http, after the address and the size of bodies.
func (c *Config) showHTTPListener(line func(format string, args ...any), q func(path, s string) string) {
	h := &c.Listen.HTTP
	showTLS(line, q, "listen.http.tls.", h.TLS)
	login, metrics := loginOff, metricsLogin
	if h.Login {
		login = loginRequired
	}
	if h.OpenMetrics {
		metrics = metricsOpen
	}
	line("    login: %s", q("listen.http.login", login))
	if h.Login || h.OpenMetrics {
		line("    metrics: %s", q("listen.http.metrics", metrics))
	}
	if h.PasswordsInTheClear {
		line("    %s: true", inTheClear)
	}
}

// showTLS writes the files of a listener.
func showTLS(line func(format string, args ...any), q func(path, s string) string, path string, t *TLS) {
	if t == nil {
		return
	}
	line("    tls:")
	for _, f := range []struct{ key, value string }{
		{"cert", t.Cert}, {"key", t.Key}, {"client_ca", t.ClientCA}, {"client_auth", t.ClientAuth}, {"revoked", t.Revoked},
	} {
		if f.value != "" {
			line("      %s: %s", f.key, q(path+f.key, f.value))
		}
	}
	line("      min_version: %q", map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[t.MinVersion])
}

// showAuth writes who may come in. Passwords and verifiers are never shown.
func (c *Config) showAuth(line func(format string, args ...any), q func(path, s string) string) {
	a := &c.Auth
	if c.ACLs == "" && len(a.Users) == 0 && a.OAuth == nil && a.Certificates.From == "" && len(a.Certificates.Rules) == 0 {
		return
	}
	line("auth:")
	if c.ACLs != "" {
		line("  acls: %s", q("auth.acls", c.ACLs))
	}
	if m := &a.Certificates; m.From != "" || len(m.Rules) > 0 {
		line("  certificates:")
		if m.From != "" {
			line("    from: %s", m.From)
		}
		if len(m.Rules) > 0 {
			line("    rules: %s", q("auth.certificates.rules", m.Rules.String()))
		}
	}
	if o := a.OAuth; o != nil {
		line("  oauth:")
		line("    issuer: %s", q("auth.oauth.issuer", o.Issuer))
		line("    audience: [%s]", quoteAll(q, "auth.oauth.audience", o.Audience))
		line("    keys: %s", q("auth.oauth.keys", o.Keys))
		if len(o.Algorithms) > 0 {
			line("    algorithms: [%s]", strings.Join(o.Algorithms, ", "))
		}
		line("    user_claim: %s", q("auth.oauth.user_claim", o.UserClaim))
		line("    clock_skew: %s", formatDuration(o.Skew))
	}
	if len(a.Users) > 0 {
		line("  users:")
	}
	for i := range a.Users {
		c.showUser(line, q, fmt.Sprintf("auth.users[%d]", i), &a.Users[i])
	}
}

func (c *Config) showUser(line func(format string, args ...any), q func(path, s string) string, path string, u *auth.User) {
	line("    - name: %s", q(path+".name", u.Name))
	if !u.Password.IsZero() {
		line("      password: %s", redacted)
	}
	if len(u.SCRAM) > 0 {
		line("      scram: [%s]", strings.Repeat(", "+redacted, len(u.SCRAM))[2:])
	}
	line("      role: %s", q(path+".role", u.Role.String()))
	if len(u.Topics) == 0 {
		return // who has a role need not write
	}
	topics := make([]string, len(u.Topics))
	for i, g := range u.Topics {
		topics[i] = string(g)
	}
	line("      topics: [%s]", quoteAll(q, path+".topics", topics))
}

// quoteAll shows a list of texts.
func quoteAll(q func(path, s string) string, path string, list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if quoted[i] = q(at, s); len(list) == 1 && quoted[i] != redacted {
			quoted[i] = q(path, s) // a list of one may be written without brackets
		}
	}
	return strings.Join(quoted, ", ")
}
