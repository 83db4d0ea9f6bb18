package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySet bounds a key set in bytes, maxKeys the keys in it.
	maxKeySet = 1 << 20
	maxKeys   = 100
	// fetchTime bounds one fetch.
	fetchTime = 5 * time.Second
	// fetchPause is the time from one try to the next, whatever clients send: a token with a key id that nobody knows
	// must not make us ask the issuer again and again.
	fetchPause = 15 * time.Second
	// minRSA is the least length of RSA keys, in bits (NIST SP 800-131A).
	minRSA = 2048
)

// keys are the public keys of an issuer, read when they are needed and kept when they cannot be read again: an issuer
// that is away locks nobody out whose key is known.
type keys struct {
	file    string
	url     *url.URL // nil = a file
	refresh time.Duration
	http    *http.Client
	log     *slog.Logger

	reading sync.Mutex // held while one reads

	mu    sync.Mutex // guards the following
	set   []jose.JSONWebKey
	read  time.Time // of set
	tried time.Time
	fail  error // of the last try
}

// newHTTPClient follows nobody elsewhere and keeps no connection.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout: fetchTime,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: fetchTime,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

func newKeys(place string, refresh time.Duration, a *Authority) (*keys, error) {
	u, err := placeOf(place)
	if err != nil {
		return nil, err
	}
	client := *a.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k := &keys{file: place, url: u, refresh: refresh, http: &client, log: a.log}
	if u != nil {
		return k, nil // fetched when the first token comes: a start must not wait for an issuer
	}
	if k.set, err = readKeys(place); err != nil {
		return nil, fmt.Errorf("oauth: keys: %w", err)
	}
	k.read = a.now()
	return k, nil
}

// find returns the keys that may have made a signature.
func (k *keys) find(ctx context.Context, id, algorithm string, now time.Time) ([]jose.JSONWebKey, error) {
	fit, stale := k.fitting(id, algorithm, now)
	if stale || len(fit) == 0 {
		k.again(ctx, now, len(fit) == 0)
		fit, _ = k.fitting(id, algorithm, now)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(fit) == 0 && k.fail != nil {
		return nil, k.fail
	}
	return fit, nil
}

func (k *keys) fitting(id, algorithm string, now time.Time) (fit []jose.JSONWebKey, stale bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.set {
		if (id == "" || key.KeyID == id) && (key.Algorithm == "" || key.Algorithm == algorithm) && suits(key.Key, algorithm) {
			fit = append(fit, key)
		}
	}
	return fit, now.Sub(k.read) >= k.refresh
}

// suits keeps a key from being used with an algorithm of another family.
func suits(key any, algorithm string) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(algorithm, "ES")
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// again reads the keys once more, unless that was tried a moment ago. Who needs them waits for somebody else who is at
// it.
func (k *keys) again(ctx context.Context, now time.Time, need bool) {
	if !k.reading.TryLock() {
		if !need {
			return
		}
		k.reading.Lock()
	}
	defer k.reading.Unlock()
	k.mu.Lock()
	recent := !k.tried.IsZero() && now.Sub(k.tried) < fetchPause
	if !recent {
		k.tried = now
	}
	k.mu.Unlock()
	if recent {
		return
	}
	var set []jose.JSONWebKey
	var err error
	if k.url != nil {
		set, err = k.fetch(ctx)
	} else {
		set, err = readKeys(k.file)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
	if err != nil {
		k.log.Warn("the keys that tokens are checked with cannot be read; those that were read before stay", "from", k.file,
			"kept", len(k.set), "err", err)
		return
	}
	k.set, k.read = set, now
}

// fetch gets the keys from the issuer.
func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: the answer is %s; redirects are not followed", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	return parseKeys(body)
}

// readKeys reads a file that holds a key set.
func readKeys(path string) ([]jose.JSONWebKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeySet {
		return nil, fmt.Errorf("%s is no regular file of at most 1 MiB", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseKeys(b)
}

// parseKeys keeps of a key set what can check signatures. Keys of other kinds are passed over, as RFC 7517 wants, so
// that an issuer may add new ones; weak ones are passed over too.
func parseKeys(b []byte) ([]jose.JSONWebKey, error) {
	if len(b) > maxKeySet {
		return nil, errors.New("the key set is larger than 1 MiB")
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("not a JWK set: %w", err)
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("a set of %d keys: at most %d", len(raw.Keys), maxKeys)
	}
	var set []jose.JSONWebKey
	for _, r := range raw.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(r) != nil || key.Use != "" && key.Use != "sig" {
			continue
		}
		if !key.IsPublic() {
			continue // of a private or a shared key the public set should know nothing
		}
		if k, ok := key.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
			continue
		}
		set = append(set, key)
	}
	if len(set) == 0 {
		return nil, errors.New("the key set holds no public key for signatures that is strong enough")
	}
	return set, nil
}
