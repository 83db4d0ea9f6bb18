package streamdown

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret looks like everywhere.
const redacted = "<redacted>"

// Secret is text that no log, error, page or dump may show: every way of formatting it gives "<redacted>", and only Reveal
// gives the text. An empty one, the zero value, is shown as empty, so that a missing password can be told. Two of them are
// compared by what they reveal, not with ==.
//
// The text is behind a pointer because fmt prints the fields of a struct that are not exported without calling their
// methods. It never follows a pointer to a string.
type Secret struct{ text *string }

// NewSecret hides text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal gives the text away.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == nil }

// String does not give the text away.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format does not give the text away, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText does not give the text away; it stands for JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue does not give the text away.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
