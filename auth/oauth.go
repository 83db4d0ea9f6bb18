package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// OAuth says which tokens are believed (RFC 7519, RFC 8725).
type OAuth struct {
	// Issuer is who must have made them: iss, exactly.
	Issuer string
	// Audience is whom they must be meant for: one of these must be in aud.
	Audience []string
	// Keys is where the issuer's public keys are (a JWK set, RFC 7517): the path of a file, or an https URL. That URL
	// is the only place that is ever asked; what a token says about keys is not followed.
	Keys string
	// Algorithms are those that a signature may have. Empty means all of Signatures.
	Algorithms []string
	// UserClaim is the claim that names the user. Empty means sub.
	UserClaim string
	// Skew is how wrong clocks may be. 0 means 30 s.
	Skew time.Duration
	// Refresh is how old the keys may be before they are asked for again. 0 means 10 min.
	Refresh time.Duration
}

// Signatures are the algorithms that can be allowed: public keys only. "none" and shared secrets are not among them.
var Signatures = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// maxSkew bounds OAuth.Skew: a longer one would keep tokens alive that were meant to end.
const maxSkew = 5 * time.Minute

// Validate reports everything that is wrong with o.
func (o *OAuth) Validate() error {
	var errs []error
	if o.Issuer == "" {
		errs = append(errs, errors.New("oauth: the issuer is missing: it is the iss of the tokens"))
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		errs = append(errs, errors.New("oauth: the audience is missing: a token for another service would be good here"))
	}
	if _, err := placeOf(o.Keys); err != nil {
		errs = append(errs, fmt.Errorf("oauth: keys: %w", err))
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(Signatures, a) {
			errs = append(errs, fmt.Errorf("oauth: %q is no algorithm of public keys: choose of %s", a, strings.Join(Signatures, ", ")))
		}
	}
	if o.Skew < 0 || o.Skew > maxSkew {
		errs = append(errs, fmt.Errorf("oauth: a skew of %s: want at most %s", o.Skew, maxSkew))
	}
	if o.Refresh < 0 {
		errs = append(errs, fmt.Errorf("oauth: a refresh of %s", o.Refresh))
	}
	return errors.Join(errs...)
}

// placeOf returns the URL of a place, nil if it is a file.
func placeOf(keys string) (*url.URL, error) {
	switch {
	case keys == "":
		return nil, errors.New("missing: give the path of a file or an https URL")
	case !strings.Contains(keys, "://"):
		if !filepath.IsAbs(keys) {
			return nil, fmt.Errorf("%q is neither an absolute path nor an https URL", keys)
		}
		return nil, nil
	}
	u, err := url.Parse(keys)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%q is no https URL, or has a password in it", keys)
	}
	return u, nil
}

// tokens checks tokens of one issuer.
type tokens struct {
	oauth      OAuth
	algorithms []jose.SignatureAlgorithm
	keys       *keys
}

// newTokens reads keys that lie in a file. Those of before are kept when they come from the same place.
func newTokens(o OAuth, before *tokens, a *Authority) (*tokens, error) {
	if len(o.Algorithms) == 0 {
		o.Algorithms = Signatures
	}
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if o.Skew == 0 {
		o.Skew = 30 * time.Second
	}
	if o.Refresh == 0 {
		o.Refresh = 10 * time.Minute
	}
	t := &tokens{oauth: o}
	for _, name := range o.Algorithms {
		t.algorithms = append(t.algorithms, jose.SignatureAlgorithm(name))
	}
	if before != nil && before.oauth.Keys == o.Keys && before.oauth.Refresh == o.Refresh {
		t.keys = before.keys
		return t, nil
	}
	var err error
	t.keys, err = newKeys(o.Keys, o.Refresh, a)
	return t, err
}

// bearer checks the one message of OAUTHBEARER (RFC 7628, section 3.1):
//
//	gs2-header ^A "auth=Bearer " token ^A [key=value ^A …] ^A
//
// A refusal is said at once, in the words of Kafka's own response, and not as RFC 7628's JSON in a further round: all
// clients show those words, and few show the JSON.
func (a *Authority) bearer(ctx context.Context, t *table, message []byte) ([]byte, *Principal, error) {
	fields := bytes.Split(message, []byte{1})
	if len(fields) < 4 || len(fields) > 64 || len(fields[len(fields)-1]) > 0 || len(fields[len(fields)-2]) > 0 {
		return nil, nil, malformed(OAuthBearer, "the message has not the form of RFC 7628")
	}
	header := string(fields[0])
	if !strings.HasPrefix(header, "n,") && !strings.HasPrefix(header, "y,") || !strings.HasSuffix(header, ",") {
		return nil, nil, malformed(OAuthBearer, "the message does not begin as RFC 7628 wants")
	}
	raw := ""
	for _, f := range fields[1 : len(fields)-2] {
		if value, ok := strings.CutPrefix(string(f), "auth="); ok && raw == "" {
			scheme, token, _ := strings.Cut(value, " ")
			if !strings.EqualFold(scheme, "Bearer") || token == "" {
				return nil, nil, malformed(OAuthBearer, "the message carries no bearer token")
			}
			raw = token
		}
	}
	if raw == "" {
		return nil, nil, malformed(OAuthBearer, "the message carries no token")
	}
	who, err := a.token(ctx, t, OAuthBearer, raw)
	if err != nil {
		return nil, nil, err
	}
	if len(header) > 3 {
		id, ok := strings.CutPrefix(header[2:len(header)-1], "a=")
		if name, good := saslName(id); !ok || !good || name != who.Name {
			return nil, nil, malformed(OAuthBearer, "the authorization id is another name than that of the token")
		}
	}
	return []byte{}, who, nil
}

