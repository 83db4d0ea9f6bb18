package credentials

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/streamdown/streamdown"
)

// Tokens fetches bearer tokens and keeps the last one for as long as most of its life lasts. It may be used
// concurrently; one fetch serves all who wait.
type Tokens struct {
	turn chan struct{} // holds one token while somebody fetches

	mu    sync.Mutex // guards the following
	token streamdown.Secret
	of    [sha256.Size]byte
	renew time.Time // not used from then on
}

// NewTokens returns one without tokens.
func NewTokens() *Tokens { return &Tokens{turn: make(chan struct{}, 1)} }

// TokenError says why there is no token.
type TokenError struct {
	Endpoint string
	Refused  bool // the endpoint answered, and said no
	Err      error
}

func (e *TokenError) Error() string {
	s := fmt.Sprintf("get a token at %s: %v", e.Endpoint, e.Err)
	if e.Refused {
		return s + ": look at clientId, clientSecret and scope"
	}
	return s + ": look at sasl.oauthbearer.token.endpoint.url"
}

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// maxToken is the longest answer of a token endpoint that is read, in bytes.
const maxToken = 256 << 10

// get returns a token of which at least a fifth of its life is left: a session that is renewed before it ends gets one
// that outlives the one before.
func (t *Tokens) get(ctx context.Context, o *OAuth, digest [sha256.Size]byte) (streamdown.Secret, error) {
	if o.endpoint.Scheme == "file" { // somebody else renews it
		content, err := ReadFile(o.endpoint.Path)
		if err != nil {
			return streamdown.Secret{}, &TokenError{Endpoint: o.String(), Err: err}
		}
		return streamdown.NewSecret(strings.TrimSpace(string(content))), nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return streamdown.Secret{}, &TokenError{Endpoint: o.String(), Err: ctx.Err()}
	}
	t.mu.Lock()
	token, good := t.token, t.of == digest && time.Now().Before(t.renew)
	t.mu.Unlock()
	if good {
		return token, nil
	}
	began := time.Now()
	token, life, err := o.fetch(ctx)
	if err != nil {
		return streamdown.Secret{}, err
	}
	t.mu.Lock()
	t.token, t.of, t.renew = token, digest, began.Add(life/5*4)
	t.mu.Unlock()
	return token, nil
}

// fetch asks the endpoint (RFC 6749, 4.4). It returns the token and how long it lives.
func (o *OAuth) fetch(ctx context.Context) (streamdown.Secret, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, o.connect+o.read)
	defer cancel()
	failed := func(refused bool, err error) (streamdown.Secret, time.Duration, error) {
		return streamdown.Secret{}, 0, &TokenError{Endpoint: o.String(), Refused: refused, Err: err}
	}
	var roots *x509.CertPool
	if !o.roots.none() {
		certs, err := o.roots.trusted()
		if err != nil {
			return failed(false, err)
		}
		roots = x509.NewCertPool()
		for _, c := range certs {
			roots.AddCert(c)
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext:       (&net.Dialer{Timeout: o.connect}).DialContext,
		DisableKeepAlives: true, // one request an hour
	}
	client := http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { // the secret goes where we were told, nowhere else
			return http.ErrUseLastResponse
		},
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if o.scope != "" {
		form.Set("scope", o.scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.endpoint.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return failed(false, errors.New("the URL cannot be used"))
	}
	id, secret := o.id, o.secret.Reveal()
	if o.escape {
		id, secret = url.QueryEscape(id), url.QueryEscape(secret)
	}
	req.SetBasicAuth(id, secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err // the URL is in our own words already
		}
		return failed(false, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return failed(false, fmt.Errorf("read its answer: %w", err))
	}
	var answer struct {
		Token     string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"`
		Error     string  `json:"error"`
	}
	parsed := json.Unmarshal(body, &answer)
	if resp.StatusCode != http.StatusOK {
		err := fmt.Errorf("it answers %s", resp.Status)
		if parsed == nil && plainCode(answer.Error) {
			err = fmt.Errorf("it answers %s, %s", resp.Status, answer.Error)
		}
		return failed(resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusForbidden, err)
	}
	if parsed != nil || answer.Token == "" {
		return failed(false, errors.New("its answer holds no access_token in JSON"))
	}
	return streamdown.NewSecret(answer.Token), life(answer.Token, answer.ExpiresIn, time.Now()), nil
}

// plainCode reports whether s is an error code as RFC 6749 has them, which cannot hold a secret by accident.
func plainCode(s string) bool {
	return s != "" && len(s) < 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// life is how long a token lives: what the token itself says, otherwise what the endpoint said, otherwise nothing.
func life(token string, seconds float64, now time.Time) time.Duration {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		var claims struct {
			Expires float64 `json:"exp"`
		}
		if raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "=")); err == nil && json.Unmarshal(raw, &claims) == nil && claims.Expires > 0 {
			seconds = claims.Expires - float64(now.UnixMilli())/1000
		}
	}
	const longest = 24 * 60 * 60
	return time.Duration(max(0, min(seconds, longest)) * float64(time.Second))
}
