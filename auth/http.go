package auth

import (
	"context"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// The ways to log in over HTTP, beside a certificate.
const (
	Basic  Mechanism = "basic"  // RFC 7617
	Bearer Mechanism = "bearer" // RFC 6750, with the tokens of OAUTHBEARER
)

// OfAuthorization returns whom the Authorization header of an HTTP request names, if what it shows is good now. The
// error is a *Refusal. It may wait for a place to check a password and for keys to be fetched, at most until ctx ends.
func (a *Authority) OfAuthorization(ctx context.Context, header string) (*Principal, error) {
	t := a.table.Load()
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.Trim(rest, " ")
	switch {
	case len(rest) > maxToken:
		return nil, malformed("HTTP", "the Authorization header is too long")
	case strings.EqualFold(scheme, "Basic"):
		return a.basic(ctx, t, rest)
	case strings.EqualFold(scheme, "Bearer"):
		if t.oauth == nil {
			return nil, &Refusal{Reason: BadToken, Detail: "a token, but there is no auth.oauth to believe one", Say: "bearer authentication failed: tokens are not taken here"}
		}
		return a.token(ctx, t, Bearer, rest)
	}
	return nil, malformed("HTTP", "the Authorization header is neither Basic nor Bearer")
}

// basic checks base64(name ":" password). What follows the first colon is the password; the charset is UTF-8.
func (a *Authority) basic(ctx context.Context, t *table, text string) (*Principal, error) {
	if len(text) > 2*maxShort {
		return nil, malformed(Basic, "name and password are too long")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	name, password, found := strings.Cut(string(b), ":")
	if err != nil || !found || !utf8.Valid(b) {
		return nil, malformed(Basic, "want name:password in base64 and UTF-8")
	}
	if !t.basic {
		return nil, &Refusal{Reason: NoVerifier, User: name, Detail: "passwords are not taken over HTTP", Say: "basic authentication failed: passwords are not taken here"}
	}
	return a.password(ctx, t, Basic, name, password)
}

// Challenges are the values of WWW-Authenticate (RFC 9110, section 11.6.1) that name the ways to log in.
func (a *Authority) Challenges() []string {
	t := a.table.Load()
	var list []string
	if t.oauth != nil {
		list = append(list, `Bearer realm="streamdown"`)
	}
	if t.basic || len(list) == 0 {
		list = append(list, `Basic realm="streamdown", charset="UTF-8"`)
	}
	return list
}

type principalKey struct{}

// WithPrincipal returns a context that knows who asks.
func WithPrincipal(ctx context.Context, who *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, who)
}

// PrincipalOf returns who asks; nil if nobody was asked to say so.
func PrincipalOf(ctx context.Context) *Principal {
	who, _ := ctx.Value(principalKey{}).(*Principal)
	return who
}