// token returns the user that a token names, if it is good and there is such a user. It came by m.
func (a *Authority) token(ctx context.Context, t *table, m Mechanism, raw string) (*Principal, error) {
	who, err := t.oauth.check(ctx, m, raw, a.now())
	if err != nil {
		return nil, err
	}
	if t.users[who.Name] == nil && !a.rules.Load().knows(who.Name) {
		return nil, &Refusal{
			Reason: UnknownUser, User: who.Name, Detail: "the token is good, but there is no such user: add it to auth.users",
			Say: string(m) + " authentication failed: the token's user is not known to streamdown",
		}
	}
	return who, nil
}

// maxTokenHeader bounds the part of a token that is read before its signature is checked, in characters.
const maxTokenHeader = 8 << 10

// check returns whom a token names, if it is good now.
func (t *tokens) check(ctx context.Context, m Mechanism, raw string, now time.Time) (*Principal, error) {
	bad := func(reason Reason, user, format string, args ...any) (*Principal, error) {
		what := fmt.Sprintf(format, args...)
		return nil, &Refusal{Reason: reason, User: user, Detail: "token refused: " + what, Say: string(m) + " authentication failed: " + what}
	}
	if dot := strings.IndexByte(raw, '.'); dot < 0 || dot > maxTokenHeader || strings.Count(raw, ".") != 2 {
		return bad(BadToken, "", "it is not a signed JWT")
	}
	token, err := jwt.ParseSigned(raw, t.algorithms)
	if err != nil || len(token.Headers) != 1 {
		return bad(BadToken, "", "it is not a JWT that is signed with one of %s", strings.Join(t.oauth.Algorithms, ", "))
	}
	keys, err := t.keys.find(ctx, token.Headers[0].KeyID, token.Headers[0].Algorithm, now)
	if err != nil {
		return nil, &Refusal{Reason: NoKeys, Detail: "token not checked: " + err.Error(), Say: string(m) + " authentication failed: streamdown cannot read the issuer's keys, its log says why; try again later"}
	}
	var claims jwt.Claims
	var all map[string]any
	signed := false
	for _, k := range keys {
		if signed = token.Claims(k, &claims, &all) == nil; signed {
			break
		}
	}
	if !signed {
		return bad(BadToken, "", "no key of the issuer fits its signature (kid %q)", printable(token.Headers[0].KeyID))
	}
	user, _ := all[t.oauth.UserClaim].(string)
	switch {
	case ValidName(user) != nil:
		return bad(BadToken, "", "its claim %s names no user", t.oauth.UserClaim)
	case claims.Issuer != t.oauth.Issuer:
		return bad(BadToken, user, "its issuer is %q, want %q", printable(claims.Issuer), t.oauth.Issuer)
	case !slices.ContainsFunc(claims.Audience, func(a string) bool { return slices.Contains(t.oauth.Audience, a) }):
		return bad(BadToken, user, "it is meant for %q, want %q", first(claims.Audience), t.oauth.Audience)
	case claims.Expiry == nil:
		return bad(BadToken, user, "it never expires: exp is missing")
	case !now.Before(claims.Expiry.Time().Add(t.oauth.Skew)):
		return bad(ExpiredToken, user, "it expired at %s", claims.Expiry.Time().UTC().Format(time.RFC3339))
	case claims.NotBefore != nil && now.Add(t.oauth.Skew).Before(claims.NotBefore.Time()):
		return bad(BadToken, user, "it is not valid before %s: compare the clocks", claims.NotBefore.Time().UTC().Format(time.RFC3339))
	case claims.IssuedAt != nil && now.Add(t.oauth.Skew).Before(claims.IssuedAt.Time()):
		return bad(BadToken, user, "it was issued at %s, which is still to come: compare the clocks", claims.IssuedAt.Time().UTC().Format(time.RFC3339))
	}
	return &Principal{Name: user, Mechanism: m, Expires: claims.Expiry.Time()}, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return printable(list[0])
}
