package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// Bounds of the iterations of a verifier: below the first a stolen one is soon a password (RFC 7677, section 4), above
// the second a client may refuse it, and each login costs who checks it.
const (
	MinIterations = 4096
	MaxIterations = 1_000_000
)

// saltSize is that of the salts we make, in bytes.
const saltSize = 16

// Verifier is what a server keeps of a password for SCRAM (RFC 5802, section 3): it does not give the password away,
// but who has it can play the server. It is not shown by any way of formatting it; Reveal writes it.
type Verifier struct {
	Mechanism  Mechanism
	Iterations int

	*verifierKeys // nil in the zero value, which is no verifier
}

// verifierKeys stand behind a pointer because fmt prints fields that are not exported without asking their methods; it
// does not follow pointers within structs.
type verifierKeys struct{ salt, storedKey, serverKey []byte }

func (m Mechanism) hash() func() hash.Hash {
	switch m {
	case SCRAM256:
		return sha256.New
	case SCRAM512:
		return sha512.New
	}
	return nil
}

func (m Mechanism) hashSize() int {
	if m == SCRAM512 {
		return sha512.Size
	}
	return sha256.Size
}

// NewVerifier makes a verifier of a password with a salt of its own. The password is taken as it is, without SASLprep,
// as Kafka and its clients take it.
func NewVerifier(m Mechanism, password string, iterations int) (Verifier, error) {
	if password == "" {
		return Verifier{}, errors.New("the password is empty")
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails
	v := Verifier{m, iterations, &verifierKeys{salt: salt, storedKey: make([]byte, m.hashSize()), serverKey: make([]byte, m.hashSize())}}
	if err := v.validate(); err != nil {
		return Verifier{}, err
	}
	return derive(m, password, salt, iterations), nil
}

// derive computes the keys of RFC 5802, section 3.
func derive(m Mechanism, password string, salt []byte, iterations int) Verifier {
	h := m.hash()
	salted, err := pbkdf2.Key(h, password, salt, iterations, m.hashSize())
	if err != nil {
		return Verifier{m, 0, &verifierKeys{}} // only for sizes that are not ours; no password fits it
	}
	clientKey := mac(h, salted, "Client Key")
	stored := h()
	stored.Write(clientKey)
	return Verifier{m, iterations, &verifierKeys{salt: salt, storedKey: stored.Sum(nil), serverKey: mac(h, salted, "Server Key")}}
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// fits reports whether the verifier was made of the password. It costs the iterations.
func (v *Verifier) fits(password string) bool {
	d := derive(v.Mechanism, password, v.salt, v.Iterations)
	return hmac.Equal(d.storedKey, v.storedKey) && len(v.storedKey) > 0
}

// cost compares the work of deriving; SHA-512 takes about half as long again.
func (v *Verifier) cost() int {
	if v.Mechanism == SCRAM512 {
		return v.Iterations * 3 / 2
	}
	return v.Iterations
}

func (v *Verifier) validate() error {
	switch {
	case v.verifierKeys == nil:
		return errors.New("an empty verifier: make one with NewVerifier or ParseVerifier")
	case v.Mechanism.hash() == nil:
		return fmt.Errorf("%q has no verifiers: want %s or %s", v.Mechanism, SCRAM256, SCRAM512)
	case v.Iterations < MinIterations || v.Iterations > MaxIterations:
		return fmt.Errorf("%d iterations: want %d to %d", v.Iterations, MinIterations, MaxIterations)
	case len(v.salt) < 8 || len(v.salt) > 256:
		return fmt.Errorf("a salt of %d bytes: want 8 to 256", len(v.salt))
	case len(v.storedKey) != v.Mechanism.hashSize() || len(v.serverKey) != v.Mechanism.hashSize():
		return fmt.Errorf("keys of another size than those of %s", v.Mechanism)
	}
	return nil
}

// howToVerify ends every error about the form of a verifier.
const howToVerify = "make one with: streamdown auth scram USER"

// ParseVerifier reads the form of RFC 5803, which PostgreSQL stores too:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>
//
// with salt and keys in base64. Its errors do not quote the text.
func ParseVerifier(text string) (Verifier, error) {
	form := fmt.Errorf("is not SCRAM-SHA-256$iterations:salt$storedkey:serverkey; %s", howToVerify)
	parts := strings.Split(text, "$")
	if len(text) > 4096 || len(parts) != 3 {
		return Verifier{}, form
	}
	count, salt, ok := strings.Cut(parts[1], ":")
	stored, server, ok2 := strings.Cut(parts[2], ":")
	if !ok || !ok2 {
		return Verifier{}, form
	}
	v := Verifier{Mechanism: Mechanism(parts[0]), verifierKeys: &verifierKeys{}}
	var errs [4]error
	v.Iterations, errs[0] = strconv.Atoi(count)
	v.salt, errs[1] = base64.StdEncoding.Strict().DecodeString(salt)
	v.storedKey, errs[2] = base64.StdEncoding.Strict().DecodeString(stored)
	v.serverKey, errs[3] = base64.StdEncoding.Strict().DecodeString(server)
	if errors.Join(errs[:]...) != nil {
		return Verifier{}, form
	}
	if err := v.validate(); err != nil {
		return Verifier{}, fmt.Errorf("has %w; %s", err, howToVerify)
	}
	return v, nil
}

// Reveal writes what ParseVerifier reads.
func (v Verifier) Reveal() string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", v.Mechanism, v.Iterations, b(v.salt), b(v.storedKey), b(v.serverKey))
}

// String gives no key away.
func (v Verifier) String() string { return fmt.Sprintf("%s$%d:<redacted>", v.Mechanism, v.Iterations) }

// Format gives no key away, whatever the verb.
func (v Verifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// MarshalText gives no key away.
func (v Verifier) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// LogValue gives no key away.
func (v Verifier) LogValue() slog.Value { return slog.StringValue(v.String()) }
