package hostile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func asked(correlation int32, r kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("h")).AppendRequest(nil, r, correlation)
}

func begin(version int16, mechanism string) []byte {
	return asked(1, &kmsg.SASLHandshakeRequest{Version: version, Mechanism: mechanism})
}

func token(version int16, t string) []byte {
	return asked(2, &kmsg.SASLAuthenticateRequest{Version: version, SASLAuthBytes: []byte(t)})
}

// Logins nobody may come in with. Each goes on with good records, as somebody would who came in.
func Logins() []Item {
	var items []Item
	add := func(name string, frames ...[]byte) {
		items = append(items, Item{Kind: "logins", Name: name, Door: Stranger, Data: bytes.Join(append(frames, Produce(Batch())), nil)})
	}
	for _, m := range []string{"", "plain", "Plain", "PLAIN ", " PLAIN", "PLAIN\x00", "GSSAPI", "AWS_MSK_IAM", "EXTERNAL", "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "LOGIN", "NTLM", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS",
		"SCRAM-SHA-384", "scram-sha-512", "OAUTHBEARER2", "PLAIN,SCRAM-SHA-256", "*", "%s", "\xff\xfe", strings.Repeat("A", 1000), strings.Repeat("A", 30_000)} {
		for v := range int16(2) {
			add(fmt.Sprintf("handshake v%d for mechanism %.20q of %d bytes", v, m, len(m)), begin(v, m), token(2, "\x00alice\x00alices-secret"))
		}
	}
	for name, t := range wrongTokens() {
		for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"} {
			add(m+": "+name, begin(1, m), token(2, t))
		}
	}
	for _, m := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, user := range []string{"alice", "nobody"} {
			for name, final := range map[string]string{
				"nothing": "", "no proof": "c=biws,r=nonce", "an empty proof": "c=biws,r=nonce,p=", "a proof of zeros": "c=biws,r=nonce,p=" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
				"a proof of 40 KB": "c=biws,r=nonce,p=" + strings.Repeat("A", 40_000), "its own nonce alone": "c=biws,r=nonce,p=AAAA", "another binding": "c=eSws,r=nonce,p=AAAA",
				"bad base64": "c=!!!!,r=nonce,p=????", "the first message again": "n,,n=" + user + ",r=nonce", "an attribute m": "c=biws,m=x,r=nonce,p=AAAA", "text": "hello",
			} {
				add(fmt.Sprintf("%s: the second message of %s is %s", m, user, name), begin(1, m), token(2, "n,,n="+user+",r=nonce"), token(2, final))
			}
		}
	}
	add("a token first", token(2, "\x00alice\x00alices-secret"))
	add("two handshakes", begin(1, "PLAIN"), begin(1, "SCRAM-SHA-256"), token(2, "\x00alice\x00wrong"))
	add("100 handshakes", append(slices.Repeat([][]byte{begin(1, "PLAIN")}, 100), token(2, "x"))...)
	add("a metadata request between", begin(1, "PLAIN"), asked(3, &kmsg.MetadataRequest{Version: 4}))
	add("records between", begin(1, "PLAIN"), Produce(Batch()))
	add("records first")
	add("a right password after a wrong one", begin(1, "PLAIN"), token(2, "\x00alice\x00wrong"), token(2, "\x00alice\x00alices-secret"))
	add("bare: a length of -1", begin(0, "PLAIN"), sized(0xffffffff))
	add("bare: a length of 2^31-1", begin(0, "PLAIN"), sized(0x7fffffff, 0))
	add("bare: 70,000 bytes", begin(0, "PLAIN"), whole(make([]byte, 70_000)))
	add("bare: nothing", begin(0, "PLAIN"), whole(nil))
	add("bare: HTTP", begin(0, "PLAIN"), whole([]byte("GET / HTTP/1.1\r\n\r\n")))
	add("bare: a request around the token", begin(0, "PLAIN"), token(1, "\x00alice\x00alices-secret"))
	add("bare: a wrong password", begin(0, "PLAIN"), whole([]byte("\x00alice\x00wrong")))
	add("bare: a produce request", begin(0, "SCRAM-SHA-256"), Produce(Batch()))
	slices.SortFunc(items, func(a, b Item) int { return compare(a.Name, b.Name) })
	return items
}

// Tokens are first messages that no mechanism may take, in the order of their names.
func Tokens() []string {
	wrong := wrongTokens()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		out = append(out, wrong[name])
	}
	return out
}

