package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streamdown/streamdown/auth"
)

// TLS says how the connections to a listener are encrypted. The files hold PEM and are read again when they change.
type TLS struct {
	Cert       string // our certificate and those between it and its root, required
	Key        string // its key, required
	ClientCA   string // roots of clients' certificates; empty = clients show none
	ClientAuth string // required or optional; default required with ClientCA
	Revoked    string // revocation lists of those roots; empty = none
	MinVersion uint16 // default tls.VersionTLS12
}

// KafkaSASL says how producers log in.
type KafkaSASL struct {
	Mechanisms          []auth.Mechanism // empty = they do not
	SessionLifetime     time.Duration    // a login lasts so long; 0 = for ever, but for tokens
	PasswordsInTheClear bool             // passwords and tokens may cross a network that anybody can read
}

// everyone reports whether each connection has to show who it belongs to.
func (k *KafkaListener) everyone() bool {
	return len(k.SASL.Mechanisms) > 0 || k.TLS != nil && k.TLS.ClientAuth == ClientRequired
}

// Identified reports whether any connection shows who it belongs to, so that users and their topics mean something.
func (k *KafkaListener) Identified() bool {
	return len(k.SASL.Mechanisms) > 0 || k.TLS != nil && k.TLS.ClientCA != ""
}

// The choices of TLS.ClientAuth.
const (
	ClientRequired = "required"
	ClientOptional = "optional"
)

func (d *decoder) kafkaListener(v *value) KafkaListener {
	f := d.fields(v)
	k := KafkaListener{
		Address:        d.address(f["address"], "127.0.0.1:19092"),
		TLS:            d.tls(f["tls"]),
		SASL:           d.kafkaSASL(f["sasl"]),
		MaxConnections: d.connections(f["max_connections"], 10_000),
	}
	k.MaxConnectionsPerAddress = d.connections(f["max_connections_per_address"], max(1, k.MaxConnections/2))
	k.Advertise = d.text(f["advertise"], reachable(k.Address))
	d.fields(f["classes"])
	d.hostPort(f["advertise"], k.Advertise, true)
	return k
}

