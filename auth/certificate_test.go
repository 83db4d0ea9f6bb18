package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"testing"
	"time"
)

func certificate(t *testing.T, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestDistinguishedNamesAreWrittenAsJavaWritesThem(t *testing.T) {
	attribute := func(id string, value any) pkix.AttributeTypeAndValue {
		var oid asn1.ObjectIdentifier
		for _, n := range map[string][]int{
			"CN": {2, 5, 4, 3}, "OU": {2, 5, 4, 11}, "O": {2, 5, 4, 10}, "C": {2, 5, 4, 6}, "DC": {0, 9, 2342, 19200300, 100, 1, 25},
			"UID": {0, 9, 2342, 19200300, 100, 1, 1}, "email": {1, 2, 840, 113549, 1, 9, 1},
		}[id] {
			oid = append(oid, n)
		}
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	type set = pkix.RelativeDistinguishedNameSET
	for want, name := range map[string]pkix.RDNSequence{
		"CN=orders,OU=shop,O=Acme,C=DE":    {set{attribute("C", "DE")}, set{attribute("O", "Acme")}, set{attribute("OU", "shop")}, set{attribute("CN", "orders")}},
		`CN=a\,b\+c\"d\\e\<f\>g\;h`:        {set{attribute("CN", `a,b+c"d\e<f>g;h`)}},
		`CN=\ a b\ `:                       {set{attribute("CN", " a b ")}},
		`CN=\#a#`:                          {set{attribute("CN", "#a#")}},
		"UID=u,DC=acme,DC=org":             {set{attribute("DC", "org")}, set{attribute("DC", "acme")}, set{attribute("UID", "u")}},
		"CN=ü":                             {set{attribute("CN", "ü")}},
		"":                                 {},
		"1.2.840.113549.1.9.1=#1603614062": {set{attribute("email", asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("a@b")})}},
	} {
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := DistinguishedName(der); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := DistinguishedName([]byte{1, 2, 3}); got != "" {
		t.Errorf("%q of no name", got)
	}
}

func TestRulesMapCertificatesToUsers(t *testing.T) {
	spiffe, _ := url.Parse("spiffe://acme.example/ns/shop/sa/orders")
	c := certificate(t, &x509.Certificate{
		Subject:  pkix.Name{CommonName: "Orders.Acme.Example", OrganizationalUnit: []string{"ServiceUsers"}, Organization: []string{"Acme"}},
		DNSNames: []string{"pod-1.local", "orders.acme.example"}, URIs: []*url.URL{spiffe}, EmailAddresses: []string{"orders@acme.example"},
	})
	const dn = "CN=Orders.Acme.Example,OU=ServiceUsers,O=Acme"
	for _, x := range []struct {
		from  From
		rules string
		want  string // "" = no user
	}{
		{"", "", dn},
		{"", "DEFAULT", dn},
		{Subject, "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/", "Orders.Acme.Example"}, // the examples of Kafka's documentation
		{Subject, "RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1@$2/L,DEFAULT", "orders.acme.example@serviceusers"},
		{Subject, "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U", "ORDERS.ACME.EXAMPLE"},
		{Subject, "RULE:CN=Nobody.*/x/,DEFAULT", dn},
		{Subject, "RULE:CN=Nobody.*/x/", ""},
		{Subject, "RULE:CN=/x/", ""}, // the whole name has to fit, as in Kafka
		{Subject, `RULE:^CN=([^,]+),.*$/a\/$1x$2/`, "a/Orders.Acme.Examplex$2"},
		{Subject, " RULE:^CN=([^.]+).*$/$1/ , DEFAULT ", "Orders"},
		{DNS, `RULE:^([a-z]+)\.acme\.example$/$1/`, "orders"},
		{DNS, "", "pod-1.local"},
		{URI, "RULE:^spiffe:\\/\\/acme.example\\/ns\\/(.*)\\/sa\\/(.*)$/$1.$2/", "shop.orders"},
		{Email, "RULE:(.*)@acme.example/$1/", "orders"},
		{URI, "RULE:x/y/", ""},
	} {
		rules, err := ParseRules(x.rules)
		if err != nil {
			t.Errorf("%s: %v", x.rules, err)
			continue
		}
		if again, err := ParseRules(rules.String()); err != nil || again.String() != rules.String() {
			t.Errorf("%q is written as %q: %v", x.rules, rules, err)
		}
		a := authority(t, Config{Certificates: Mapping{From: x.from, Rules: rules}})
		who, err := a.OfCertificate(c)
		switch {
		case x.want == "" && reason(err) != Unmapped:
			t.Errorf("%s %s: %v, %v", x.from, x.rules, who, err)
		case x.want != "" && (err != nil || who.Name != x.want || who.Mechanism != Certificate):
			t.Errorf("%s %s: %+v, %v; want %q", x.from, x.rules, who, err, x.want)
		}
	}
	for _, bad := range []string{"x", "RULE:", "RULE:a", "RULE:a/b", "RULE:(/b/", "RULE:a/b/X", "DEFAULT RULE:a/b/", "RULE:(?=a)/b/", "RULE:a/b/L RULE:c/d/"} {
		if rules, err := ParseRules(bad); err == nil {
			t.Errorf("%q is read as %q", bad, rules)
		}
	}
}