// wrongTokens are first messages that no mechanism may take: for the wrong one, or of nobody.
func wrongTokens() map[string]string {
	jwt := func(head, claims string) string {
		e := base64.RawURLEncoding.EncodeToString
		return "n,,\x01auth=Bearer " + e([]byte(head)) + "." + e([]byte(claims)) + "." + e([]byte("signature")) + "\x01\x01"
	}
	const claims = `{"iss":"https://id.example","aud":"streamdown","sub":"alice","exp":9999999999}`
	return map[string]string{
		"nothing": "", "one zero": "\x00", "two zeros": "\x00\x00", "three zeros": "\x00\x00\x00", "60,000 zeros": strings.Repeat("\x00", 60_000), "ones": strings.Repeat("\xff", 100), "text": "let me in",
		"no user": "\x00\x00alices-secret", "no password": "\x00alice\x00", "a wrong password": "\x00alice\x00wrong", "another user": "\x00mallory\x00alices-secret",
		"for somebody else": "bob\x00alice\x00alices-secret", "a zero in the password": "\x00alice\x00alices\x00secret", "a password and more": "\x00alice\x00alices-secret\x00",
		"a space behind the user": "\x00alice \x00alices-secret", "a user in capitals": "\x00ALICE\x00alices-secret", "a user in full width": "\x00\uff41lice\x00alices-secret",
		"a user that is not UTF-8": "\x00\xff\xfe\x00alices-secret", "a user of 20,000 bytes": "\x00" + strings.Repeat("a", 20_000) + "\x00x", "a password of 40,000 bytes": "\x00alice\x00" + strings.Repeat("x", 40_000),
		"line ends": "\x00alice\r\nadmin\x00x", "terminal codes": "\x00\x1b[2J\x00x", "SQL": "\x00' OR 1=1 --\x00' OR 1=1 --", "LDAP": "\x00*)(uid=*\x00x", "a lookup": "\x00${jndi:ldap://127.0.0.1}\x00x",
		"SCRAM without a header": "n=alice,r=nonce", "SCRAM with a binding": "p=tls-unique,,n=alice,r=nonce", "SCRAM for somebody else": "n,a=bob,n=alice,r=nonce", "SCRAM without a nonce": "n,,n=alice",
		"SCRAM with an empty nonce": "n,,n=alice,r=", "SCRAM with an extension that must be known": "n,,m=x,n=alice,r=nonce", "SCRAM with a bad escape": "n,,n=al=2Zice,r=nonce", "SCRAM with a bare equals sign": "n,,n=a=b,r=nonce",
		"SCRAM without a user": "n,,n=,r=nonce", "SCRAM with commas": "n,,,,,,,,", "SCRAM with a nonce of 30,000 bytes": "n,,n=alice,r=" + strings.Repeat("x", 30_000), "SCRAM with 5,000 attributes": "n,,n=alice,r=x" + strings.Repeat(",x=y", 5_000),
		"SCRAM with a zero": "n,,n=al\x00ice,r=nonce", "SCRAM that is not UTF-8": "n,,n=\xc3\x28,r=nonce", "SCRAM with the wrong order": "n,,r=nonce,n=alice",
		"bearer without a token": "n,,\x01auth=Bearer \x01\x01", "bearer without an end": "n,,\x01auth=Bearer a.b.c", "another scheme": "n,,\x01auth=Basic YTpi\x01\x01", "bearer twice": "n,,\x01auth=Bearer a.b.c\x01auth=Bearer a.b.c\x01\x01",
		"no JWT": "n,,\x01auth=Bearer abc\x01\x01", "JWT of dots": "n,,\x01auth=Bearer " + strings.Repeat(".", 1000) + "\x01\x01", "JWT without a signature": "n,,\x01auth=Bearer e30.e30.\x01\x01", "JWT with alg none": jwt(`{"alg":"none"}`, claims),
		"JWT with alg HS256": jwt(`{"alg":"HS256","kid":"k"}`, claims), "JWT with an unknown key": jwt(`{"alg":"ES256","kid":"other"}`, claims), "JWT with a key of its own": jwt(`{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`, claims),
		"JWT with a key's address": jwt(`{"alg":"RS256","jku":"http://127.0.0.1:1/keys"}`, claims), "JWT with a wrong signature": jwt(`{"alg":"ES256","kid":"k"}`, claims), "JWT with crit": jwt(`{"alg":"ES256","kid":"k","crit":["x"]}`, claims),
		"JWT that is deep": jwt(strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000), claims), "JWT with claims that are no JSON": jwt(`{"alg":"ES256","kid":"k"}`, "no"), "JWT that was encrypted": "n,,\x01auth=Bearer a.b.c.d.e\x01\x01",
		"JWT of 40,000 bytes": "n,,\x01auth=Bearer " + strings.Repeat("a", 40_000) + "\x01\x01", "extensions without an end": "n,,\x01auth=Bearer a.b.c" + strings.Repeat("\x01a=b", 5_000) + "\x01\x01", "an extension without a value": "n,,\x01auth=Bearer a.b.c\x01novalue\x01\x01",
		"Kerberos": "\x60\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00", "HTTP": "GET / HTTP/1.1\r\n\r\n", "a TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	}
}
