package credentials

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown"
)

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}

// deriveSASL reads who we are.
func deriveSASL(g given, f *finder, l *Login) {
	f.alone(g, "sasl.mechanism", "sasl.mechanisms")
	key, name := g.first("sasl.mechanism", "sasl.mechanisms")
	l.mechanism = strings.ToUpper(name)
	switch {
	case name == "":
		f.wrong(key, "is missing; want %s (Kafka's own default, GSSAPI, is not in this version)", strings.Join(mechanisms, ", "))
		return
	case l.mechanism == "GSSAPI":
		f.wrong(key, "GSSAPI (Kerberos) is not in this version; want %s", strings.Join(mechanisms, ", "))
		return
	case l.mechanism == "AWS_MSK_IAM":
		f.wrong(key, "AWS_MSK_IAM is not in this version; MSK also takes SCRAM-SHA-512 and client certificates")
		return
	case !slices.Contains(mechanisms, l.mechanism):
		f.wrong(key, "is not a mechanism that streamdown knows; want %s", strings.Join(mechanisms, ", "))
		return
	}
	options, ok := jaasOptions(g, f, l.mechanism)
	if !ok {
		return
	}
	if l.mechanism == "OAUTHBEARER" {
		l.oauth = deriveOAuth(g, f, options)
		return
	}
	f.alone(g, "sasl.jaas.config", "sasl.username")
	if g.text("sasl.jaas.config") != "" {
		l.user, l.password = options["username"].Reveal(), options["password"]
		l.delegated = strings.EqualFold(options["tokenauth"].Reveal(), "true")
		if l.user == "" || l.password.IsZero() {
			f.wrong("sasl.jaas.config", `needs the options username="…" and password="…", both not empty`)
		}
		return
	}
	l.user, l.password = g.text("sasl.username"), streamdown.NewSecret(g.text("sasl.password"))
	if l.user == "" {
		f.wrong("sasl.jaas.config", `is missing; write: %s required username="…" password="…";`, modules[l.mechanism])
	} else if l.password.IsZero() {
		f.wrong("sasl.password", "is missing")
	}
}

// modules are the classes of Kafka's own login modules.
var modules = map[string]string{
	"PLAIN":         "org.apache.kafka.common.security.plain.PlainLoginModule",
	"SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
	"SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
	"OAUTHBEARER":   "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
}

