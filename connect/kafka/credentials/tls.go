package credentials

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/streamdown/streamdown"
)

// security is how a connection is encrypted, and who must be at its other end.
type security struct {
	roots     store
	own       store
	hostNames bool // the broker's certificate must name the host
	least     uint16
	most      uint16
	suites    []uint16
}

var versions = map[string]uint16{
	"TLSV1": tls.VersionTLS10, "TLSV1.0": tls.VersionTLS10, "TLSV1.1": tls.VersionTLS11, "TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13,
}

func deriveTLS(g given, f *finder) *security {
	s := &security{hostNames: true, least: tls.VersionTLS12, most: tls.VersionTLS13}
	const names = "ssl.endpoint.identification.algorithm"
	switch strings.ToLower(g.text(names)) {
	case "https":
	case "", "none":
		if s.hostNames = !g.has(names); !s.hostNames {
			f.warn(names, "is empty, so any host with a certificate of a trusted authority is taken for a broker; leave it out, and have the brokers' certificates name their hosts")
		}
	default:
		f.wrong(names, `is not known; want https, or "" for no check of host names`)
	}
	if on := g.text("enable.ssl.certificate.verification"); on != "" && !strings.EqualFold(on, "true") {
		f.wrong("enable.ssl.certificate.verification", "would take anybody for a broker; leave it out, and name the authority by ssl.truststore.location or ssl.ca.location")
	}
	s.protocols(g, f)
	s.ciphers(g, f)

	f.alone(g, "ssl.truststore.location", "ssl.truststore.certificates", "ssl.ca.location", "ssl.ca.pem")
	key, _ := g.first("ssl.truststore.location", "ssl.truststore.certificates", "ssl.ca.location", "ssl.ca.pem")
	_, inline := g.first("ssl.truststore.certificates", "ssl.ca.pem")
	s.roots = store{key: key, inline: inline, password: secret(g, "ssl.truststore.password")}
	s.roots.file = g.path("ssl.truststore.location")
	if s.roots.file == "" {
		s.roots.file = g.path("ssl.ca.location")
	}
	s.roots.kind = storeKind(g, f, "ssl.truststore.type")

	f.alone(g, "ssl.keystore.location", "ssl.keystore.certificate.chain", "ssl.certificate.location", "ssl.certificate.pem")
	f.alone(g, "ssl.keystore.location", "ssl.keystore.key", "ssl.key.location", "ssl.key.pem")
	key, _ = g.first("ssl.keystore.location", "ssl.keystore.certificate.chain", "ssl.certificate.location", "ssl.certificate.pem")
	s.own = store{key: key, password: secret(g, "ssl.keystore.password"), keyPassword: secret(g, "ssl.key.password")}
	_, s.own.inline = g.first("ssl.keystore.certificate.chain", "ssl.certificate.pem")
	if s.own.file = g.path("ssl.keystore.location"); s.own.file == "" {
		s.own.file = g.path("ssl.certificate.location")
	}
	keyName, inlineKey := g.first("ssl.keystore.key", "ssl.key.pem")
	s.own.keyInline, s.own.keyFile = streamdown.NewSecret(inlineKey), g.path("ssl.key.location")
	hasKey := inlineKey != "" || s.own.keyFile != ""
	if s.own.keyFile != "" {
		keyName = "ssl.key.location"
	}
	if hasKey && s.own.none() {
		f.wrong(keyName, "is a key without its certificate; want ssl.keystore.certificate.chain or ssl.certificate.location too")
	}
	if s.own.inline != "" && !hasKey && !strings.Contains(s.own.inline, "PRIVATE KEY") {
		f.wrong(key, "is a certificate without its key; want ssl.keystore.key or ssl.key.location too")
	}
	s.own.kind = storeKind(g, f, "ssl.keystore.type")
	return s
}

func (s *security) protocols(g given, f *finder) {
	const key = "ssl.enabled.protocols"
	if g.text(key) == "" {
		return
	}
	var list []uint16
	for name := range strings.SplitSeq(g.text(key), ",") {
		v, ok := versions[strings.ToUpper(strings.TrimSpace(name))]
		if !ok {
			f.wrong(key, "names a protocol that streamdown does not speak; want TLSv1.2, TLSv1.3 or both")
			return
		}
		list = append(list, v)
	}
	s.least, s.most = slices.Min(list), slices.Max(list)
	if s.least < tls.VersionTLS12 {
		f.warn(key, "allows a version of TLS that has been broken; want TLSv1.2,TLSv1.3")
	}
}

func (s *security) ciphers(g given, f *finder) {
	const key = "ssl.cipher.suites"
	text := g.text(key)
	if text == "" {
		return
	}
	known := make(map[string]uint16)
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		known[c.Name] = c.ID
	}
	other := false
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ':' || r == ' ' }) {
		id, ok := known[name]
		if other = other || !ok; ok {
			s.suites = append(s.suites, id)
		}
	}
	switch {
	case len(s.suites) == 0:
		f.wrong(key, "names no suite that streamdown knows; want names such as TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, or leave it out")
	case other:
		f.warn(key, "names suites that streamdown does not know; they are left out")
	}
}

func storeKind(g given, f *finder, key string) string {
	kind := strings.ToUpper(g.text(key))
	if kind != "" && kind != "JKS" && kind != "PKCS12" && kind != "PEM" {
		f.wrong(key, "is not a type of store that streamdown reads; want PEM, PKCS12 or JKS")
	}
	return kind
}
