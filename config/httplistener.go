package config

import (
	"slices"
	"strings"

	"github.com/streamdown/streamdown/auth"
)

// The choices of listen.http.login and listen.http.metrics.
const (
	loginRequired = "required"
	loginOff      = "off"
	metricsLogin  = "login"
	metricsOpen   = "open"
)

func (d *decoder) httpListener(v *value) HTTPListener {
	f := d.fields(v)
	return HTTPListener{
		Address: d.address(f["address"], "127.0.0.1:8790"), MaxBody: d.maxBody(f["max_body"]), TLS: d.tls(f["tls"]),
		OpenMetrics:         d.choice(f["metrics"], metricsLogin, metricsLogin, metricsOpen) == metricsOpen,
		PasswordsInTheClear: d.truth(f[inTheClear]),
	}
}

// httpDoor says who has to log in over HTTP, and checks that an HTTP port that others can reach asks who they are, and
// that those who may come in can.
func (d *decoder) httpDoor(c *Config, root *value) {
	h := &c.Listen.HTTP
	address, login, users := root.at("listen", "http", "address"), root.at("listen", "http", "login"), root.at("auth", "users")
	some := len(c.Auth.Users) > 0 || users != nil && users.broken
	h.Login = some
	if choice := d.choice(login, "", loginRequired, loginOff); choice != "" {
		h.Login = choice == loginRequired
	} else if login != nil {
		return
	}
	if h.Login && !some {
		d.wrong(login, "lets nobody in: there are no users; add auth.users: [{ name: …, role: admin, password: ${…} }]")
		return
	}
	if !h.Login && some {
		d.warn(login, "lets everybody on this machine write to every topic over HTTP, whatever auth.users says, and hold and resume")
	}
	if address != nil && !address.broken && !loopback(h.Address) {
		d.openHTTP(c, root, address, login)
	}
	if !h.Login || users == nil || users.broken {
		return
	}
	operated := false
	for i := range c.Auth.Users {
		u := &c.Auth.Users[i]
		operated = operated || u.Role != auth.NoRole
		d.canUseHTTP(c, u, users.items[i])
	}
	if !operated {
		d.warn(users, "have no role: nobody can ask for the status, hold or resume over HTTP; give one role: viewer, operator or admin, "+
			"or open the port to everybody on this machine with listen.http.login: off")
	}
}

// openHTTP checks an HTTP port that others can reach.
func (d *decoder) openHTTP(c *Config, root, address, login *value) {
	h := &c.Listen.HTTP
	switch readable := c.Auth.OAuth != nil || hasPasswords(c.Auth.Users); {
	case !h.Login && login != nil:
		d.wrong(login, "is for loopback only: whoever reaches %s may do everything; leave it out, or bind to 127.0.0.1, [::1] or localhost", address.said())
	case !h.Login:
		d.wrong(address, "%s is not loopback, and whoever reaches the port may do everything: add auth.users, one with role: admin, and listen.http.tls, "+
			"or bind to 127.0.0.1, [::1] or localhost", address.said())
	case h.TLS == nil && !readable:
		d.wrong(address, "%s is not loopback, and nobody can log in there: give users of auth.users a password or a verifier, add auth.oauth, "+
			"or listen.http.tls with client_ca", address.said())
	case h.TLS == nil && !h.PasswordsInTheClear:
		d.wrong(address, "%s is not loopback, and without TLS passwords and tokens are shown to whoever listens: add listen.http.tls; "+
			"if you know that nobody can, say so: listen.http.%s: true", address.said(), inTheClear)
	case h.TLS == nil:
		d.warn(root.at("listen", "http", inTheClear), "is set: whoever can listen on the network learns passwords and reads what is sent")
	}
}

func hasPasswords(users []auth.User) bool {
	for i := range users {
		if hasPassword(&users[i]) {
			return true
		}
	}
	return false
}

func hasPassword(u *auth.User) bool { return !u.Password.IsZero() || len(u.SCRAM) > 0 }

// entersHTTP reports whether a user can log in over HTTP.
func (c *Config) entersHTTP(u *auth.User) bool {
	h := &c.Listen.HTTP
	return h.Login && (hasPassword(u) || c.Auth.OAuth != nil || h.TLS != nil && h.TLS.ClientCA != "")
}

func (d *decoder) canUseHTTP(c *Config, u *auth.User, at *value) {
	if at.broken || u.Name == "" {
		return
	}
	broken := func(key string) bool { v := at.at(key); return v != nil && v.broken }
	if u.Role != auth.NoRole && !c.entersHTTP(u) && !broken("scram") && !broken("password") {
		d.warn(at, "has a role and no way to log in over HTTP; give it a password or a verifier: streamdown auth scram %s", commandWord(u.Name))
	}
	costly := func(v auth.Verifier) bool { return v.Iterations > costlyVerifier }
	if u.Password.IsZero() && slices.ContainsFunc(u.SCRAM, costly) && !slices.Contains(c.Listen.Kafka.SASL.Mechanisms, auth.Plain) {
		d.warn(at, "has a verifier with so many iterations that each wrong password sent over HTTP costs this machine a tenth of a second and more; make one with fewer")
	}
	if hasPassword(u) && strings.Contains(u.Name, ":") {
		d.warn(at.at("name"), "has a colon, so its password cannot be used over HTTP (RFC 7617)")
	}
}
