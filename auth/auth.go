package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/streamdown/streamdown"
)

// Mechanism is a way to show who one is: one of SASL, or a certificate.
type Mechanism string

// The mechanisms. Certificate is none of SASL.
const (
	Plain       Mechanism = "PLAIN"
	SCRAM256    Mechanism = "SCRAM-SHA-256"
	SCRAM512    Mechanism = "SCRAM-SHA-512"
	OAuthBearer Mechanism = "OAUTHBEARER"
	Certificate Mechanism = "certificate"
)

// SASL are the mechanisms of SASL, strongest first.
var SASL = []Mechanism{SCRAM512, SCRAM256, OAuthBearer, Plain}

// Principal is who a connection belongs to.
type Principal struct {
	Name      string
	Mechanism Mechanism
	Expires   time.Time // when what it showed ends to be true; zero = it does not
}

// User is one that may log in.
type User struct {
	Name string
	// Password is for PLAIN and, turned into verifiers at the start, for SCRAM. Empty = there is none.
	Password streamdown.Secret
	// SCRAM are verifiers in place of a password, at most one for each mechanism. PLAIN works with them too, at the
	// cost of their iterations for each failed login.
	SCRAM []Verifier
	// Topics are what the user may write to and see.
	Topics []streamdown.Glob
	// Role is what the user may do beside that.
	Role Role
}

// Config says who there is. The zero value knows nobody.
type Config struct {
	Users []User
	// Mechanisms are those of SASL that are offered.
	Mechanisms []Mechanism
	// Basic says that passwords are taken over HTTP too.
	Basic bool
	// Certificates says which user a certificate means.
	Certificates Mapping
	// OAuth says which tokens are believed; required with OAUTHBEARER.
	OAuth *OAuth

	// HTTP fetches keys for OAuth; nil means a client of its own.
	HTTP *http.Client
	// Logger hears of keys that could not be read; nil is silent.
	Logger *slog.Logger
	// Now is the clock of tokens; nil means time.Now.
	Now func() time.Time
}

// Validate reports everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for i := range c.Users {
		u := &c.Users[i]
		if err := ValidName(u.Name); err != nil {
			errs = append(errs, fmt.Errorf("user %d: %w", i+1, err))
		}
		if seen[u.Name] {
			errs = append(errs, fmt.Errorf("user %q is there twice: join the two", u.Name))
		}
		seen[u.Name] = true
		for j, v := range u.SCRAM {
			if err := v.validate(); err != nil {
				errs = append(errs, fmt.Errorf("user %q: %w", u.Name, err))
			}
			if slices.ContainsFunc(u.SCRAM[:j], func(w Verifier) bool { return w.Mechanism == v.Mechanism }) {
				errs = append(errs, fmt.Errorf("user %q has two verifiers of %s: keep one", u.Name, v.Mechanism))
			}
		}
	}
	for _, m := range c.Mechanisms {
		if !slices.Contains(SASL, m) {
			errs = append(errs, fmt.Errorf("%q is no mechanism: choose of %v", m, SASL))
		}
	}
	switch {
	case c.OAuth != nil:
		errs = append(errs, c.OAuth.Validate())
	case slices.Contains(c.Mechanisms, OAuthBearer):
		errs = append(errs, errors.New("OAUTHBEARER needs to know whose tokens to believe: set issuer, audience and keys"))
	}
	return errors.Join(errs...)
}

// maxName bounds the name of a user, in bytes: distinguished names are long.
const maxName = 512

// ValidName says what is wrong with the name of a user.
func ValidName(name string) error {
	switch {
	case name == "":
		return errors.New("a user needs a name")
	case len(name) > maxName:
		return fmt.Errorf("a user's name has %d bytes: at most %d", len(name), maxName)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return fmt.Errorf("the user's name %q holds what cannot be printed", name)
		}
	}
	return nil
}

// Authority knows the users.
type Authority struct {
	now   func() time.Time
	log   *slog.Logger
	http  *http.Client
	table atomic.Pointer[table]
	rules atomic.Pointer[rules] // of a Kafka cluster; nil = none
	// heavy are the places for deriving keys from passwords: who logs in must not take the processor from who writes.
	heavy chan struct{}
}

// New returns an authority for c. Files that c names are read; no network is used.
func New(c Config) (*Authority, error) {
	a := &Authority{now: c.Now, log: c.Logger, http: c.HTTP, heavy: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.http == nil {
		a.http = newHTTPClient()
	}
	if err := a.Update(c); err != nil {
		return nil, err
	}
	return a, nil
}

// Update replaces the users: from its return on, everyone is judged by c. Its HTTP, Logger and Now are not looked at.
// When it returns an error, nothing has changed.
func (a *Authority) Update(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	t, err := a.newTable(&c)
	if err != nil {
		return err
	}
	a.table.Store(t)
	return nil
}

// Allows reports whether the user may write to the topic and see it: by its topics or by the rules of a Kafka cluster.
// A user that neither knows may nothing.
func (a *Authority) Allows(user, topic string) bool {
	if u := a.table.Load().users[user]; u != nil {
		for _, g := range u.topics {
			if g.Matches(topic) {
				return true
			}
		}
	}
	return a.rules.Load().allows(user, topic)
}

// Knows reports whether the user exists, or a rule of a Kafka cluster means it.
func (a *Authority) Knows(user string) bool {
	return a.table.Load().users[user] != nil || a.rules.Load().knows(user)
}

// AllowsAny reports whether the user may write to any topic at all.
func (a *Authority) AllowsAny(user string) bool {
	u := a.table.Load().users[user]
	return u != nil && len(u.topics) > 0 || a.rules.Load().knows(user)
}

// Mechanisms are those of SASL that are offered, strongest first.
func (a *Authority) Mechanisms() []Mechanism { return a.table.Load().mechanisms }

// derive runs f, which costs much processor time, when there is a place for it.
func (a *Authority) derive(ctx context.Context, f func()) error {
	select {
	case a.heavy <- struct{}{}:
		defer func() { <-a.heavy }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
