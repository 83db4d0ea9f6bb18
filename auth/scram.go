package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"
)

// scramLogin is the server's half of SCRAM (RFC 5802, RFC 7677) without channel binding, which Kafka does not have.
type scramLogin struct {
	table     *table
	mechanism Mechanism
	step      func(token []byte) ([]byte, *Principal, error)
	makeNonce func() string

	name     string
	known    bool // the verifier is real
	verifier Verifier
	header   string // gs2 header, as the client sent it
	half     string // the client's half of the nonce
	nonce    string // both halves
	auth     string // client-first-message-bare "," server-first-message
}

func newScram(t *table, m Mechanism) *scramLogin {
	s := &scramLogin{table: t, mechanism: m, makeNonce: func() string {
		b := make([]byte, 24)
		_, _ = rand.Read(b) // it never fails
		return base64.RawURLEncoding.EncodeToString(b)
	}}
	s.step = s.first
	return s
}

const maxNonce = 512

// first takes client-first-message:
//
//	gs2-cbind-flag "," [authzid] "," username "," nonce ["," extensions]
func (s *scramLogin) first(token []byte) ([]byte, *Principal, error) {
	bad := func(what string) ([]byte, *Principal, error) { return nil, nil, malformed(s.mechanism, what) }
	if !utf8.Valid(token) || bytes.IndexByte(token, 0) >= 0 {
		return bad("the first message is not text")
	}
	flag, rest, ok := strings.Cut(string(token), ",")
	authorize, bare, ok2 := strings.Cut(rest, ",")
	switch {
	case !ok || !ok2:
		return bad("the first message has too few fields")
	case strings.HasPrefix(flag, "p="):
		return bad("channel binding is not supported")
	case flag != "n" && flag != "y":
		return bad("the first message does not begin with n or y")
	}
	s.header = flag + "," + authorize + ","
	fields := strings.Split(bare, ",")
	if strings.HasPrefix(fields[0], "m=") {
		return bad("extensions that must be understood are not")
	}
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") {
		return bad("the first message has no name or no nonce")
	}
	if s.name, ok = saslName(fields[0][2:]); !ok {
		return bad("the name is empty or badly escaped")
	}
	nonce := fields[1][2:]
	if nonce == "" || len(nonce) > maxNonce || strings.IndexFunc(nonce, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return bad("the nonce is empty, too long or not printable")
	}
	if authorize != "" {
		if id, ok := strings.CutPrefix(authorize, "a="); !ok {
			return bad("the authorization id is malformed")
		} else if name, ok := saslName(id); !ok || name != s.name {
			return bad("the authorization id is another name than that of the login")
		}
	}
	for _, extension := range fields[2:] {
		if extension == "tokenauth=true" {
			return bad("delegation tokens are not supported: use a user of auth.users")
		}
	}
	s.verifier, s.known = s.table.verifier(s.name, s.mechanism)
	s.half, s.nonce = nonce, nonce+s.makeNonce()
	reply := fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.verifier.salt), s.verifier.Iterations)
	s.auth = bare + "," + reply
	s.step = s.final
	return []byte(reply), nil, nil
}

// final takes client-final-message:
//
//	"c=" base64(gs2 header) "," "r=" both nonces ["," extensions] "," "p=" proof
//
// Both nonces have to be there, and nothing else (CVE-2024-56128). There is one exception: librdkafka says its own half
// twice, in front of both, up to version 2.6.0 (librdkafka issue 4895). That is as good: what counts is that our half of
// this exchange is in what the proof signs.
func (s *scramLogin) final(token []byte) ([]byte, *Principal, error) {
	bad := func(what string) ([]byte, *Principal, error) {
		r := malformed(s.mechanism, what)
		r.User = s.name
		return nil, nil, r
	}
	if !utf8.Valid(token) {
		return bad("the last message is not text")
	}
	at := strings.LastIndex(string(token), ",p=")
	if at < 0 {
		return bad("the last message has no proof")
	}
	without := string(token[:at])
	fields := strings.Split(without, ",")
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || !strings.HasPrefix(fields[1], "r=") {
		return bad("the last message has no channel binding or no nonce")
	}
	if fields[0][2:] != base64.StdEncoding.EncodeToString([]byte(s.header)) {
		return bad("the channel binding is another than in the first message")
	}
	if r := fields[1][2:]; r != s.nonce && r != s.half+s.nonce {
		return bad("the nonce is another than the one that was agreed")
	}
	for _, extension := range fields[2:] {
		if strings.HasPrefix(extension, "m=") {
			return bad("extensions that must be understood are not")
		}
	}
	proof, err := base64.StdEncoding.Strict().DecodeString(string(token[at+3:]))
	if err != nil || len(proof) != s.mechanism.hashSize() {
		return bad("the proof is not base64 of the hash's size")
	}
	hash := s.mechanism.hash()
	text := s.auth + "," + without
	for i, b := range mac(hash, s.verifier.storedKey, text) {
		proof[i] ^= b // now the client key
	}
	stored := hash()
	stored.Write(proof)
	fits := hmac.Equal(stored.Sum(nil), s.verifier.storedKey)
	signature := mac(hash, s.verifier.serverKey, text)
	switch {
	case fits && s.known:
		return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), &Principal{Name: s.name, Mechanism: s.mechanism}, nil
	case s.known:
		return nil, nil, wrong(s.mechanism, WrongPassword, s.name, "wrong password")
	case s.table.users[s.name] == nil:
		return nil, nil, wrong(s.mechanism, UnknownUser, s.name, "there is no such user: add it to auth.users, or correct the client's name")
	}
	return nil, nil, wrong(s.mechanism, NoVerifier, s.name, "the user has no verifier for "+string(s.mechanism)+"; "+howToVerify)
}

// saslName undoes the escapes of a name: =2C is a comma, =3D an equals sign, and nothing else may be escaped.
func saslName(s string) (string, bool) {
	if s == "" || len(s) > 2*maxName {
		return "", false
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "=")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), true
		case strings.HasPrefix(rest, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(rest, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = rest[2:]
	}
}