func (d *decoder) connections(v *value, fallback int) int {
	if !d.isScalar(v, "a number of connections") {
		return fallback
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < 1 || n > 1_000_000 {
		d.wrong(v, "%s is not a number of connections between 1 and 1000000", v.said())
		return fallback
	}
	return n
}

func (d *decoder) tls(v *value) *TLS {
	if v == nil || v.broken {
		return nil
	}
	f := d.fields(v)
	t := &TLS{
		Cert: d.text(f["cert"], ""), Key: d.text(f["key"], ""), ClientCA: d.text(f["client_ca"], ""), Revoked: d.text(f["revoked"], ""),
		MinVersion: tls.VersionTLS12,
	}
	if v.kind == mapping || v.kind == nothing { // `tls:` with nothing behind it must not mean without
		for _, key := range []string{"cert", "key"} {
			if f[key] == nil {
				d.foundIn(v.file, Error, v.line, v.column, join(v.path, key), "is missing; name the file in PEM")
			}
		}
	}
	if t.ClientCA != "" {
		t.ClientAuth = d.choice(f["client_auth"], ClientRequired, ClientRequired, ClientOptional)
	} else if at := f["client_auth"]; at != nil && !at.broken {
		d.wrong(at, "needs client_ca: the roots that clients' certificates are checked with")
	}
	if at := f["revoked"]; at != nil && t.ClientCA == "" {
		d.wrong(at, "needs client_ca: the roots whose certificates were revoked")
	}
	if at := f["min_version"]; d.isScalar(at, "1.2 or 1.3") {
		switch at.text {
		case "1.2":
		case "1.3":
			t.MinVersion = tls.VersionTLS13
		default:
			d.wrong(at, "%s is not a version that is taken; want 1.2 or 1.3", at.said())
		}
	}
	d.certificate(f["cert"], t)
	d.pemFile(f["client_ca"], t.ClientCA)
	d.pemFile(f["revoked"], t.Revoked)
	return t
}

// endsSoon is when a certificate should have been renewed.
const endsSoon = 14 * 24 * time.Hour

// certificate looks into the files, if they are here: a config may be checked on another machine.
func (d *decoder) certificate(v *value, t *TLS) {
	if v == nil || v.broken || t.Cert == "" || t.Key == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn(v, "or the key beside it cannot be read here: %v", bare(err))
		return
	case err != nil:
		d.wrong(v, "and the key beside it are no pair that works: %v", bare(err))
		return
	}
	switch left := time.Until(pair.Leaf.NotAfter); {
	case left < 0:
		d.warn(v, "ended at %s: clients refuse it; renew it", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	case left < endsSoon:
		d.warn(v, "ends at %s; renew it, the new file is used at once", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if len(pair.Leaf.DNSNames)+len(pair.Leaf.IPAddresses) == 0 {
		d.warn(v, "names no host (subject alternative names): clients that check it refuse it")
	}
}

func (d *decoder) pemFile(v *value, path string) {
	if v == nil || v.broken || path == "" {
		return
	}
	b, err := os.ReadFile(path)
	switch {
	case err != nil:
		d.warn(v, "cannot be read here: %v", bare(err))
	case strings.HasSuffix(v.path, "client_ca") && !x509.NewCertPool().AppendCertsFromPEM(b):
		d.wrong(v, "holds no certificate in PEM")
	}
}

// inTheClear is long so that nobody writes it without reading it.
const inTheClear = "passwords_may_cross_the_network_in_the_clear"

func (d *decoder) kafkaSASL(v *value) KafkaSASL {
	var s KafkaSASL
	if v == nil || v.broken {
		return s
	}
	f := d.fields(v)
	if v.kind == mapping && f["mechanisms"] == nil {
		d.foundIn(v.file, Error, v.line, v.column, join(v.path, "mechanisms"), "is missing; write mechanisms: [SCRAM-SHA-512]")
	}
	var names []string
	for _, m := range auth.SASL {
		names = append(names, string(m))
	}
	if at := f["mechanisms"]; at != nil && !at.broken {
		if at.kind != list || len(at.items) == 0 {
			d.wrong(at, "want a list of mechanisms: [%s]", strings.Join(names, ", "))
		}
		for _, item := range at.items {
			m := auth.Mechanism(d.choice(item, "", names...))
			if m != "" && slices.Contains(s.Mechanisms, m) {
				d.warn(item, "is there twice")
			} else if m != "" {
				s.Mechanisms = append(s.Mechanisms, m)
			}
		}
	}
	s.SessionLifetime = d.duration(f["session_lifetime"], 0)
	if at := f["session_lifetime"]; at != nil && !at.broken && s.SessionLifetime < time.Minute {
		d.wrong(at, "%s is less than a minute: clients would do nothing but log in", at.said())
	}
	s.PasswordsInTheClear = d.truth(f[inTheClear])
	return s
}

// truth returns whether a value is true.
func (d *decoder) truth(v *value) bool {
	switch {
	case v == nil || v.broken:
		return false
	case v.kind == boolean && v.text == "true":
		return true
	case v.kind != boolean:
		d.wrong(v, "want true or false, not %s", v.kind)
	}
	return false
}

// address returns an address to listen on.
func (d *decoder) address(v *value, fallback string) string {
	address := d.text(v, fallback)
	if v == nil || address == fallback || !d.hostPort(v, address, true) {
		return fallback
	}
	return address
}

// showsPassword reports whether a mechanism sends what one could log in with.
func showsPassword(m auth.Mechanism) bool { return m == auth.Plain || m == auth.OAuthBearer }

// open checks that a Kafka port that others can reach asks who they are, and warns of what is weak about how it does.
func (d *decoder) open(c *Config, root *value) {
	d.openAt(&c.Listen.Kafka, root.at("listen", "kafka", "address"), c.Listen.Kafka.Address, root)
}

func (d *decoder) openAt(k *KafkaListener, at *value, address string, root *value) {
	if at == nil || at.broken || loopback(address) {
		return
	}
	encrypted := k.TLS != nil
	sasl := root.at("listen", "kafka", "sasl")
	readable := slices.ContainsFunc(k.SASL.Mechanisms, showsPassword)
	switch {
	case !k.everyone() && (sasl == nil || !sasl.broken):
		d.wrong(at, "%s is not loopback, and whoever reaches the port may write: add listen.kafka.sasl: { mechanisms: [SCRAM-SHA-512] } with auth.users, "+
			"or listen.kafka.tls with client_ca, or bind to 127.0.0.1, [::1] or localhost", at.said())
	case !encrypted && readable && !k.SASL.PasswordsInTheClear:
		d.wrong(at, "%s is not loopback, and PLAIN and OAUTHBEARER without TLS show passwords to whoever listens: add listen.kafka.tls, or use SCRAM; "+
			"if you know that nobody can, say so: listen.kafka.sasl.%s: true", at.said(), inTheClear)
	case !encrypted && readable:
		d.warn(sasl, "%s is set: whoever can listen on the network learns passwords and reads what is sent", inTheClear)
	case !encrypted:
		d.warn(at, "is not loopback and has no TLS: whoever can listen on the network reads what is sent, and may change it; add listen.kafka.tls")
	}
}

// advertised checks that clients are told addresses that they can use.
func (d *decoder) advertised(c *Config, root *value) {
	k := &c.Listen.Kafka
	given := root.at("listen", "kafka")
	if at := given.at("advertise"); at != nil && !at.broken && wildcard(k.Advertise) {
		d.wrong(at, "is no address that a client can connect to; want host:port as they reach it, or leave it out: each is then told the address that it came in by")
	}
	for i, class := range k.Classes {
		address := given.at("address")
		if i > 0 {
			here := given.at("classes", string(class.Priority))
			if own := here.at("address"); own != nil {
				address = own
				d.openAt(k, own, class.Address, root)
			}
			if advertise := here.at("advertise"); advertise != nil && !advertise.broken && wildcard(class.Advertise) {
				d.wrong(advertise, "is no address that a client can connect to; want host:port as they reach it")
			}
		}
		if class.Advertise == "" && address != nil && !address.broken && (i == 0 || address != given.at("address")) {
			d.warn(address, "stands for all addresses of this machine, so each client is told the one that it came in by: behind a load balancer, NAT or in a container "+
				"that is one that it may not reach; set advertise to host:port as clients reach it")
		}
	}
}
