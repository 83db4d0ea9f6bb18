package config

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/streamdown/streamdown"
	"github.com/streamdown/streamdown/auth"
)

// auth reads who may come in.
func (d *decoder) auth(v *value) auth.Config {
	f := d.fields(v)
	c := auth.Config{Certificates: d.certificates(f["certificates"]), OAuth: d.oauth(f["oauth"])}
	users := f["users"]
	if users == nil || users.broken || users.kind == nothing {
		return c
	}
	if users.kind != list {
		d.wrong(users, "want a list of users: [{ name: …, password: ${…}, topics: […] }]")
		return c
	}
	first := map[string]int{}
	for i, item := range users.items {
		u := d.user(item, f["acls"] != nil)
		if before, taken := first[u.Name]; taken && u.Name != "" {
			d.wrong(item.at("name"), "users[%d] has the name %s already", before, item.at("name").said())
		} else {
			first[u.Name] = i
		}
		c.Users = append(c.Users, u)
	}
	return c
}

// shortPassword is the length below which a password can be guessed in reach of a port.
const shortPassword = 12

// user reads one user; rules: Kafka's ACLs may give it rights.
func (d *decoder) user(v *value, rules bool) auth.User {
	f := d.fields(v)
	if v.kind == nothing && !v.broken {
		d.wrong(v, "is empty; want { name: …, password: ${…}, topics: […] }")
		return auth.User{}
	}
	u := auth.User{Name: d.text(f["name"], ""), Password: streamdown.NewSecret(d.text(f["password"], ""))}
	if at := f["name"]; at == nil && v.kind == mapping {
		d.foundIn(v.file, Error, v.line, v.column, v.path+".name", "is missing")
	} else if u.Name != "" {
		if err := auth.ValidName(u.Name); err != nil {
			d.wrong(at, "%v", err)
		}
	}
	// A word that is none was a finding, and NoRole is the least.
	u.Role, _ = auth.ParseRole(d.choice(f["role"], auth.NoRole.String(), auth.RoleNames()...))
	if f["topics"] != nil || u.Role == auth.NoRole && !rules { // who operates need not write
		for _, glob := range d.topics(v, f["topics"]) {
			if glob != "" {
				u.Topics = append(u.Topics, streamdown.Glob(glob))
			}
		}
	}
	if at := f["password"]; at != nil && !at.broken {
		if at.literal {
			d.warn(at, "lies in this file; write ${VAR} or ${file:/path}, or put a verifier in its place: streamdown auth scram %s", commandWord(u.Name))
		}
		if len(u.Password.Reveal()) < shortPassword {
			d.warn(at, "is shorter than %d characters: it can be guessed", shortPassword)
		}
		if f["scram"] != nil {
			d.warn(at, "beside scram: the password is still good for PLAIN; keep one of the two")
		}
	}
	u.SCRAM = d.verifiers(f["scram"])
	return u
}

// commandWord is a name as a word of a command line.
func commandWord(name string) string {
	if name == "" || strings.IndexFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-@", r)
	}) >= 0 {
		return "USER"
	}
	return name
}

func (d *decoder) verifiers(v *value) (list []auth.Verifier) {
	if v == nil || v.broken {
		return nil
	}
	items := v.items
	if v.kind == text {
		items = []*value{v} // one needs no brackets
	} else if v.kind != listKind || len(items) == 0 {
		d.wrong(v, "want a verifier or a list of them; make one with: streamdown auth scram USER")
		return nil
	}
	for _, item := range items {
		t := d.text(item, "")
		if t == "" {
			continue
		}
		verifier, err := auth.ParseVerifier(t)
		switch {
		case err != nil:
			d.wrong(item, "%v", err)
		case slices.ContainsFunc(list, func(o auth.Verifier) bool { return o.Mechanism == verifier.Mechanism }):
			d.wrong(item, "is the second one of %s; keep one", verifier.Mechanism)
		default:
			list = append(list, verifier)
		}
	}
	return list
}

// listKind is list, where a variable has that name.
const listKind = list

func (d *decoder) certificates(v *value) auth.Mapping {
	f := d.fields(v)
	var froms []string
	for _, from := range auth.Froms {
		froms = append(froms, string(from))
	}
	m := auth.Mapping{From: auth.From(d.choice(f["from"], "", froms...))}
	if at := f["rules"]; at != nil && !at.broken {
		rules, err := auth.ParseRules(d.text(at, ""))
		if err != nil {
			d.wrong(at, "are no rules as in Kafka's ssl.principal.mapping.rules: %v", err)
		}
		m.Rules = rules
	}
	return m
}

