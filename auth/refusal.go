package auth

import (
	"fmt"
)

// Reason is why somebody was not let in, from a short list that is fit for a label.
type Reason string

// The reasons.
const (
	Malformed     Reason = "malformed"      // the message makes no sense
	UnknownUser   Reason = "unknown_user"   // no such user
	WrongPassword Reason = "wrong_password" // the user exists, the password does not fit
	NoVerifier    Reason = "no_verifier"    // the user has no password for this mechanism
	BadToken      Reason = "bad_token"      // not signed by who we believe, or not meant for us
	ExpiredToken  Reason = "expired_token"  // good once
	NoKeys        Reason = "no_keys"        // the keys that tokens are checked with cannot be had
	Unmapped      Reason = "unmapped"       // the certificate means no user
	Unavailable   Reason = "unavailable"    // we ended before it was checked
)

// Refusal is why somebody was not let in.
type Refusal struct {
	Reason Reason
	// User is the name that was claimed, as far as it was; "" if it was not. Nothing proves it.
	User string
	// Detail is for the log. It holds no secret.
	Detail string
	// Say is for the client. It does not tell whether a user exists.
	Say string
}

// Error is for the log.
func (r *Refusal) Error() string {
	if r.User != "" {
		return fmt.Sprintf("user %q: %s", printable(r.User), r.Detail)
	}
	return r.Detail
}

// printable cuts a claimed name to what a log line can bear.
func printable(name string) string {
	const most = 64
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

func malformed(m Mechanism, what string) *Refusal {
	return &Refusal{Reason: Malformed, Detail: what, Say: string(m) + " authentication failed: " + what}
}

// wrong is what a client hears of a wrong name and of a wrong password alike.
func wrong(m Mechanism, r Reason, user, detail string) *Refusal {
	return &Refusal{
		Reason: r, User: user, Detail: detail,
		Say: string(m) + " authentication failed: wrong user name or password; the log of streamdown says which",
	}
}
