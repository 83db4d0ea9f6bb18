package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"unicode/utf8"
)

// plain checks the one message of PLAIN (RFC 4616): [authorization id] NUL name NUL password.
func (a *Authority) plain(ctx context.Context, t *table, token []byte) ([]byte, *Principal, error) {
	parts := bytes.Split(token, []byte{0})
	if len(parts) != 3 || !utf8.Valid(token) {
		return nil, nil, malformed(Plain, "want authorization id, name and password with a zero byte between them")
	}
	authorize, name, password := string(parts[0]), string(parts[1]), string(parts[2])
	if authorize != "" && authorize != name {
		return nil, nil, malformed(Plain, "the authorization id is another name than that of the login")
	}
	who, err := a.password(ctx, t, Plain, name, password)
	if err != nil {
		return nil, nil, err
	}
	return []byte{}, who, nil
}

// password checks a name and a password that came by m.
//
// A failed login costs the same whoever it names: the comparison, and the iterations of the most costly verifier that
// the config has. A good one may be quicker, which tells nobody anything new.
func (a *Authority) password(ctx context.Context, t *table, m Mechanism, name, password string) (*Principal, error) {
	if name == "" || password == "" {
		return nil, malformed(m, "name or password is empty")
	}
	u := t.users[name]
	known, can := u != nil, false
	var want [len(t.key)]byte
	if known && u.has {
		want, can = u.password, true
	}
	got := t.under("password", password)
	ok := hmac.Equal(got[:], want[:]) && can
	if t.work.Iterations > 0 && !ok {
		if known && !u.has && u.good.Load() != nil && hmac.Equal(got[:], u.good.Load()[:]) {
			return &Principal{Name: name, Mechanism: m}, nil
		}
		if err := a.derive(ctx, func() { ok, can = u.fits(password, &t.work, can) }); err != nil {
			return nil, &Refusal{Reason: Unavailable, User: name, Detail: "no time to check the password", Say: string(m) + " authentication failed: streamdown is ending or too busy, try again"}
		}
		if ok {
			u.good.Store(&got)
		}
	}
	switch {
	case ok:
		return &Principal{Name: name, Mechanism: m}, nil
	case !known:
		return nil, wrong(m, UnknownUser, name, "there is no such user: add it to auth.users, or correct the client's name")
	case !can:
		return nil, wrong(m, NoVerifier, name, "the user has neither password nor verifier: give it one in auth.users")
	}
	return nil, wrong(m, WrongPassword, name, "wrong password")
}

// fits checks a password against the verifiers of a user that may not exist and takes as long as work whatever it is.
// can tells whether there was anything to check it against, and stays true if it was.
func (u *account) fits(password string, work *Verifier, can bool) (ok, could bool) {
	var v Verifier
	if u != nil && !u.has {
		for _, m := range []Mechanism{SCRAM256, SCRAM512} {
			if w, there := u.verifiers[m]; there && (v.Iterations == 0 || w.cost() < v.cost()) {
				v = w
			}
		}
	}
	if v.Iterations > 0 {
		ok, can = v.fits(password), true
	}
	if left := work.cost() - v.cost(); left > 0 && !ok {
		burn := *work
		burn.Iterations = max(1, work.Iterations*left/work.cost())
		burn.fits(password)
	}
	return ok, can
}
