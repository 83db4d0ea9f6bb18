package streamdown

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret looks like everywhere.
const redacted = "<redacted>"

// Secret is text that no log, error, page or dump may show: every way of formatting it gives "<redacted>", and only a
// conversion to string gives the text. An empty one is shown as empty, so that a missing password can be told.
type Secret string

// String does not give the text away.
func (s Secret) String() string {
	if s == "" {
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