// simple is a Java class without its package: libraries put Kafka's classes into packages of their own.
func simple(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

// jaasOptions returns the options of the one login module, none if there is no JAAS line.
func jaasOptions(g given, f *finder, mechanism string) (map[string]streamdown.Secret, bool) {
	const key = "sasl.jaas.config"
	line := g.text(key)
	if line == "" {
		return nil, true
	}
	list, err := ParseJAAS(line)
	switch {
	case err != nil:
		f.wrong(key, "cannot be read: %v; in YAML write it in single quotes, in a properties file one \\ is two", err)
		return nil, false
	case len(list) > 1:
		f.wrong(key, "has %d login modules; want one", len(list))
		return nil, false
	case simple(list[0].Class) != simple(modules[mechanism]):
		want := simple(modules[mechanism])
		for m, class := range modules {
			if simple(class) == simple(list[0].Class) {
				f.wrong(key, "has the login module of %s, and sasl.mechanism is %s; want %s there, or another sasl.mechanism", m, mechanism, want)
				return nil, false
			}
		}
		f.wrong(key, "does not begin with a login module that streamdown knows; for %s want %s", mechanism, modules[mechanism])
		return nil, false
	}
	return list[0].Options, true
}

// OAuth says where a token comes from (KIP-768).
type OAuth struct {
	endpoint *url.URL // https, http or file
	id       string
	secret   streamdown.Secret
	scope    string
	escape   bool // id and secret are URL-encoded first (RFC 6749, 2.3.1)
	extra    map[string]string
	roots    store // of the endpoint's certificate; zero: those of the system
	connect  time.Duration
	read     time.Duration
}

func deriveOAuth(g given, f *finder, jaas map[string]streamdown.Secret) *OAuth {
	o := &OAuth{extra: make(map[string]string), connect: 10 * time.Second, read: 10 * time.Second}
	for name, value := range jaas {
		if ext, ok := strings.CutPrefix(name, "extension_"); ok {
			o.extra[ext] = value.Reveal()
		}
		if strings.HasPrefix(name, "unsecuredLogin") {
			f.wrong("sasl.jaas.config", "asks for a token without a signature, which anybody can make; want a token endpoint: sasl.oauthbearer.token.endpoint.url")
		}
	}
	for pair := range strings.SplitSeq(g.text("sasl.oauthbearer.extensions"), ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok {
			o.extra[name] = value
		} else if pair != "" {
			f.wrong("sasl.oauthbearer.extensions", "is not a list of name=value with commas between")
		}
	}
	for _, fixed := range []struct{ key, want, other string }{
		{"sasl.oauthbearer.method", "oidc", "oidc"}, {"sasl.oauthbearer.grant.type", "client_credentials", "client_credentials"},
		{"sasl.login.callback.handler.class", "OAuthBearerLoginCallbackHandler", "OAuthBearerLoginCallbackHandler"},
		{"sasl.oauthbearer.jwt.retriever.class", "ClientCredentialsJwtRetriever", "DefaultJwtRetriever"},
	} {
		if v := g.text(fixed.key); v != "" && simple(v) != fixed.want && simple(v) != fixed.other {
			f.wrong(fixed.key, "asks for a way to get tokens that is not in this version; want %s, the client credentials flow", fixed.want)
		}
	}
	const endpoint = "sasl.oauthbearer.token.endpoint.url"
	where := g.text(endpoint)
	if where == "" {
		f.wrong(endpoint, "is missing; OAUTHBEARER needs it")
		return o
	}
	var err error
	if o.endpoint, err = url.Parse(where); err != nil || o.endpoint.Scheme != "file" && (o.endpoint.Scheme != "https" && o.endpoint.Scheme != "http" || o.endpoint.Host == "") {
		f.wrong(endpoint, "is not a URL that begins with https:// (or file:// for a token in a file)")
		return o
	}
	if o.endpoint.User != nil {
		f.wrong(endpoint, "holds a user; give it by clientId and clientSecret in sasl.jaas.config")
	}
	o.connect = millis(g, f, "sasl.login.connect.timeout.ms", o.connect)
	o.read = millis(g, f, "sasl.login.read.timeout.ms", o.read)
	if o.endpoint.Scheme == "file" {
		return o
	}
	if o.endpoint.Scheme == "http" {
		f.warn(endpoint, "sends the client's secret readable over the network; want https://")
	}
	o.id, o.secret, o.scope = jaas["clientId"].Reveal(), jaas["clientSecret"], jaas["scope"].Reveal()
	if _, v := g.first("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"); v != "" {
		o.id = v
	}
	if _, v := g.first("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"); v != "" {
		o.secret = streamdown.NewSecret(v)
	}
	if v := g.text("sasl.oauthbearer.scope"); v != "" {
		o.scope = v
	}
	if o.id == "" || o.secret.IsZero() {
		f.wrong("sasl.jaas.config", `names no client; write: %s required clientId="…" clientSecret="…";`, modules["OAUTHBEARER"])
	}
	o.escape = strings.EqualFold(g.text("sasl.oauthbearer.header.urlencode"), "true")
	f.alone(g, "https.ca.location", "https.ca.pem")
	o.roots = store{key: "https.ca.location", file: g.path("https.ca.location"), inline: g.text("https.ca.pem")}
	if file := jaas["ssl.truststore.location"].Reveal(); file != "" && o.roots.none() {
		o.roots = store{key: "sasl.jaas.config", file: file, password: jaas["ssl.truststore.password"]}
	}
	return o
}

func millis(g given, f *finder, key string, fallback time.Duration) time.Duration {
	text := g.text(key)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 || n > 600_000 {
		f.wrong(key, "is not a number of milliseconds between 1 and 600000")
		return fallback
	}
	return time.Duration(n) * time.Millisecond
}

// Format tells what String does, whatever the verb.
func (o *OAuth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// String tells where tokens come from, without the secret.
func (o *OAuth) String() string {
	if o.endpoint.Scheme == "file" {
		return o.endpoint.Path
	}
	return fmt.Sprintf("%s as client %s", o.endpoint.Redacted(), o.id)
}