func (d *decoder) oauth(v *value) *auth.OAuth {
	if v == nil || v.broken {
		return nil
	}
	f := d.fields(v)
	o := &auth.OAuth{
		Issuer: d.text(f["issuer"], ""), Audience: d.words(f["audience"]), Keys: d.text(f["keys"], ""),
		UserClaim: d.text(f["user_claim"], "sub"), Skew: d.duration(f["clock_skew"], 30*time.Second),
	}
	if v.kind == mapping {
		for key, why := range map[string]string{
			"issuer":   "the iss of the tokens that are believed",
			"audience": "who the tokens are for; without it one for another service would be good here",
			"keys":     "the issuer's public keys: an absolute path, or an https URL (jwks_uri)",
		} {
			if f[key] == nil {
				d.foundIn(v.file, Error, v.line, v.column, join(v.path, key), "is missing: %s", why)
			}
		}
	}
	if at := f["algorithms"]; at != nil {
		for i, a := range d.words(at) {
			if !slices.Contains(auth.Signatures, a) {
				where := at
				if i < len(at.items) {
					where = at.items[i]
				}
				d.wrong(where, "is no algorithm of public keys; want some of %s", strings.Join(auth.Signatures, ", "))
				continue
			}
			o.Algorithms = append(o.Algorithms, a)
		}
	}
	for key, alone := range map[string]auth.OAuth{
		"keys":       {Issuer: "x", Audience: []string{"x"}, Keys: o.Keys},
		"clock_skew": {Issuer: "x", Audience: []string{"x"}, Keys: "/x", Skew: o.Skew},
	} {
		if at := f[key]; at != nil && !at.broken {
			if err := alone.Validate(); err != nil {
				d.wrong(at, "%v", err)
			}
		}
	}
	return o
}

// words reads a text or a list of texts.
func (d *decoder) words(v *value) (list []string) {
	if v == nil || v.broken {
		return nil
	}
	if v.kind != listKind {
		if t := d.text(v, ""); t != "" {
			return []string{t}
		}
		return nil
	}
	if len(v.items) == 0 {
		d.wrong(v, "is empty")
	}
	for _, item := range v.items {
		if t := d.text(item, ""); t != "" {
			list = append(list, t)
		}
	}
	return list
}

// costlyVerifier is the number of iterations beyond which checking a password takes a processor a tenth of a second.
const costlyVerifier = 150_000

// people checks that those who may come in can, and that somebody asks who they are.
func (d *decoder) people(c *Config, root *value) {
	k := &c.Listen.Kafka
	at := root.at("auth", "users")
	tokens := slices.Contains(k.SASL.Mechanisms, auth.OAuthBearer)
	if sasl := root.at("listen", "kafka", "sasl"); tokens && c.Auth.OAuth == nil && !sasl.broken && root.at("auth", "oauth") == nil {
		d.wrong(sasl, "has OAUTHBEARER: say whose tokens are believed, in auth.oauth: { issuer: …, audience: …, keys: … }")
	}
	if len(c.Auth.Users) == 0 {
		where := root.at("listen", "kafka", "sasl")
		if where == nil {
			where = root.at("listen", "kafka", "tls", "client_ca")
		}
		if c.ACLs != "" {
			return
		}
		if k.Identified() && where != nil && !where.broken && (at == nil || !at.broken) {
			d.wrong(where, "lets nobody write: there are no users; add auth.users: [{ name: …, topics: […] }]")
		}
		return
	}
	if !k.Identified() {
		d.warn(at, "have no effect on the Kafka port: it does not ask who a client is; add listen.kafka.sasl, or listen.kafka.tls with client_ca")
		return
	}
	for i := range c.Auth.Users {
		d.canLogIn(c, &c.Auth.Users[i], at.items[i])
	}
}

func (d *decoder) canLogIn(c *Config, u *auth.User, at *value) {
	k := &c.Listen.Kafka
	if at.broken || u.Name == "" {
		return
	}
	can := c.entersHTTP(u) || k.TLS != nil && k.TLS.ClientCA != ""
	for _, m := range k.SASL.Mechanisms {
		has := !u.Password.IsZero() || slices.ContainsFunc(u.SCRAM, func(v auth.Verifier) bool { return v.Mechanism == m })
		if m == auth.Plain {
			has = !u.Password.IsZero() || len(u.SCRAM) > 0
			if u.Password.IsZero() && slices.ContainsFunc(u.SCRAM, func(v auth.Verifier) bool { return v.Iterations > costlyVerifier }) {
				d.warn(at, "has a verifier with so many iterations that each wrong password sent with PLAIN costs this machine a tenth of a second and more; "+
					"take PLAIN out of the mechanisms, or make one with fewer")
			}
		}
		can = can || has || m == auth.OAuthBearer
	}
	if broken := at.at("scram"); !can && (broken == nil || !broken.broken) {
		d.warn(at, "cannot log in: it has neither a password nor a verifier for the mechanisms of listen.kafka.sasl")
	}
}

// rulesOf checks where rights come from beside the users' topics.
func (d *decoder) rulesOf(c *Config, root *value) {
	at := root.at("auth", "acls")
	switch {
	case c.ACLs == "" || len(c.Streams) == 0:
	case c.ACLs != c.Streams[0].To:
		d.wrong(at, "want the name of the system that the streams go to, %s: its ACLs are read with the connection that is there", c.Streams[0].To)
	case !c.Listen.Kafka.Identified() && !c.Listen.HTTP.Login:
		d.warn(at, "has no effect: no port asks who a client is; add listen.kafka.sasl, or listen.kafka.tls with client_ca")
	}
}
