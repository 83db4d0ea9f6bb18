package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mapping says which user a client's certificate means.
type Mapping struct {
	// From is what of the certificate is looked at; empty means its subject.
	From From
	// Rules are tried in order; the first that fits makes the name. None means that it is taken as it is.
	Rules Rules
}

// From is a part of a certificate.
type From string

// The parts. Of the alternative names, each is tried until a rule fits one.
const (
	Subject From = "subject" // the distinguished name, in the form of RFC 2253, as Kafka has it
	DNS     From = "dns"     // the DNS names
	URI     From = "uri"     // the URIs, such as those of SPIFFE
	Email   From = "email"   // the email addresses
)

// Froms are all parts.
var Froms = []From{Subject, DNS, URI, Email}

// Rules are Kafka's ssl.principal.mapping.rules.
type Rules []rule

// rule makes a name of what its pattern fits as a whole.
type rule struct {
	text    string
	pattern *regexp.Regexp // nil = DEFAULT: what is there, as it is
	replace string         // in Go's form
	fold    func(string) string
	suffix  string // L or U, as it was written
}

// ParseRules reads rules as Kafka writes them, with a comma between two:
//
//	RULE:pattern/replacement/[LU]
//	DEFAULT
//
// The patterns are Go's regular expressions (RE2): what Java has beside them, looking around and references back, is an
// error. A slash within pattern or replacement is written \/.
func ParseRules(text string) (Rules, error) {
	var rules Rules
	for rest := strings.TrimSpace(text); rest != ""; {
		var r rule
		if after, ok := strings.CutPrefix(rest, "DEFAULT"); ok {
			r.text, rest = "DEFAULT", after
		} else if after, ok := strings.CutPrefix(rest, "RULE:"); ok {
			pattern, after, ok := upToSlash(after)
			replacement, tail, ok2 := upToSlash(after)
			if !ok || !ok2 {
				return nil, fmt.Errorf("%q is not RULE:pattern/replacement/", rest)
			}
			compiled, err := regexp.Compile("^(?:" + pattern + ")$")
			if err != nil {
				return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
			}
			r = rule{text: rest[:len(rest)-len(tail)], pattern: compiled, replace: goForm(replacement, compiled.NumSubexp())}
			switch {
			case strings.HasPrefix(tail, "L"):
				r.fold, r.suffix, tail = strings.ToLower, "L", tail[1:]
			case strings.HasPrefix(tail, "U"):
				r.fold, r.suffix, tail = strings.ToUpper, "U", tail[1:]
			}
			rest = tail
		} else {
			return nil, fmt.Errorf("%q begins with neither RULE: nor DEFAULT", rest)
		}
		rules = append(rules, r)
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, ","); ok {
			rest = strings.TrimSpace(after)
		} else if rest != "" {
			return nil, fmt.Errorf("a comma is missing before %q", rest)
		}
	}
	return rules, nil
}

// upToSlash cuts s at the first slash that no backslash stands before.
func upToSlash(s string) (part, rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return strings.ReplaceAll(s[:i], `\/`, "/"), s[i+1:], true
		}
	}
	return s, "", false
}

var reference = regexp.MustCompile(`\$([0-9]+)`)

// goForm turns Java's $1 into Go's ${1}: $1x would be a group of that name. A reference to a group that is not there
// stands for itself, as with Kafka.
func goForm(replacement string, groups int) string {
	return reference.ReplaceAllStringFunc(strings.ReplaceAll(replacement, "${", "$${"), func(ref string) string {
		for n := range groups + 1 {
			if ref[1:] == fmt.Sprint(n) {
				return "${" + ref[1:] + "}"
			}
		}
		return "$" + ref
	})
}

// String gives the rules as they were written.
func (r Rules) String() string {
	texts := make([]string, len(r))
	for i := range r {
		texts[i] = r[i].text + r[i].suffix
	}
	return strings.Join(texts, ",")
}

// OfCertificate returns the user that a certificate means. Whoever calls has checked the certificate. The error is a
// *Refusal: no rule fits. A user that is not in the config is no error: it may do nothing, and is told so.
func (a *Authority) OfCertificate(c *x509.Certificate) (*Principal, error) {
	t := a.table.Load()
	candidates := t.mapping.candidates(c)
	rules := t.mapping.Rules
	for _, text := range candidates {
		name, ok := rules.apply(text)
		if ok && ValidName(name) == nil {
			return &Principal{Name: name, Mechanism: Certificate}, nil
		}
	}
	return nil, &Refusal{
		Reason: Unmapped,
		Detail: fmt.Sprintf("no rule of auth.certificates makes a user of the certificate's %s %q (subject %s)", t.mapping.from(), candidates, DistinguishedName(c.RawSubject)),
	}
}

func (m *Mapping) from() From {
	if m.From == "" {
		return Subject
	}
	return m.From
}

func (m *Mapping) candidates(c *x509.Certificate) (list []string) {
	switch m.from() {
	case DNS:
		return c.DNSNames
	case Email:
		return c.EmailAddresses
	case URI:
		for _, u := range c.URIs {
			list = append(list, u.String())
		}
		return list
	}
	return []string{DistinguishedName(c.RawSubject)}
}

func (r Rules) apply(text string) (string, bool) {
	if len(text) > 8*maxName || !utf8.ValidString(text) {
		return "", false
	}
	if len(r) == 0 {
		return text, true
	}
	for i := range r {
		rule := &r[i]
		if rule.pattern == nil {
			return text, true
		}
		at := rule.pattern.FindStringSubmatchIndex(text)
		if at == nil {
			continue
		}
		name := string(rule.pattern.ExpandString(nil, rule.replace, text, at))
		if rule.fold != nil {
			name = rule.fold(name)
		}
		return name, true
	}
	return "", false
}

// attributes are the names that RFC 2253 has, and Java with it. All others are written as numbers.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// DistinguishedName writes a subject as RFC 2253 wants it and Java's X500Principal.getName does, last part first. (Go's
// own pkix.Name differs for every attribute beyond the common nine.) It is empty for what is no name.
func DistinguishedName(der []byte) string {
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	var parts []string
	for _, raw := range slices.Backward(rdns) {
		var set []pkix.AttributeTypeAndValue
		var values []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if _, err := asn1.UnmarshalWithParams(raw.FullBytes, &values, "set"); err != nil {
			return ""
		}
		_, _ = asn1.UnmarshalWithParams(raw.FullBytes, &set, "set") // the values that are text
		var list []string
		for i, v := range values {
			name, named := attributes[v.Type.String()]
			text, isText := "", false
			if i < len(set) {
				text, isText = set[i].Value.(string)
			}
			if !named || !isText {
				if !named {
					name = v.Type.String()
				}
				list = append(list, name+"=#"+hex.EncodeToString(v.Value.FullBytes))
				continue
			}
			list = append(list, name+"="+escape(text))
		}
		parts = append(parts, strings.Join(list, "+"))
	}
	return strings.Join(parts, ",")
}

// escape follows RFC 2253, section 2.4.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune(`,+"\<>;`, r), r == '#' && i == 0, r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
