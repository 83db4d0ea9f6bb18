package auth

import (
	"context"
	"slices"
)

// maxToken bounds one message of SASL, in bytes. Tokens of OAuth are the longest: some carry every group of a user.
const maxToken = 48 << 10

// maxShort bounds the messages of the other mechanisms.
const maxShort = 4 << 10

// Exchange is one login that is under way. It belongs to one goroutine.
type Exchange struct {
	mechanism Mechanism
	step      func(ctx context.Context, token []byte) (reply []byte, who *Principal, err error)
	ended     bool
}

// Begin starts a login. It returns false for a mechanism that is not offered.
func (a *Authority) Begin(m Mechanism) (*Exchange, bool) {
	t := a.table.Load()
	if !slices.Contains(t.mechanisms, m) {
		return nil, false
	}
	e := &Exchange{mechanism: m}
	switch m {
	case Plain:
		e.step = func(ctx context.Context, token []byte) ([]byte, *Principal, error) { return a.plain(ctx, t, token) }
	case SCRAM256, SCRAM512:
		s := newScram(t, m)
		e.step = func(_ context.Context, token []byte) ([]byte, *Principal, error) { return s.step(token) }
	case OAuthBearer:
		e.step = func(ctx context.Context, token []byte) ([]byte, *Principal, error) { return a.bearer(ctx, t, token) }
	}
	return e, true
}

// Mechanism is that of the exchange.
func (e *Exchange) Mechanism() Mechanism { return e.mechanism }

// Step takes the client's next message and returns what to answer. who is not nil once the client has shown who it is;
// then the exchange is over. The error is a *Refusal, after which it is over too. The token is borrowed. Step may wait
// for a place to check a password and for keys to be fetched, at most until ctx ends.
func (e *Exchange) Step(ctx context.Context, token []byte) (reply []byte, who *Principal, err error) {
	most := maxShort
	if e.mechanism == OAuthBearer {
		most = maxToken
	}
	switch {
	case e.ended:
		return nil, nil, malformed(e.mechanism, "a message after the end")
	case len(token) > most:
		e.ended = true
		return nil, nil, malformed(e.mechanism, "a message that is too long")
	}
	reply, who, err = e.step(ctx, token)
	e.ended = who != nil || err != nil
	return reply, who, err
}
